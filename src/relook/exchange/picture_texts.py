"""Words that stand in pictures, out of a library and into another one. Layer: exchange.

A line of `image_texts.jsonl` is what stands in one picture, by the digest of its file: every
library with the same pictures can take it, wherever they are. A file may come from anybody: all of
it is checked before any of it is kept.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

from relook.core.converter import JsonValue, from_json
from relook.core.errors import InputError
from relook.core.json_form import HEX, Longest
from relook.exchange.export import TEXTS, ExportReport, new_file
from relook.library.files import LibraryFiles
from relook.library.text_table import TextTable
from relook.readers.base import TextLine

_LONGEST_LINE, _AT_ONCE = 4 * 1024**2, 256
_DIGEST = 128  # characters at most


@dataclass(frozen=True, slots=True)
class PictureText(JsonValue):
    """What stands in a picture.

    Args:
        content: Digest of its file.
        reader: What read it.
        lines: From top to bottom; none for a picture without words.
    """

    content: Annotated[bytes, HEX, Longest(_DIGEST)]
    reader: Annotated[str, Longest(200)]
    lines: tuple[TextLine, ...]


def write_texts(files: LibraryFiles, folder: Path, report: ExportReport) -> None:
    """Writes `image_texts.jsonl`, where words were read.

    Args:
        files: Inside one `moment`.
        folder: Of an export.
        report: Gets the file.

    Raises:
        StorageError: `disk_refused`.
    """
    table = TextTable(files.catalog)
    if not table.is_there():
        return
    report.files.append(folder / TEXTS)
    with new_file(folder / TEXTS) as file:
        for content, reader, lines in table.each():
            text = PictureText(content, reader, lines)
            file.write(json.dumps(text.as_dict()).encode() + b"\n")


def take_texts(files: LibraryFiles, path: Path) -> int:
    """Takes what stands in pictures of this library that were not read here.

    Args:
        files: The open library. The caller holds the writer's lock.
        path: `image_texts.jsonl`, or the folder that holds it.

    Returns:
        Of how many pictures there is something now.

    Raises:
        InputError: `bad_text_file`, with the line. Nothing has changed then.
        StorageError: when the disk refuses; the same call goes on.
    """
    path = path / TEXTS if path.is_dir() else path
    for _ in _texts(path):  # to its end, before anything is kept
        pass
    return _keep(files, _texts(path))


def copy_texts(old: LibraryFiles, new: LibraryFiles) -> int:
    """Gives another library what stands in the pictures of one; as `take_texts`."""
    return _keep(new, (PictureText(*text) for text in TextTable(old.catalog).each()))


def _keep(files: LibraryFiles, texts: Iterator[PictureText]) -> int:
    table, n_kept = TextTable(files.catalog), 0
    while some := list(islice(texts, _AT_ONCE)):
        table.make()
        n_kept += table.add([(text.content, text.lines, text.reader) for text in some])
    return n_kept


def _texts(path: Path) -> Iterator[PictureText]:
    try:
        with open(path, "rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if line.strip():
                    yield _text(path, number, line)
    except OSError as error:
        raise InputError(
            "bad_text_file", f"cannot read {path}: {error.strerror}", "check the path"
        ) from error


def _text(path: Path, number: int, line: bytes) -> PictureText:
    try:
        return from_json(PictureText, json.loads(line), skip_unknown=True)
    except (ValueError, RecursionError) as error:  # InputError is one of them
        raise InputError(
            "bad_text_file", f"{path} line {number} is not what stands in a picture: {error}",
            f"give a {TEXTS} that relook export wrote",
        ) from error  # fmt: skip
