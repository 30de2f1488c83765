"""`relook search` and `relook similar`. Layer: cli."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from relook.cli.config_flags import ConfigOption, open_library
from relook.cli.options import (
    AfterOption,
    BeforeOption,
    CameraOption,
    JsonOption,
    LibraryOption,
    LimitOption,
    NearOption,
    PathOption,
    WhereOption,
    pairs,
)
from relook.cli.output import print_json, print_page
from relook.core.settings import SearchSettings
from relook.core.types import Page

_DEFAULTS = SearchSettings()
FoldOption = Annotated[
    bool, typer.Option("--fold/--no-fold", help="Show near-duplicates as one hit.")
]
FilesOption = Annotated[
    bool, typer.Option("--files", "-f", help="Print paths only, for pipes.")
]  # fmt: skip

AwayOption = Annotated[
    bool, typer.Option("--away", help="Show pictures whose file cannot be reached now, too.")
]

MinFitOption = Annotated[
    float,
    typer.Option(
        min=0.0, max=1.0, help="Least probability that a picture shows the words; 0 shows all."
    ),
]


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORDS...",
            help="What to look for: 'dog + snow - people', '0.5:red', 'image:FILE@x0,y0,x1,y1'.",
        ),
    ] = None,
    library: LibraryOption = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="A picture to look like. Repeatable.")
    ] = None,
    unwanted: Annotated[
        list[str] | None, typer.Option("--not", help="Words for what not to show. Repeatable.")
    ] = None,
    limit: LimitOption = _DEFAULTS.limit,
    where: WhereOption = None,
    after: AfterOption = None,
    before: BeforeOption = None,
    near: NearOption = None,
    camera: CameraOption = None,
    path: PathOption = None,
    fold: FoldOption = _DEFAULTS.fold,
    files: FilesOption = False,
    away: AwayOption = False,
    min_fit: MinFitOption = 0.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find images with words, pictures, or both."""
    with open_library(library, config) as lib:
        page = lib.search(
            " ".join(words or []), limit=limit, images=image or [], without=unwanted or [],
            where=pairs(where, after, before, near, camera), path=path, fold=fold, away=away,
            min_fit=min_fit,
        )  # fmt: skip
    _show(page, files, as_json)


def similar(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture, indexed or not.")],
    library: LibraryOption = None,
    limit: LimitOption = _DEFAULTS.limit,
    where: WhereOption = None,
    after: AfterOption = None,
    before: BeforeOption = None,
    near: NearOption = None,
    camera: CameraOption = None,
    path: PathOption = None,
    files: FilesOption = False,
    away: AwayOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find images that look like a picture."""
    with open_library(library, config) as lib:
        only = pairs(where, after, before, near, camera)
        page = lib.similar(file, limit=limit, where=only, path=path, away=away)
    _show(page, files, as_json)


def _show(page: Page, files: bool, as_json: bool) -> None:
    if as_json:
        print_json(page.as_dict())
    elif files:
        for hit in page:
            sys.stdout.buffer.write(bytes(hit.path) + b"\n")
    else:
        print_page(page)
