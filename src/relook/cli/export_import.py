"""`relook export` and `relook import`: libraries and other programs' files. Layer: cli."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from relook.app.facade import Library
from relook.cli.config_flags import open_library
from relook.cli.options import Commands, JsonOption
from relook.cli.output import print_json, print_notes, print_report, progress_bar
from relook.core.errors import counted
from relook.core.picture_paths import printable
from relook.library.report import IndexReport

export_app = Commands(
    help="Write a library's vectors, or what people said of its pictures, for other programs.",
    no_args_is_help=True,
)
import_app = Commands(
    help="Make a library of vectors, or take words in pictures, that were computed before.",
    no_args_is_help=True,
)

LibraryArgument = Annotated[Path, typer.Argument(metavar="LIBRARY", help="The library's folder.")]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to.")]


@export_app.command("faiss")
def to_faiss(library: LibraryArgument, folder: FolderArgument, as_json: JsonOption = False) -> None:
    """A flat FAISS index (inner product) and image_paths.txt, in the order of its rows."""
    _export("faiss", library, folder, as_json)


@export_app.command("npy")
def to_npy(library: LibraryArgument, folder: FolderArgument, as_json: JsonOption = False) -> None:
    """vectors.npy (float16) and images.jsonl, one line a row."""
    _export("npy", library, folder, as_json)


@export_app.command("parquet")
def to_parquet(
    library: LibraryArgument, folder: FolderArgument, as_json: JsonOption = False
) -> None:
    """images.parquet: everything about an image, and its vector."""
    _export("parquet", library, folder, as_json)


@export_app.command("webdataset")
def to_webdataset(
    library: LibraryArgument, folder: FolderArgument, as_json: JsonOption = False
) -> None:
    """Tar shards with each picture's file, JSON and vector."""
    _export("webdataset", library, folder, as_json)


@export_app.command("xmp")
def to_xmp(
    library: LibraryArgument,
    marks: Annotated[
        bool, typer.Option(help="Names of sessions in which a picture was marked relevant.")
    ] = True,
    concepts: Annotated[bool, typer.Option(help="Names of concepts that rest on it.")] = True,
    albums: Annotated[bool, typer.Option(help="Names of albums that hold it.")] = True,
    captions: Annotated[bool, typer.Option(help="Captions of boxes on it.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; count what would be written.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Marks, concepts, albums and captions as keywords in XMP files beside the pictures.

    Pictures are never touched; an XMP file that is there keeps all that it says.
    """
    from relook.app.exchange import XmpChoice, export_xmp

    choice = XmpChoice(marks, concepts, albums, captions, write=not dry_run)
    with Library(library) as lib, progress_bar(as_json) as progress:
        report = export_xmp(lib, choice, progress)
    if as_json:
        print_json(report.as_dict())
    else:
        sys.stdout.write(
            f"{counted(report.n_new, 'XMP file')} {'to make' if dry_run else 'made'},"
            f" {report.n_changed:,} {'to change' if dry_run else 'changed'},"
            f" {report.n_unchanged:,} have it all\n"
        )
        shown = report.left_out[:20]
        print_notes([f"left alone {printable(left.path)}: {left.message}" for left in shown])
        if len(report.left_out) > len(shown):
            print_notes([f"and {len(report.left_out) - len(shown):,} more (--json lists them)"])
    if report.left_out:
        raise typer.Exit(3)


def _export(kind: str, library: Path, folder: Path, as_json: bool) -> None:
    from relook.app.exchange import export  # other commands do without Pillow

    with Library(library) as lib, progress_bar(as_json) as progress:
        report = export(lib, kind, folder, progress)
    if as_json:
        print_json(report.as_dict())
    else:
        for file in report.files:
            sys.stdout.write(f"wrote {file}\n")
        sys.stdout.write(f"{counted(report.n_images, 'image')}\n")
        print_notes([f"left out {image.path}: {image.message}" for image in report.left_out])
    if report.left_out:
        raise typer.Exit(3)


@import_app.command("faiss")
def from_faiss(
    source: Annotated[
        Path, typer.Argument(metavar="DIR", help="With image_index.faiss and image_paths.txt.")
    ],
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="Folder of the library.")],
    encoder: Annotated[
        str, typer.Option(metavar="SPEC", help="The model that made the index: hf:ORG/NAME.")
    ],
    root: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the pictures are now; no other folder is read."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Open VisualReF's FAISS files as a library; no vector is computed again."""
    from relook.app.exchange import import_faiss, whole_pictures

    with (
        open_library(library, None, model=whole_pictures(encoder)) as lib,
        progress_bar(as_json) as progress,
    ):
        report = import_faiss(lib, source, root, progress)
    _tell(report, as_json)


@import_app.command("library")
def from_library(
    old: LibraryArgument,
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Folder of the new library.")],
    tiles: Annotated[str, typer.Option(help="none, grid or pyramid.")],
    as_json: JsonOption = False,
) -> None:
    """Copy a library with other tiles; vectors of whole pictures are not computed again."""
    from relook.app.exchange import retile

    with Library(old) as lib, progress_bar(as_json) as progress:
        report = retile(lib, new, tiles, progress)
    _tell(report, as_json)


@import_app.command("text")
def from_texts(
    source: Annotated[
        Path, typer.Argument(metavar="DIR", help="Of an export that has image_texts.jsonl.")
    ],
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="With the same pictures.")],
    as_json: JsonOption = False,
) -> None:
    """Take the words in pictures from an export; no picture is read again."""
    from relook.app.exchange import import_texts

    with Library(library) as lib:
        n_texts = import_texts(lib, source)
    if as_json:
        print_json({"n_texts": n_texts})
    else:
        sys.stdout.write(f"took the words in {counted(n_texts, 'picture')}, not read here\n")


def _tell(report: IndexReport, as_json: bool) -> None:
    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report)
    if report.interrupted:
        raise typer.Exit(130)
    if report.skipped:
        raise typer.Exit(3)
