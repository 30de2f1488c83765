"""`relook search` and `similar`. Layer: cli."""

from pathlib import Path
from typing import Annotated

import typer

from relook.cli import options as given
from relook.cli.config_flags import ConfigOption, open_library
from relook.cli.output import print_json, print_page, print_paths
from relook.core.settings import SearchSettings
from relook.core.types import Page, Query
from relook.search.grammar import parse_query

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


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORDS...",
            help="What to look for: 'dog + snow - people', '0.5:red', 'image:FILE@x0,y0,x1,y1',"
            " 'dog@0,0,0.5,1' for a dog on the left.",
        ),
    ] = None,
    library: given.LibraryOption = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="A picture to look like. Repeatable.")
    ] = None,
    unwanted: Annotated[
        list[str] | None, typer.Option("--not", help="Words for what not to show. Repeatable.")
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORDS@X0,Y0,X1,Y1", help="Words that must be shown at a place. Repeatable."
        ),
    ] = None,
    limit: given.LimitOption = _DEFAULTS.limit,
    where: given.WhereOption = None,
    after: given.AfterOption = None,
    before: given.BeforeOption = None,
    near: given.NearOption = None,
    camera: given.CameraOption = None,
    album: given.AlbumOption = None,
    path: given.PathOption = None,
    fold: FoldOption = _DEFAULTS.fold,
    grammar: given.GrammarOption = _DEFAULTS.grammar,
    files: FilesOption = False,
    away: AwayOption = False,
    min_fit: given.MinFitOption = 0.0,
    config: ConfigOption = None,
    as_json: given.JsonOption = False,
) -> None:
    """Find images with words, pictures, or both."""
    given.check_given("--path", path)
    with open_library(library, config) as lib:
        page = lib.search(
            _asked(" ".join(words or []), part or [], grammar),
            limit=limit, images=image or [], without=unwanted or [],
            where=given.pairs(where, after, before, near, camera, album), path=path, fold=fold,
            away=away, min_fit=min_fit, grammar=grammar,
        )  # fmt: skip
    _show(page, files, as_json)


def _asked(line: str, places: list[str], grammar: bool) -> str | Query:
    """Words with those that must be shown at places, which have a form of their own."""
    if grammar or not places:
        return " + ".join(filter(None, [line, *places]))
    placed = parse_query(" + ".join(places)).parts
    return Query((*(parse_query(line, grammar).parts if line else ()), *placed))


def similar(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture, indexed or not.")],
    library: given.LibraryOption = None,
    limit: given.LimitOption = _DEFAULTS.limit,
    where: given.WhereOption = None,
    after: given.AfterOption = None,
    before: given.BeforeOption = None,
    near: given.NearOption = None,
    camera: given.CameraOption = None,
    album: given.AlbumOption = None,
    path: given.PathOption = None,
    files: FilesOption = False,
    away: AwayOption = False,
    verify: given.VerifyOption = False,
    config: ConfigOption = None,
    as_json: given.JsonOption = False,
) -> None:
    """Find images that look like a picture."""
    given.check_given("--path", path)
    with open_library(library, config) as lib:
        only = given.pairs(where, after, before, near, camera, album)
        page = lib.similar(file, limit=limit, where=only, path=path, away=away, verify=verify)
    _show(page, files, as_json)


def _show(page: Page, files: bool, as_json: bool) -> None:
    if as_json:
        print_json(page.as_dict())
    elif files:
        print_paths((hit.path for hit in page), page.notes)
    else:
        print_page(page)
