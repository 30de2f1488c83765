"""Search in a collection of Milvus, on this machine or a cluster. Layer: stores.

A row is a primary key. Rows that may not be found are left out by Milvus while it searches,
and rows at or behind `len(store)` never come: they are what a writer has not finished. The
kinds of index that keep codes in place of vectors give a shortlist, which is scored again
from the vectors themselves.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from relook.core.vectors import Floats, Ints, top
from relook.stores.base import Mask
from relook.stores.exact import empty_result
from relook.stores.milvus_client import MOST_RESULTS, VECTOR, Milvus
from relook.stores.milvus_source import MilvusSource
from relook.stores.row_filter import Part, row_parts

__all__ = ["MilvusStore"]

_LOG = logging.getLogger(__name__)
_EXACT = ("FLAT", "IVF_FLAT", "HNSW")  # a score is that of the vector
_FEW_ROWS = 20_000


class MilvusStore:
    """Searches the rows of a source in Milvus.

    Args:
        source: The rows.
        shortlist: Rows that are scored again, for an index of codes.
        absent: [n] bool; rows that are known to be deleted there.
        most_results: What Milvus returns at most.
    """

    def __init__(
        self,
        source: MilvusSource,
        shortlist: int = 800,
        absent: Mask | None = None,
        most_results: int = MOST_RESULTS,
    ) -> None:
        self._source, self._shortlist, self._absent = source, shortlist, absent
        self._milvus: Milvus = source.milvus
        self._most = most_results
        self._kind: str | None = None

    def __len__(self) -> int:
        return len(self._source)

    @property
    def kind(self) -> str:
        """How the collection is indexed."""
        if self._kind is None:
            self._kind = self._milvus.index_kind(self._source.collection)
        return self._kind

    def search(
        self, queries: Floats, limit: int, allowed: Mask | None = None
    ) -> tuple[Ints, Floats]:
        """See `Store.search`.

        Raises:
            StoreError: `store_failed` when Milvus is down.
        """
        n = len(self)
        limit = min(limit, n)
        best = empty_result(len(queries), limit)
        if not limit or not len(queries):
            return best
        for part in row_parts(n, allowed, self._absent):
            for window in self._windows(part, limit):
                best = _better(best, self._part(queries, window, limit, allowed))
        return best

    def _windows(self, part: Part, limit: int) -> list[Part]:
        """A part, cut into stretches of rows where Milvus could not return all that is asked."""
        if min(limit, part.n) <= self._most:
            return [part]
        stops = range(0, len(self), self._most)
        return [
            Part(f"({part.expression}) and row >= {at} and row < {at + self._most}", self._most)
            for at in stops
        ]

    def _part(
        self, queries: Floats, part: Part, limit: int, allowed: Mask | None
    ) -> tuple[Ints, Floats]:
        """The best rows of one part: as many as are due."""
        due = min(limit, part.n)
        coded = self.kind not in _EXACT
        ask = min(max(due, self._shortlist, 3 * due) if coded else due, self._most)
        found = self._milvus.search(
            self._source.collection, queries, ask, part.expression, self._parameters(ask),
            ("row", VECTOR) if coded else ("row",),
        )  # fmt: skip
        short = min(map(len, found)) < due
        if short and self.kind != "FLAT":
            # The lists or the graph that were walked held too few allowed rows.
            _LOG.info("%s found too few of %d rows: comparing with each", self.kind, part.n)
            return self._compared(queries, part, limit, allowed)
        rows, scores = empty_result(len(queries), limit)
        for q, hits in enumerate(found):
            near = _scores(queries[q], hits, coded)
            _put(rows[q], scores[q], np.array([hit["row"] for hit in hits], np.int64), near)
        return rows, scores

    def _compared(
        self, queries: Floats, part: Part, limit: int, allowed: Mask | None
    ) -> tuple[Ints, Floats]:
        """Every row of a part is read and compared."""
        best = empty_result(len(queries), limit)
        n = len(self)
        for start in range(0, n, _FEW_ROWS):
            stop = min(start + _FEW_ROWS, n)
            if allowed is not None and not allowed[start:stop].any():
                continue
            ids, vectors = self._source.present(start, stop, part.expression)
            keep = ids if allowed is None else ids[allowed[ids]]
            near = queries @ vectors[np.isin(ids, keep)].T  # [q, b]
            rows, scores = empty_result(len(queries), limit)
            for q in range(len(queries)):
                _put(rows[q], scores[q], keep, near[q])
            best = _better(best, (rows, scores))
        return best

    def _parameters(self, ask: int) -> dict[str, Any]:
        """How thoroughly an index is searched."""
        if self.kind.startswith("IVF"):
            return {"nprobe": 128}
        if self.kind.startswith("HNSW"):
            return {"ef": min(max(2 * ask, 128), 32_768)}
        if self.kind == "DISKANN":
            return {"search_list": min(max(2 * ask, 100), 65_535)}
        return {}

    def close(self) -> None:
        """Nothing is held here: the connection belongs to whoever made the source."""


def _scores(query: Floats, hits: list[dict[str, Any]], coded: bool) -> Floats:
    """Inner products with the vectors themselves, [k]."""
    if not coded:
        return np.array([hit["distance"] for hit in hits], np.float32)
    vectors = np.array([hit["entity"][VECTOR] for hit in hits], np.float32)
    scores: Floats = vectors.reshape(-1, len(query)) @ query  # [k]
    return scores


def _put(rows: Ints, scores: Floats, found: Ints, near: Floats) -> None:
    """Writes the best into a line of a result; equal scores come in the order of rows."""
    by_row = np.argsort(found, kind="stable")
    order = by_row[top(near[by_row], len(rows))]
    rows[: len(order)], scores[: len(order)] = found[order], near[order]


def _better(one: tuple[Ints, Floats], other: tuple[Ints, Floats]) -> tuple[Ints, Floats]:
    """The best of two results for each query."""
    rows, scores = empty_result(*one[0].shape)
    for q in range(len(rows)):
        found = np.concatenate([one[0][q], other[0][q]])
        near = np.concatenate([one[1][q], other[1][q]])
        _put(rows[q], scores[q], found[found >= 0], near[found >= 0])
    return rows, scores
