"""`relook index --plan`: what a run will take, told before anything starts. Layer: cli."""

import sys
from typing import Annotated

import typer

from relook.app.facade import Library
from relook.app.forecast import Forecast, forecast
from relook.app.indexing import AddOptions
from relook.cli.output import print_json

PlanOption = Annotated[
    bool,
    typer.Option(
        "--plan", help="Only say what it takes: time, disk, memory. Measured on a few pictures."
    ),
]
AsIfOption = Annotated[
    int | None,
    typer.Option(
        "--as-if", metavar="N", min=1, help="With --plan: as if so many new pictures were there."
    ),
]
HourlyOption = Annotated[
    float | None,
    typer.Option(
        metavar="PRICE", min=0, help="With --plan: what an hour of this machine costs, for a sum."
    ),
]


def tell_forecast(
    library: Library,
    paths: list[str],
    options: AddOptions,
    n_new: int | None,
    hourly: float | None,
    *,
    as_json: bool,
) -> None:
    """Prints what indexing takes; raises as `relook.app.forecast.forecast`."""
    made = forecast(library, paths, options, n_new)
    cost = {} if hourly is None else {"cost": round(made.seconds / 3600 * hourly, 2)}
    if as_json:
        print_json({**made.as_dict(), **cost})
        return
    for line in _lines(made):
        sys.stdout.write(f"{line}\n")
    if cost:
        sys.stdout.write(f"cost    {cost['cost']:,.2f}, at {hourly:g} an hour\n")


def _lines(made: Forecast) -> list[str]:
    if not made.n_new:
        return ["nothing is new"]
    tried = f"measured on {made.n_measured:,} of them"
    if made.n_unreadable:
        tried += f"; {made.n_unreadable:,} others cannot be read"
    has_index = made.index_kind != "exact"
    built = f"{_duration(made.index_s)} for the index" if has_index else "no index is needed"
    index = f", index {_size(made.index_bytes)}" if has_index else ""
    building = f"; {_size(made.building_bytes)} more while the index is built" if has_index else ""
    return [
        f"{made.n_new:,} new pictures, {made.n_images:,} in the library then ({tried})",
        f"time    about {_duration(made.seconds)} on this machine: {made.images_per_s:.1f} pictures"
        f" a second, {built}",
        f"disk    {_size(made.disk_bytes)}: vectors {_size(made.vectors_bytes)}, catalog and its"
        f" copy {_size(made.catalog_bytes)}{index}",
        f"memory  {_size(made.searching_bytes)} for the catalog's columns while it is searched"
        f"{building}",
    ]


def _size(n_bytes: float) -> str:
    for unit in ("kB", "MB", "GB"):
        n_bytes /= 1000
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
    return f"{n_bytes / 1000:,.3g} TB"


def _duration(seconds: float) -> str:
    for n_seconds, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * n_seconds:
            return f"{seconds / n_seconds:.3g} {unit}"
    return f"{max(round(seconds), 1)} s"
