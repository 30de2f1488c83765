"""The text of a file that a person or a program wrote, in whichever Unicode; tables. Layer: core.

Windows writes UTF-16 now and then (PowerShell's `>`, Notepad's "Unicode"), with a byte order mark.
People write commas into the cells of a CSV without quotes.

Sources: The Unicode Standard 15.0, 23.8 (byte order mark); RFC 4180 (CSV).
"""

import codecs
import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path

from relook.core.errors import MetadataError

# A mark of UTF-32 begins as the one of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_MOST_NULS = 0.2  # of its characters
_CALLED = {",": "comma", ";": "semicolon", "\t": "tab"}
_WORDS = ("title", "caption", "captions")


def encoding_of(data: bytes) -> str:
    """The encoding that a byte order mark says; UTF-8 where there is none."""
    return next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")


def decoded(data: bytes) -> str:
    """The text, without its byte order mark.

    Raises:
        UnicodeDecodeError: when it is neither UTF-8 nor of what its mark says, or is full of
            NULs, as UTF-16 without a mark is; a text with a few is a text.
    """
    encoding = encoding_of(data)
    text = data.decode(encoding)
    if text.count("\0") > len(text) * _MOST_NULS:
        at = data.index(0)
        raise UnicodeDecodeError(encoding, data, at, at + 1, "so many NULs stand in no text")
    return text


def table_rows(
    file: Path, text: str, paths: Collection[str], code: str, delimiter: str = ","
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table whose first line names its columns, each with its line number.

    A caption or a title that stands last, behind nothing but a picture's path and its split, is
    all that stands there: nobody has to quote its commas. Empty cells behind all are nothing.

    Args:
        file: Where it is from, for errors.
        text: CSV.
        paths: What columns with a picture's path are called.
        code: Of the errors.
        delimiter: What stands between cells.

    Raises:
        MetadataError: for a row with more cells than there are columns.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = next(filter(None, reader), [])
        while names and not names[-1].strip():
            names.pop()
        *before, last = [name.strip().lower() for name in names] or [""]
        takes_all = last in _WORDS and {*before} <= {*paths, "split"}
        n = len(names)
        for cells in filter(None, reader):
            while len(cells) > n and not cells[-1].strip():
                cells.pop()
            if len(cells) > n and not takes_all:
                raise _too_many(file, reader.line_num, (len(cells), n), code, delimiter)
            if len(cells) > n:
                cells[n - 1 :] = [delimiter.join(cells[n - 1 :])]
            yield reader.line_num, dict(zip(names, cells, strict=False))
    except csv.Error as error:
        raise MetadataError(code, f"{file} line {reader.line_num}: {error}") from error


def _too_many(
    file: Path, line: int, counts: tuple[int, int], code: str, delimiter: str
) -> MetadataError:
    called = _CALLED.get(delimiter, delimiter)
    return MetadataError(
        code,
        f"{file} line {line} has {counts[0]} cells, and the first line names {counts[1]} columns",
        f'a {called} in a cell needs quotes around the cell: "a dog{delimiter} running"',
    )
