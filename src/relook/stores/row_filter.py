"""Which rows may be found, as expressions that Milvus filters by. Layer: stores.

A set of rows becomes the shortest of: ranges of rows, the few rows that are left out, or
lists of rows. An expression has an end: what does not fit into one becomes several, each
searched on its own, and their results are merged. So a filter is never applied to what a
search has already found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relook.core.vectors import Ints
from relook.stores.base import Mask

__all__ = ["Part", "row_parts"]

_MOST_RANGES = 64
_MOST_LISTED = 50_000


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the rows that may be found.

    Args:
        expression: What Milvus filters by.
        n: How many rows it lets through.
    """

    expression: str
    n: int


def row_parts(
    n_rows: int,
    allowed: Mask | None = None,
    absent: Mask | None = None,
    *,
    most_ranges: int = _MOST_RANGES,
    most_listed: int = _MOST_LISTED,
) -> list[Part]:
    """Expressions that together let each allowed row through once.

    Args:
        n_rows: Rows from 0 on that count; what lies behind them is a writer's unfinished work.
        allowed: [n_rows] bool; all when None.
        absent: [n_rows] bool; rows that are known to be deleted, about which an expression
            need not say anything.
        most_ranges: Ranges in one expression.
        most_listed: Rows listed in one expression.
    """
    n_allowed = n_rows if allowed is None else int(np.count_nonzero(allowed))
    if not n_allowed:
        return []
    if allowed is None or n_allowed == n_rows:
        return [Part(f"row < {n_rows}", n_allowed)]
    through = allowed if absent is None else allowed | absent
    starts, stops = _runs(through)
    if len(starts) <= most_ranges:
        return [Part(_ranges(starts, stops, n_rows), n_allowed)]
    left_out = np.flatnonzero(~through)
    if len(left_out) <= most_listed:
        return [Part(f"row < {n_rows} and row not in {left_out.tolist()}", n_allowed)]
    listed = np.flatnonzero(allowed)
    pieces = [listed[at : at + most_listed] for at in range(0, len(listed), most_listed)]
    return [Part(f"row in {piece.tolist()}", len(piece)) for piece in pieces]


def _runs(mask: Mask) -> tuple[Ints, Ints]:
    """First row, and row behind the last one, of every stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges[::2].astype(np.int64), edges[1::2].astype(np.int64)


def _ranges(starts: Ints, stops: Ints, n_rows: int) -> str:
    if len(starts) == 1 and starts[0] == 0:
        return f"row < {min(int(stops[0]), n_rows)}"
    pairs = zip(starts.tolist(), stops.tolist(), strict=True)
    return " or ".join(f"(row >= {start} and row < {stop})" for start, stop in pairs)
