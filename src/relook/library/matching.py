"""Filters as SQL: metadata and paths against patterns, whatever their case. Layer: library."""

from __future__ import annotations

import re
from collections.abc import Mapping

from relook.core.errors import InputError
from relook.library.records import printable

__all__ = ["matching_sql", "plain"]

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
    """Refuses a NUL, behind which SQLite would not read on: the rest would not be asked."""
    if "\0" in pattern:
        raise InputError("bad_filter", f"{pattern!r} has a NUL in it", "no name or path has one")


def plain(value: object) -> str | None:
    """A value as filters compare it: text in lower case, odd bytes as U+FFFD."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return None if value is None else str(value).lower()


def _fits(field: str, pattern: str, values: list[str]) -> str:
    """A field against a pattern, which goes behind the other values.

    A call of `plain` for each of a million images takes a second. SQLite's LIKE says the same
    of plain ASCII, whose bytes are as many as its letters, in a fifth of that.
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
