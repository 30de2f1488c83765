"""Search by comparing with every row. Layer: stores.

Right for small sets, the fallback when an index is missing, and the oracle for the others.
"""

import numpy as np

from relook.core.vectors import Floats, Ints, top
from relook.stores.base import Mask, VectorSource

_BLOCK_ROWS = 16_384
_CACHE_BYTES = 160 * 1024**2


class ExactStore:
    """Compares a query with every row of a source.

    A second search over a small source uses a float32 copy, made by then: the first search
    of a process that asks only once does not pay for it.

    Args:
        source: Where the rows are.
    """

    def __init__(self, source: VectorSource) -> None:
        self._source = source
        self._cache: Floats | None = None
        self._n_searches = 0

    def __len__(self) -> int:
        return len(self._source)

    def search(
        self, queries: Floats, limit: int, allowed: Mask | None = None
    ) -> tuple[Ints, Floats]:
        """See `Store.search`."""
        self._n_searches += 1
        n, d = len(self._source), self._source.dim
        worth_it = self._n_searches > 1 and n * d * 4 <= _CACHE_BYTES
        if worth_it and (self._cache is None or len(self._cache) != n):
            self._cache = self._source.block(0, n)
        return exact_search(_Cached(self._source, self._cache), queries, limit, allowed)

    def close(self) -> None:
        """Drops the copy of the rows."""
        self._cache = None


class _Cached:
    """A source that answers from a copy of its rows when there is one."""

    def __init__(self, source: VectorSource, cache: Floats | None) -> None:
        self._source, self._cache = source, cache
        self.dim = source.dim

    def __len__(self) -> int:
        return len(self._source) if self._cache is None else len(self._cache)

    def block(self, start: int, stop: int) -> Floats:
        if self._cache is None:
            return self._source.block(start, stop)
        return self._cache[start:stop]

    def rows(self, rows: Ints) -> Floats:
        return self._source.rows(rows) if self._cache is None else self._cache[rows]


def empty_result(n_queries: int, limit: int) -> tuple[Ints, Floats]:
    """Rows -1 and scores -inf, [n_queries, limit] each."""
    rows = np.full((n_queries, limit), -1, np.int64)
    return rows, np.full((n_queries, limit), -np.inf, np.float32)


def exact_search(
    source: VectorSource,
    queries: Floats,
    limit: int,
    allowed: Mask | None = None,
    start: int = 0,
) -> tuple[Ints, Floats]:
    """Brute force over the rows from `start` on; arguments and result as for `Store.search`.

    Memory is bounded: rows are read in blocks, and each block keeps only its best.
    """
    n = len(source)
    keep = min(limit, n)
    n_queries = len(queries)
    rows, scores = empty_result(n_queries, keep)
    if allowed is not None and np.count_nonzero(allowed) * 4 < n:
        chosen = np.flatnonzero(allowed)
        candidates: Ints | None = chosen[chosen >= start].astype(np.int64)
        n_candidates = len(candidates) if candidates is not None else 0
    else:
        candidates, n_candidates = None, n - start
    for at in range(0, n_candidates, _BLOCK_ROWS):
        stop = min(at + _BLOCK_ROWS, n_candidates)
        if candidates is None:
            ids = np.arange(start + at, start + stop, dtype=np.int64)
            block = queries @ source.block(start + at, start + stop).T  # [q, b]
            if allowed is not None:
                block[:, ~allowed[start + at : start + stop]] = -np.inf
        else:
            ids = candidates[at:stop]
            block = queries @ source.rows(ids).T  # [q, b]
        rows, scores = _merge(rows, scores, ids, block, keep)
    rows[np.isneginf(scores)] = -1
    return rows, scores


def _merge(rows: Ints, scores: Floats, ids: Ints, block: Floats, keep: int) -> tuple[Ints, Floats]:
    """The best `keep` of what was kept so far and a new block, for each query."""
    new_rows, new_scores = np.empty_like(rows), np.empty_like(scores)
    for q in range(len(rows)):
        best = top(block[q], keep)
        all_scores = np.concatenate([scores[q], block[q, best]])
        order = top(all_scores, keep)
        new_scores[q] = all_scores[order]
        new_rows[q] = np.concatenate([rows[q], ids[best]])[order]
    return new_rows, new_scores
