"""`relook index`, `attach`, `info` and `forget`. Layer: cli."""

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

__all__ = ["attach", "forget", "index", "info"]


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
    if report.skipped:
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
    rows = [
        (key, f"{value:,}" if isinstance(value, int) else str(value))
        for key, value in facts.items()
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
        n_forgotten = lib.forget(*paths)
    if as_json:
        print_json({"n_forgotten": n_forgotten})
    else:
        sys.stdout.write(f"forgot {n_forgotten:,} images; the files are where they were\n")
