"""What a person should know of a filter: why a page is empty, whose dates count. Layer: search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from relook.library.image_table import NEAR, key_of

if TYPE_CHECKING:
    from relook.library.catalog import Catalog
    from relook.library.records import ImageRecord

__all__ = ["file_date_note", "why_empty"]

_OWN = ("title", "caption", "format", "taken_at")
_FIELDS = "relook info --fields lists what there is"


def why_empty(catalog: Catalog, where: Mapping[str, str], path: str | None) -> str:
    """Why nothing was found; empty where the filter is not the reason.

    Args:
        catalog: Of the library that was searched.
        where: The filter, see `Catalog.matching`.
        path: Its pattern of paths.
    """
    if not catalog.count("images"):
        return "the library has no pictures yet: relook index FOLDER"
    if len(catalog.matching(dict(where), path)):
        return ""  # what fits was shown before, or is away
    for key in where:
        names = ("latitude", "longitude") if key == NEAR else (key_of(key)[0],)
        for name in names:
            sql = "SELECT 1 FROM images WHERE json_extract(metadata, ?) IS NOT NULL LIMIT 1"
            if name not in _OWN and not catalog.ask(sql, (f'$."{name}"',)):
                what = "a place" if key == NEAR else f"the field {name!r}"
                return f"no picture has {what}; {_FIELDS}"
    parts = [{key: where[key]} for key in where]
    alone: list[tuple[dict[str, str], str | None]] = [(part, None) for part in parts] + (
        [({}, path)] if path else []
    )
    for part, pattern in alone:
        if not len(catalog.matching(part, pattern)):
            text = f"path {pattern}" if pattern else _written(*next(iter(part.items())))
            return f"no picture fits {text}"
    return "no picture fits all filters together"


def file_date_note(records: Sequence[ImageRecord], where: Mapping[str, str]) -> str:
    """How many of some images were compared by the date of their file; empty when none was."""
    if not any(key_of(key)[0] == "taken_at" and key_of(key)[1] for key in where):
        return ""
    n = sum("taken_at" not in record.metadata for record in records)
    return f"{n:,} of these say no time of their own: the date of the file counts" if n else ""


def _written(key: str, value: str) -> str:
    """A filter as a person writes it."""
    name, operator = key_of(key)
    return f"{name} near {value}" if key == NEAR else f"{name}{operator or '='}{value}"
