"""What a run of `relook index` takes: told before (`--plan`), and in notes. Layer: cli."""

import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from relook.app.facade import Library
from relook.app.forecast import Forecast, forecast
from relook.app.indexing import AddOptions
from relook.cli.output import print_json
from relook.core.errors import counted
from relook.core.progress import READING_TEXT, Progress, ProgressCallback
from relook.encoders.pixels import TILINGS

_AFTER_S = 5.0  # of indexing, when its rate is known
_LONG_S = 60.0  # what a run takes at least for the time to be worth a note

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
        tried += f"; {counted(made.n_unreadable, 'other')} cannot be read"
    has_index = made.index_kind != "exact"
    built = f"{_duration(made.index_s)} for the index" if has_index else "no index is needed"
    index = f", index {_size(made.index_bytes)}" if has_index else ""
    building = f"; {_size(made.building_bytes)} more while the index is built" if has_index else ""
    return [
        f"{counted(made.n_new, 'new picture')}, {made.n_images:,} in the library then ({tried})",
        f"time    about {_duration(made.seconds)} on this machine, as busy as it is now:"
        f" {made.images_per_s:.1f} pictures a second, {built};"
        f" {_duration(made.processor_s)} of one core",
        f"disk    {_size(made.disk_bytes)}: vectors {_size(made.vectors_bytes)}, catalog and its"
        f" copy {_size(made.catalog_bytes)}{index}",
        f"memory  {_size(made.running_bytes)} while it runs{building};"
        f" {_size(made.searching_bytes)} for the catalog's columns while it is searched",
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


def telling_cost(encoder: Callable[[], Any], progress: ProgressCallback | None) -> ProgressCallback:
    """A progress callback that also prints what a run will cost, as notes on stderr, once each.

    The first says how often a picture goes through the model, the second how long the run takes;
    a third, where the words in pictures are read, how long that takes.

    Args:
        encoder: Gives the encoder that runs.
        progress: Called as before.
    """
    began_s: float | None = None
    has_passes = has_time = has_words = False

    def tell(now: Progress) -> None:
        nonlocal began_s, has_passes, has_time, has_words
        if not has_passes:
            has_passes = True
            _note(_passes(encoder()))
        if now.stage == "indexing" and not has_time:
            began_s = time.monotonic() if began_s is None else began_s
            # Before the listing is over nobody knows how much there is.
            if now.total and time.monotonic() - began_s >= _AFTER_S:
                has_time = True
                _note(_time_left(now))
        if now.stage == READING_TEXT and now.rate_per_s and not has_words:
            has_words = True
            _note(_words_cost(now))
        if progress is not None:
            progress(now)

    return tell


def _note(text: str) -> None:
    if text:
        sys.stderr.write(f"note: {text}\n")


def _passes(encoder: Any) -> str:
    """How often a picture goes through the model, where that can be chosen; else nothing."""
    n_passes, tiles = getattr(encoder, "n_passes", 0), getattr(encoder, "tiles", "")
    if not n_passes:
        return ""
    others = ", ".join(f"{name} {len(boxes)}" for name, boxes in TILINGS.items() if name != tiles)
    several = "pass" if n_passes == 1 else "passes"
    cost = f"{n_passes} forward {several} a picture (--tiles {tiles}; {others})"
    model = getattr(encoder, "spec", "").partition("?")[0]
    return f"{cost}, on {encoder.place}" + (f", with {model}" if model else "")


def _time_left(now: Progress) -> str:
    """How long the rest takes at this rate; nothing for a short one."""
    left_s = now.left_s
    if left_s is None or left_s < _LONG_S:
        return ""
    rate = f"{now.rate_per_s:.1f} a second"
    more = counted(now.total - now.done, "more picture")
    left = f"about {_in_minutes(left_s)} for {more} at {rate}"
    return f"{left}; Ctrl-C keeps what is done"


def _words_cost(now: Progress) -> str:
    """How long reading words takes, from the first pictures; nothing where they are all."""
    if now.left_s is None or now.done >= now.total:
        return ""
    what = f"reading the words of {now.total:,} pictures takes about {_in_minutes(now.left_s)}"
    return (
        f"{what} (the first {now.done}: {1 / now.rate_per_s:.2f} s each); Ctrl-C keeps what is done"
    )


def _in_minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(round(seconds), 1)} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
