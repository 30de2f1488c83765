"""`relook upgrade`. Layer: cli."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from relook.app.configured import config_of
from relook.app.facade import Library
from relook.app.upgrading import UpgradeCost, upgrade_cost
from relook.app.upgrading import upgrade as upgrade_library
from relook.cli.config_flags import ConfigOption
from relook.cli.index import DeviceOption, DtypeOption, RevisionOption, TilesOption
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import print_json, progress_bar
from relook.core.settings import EncoderSettings, ImageLimits, IndexSettings, SearchSettings
from relook.library.records import printable
from relook.library.upgrade import UpgradeReport

__all__ = ["upgrade"]

_SHOWN = 10


def upgrade(
    library: LibraryOption = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="The new encoder: builtin, hf:ORG/NAME, hf:FOLDER, st:ORG/NAME; the present"
            " version of the library's own when not given."
        ),
    ] = None,
    revision: RevisionOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    tiles: TilesOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would take.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make all vectors again with another encoder. Ids, words, marks and sessions are kept.

    Searches go on meanwhile. A run that is stopped is gone on with by the next one.
    """
    config = config or config_of(None)
    flags = {"model": encoder, "revision": revision, "device": device, "dtype": dtype,
             "tiles": tiles}  # fmt: skip
    chosen = {name: value for name, value in flags.items() if value}
    settings = replace(config.settings(EncoderSettings), **chosen)
    # The library need not open with the encoder that it is to have.
    opened = Library(
        library or config.given("library.folder"),
        search=config.settings(SearchSettings), limits=config.settings(ImageLimits),
        index=config.settings(IndexSettings),
    )  # fmt: skip
    with opened as lib:
        cost = upgrade_cost(lib, settings)
        if dry_run or not cost.is_needed:
            print_json(cost.as_dict()) if as_json else sys.stdout.write(_cost_line(cost) + "\n")
            return
        sys.stderr.write(_cost_line(cost) + "\n")
        with progress_bar(as_json) as progress:
            report = upgrade_library(lib, settings, progress)
    if as_json:
        print_json(report.as_dict())
    else:
        _print_report(report)
    if report.interrupted:
        raise typer.Exit(130)
    if report.n_unread:
        raise typer.Exit(3)


def _cost_line(cost: UpgradeCost) -> str:
    """What an upgrade would take, in a line or two."""
    if not cost.is_needed:
        return f"nothing to do: the library has this encoder already, {cost.after}"
    n_done = cost.n_images - cost.n_left
    lines = [
        f"{cost.before} -> {cost.after}: {cost.n_left:,} pictures to encode"
        + (f" ({n_done:,} are done)" if n_done else "")
        + (f", {_duration(cost.seconds)}" if cost.seconds is not None else "")
        + f", {cost.n_bytes / 1024**2:,.1f} MiB beside the old vectors until it is done"
        f" ({cost.free_bytes / 1024**2:,.0f} MiB are free)"
    ]
    if cost.n_away:
        lines.append(
            f"{cost.n_away:,} pictures are away: those that still are cannot be searched afterwards"
            " until they come back and are indexed"
        )
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return (
        f"about {minutes // 60} h {minutes % 60} min" if minutes >= 90 else f"about {minutes} min"
    )


def _print_report(report: UpgradeReport) -> None:
    n_done = report.n_encoded + report.n_resumed
    if report.interrupted:
        sys.stdout.write(
            f"stopped: {n_done:,} of {report.n_images:,} pictures are done; the library is as it"
            " was, and the same command goes on from here\n"
        )
        return
    sys.stdout.write(
        f"the library is {report.after} now: {report.n_images - report.n_unread:,} pictures"
        f" ({report.n_resumed:,} done before), {report.n_boxes:,} marked boxes,"
        f" {report.seconds:.1f} s\n"
    )
    if report.n_unread:
        sys.stdout.write(
            f"{report.n_unread:,} pictures cannot be read now. They keep their ids, words and"
            " marks, are not found until then, and get vectors when relook index meets them:\n"
        )
    for file in report.unread[:_SHOWN]:
        sys.stdout.write(f"  {printable(file.facts.path)}: {file.message}\n")
    if report.n_unread > _SHOWN:
        sys.stdout.write(f"  and {report.n_unread - _SHOWN:,} more\n")
    if report.n_concepts or report.n_concepts_unread:
        away = f"; {report.n_concepts_unread:,} are fitted when their pictures can be read"
        sys.stdout.write(
            f"{report.n_concepts:,} concepts were fitted again from their examples"
            f"{away if report.n_concepts_unread else ''}\n"
        )
    if report.n_boxes_unread:
        sys.stdout.write(
            f"note: {report.n_boxes_unread:,} marked boxes get their vectors when their session is"
            " used and the picture can be read\n"
        )
