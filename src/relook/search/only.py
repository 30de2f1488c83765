"""Which images the pages of a session may show, as its first round keeps it. Layer: search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relook.search.engine import Filter

__all__ = ["only_of", "only_record"]

_MAX_KEYS, _MAX_KEY, _MAX_PATTERN, _MAX_STARS = 8, 100, 300, 6


def only_record(only: Filter) -> dict[str, Any]:
    """A filter as a round's record keeps it; empty when every image may be found."""
    kept = {"where": dict(only.where), "path": only.path}
    return {"only": kept} if only.where or only.path else {}


def only_of(record: Mapping[str, Any]) -> Filter:
    """The filter of a round's record.

    Raises:
        ValueError: when it is none, or one that would cost too much to compare: records come
            from files, too.
    """
    kept = record.get("only", {})
    where, path = dict(kept.get("where") or {}), kept.get("path")
    patterns = [*where.values(), *([] if path is None else [path])]
    if len(where) > _MAX_KEYS or any(len(key) > _MAX_KEY for key in where):
        raise ValueError("its filter has too many or too long keys")
    for one in patterns:
        if not isinstance(one, str) or len(one) > _MAX_PATTERN or one.count("*") > _MAX_STARS:
            raise ValueError(f"{one!r:.80} is no pattern of a filter")
    return Filter(where, path)
