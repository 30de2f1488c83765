"""The table of images: its columns, and filters on it as SQL. Layer: library.

A filter compares metadata and paths with patterns, whatever their case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from relook.core.errors import InputError
from relook.library.records import FileFacts, ImageRecord, printable

__all__ = ["COLUMNS", "UNENCODED", "column_values", "matching_sql", "plain", "read_columns"]

COLUMNS = (
    "path, size_bytes, mtime_ns, content, width_px, height_px, format, dhash,"
    " first_row, n_tiles, tiling_id, title, caption, metadata"
)
"""What the table keeps of a record."""
UNENCODED = "first_row < 0 AND first_row = -image_id AND n_tiles = 0"
"""Which images have no vectors, in SQL: an upgrade to another encoder could not read them."""


def column_values(record: ImageRecord) -> tuple[object, ...]:
    """A record in the order of the columns."""
    facts = record.facts
    metadata = json.dumps(record.metadata, ensure_ascii=False, default=str)
    return (
        facts.path, facts.size_bytes, facts.mtime_ns, record.content, record.width_px,
        record.height_px, record.format, record.dhash, record.first_row, record.n_tiles,
        record.tiling_id, record.title, record.caption, metadata,
    )  # fmt: skip


def read_columns(row: Sequence[object]) -> ImageRecord:
    """The record made of a row: the image's id, then the columns."""
    image_id, path, size_bytes, mtime_ns, *fields, metadata = row
    facts = FileFacts(path, size_bytes, mtime_ns)  # type: ignore[arg-type]
    extra = json.loads(str(metadata))
    assert isinstance(image_id, int)
    return ImageRecord(facts, *fields, extra, image_id)  # type: ignore[arg-type, call-arg]


_COLUMNS = ("title", "caption", "format")


def matching_sql(where: Mapping[str, str], path: str | None) -> tuple[str, list[str]]:
    """A SELECT of the ids of the images that fit, sorted, and its values.

    Args:
        where: Metadata key -> pattern, see `Catalog.matching`.
        path: A pattern of the path.

    Raises:
        InputError: `bad_filter` for a key that cannot be one, or a pattern with a NUL.
    """
    clauses, values = ["1"], list[str]()
    for key, value in where.items():
        if not key or '"' in key or "\0" in key or printable(key) != key:
            raise InputError("bad_filter", f"{key!r} is not a metadata key")
        _check_pattern(value)
        field = key
        if key not in _COLUMNS:
            values.append(f'$."{key}"')
            field = f"json_extract(metadata, ?{len(values)})"
        clauses.append(_fits(field, value, values))
    if path is not None:
        _check_pattern(path)
        clauses.append(_fits("path", path if "*" in path else f"*{path}*", values))
    return f"SELECT image_id FROM images WHERE {' AND '.join(clauses)} ORDER BY image_id", values


def _check_pattern(pattern: str) -> None:
    """Refuses a NUL: SQLite ignores whatever stands behind it."""
    if "\0" in pattern:
        raise InputError("bad_filter", f"{pattern!r} has a NUL in it", "no name or path has one")


def plain(value: object) -> str | None:
    """A value as filters compare it: text in lower case, odd bytes as U+FFFD."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return None if value is None else str(value).lower()


def _fits(field: str, pattern: str, values: list[str]) -> str:
    """A condition that a field fits a pattern; appends the pattern to the values.

    Calling `plain` for a million images takes a second. For plain ASCII (as many bytes as
    letters) SQLite's LIKE gives the same answer in a fifth of that time.
    """
    text = printable(pattern).lower()
    escaped = re.sub(r"([\\%_])", r"\\\1", text).replace("*", "%").replace("?", "_")
    values += [escaped, text.replace("[", "[[]")]  # of LIKE, and of GLOB
    like, glob = len(values) - 1, len(values)
    return (
        f"CASE WHEN typeof({field}) <> 'real'"
        f" AND length(CAST({field} AS BLOB)) = length(CAST({field} AS TEXT))"
        f" THEN CAST({field} AS TEXT) LIKE ?{like} ESCAPE '\\'"
        f" ELSE plain({field}) GLOB ?{glob} END"
    )
