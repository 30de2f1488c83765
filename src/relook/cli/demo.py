"""`relook demo`: the main job, on photographs that an installed package ships. Layer: cli."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from relook.app.facade import Library
from relook.cli import serve
from relook.cli.output import print_page, print_report, progress_bar
from relook.core.errors import MissingExtraError

QUERIES = ("a cat", "a cup of coffee", "a man with a camera", "an elephant")
"""What the photographs show, and at the end something that none of them does."""


def demo(
    library: Annotated[
        Path, typer.Option("--library", "-l", metavar="DIR", help="Where to build the library.")
    ] = Path("demo-library"),
    pictures: Annotated[
        Path | None, typer.Option(help="A folder of pictures to use instead.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Hits a page.")] = 3,
    page: Annotated[
        bool, typer.Option("--page", help="Then open the web page, when at a terminal.")
    ] = False,
) -> None:
    """Build a library from example photographs and search it with words."""
    folder = pictures or example_photographs()
    sys.stdout.write(f"Indexing the photographs in {folder} into {library} ...\n")
    with Library(library) as lib:
        with progress_bar(quiet=False) as progress:
            report = lib.add(folder, progress=progress)
        print_report(report)
        for words in QUERIES:
            sys.stdout.write(f'\n$ relook search "{words}" --library {library} --limit {limit}\n')
            print_page(lib.search(words, limit=limit))
    if page and sys.stdout.isatty():
        sys.stdout.write("Opening the page; Ctrl-C ends it.\n")
        serve.serve(library=[library])
        return
    command = _command()
    sys.stdout.write(
        f"The library stays at {library}. Try your own words:\n"
        f'  {command} search "water" --library {library}\n'
        f"or in the browser:\n  {command} serve --library {library}\n"
        "or your own pictures:\n"
        f"  {command} index ~/Pictures\n"
        f'  {command} search "dog on a beach"\n'
    )


def _command() -> str:
    """What to type to run this program: its name where that is enough, else its path."""
    if shutil.which("relook"):
        return "relook"
    return os.path.relpath(Path(sys.executable).with_name("relook"))


def example_photographs() -> Path:
    """The folder of photographs inside scikit-image's wheel (located, not imported).

    Raises:
        MissingExtraError: when scikit-image is not installed.
    """
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise MissingExtraError(
            "missing_extra",
            "the demo uses the photographs that scikit-image ships, and it is not installed",
            "pip install 'relook[demo]', or name your own: relook demo --pictures FOLDER",
        )
    return Path(package.origin).parent / "data"
