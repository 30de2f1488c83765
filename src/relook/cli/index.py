"""`relook index`, `attach`, `info`, `move` and `forget`. Layer: cli."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from relook.app.clusters import attach as attached
from relook.app.facade import Library
from relook.app.indexing import AddOptions
from relook.cli.configured import ConfigOption, config_of, open_library
from relook.cli.cost import telling_cost
from relook.cli.index_options import (
    DeviceOption,
    DtypeOption,
    EncoderOption,
    HiddenOption,
    MetadataOption,
    PlacesArgument,
    PollOption,
    RayOption,
    RayWorkersOption,
    RetryOption,
    RevisionOption,
    StoreOption,
    TilesOption,
    WatchOption,
)
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import print_json, print_report, print_table, progress_bar
from relook.cli.watching import keep_watching
from relook.core.settings import IndexSettings, RaySettings, WatchSettings

__all__ = ["attach", "forget", "index", "info", "move"]


def index(
    paths: PlacesArgument = None,
    library: LibraryOption = None,
    encoder: EncoderOption = None,
    revision: RevisionOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    tiles: TilesOption = None,
    metadata: MetadataOption = None,
    hidden: HiddenOption = False,
    retry_skipped: RetryOption = False,
    store: StoreOption = None,
    ray: RayOption = None,
    ray_workers: RayWorkersOption = None,
    watch: WatchOption = False,
    poll: PollOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Index pictures, or bring the index up to date. Picture files are only ever read."""
    said = config or config_of(None)
    settings = said.settings(IndexSettings)
    settings = replace(settings, hidden=hidden, retry_skipped=retry_skipped)
    cluster = replace(said.settings(RaySettings), address=ray or "", workers=ray_workers or 0)
    opened = open_library(
        library, said, store=store, model=encoder, revision=revision, device=device,
        dtype=dtype, tiles=tiles,
    )  # fmt: skip
    with opened as lib, progress_bar(as_json) as progress:
        telling = telling_cost(lambda: lib.engine.encoder, progress, quiet=as_json)
        if watch or poll is not None:
            watching = said.settings(WatchSettings)
            watching = watching if poll is None else replace(watching, poll_s=poll)
            options = AddOptions(metadata or (), settings, progress=telling, ray=cluster)
            report = keep_watching(lib, paths or [], options, watching, as_json=as_json)
            raise typer.Exit(130 if report.interrupted else 0)
        report = lib.add(
            *(paths or []), metadata=metadata or [], settings=settings, progress=telling,
            ray=cluster,
        )  # fmt: skip
    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report)
    if report.interrupted:
        raise typer.Exit(130)
    if report.skipped or report.unlisted:
        raise typer.Exit(3)


def attach(
    store: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="milvus://HOST:19530/COLLECTION.")
    ],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a library here of a collection that another server fills, or bring it up to date."""
    facts = attached(store, library)
    if as_json:
        print_json(facts)
    else:
        sys.stdout.write(
            f"{facts['library']}: {facts['n_images']:,} images, {facts['n_new']:,} of them new\n"
        )


def info(
    library: LibraryOption = None,
    skipped: Annotated[
        bool, typer.Option("--skipped", help="List the skipped files with their reasons.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What a library holds."""
    with Library(library) as lib:
        facts = lib.info()
        files = lib.files.catalog.skipped() if skipped else []
    if as_json:
        listed = {"skipped": [file.as_dict() for file in files]} if skipped else {}
        print_json({**facts, **listed})
        return
    away = [f"{one['n']:,}: {one['place']} {one['reason']}" for one in facts.pop("away")]
    rows = [
        (key, f"{value:,}" if isinstance(value, int) else str(value))
        for key, value in (facts | ({"away": "; ".join(away)} if away else {})).items()
    ]
    print_table(["what", "value"], rows)
    if files:
        told = [file.as_dict() for file in files]
        print_table(
            ["skipped", "code", "reason"], [(f["path"], f["code"], f["message"]) for f in told]
        )


def forget(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Folders, pictures, archives, addresses.")
    ],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take images out of the library. The picture files stay."""
    with Library(library) as lib:
        taken = lib.take_out(*paths)
    if as_json:
        print_json({"n_forgotten": taken.n_images, "n_marks": taken.n_marks})
        return
    sys.stdout.write(f"forgot {taken.n_images:,} images; the files are where they were\n")
    if taken.n_marks:
        sys.stderr.write(
            f"note: {taken.n_marks:,} marks in sessions are of them; they do not count any more,"
            " and hold again if the same pictures are indexed again\n"
        )


def move(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Where it was.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Where it is now.")],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a folder, an archive or a picture has moved. Nothing is read or encoded again."""
    with Library(library) as lib:
        report = lib.move(old, new)
    if as_json:
        print_json(report.as_dict())
    else:
        sys.stdout.write(f"moved {report.n_moved:,} images; they keep their words and marks\n")
        if report.n_missing or report.n_other:
            sys.stderr.write(
                f"note: {report.n_missing + report.n_other:,} images stay at the old place:"
                f" {report.n_missing:,} are not at the new one, {report.n_other:,} are other"
                " pictures there; relook index looks for them\n"
            )
    if report.n_missing or report.n_other:
        raise typer.Exit(3)
