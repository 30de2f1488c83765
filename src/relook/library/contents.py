"""Content digests of a catalog, asked one by one. Layer: library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Contents"]


class Contents:
    """Whether a catalog has a content; no set of a million digests is held in memory.

    Args:
        ask: `Catalog.ask` of it.
    """

    def __init__(self, ask: Callable[[str, Sequence[object]], list[Any]]) -> None:
        self._ask = ask
        self._new: set[bytes] = set()

    def __contains__(self, content: bytes) -> bool:
        sql = "SELECT 1 FROM images WHERE content = ? LIMIT 1"
        return content in self._new or bool(self._ask(sql, (content,)))

    def add(self, content: bytes) -> None:
        """Counts a digest in that the catalog will have."""
        self._new.add(content)
