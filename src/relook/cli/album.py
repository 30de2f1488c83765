"""`relook album`: pictures that a person put together, under names. Layer: cli."""

import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import typer

from relook.app.facade import Library
from relook.cli.config_flags import open_library
from relook.cli.options import Commands, JsonOption, LibraryOption
from relook.cli.output import print_json, print_notes, print_paths, print_table, written_file
from relook.core.errors import InputError, counted
from relook.core.outputs import CSV, TEXT, check_output
from relook.core.picture_paths import printable
from relook.library.album_values import FAVOURITES, Album, AlbumChange
from relook.library.records import ImageRecord

app = Commands(
    help="Pictures that you put together. Search in an album with --album NAME.",
    no_args_is_help=True,
)
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help=f"Its name; capitals do not matter: {FAVOURITES}.")
]
PicturesArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="PICTURE...",
        help="Files, folders or archives that are indexed; - reads paths from stdin, one a line.",
    ),
]
IdsOption = Annotated[
    list[int] | None,
    typer.Option("--id", metavar="IMAGE", help="An image by its id, as --json tells. Repeatable."),
]


class Form(StrEnum):
    """What an album may be written as."""

    ZIP = "zip"
    CSV = "csv"
    PATHS = "paths"


_KINDS = {Form.ZIP: (), Form.CSV: CSV, Form.PATHS: TEXT}
"""Form -> suffixes of files that it may be written over; an archive never is."""


@app.command("list")
def list_albums(
    library: LibraryOption = None,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Those that were deleted and can be brought back.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """The albums of a library, with how many pictures each holds."""
    with open_library(library, None) as lib:
        albums = lib.albums.deleted() if deleted else lib.albums.all()
    if as_json:
        print_json({"albums": [album.as_dict() for album in albums]})
    elif not albums:
        sys.stdout.write("none\n")
    else:
        rows = [(album.name, _holds(album), _day(album.changed_s)) for album in albums]
        print_table(["album", "pictures", "changed"], rows)


@app.command("show")
def show(
    name: NameArgument,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="How many; all when not given.")
    ] = None,
    files: Annotated[
        bool, typer.Option("--files", "-f", help="Print paths only, for pipes.")
    ] = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """The pictures of an album, in the order in which they were put there."""
    from relook.serving.served_values import ImageFacts  # other commands do without Pillow

    with open_library(library, None) as lib:
        album, records = _contents(lib, name)
        away = lib.files.catalog.reasons(record.image_id for record in records)
    shown = records[:limit]
    if as_json:
        facts = [
            {**ImageFacts.of(record).as_dict(), "away": away.get(record.image_id)}
            for record in shown
        ]
        print_json({"album": album.as_dict(), "images": facts})
    elif files:
        print_paths((record.path for record in shown), _cut_note(shown, records))
    else:
        sys.stdout.write(f"{album.name}: {_holds(album)}\n")
        rows = [
            (str(record.image_id), printable(record.facts.path), record.title or record.caption,
             away.get(record.image_id, ""))
            for record in shown
        ]  # fmt: skip
        used = [at for at in range(4) if at < 2 or any(row[at] for row in rows)]
        names = ["id", "picture", "words", "away"]
        if rows:
            print_table([names[at] for at in used], [tuple(row[at] for at in used) for row in rows])
        print_notes(_cut_note(shown, records))


@app.command("add")
def add(
    name: NameArgument,
    pictures: PicturesArgument = None,
    ids: IdsOption = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put pictures into an album; a new name makes a new album.

    All of those that relook search finds: relook search dog -f | relook album add Dogs -
    """
    with open_library(library, None) as lib:
        change = lib.albums.add(name, _named(lib, pictures, ids))
    _changed(change, "added", as_json)


@app.command("remove")
def remove(
    name: NameArgument,
    pictures: PicturesArgument = None,
    ids: IdsOption = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take pictures out of an album; they stay in the library."""
    with open_library(library, None) as lib:
        change = lib.albums.remove(name, _named(lib, pictures, ids))
    _changed(change, "taken out", as_json)


@app.command("rename")
def rename(
    name: NameArgument,
    new: Annotated[str, typer.Argument(metavar="NEW", help="What to call it.")],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call an album something else; sessions that keep to it follow."""
    with open_library(library, None) as lib:
        album = lib.albums.rename(name, new)
    _told(album, as_json)


@app.command("delete")
def delete(name: NameArgument, library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Delete an album; its pictures stay. It can be brought back for 30 days."""
    with open_library(library, None) as lib:
        album = lib.albums.delete(name)
    if as_json:
        print_json(album.as_dict())
    else:
        sys.stdout.write(f"{album.name} is deleted; relook album restore brings it back\n")


@app.command("restore")
def restore(name: NameArgument, library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Bring a deleted album back, with all that it held."""
    with open_library(library, None) as lib:
        album = lib.albums.restore(name)
    _told(album, as_json)


@app.command("export")
def export(
    name: NameArgument,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            help="The picture files, a table, or paths one a line; as FILE ends when not given.",
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write; stdout when not given.")
    ] = None,
    library: LibraryOption = None,
) -> None:
    """An album to take away: a zip of its pictures, a table, or their paths."""
    form = form or _form_of(to)
    if form is Form.ZIP and to is None:
        raise InputError("no_file", "a zip is written to a file", "give one: --to album.zip")
    if to is not None:
        check_output(to, _KINDS[form])
    with open_library(library, None) as lib:
        _, records = _contents(lib, name)
        if to is None:
            missing = _write(sys.stdout.buffer, lib, records, form)
        else:
            with written_file(to, _KINDS[form]) as file:
                missing = _write(file, lib, records, form)
    if missing:
        print_notes(missing)
        raise typer.Exit(3)


def _form_of(to: Path | None) -> Form:
    """What a file's name says that is to be written; paths, where there is no name or no suffix.

    Raises:
        InputError: `bad_format` for a suffix that says something else.
    """
    suffix = "" if to is None else to.suffix.lower()
    forms = {"": Form.PATHS, ".txt": Form.PATHS, ".csv": Form.CSV, ".zip": Form.ZIP}
    if suffix not in forms:
        what = f"{suffix} is nothing that an album is written as"
        raise InputError("bad_format", what, "say which: --format zip, csv or paths")
    return forms[suffix]


def _write(file: IO[bytes], lib: Library, records: list[ImageRecord], form: Form) -> list[str]:
    """Writes an album; returns notes on what is missing."""
    from relook.serving.pictures import page_of, paths_of, results_csv, write_zip

    if form is Form.PATHS:
        file.write(paths_of(records))
    elif form is Form.CSV:
        file.write(results_csv(page_of(records)))
    else:
        return list(write_zip(file, lib, page_of(records)))
    return []


def _contents(lib: Library, name: str) -> tuple[Album, list[ImageRecord]]:
    album = lib.albums.get(name)
    ids = lib.albums.image_ids(album.album_id)
    return album, lib.files.catalog.images(ids, missing_ok=True)


def _named(lib: Library, pictures: list[Path] | None, ids: list[int] | None) -> list[int]:
    """Ids of the images that somebody named."""
    paths = list[Path]()
    for path in pictures or ():
        lines = sys.stdin.buffer.read().splitlines() if str(path) == "-" else [bytes(path)]
        paths += [Path(os.fsdecode(line)) for line in lines if line]
    chosen = [*(ids or ()), *(i for path in paths for i in lib.overview.images_at(path))]
    if not chosen:
        raise InputError(
            "no_pictures", "no picture is named", "name files, folders, --id IMAGE, or - for stdin"
        )
    return chosen


def _changed(change: AlbumChange, what: str, as_json: bool) -> None:
    if as_json:
        print_json(change.as_dict())
    else:
        n = change.n_changed
        sys.stdout.write(f"{_pictures(n)} {what}; {change.album.name}: {_holds(change.album)}\n")


def _told(album: Album, as_json: bool) -> None:
    if as_json:
        print_json(album.as_dict())
    else:
        sys.stdout.write(f"{album.name}: {_holds(album)}\n")


def _cut_note(shown: list[ImageRecord], records: list[ImageRecord]) -> list[str]:
    n_more = len(records) - len(shown)
    return [f"and {n_more:,} more (--limit)"] if n_more else []


def _holds(album: Album) -> str:
    parts = [_pictures(album.n_images)]
    if album.n_away:
        parts.append(f"{album.n_away:,} of them away")
    if album.n_removed:
        parts.append(f"{album.n_removed:,} more when they come back")
    return ", ".join(parts)


def _pictures(n: int) -> str:
    return counted(n, "picture")


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else ""
