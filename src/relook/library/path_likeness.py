"""How much two paths have in common at their ends. Layer: library."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

__all__ = ["likeness"]


def likeness(one: bytes, other: bytes) -> tuple[bool, int, int]:
    """Higher for paths that are more alike: the same name, then the longer common end.

    Returns:
        Whether the names are equal; parts of the path, then bytes, that the ends share.
    """
    n_parts = _n_common(one.split(b"/"), other.split(b"/"))
    return n_parts > 0, n_parts, _n_common(one, other)


def _n_common(one: Sequence[object], other: Sequence[object]) -> int:
    both = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both))
