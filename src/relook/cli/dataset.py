"""`relook demo` and `relook dataset`: photographs to try Relook on. Layer: cli."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relook.app.facade import Library
from relook.cli import serve
from relook.cli.config_flags import open_library
from relook.cli.options import Commands, JsonOption
from relook.cli.output import print_json, print_page, print_report, progress_bar
from relook.core.errors import InputError, MissingExtraError, NotFoundError, StorageError
from relook.core.outputs import check_place
from relook.core.registry import import_extra
from relook.datasets.catalogue import COCO, RETAIL, Dataset

if TYPE_CHECKING:
    from relook.datasets.obtain import Plan


app = Commands(
    help="Fetch a public data set: resumable, checked, unpacked safely.", no_args_is_help=True
)

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Where it goes.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before downloading.")]
KeepOption = Annotated[bool, typer.Option("--keep", help="Keep the ZIP files too.")]
IndexOption = Annotated[
    Path | None, typer.Option("--index", metavar="LIBRARY", help="Then index it into this library.")
]
EncoderOption = Annotated[
    str | None, typer.Option(metavar="SPEC", help="Encoder of that library, as relook index.")
]


@app.command("coco")
def coco(
    folder: FolderArgument,
    split: Annotated[str, typer.Option(help=f"One of {', '.join(COCO)}.")] = "val2017",
    index: IndexOption = None,
    encoder: EncoderOption = None,
    keep: KeepOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """COCO's photographs, with captions and objects as metadata (test2014 has none)."""
    if split not in COCO:
        raise NotFoundError(
            "unknown_split", f"COCO has no split {split!r} here", f"there are: {', '.join(COCO)}"
        )
    _fetch(COCO[split], folder, (index, encoder), (keep, yes, as_json))


@app.command("retail-786k")
def retail(
    folder: FolderArgument,
    edge: Annotated[int, typer.Option(help="Longer edge of the pictures: 256 or 512.")] = 256,
    index: IndexOption = None,
    encoder: EncoderOption = None,
    keep: KeepOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Retail-786k's products from Zenodo, with their entities as metadata."""
    if edge not in RETAIL:
        raise NotFoundError("unknown_size", f"there is no edge of {edge} pixels", "256 or 512")
    _fetch(RETAIL[edge], folder, (index, encoder), (keep, yes, as_json))


def _fetch(
    dataset: Dataset,
    folder: Path,
    index: tuple[Path | None, str | None],
    how: tuple[bool, bool, bool],
) -> None:
    check_place(folder)
    keep, yes, as_json = how
    # Imported only here: other commands do without httpx.
    download = import_extra("relook.core.download", "relook dataset", "datasets")
    obtain = import_extra("relook.datasets.obtain", "relook dataset", "datasets")
    with download.open_client() as client:
        plan = obtain.plan(dataset, folder, client)
        if plan.todo:
            _agree(plan, yes)
        with progress_bar(as_json) as progress:
            obtain.fetch(plan, client, progress, keep_archives=keep)
    command = _index_command(plan, *index)
    if as_json:
        facts = {
            "dataset": plan.dataset.name, "pictures": str(plan.pictures),
            "metadata": [str(file) for file in plan.metadata], "index_command": command,
        }  # fmt: skip
        print_json(facts)
    else:
        sys.stdout.write(f"{plan.dataset.name} is at {plan.pictures}\n")
        if index[0] is None:
            sys.stdout.write(f"index it with:\n  {command}\n")
    if index[0] is not None:
        _index(plan, index[0], index[1], as_json)


def _agree(plan: Plan, yes: bool) -> None:
    """Says what is downloaded, how much, from where; asks where somebody can answer.

    Raises:
        InputError: `not_agreed` when nobody can, or the answer is no.
    """
    tell = sys.stderr.write
    for archive in plan.todo:
        checked = "size and MD5 checked" if archive.md5 else "size checked"
        tell(f"{archive.n_bytes / 1e9:8.2f} GB  {archive.url}  ({checked})\n")
    tell(
        f"{plan.download_bytes / 1e9:8.2f} GB to download, up to {plan.disk_bytes / 1e9:.2f} GB of"
        f" disk at {plan.folder}\nterms: {plan.dataset.terms}\n"
    )
    if yes:
        return
    if not sys.stdin.isatty() or not typer.confirm("Download it?", err=True):
        raise InputError("not_agreed", "nothing was downloaded", "say --yes to download it")


def _index_command(plan: Plan, library: Path | None, encoder: str | None) -> str:
    words = ["relook", "index", str(plan.pictures)]
    words += ["--library", str(library or f"{plan.dataset.name}.relook")]
    words += ["--encoder", encoder] if encoder else []
    for file in plan.metadata:
        words += ["--metadata", str(file)]
    return shlex.join(words)


def _index(plan: Plan, library: Path, encoder: str | None, quiet: bool) -> None:
    with open_library(library, None, model=encoder) as lib, progress_bar(quiet) as progress:
        report = lib.add(plan.pictures, metadata=plan.metadata, progress=progress)
    if not quiet:
        print_report(report)
    if report.interrupted:
        raise typer.Exit(130)
    if report.skipped:
        raise typer.Exit(3)


QUERIES = ("a cat", "a cup of coffee", "a man with a camera", "an elephant")
"""What the photographs show, and at the end something that none of them does."""


def demo(
    context: typer.Context,
    library: Annotated[
        Path, typer.Option("--library", "-l", metavar="DIR", help="Where to build the library.")
    ] = Path("demo-library"),
    pictures: Annotated[
        Path | None, typer.Option(help="A folder of pictures to use instead.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Hits a page.")] = 3,
    page: Annotated[
        bool, typer.Option("--page", help="Then open the web page, when at a terminal.")
    ] = False,
) -> None:
    """Build a library from example photographs and search it with words.

    The photographs are copied into demo-photos, beside the library.
    """
    folder = pictures or _copied(example_photographs(), library.with_name(_PHOTOS))
    sys.stdout.write(f"Indexing the photographs in {folder} into {library} ...\n")
    with Library(library) as lib:
        with progress_bar() as progress:
            report = lib.add(folder, progress=progress)
        print_report(report)
        for words in QUERIES:
            line = f'relook search "{words}" --library {shlex.quote(str(library))} --limit {limit}'
            sys.stdout.write(f"\n$ {line}\n")
            print_page(lib.search(words, limit=limit))
    if page and sys.stdout.isatty():
        sys.stdout.write("Opening the page; Ctrl-C ends it.\n")
        serve.serve(context, library=[library])
        return
    command, named = _command(), shlex.quote(str(library))
    example = shlex.quote(str(folder / _EXAMPLE)) if (folder / _EXAMPLE).is_file() else "PICTURE"
    sys.stdout.write(
        f"The library stays at {library}, its pictures are in {folder}. Go on with words or a"
        " picture:\n"
        f'  {command} search "water" --library {named}\n'
        f"  {command} similar {example} --library {named}\n"
        f"or in the browser:\n  {command} serve --library {named}\n"
        "or with your own pictures, in a library of their own:\n"
        f"  {command} index ~/Pictures\n"
        f'  {command} search "dog on a beach"\n'
    )


_PHOTOS = "demo-photos"
_EXAMPLE = "chelsea.png"
_SUFFIXES = (".gif", ".jpg", ".png", ".tif")


def _copied(source: Path, folder: Path) -> Path:
    """A folder with copies of the pictures of another; what is there already stays.

    Raises:
        StorageError: `not_written` when it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(source.iterdir()):
            if file.suffix in _SUFFIXES and not (folder / file.name).exists():
                new = folder / f"{file.name}.new"  # it has its name when it is whole
                shutil.copyfile(file, new)
                new.replace(folder / file.name)
    except OSError as error:
        raise StorageError(
            "not_written", f"{folder} cannot be written: {error.strerror or error}",
            "run it in a folder of yours, or name one: relook demo --library FOLDER/demo-library",
        ) from error  # fmt: skip
    return folder


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
