"""How much two paths have in common. Layer: library."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

__all__ = ["likeness"]


def likeness(one: bytes, other: bytes) -> tuple[bool, int, int, int]:
    """Higher for paths that are more alike: the same name, the longer common end, then beginning.

    Returns:
        Whether the names are equal; parts of the path, then bytes, that the ends share; parts
        that the beginnings share.
    """
    parts, others = one.split(b"/"), other.split(b"/")
    n_parts = _n_common(reversed(parts), reversed(others))
    n_bytes = _n_common(reversed(one), reversed(other))
    return n_parts > 0, n_parts, n_bytes, _n_common(parts, others)


def _n_common(one: Iterable[object], other: Iterable[object]) -> int:
    both = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both))
