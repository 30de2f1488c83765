"""`relook bench`: measure a library on data with known answers. Layer: cli."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relook.app.facade import Library
from relook.bench.captions import read_captions
from relook.bench.retrieval import bench_retrieval
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import print_json, print_table, progress_bar
from relook.library.report import Progress

__all__ = ["app"]

app = typer.Typer(help="Measure a library on data with known answers.", no_args_is_help=True)


@app.callback()
def _bench() -> None:
    """Keeps `bench` a group while it has one command."""


@app.command("retrieval")
def retrieval(
    captions: Annotated[
        Path, typer.Option(help="Lines image<TAB>caption or split<TAB>image<TAB>caption.")
    ],
    library: LibraryOption = None,
    split: Annotated[str | None, typer.Option(help="Use the captions of this split only.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Caption -> picture: how often the right picture is among the first 1, 5, 10."""
    with Library(library) as lib, progress_bar(as_json) as progress:
        engine = lib.engine
        result = bench_retrieval(
            engine,
            read_captions(captions, split),
            lambda done, total: progress(Progress("asking", done, total)) if progress else None,
        )
    if as_json:
        print_json(result.as_dict())
    else:
        print_table(["measure", "value"], [(k, str(v)) for k, v in result.as_dict().items()])
