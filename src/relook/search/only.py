"""Which images the pages of a session may show, as its first round keeps it. Layer: search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relook.core.converter import from_json
from relook.core.errors import InputError
from relook.library.session_rows import OnlyShape
from relook.search.engine import Filter

__all__ = ["only_of", "only_record"]


def only_record(only: Filter) -> dict[str, Any]:
    """A filter as a round's record keeps it; empty when every image may be found.

    Raises:
        InputError: `bad_filter` for one that would cost too much to compare, page after page.
    """
    if not only.where and not only.path:
        return {}
    kept = {"where": dict(only.where), "path": only.path}
    try:
        from_json(OnlyShape, kept)
    except InputError as error:
        message = f"a session cannot keep this filter: {error.message}"
        raise InputError("bad_filter", message) from error
    return {"only": kept}


def only_of(record: Mapping[str, Any]) -> Filter:
    """The filter of a round's record, as `SessionTable.rounds` reads it."""
    kept = record.get("only", {})
    return Filter(dict(kept.get("where") or {}), kept.get("path"))
