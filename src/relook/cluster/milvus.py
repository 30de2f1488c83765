"""Search in a collection of Milvus, on this machine or a cluster. Layer: cluster.

A row is a primary key. Rows that may not be found are left out by Milvus while it searches,
and rows at or behind `len(store)` never come: they are what a writer has not finished. The
kinds of index that keep codes in place of vectors give a shortlist, which is scored again
from the vectors themselves.

A set of rows that may be found becomes the shortest of: ranges of rows, the few rows that are left
out, or lists of rows. An expression has an end: what does not fit into one becomes several, each
searched on its own, and their results are merged. So a filter is never applied to what a search
has already found.

Rows never change once they are committed, so those that are asked for one by one (judged pictures,
samples) are kept for the next time.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relook.cluster.milvus_client import MOST_RESULTS, VECTOR, Milvus
from relook.core.vectors import Floats, Ints, top
from relook.stores.base import Mask
from relook.stores.exact import empty_result

_CACHE_BYTES = 64 * 1024**2
_ANSWER_BYTES = 16 * 1024**2


@dataclass(slots=True)
class RowCache:
    """The rows that were asked for last, up to a number of bytes. Safe to use from threads."""

    n_bytes: int = _CACHE_BYTES
    _rows: OrderedDict[int, Floats] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, rows: list[int]) -> dict[int, Floats]:
        """Those of some rows that are here."""
        with self._lock:
            known = {row: self._rows[row] for row in rows if row in self._rows}
            for row in known:
                self._rows.move_to_end(row)
        return known

    def put(self, read: dict[int, Floats]) -> None:
        """Keeps rows, and lets go of those that nobody asked for the longest."""
        with self._lock:
            self._rows.update(read)
            while self._rows and len(self._rows) * next(iter(self._rows.values())).nbytes > (
                self.n_bytes
            ):
                self._rows.popitem(last=False)


class MilvusSource:
    """The first rows of a collection, as a `VectorSource`.

    Args:
        milvus: Where it is.
        collection: Its name.
        dim: Length d of a row.
        n_rows: How many rows count.
        cache: Shared by the sources of one collection.
    """

    def __init__(
        self, milvus: Milvus, collection: str, dim: int, n_rows: int, cache: RowCache | None = None
    ) -> None:
        self.milvus, self.collection, self.dim = milvus, collection, dim
        self._n_rows = n_rows
        self._cache = cache or RowCache()
        self._step = max(min(MOST_RESULTS, _ANSWER_BYTES // (4 * dim)), 1)

    def __len__(self) -> int:
        return self._n_rows

    def block(self, start: int, stop: int) -> Floats:
        """Rows start..stop as [stop - start, d] float32; zeros where a row was deleted."""
        block = np.zeros((max(stop - start, 0), self.dim), np.float32)
        ids, vectors = self.present(start, stop)
        block[ids - start] = vectors
        return block

    def rows(self, rows: Ints) -> Floats:
        """Chosen rows as [n, d] float32; zeros where a row was deleted."""
        wanted = np.asarray(rows, np.int64).reshape(-1).tolist()
        known = self._cache.get(wanted)
        missing = sorted(set(wanted) - known.keys())
        for at in range(0, len(missing), self._step):
            ids, vectors = self._query(f"row in {missing[at : at + self._step]}")
            read = dict(zip(ids.tolist(), vectors, strict=True))
            self._cache.put(read)
            known.update(read)
        out = np.zeros((len(wanted), self.dim), np.float32)
        for at, row in enumerate(wanted):
            if row in known:
                out[at] = known[row]
        return out

    def present(self, start: int, stop: int, also: str = "") -> tuple[Ints, Floats]:
        """The rows from start to stop that are there: their numbers [n], and vectors [n, d].

        Args:
            start: The first row.
            stop: The row behind the last.
            also: A further expression that they must fit.
        """
        pieces = list(self._pieces(start, stop, also))
        if not pieces:
            return np.zeros(0, np.int64), np.zeros((0, self.dim), np.float32)
        ids = np.concatenate([piece[0] for piece in pieces])
        return ids, np.concatenate([piece[1] for piece in pieces])

    def close(self) -> None:
        """The connection belongs to whoever made it."""

    def _pieces(self, start: int, stop: int, also: str) -> Iterator[tuple[Ints, Floats]]:
        stop = min(stop, self._n_rows)
        for at in range(start, stop, self._step):
            inside = f"row >= {at} and row < {min(at + self._step, stop)}"
            yield self._query(f"({also}) and {inside}" if also else inside)

    def _query(self, expression: str) -> tuple[Ints, Floats]:
        records = self.milvus.query(self.collection, expression, ("row", VECTOR))
        records.sort(key=lambda row: int(row["row"]))
        ids = np.array([row["row"] for row in records], np.int64)
        vectors = np.array([row[VECTOR] for row in records], np.float32)
        return ids, vectors.reshape(len(records), self.dim)


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
        results = self._milvus.search(
            self._source.collection, queries, ask, part.expression, self._parameters(ask),
            ("row", VECTOR) if coded else ("row",),
        )  # fmt: skip
        short = min(map(len, results)) < due
        if short and self.kind != "FLAT":
            # The lists or the graph that were walked held too few allowed rows.
            _LOG.info("%s found too few of %d rows: comparing with each", self.kind, part.n)
            return self._compared(queries, part, limit, allowed)
        rows, scores = empty_result(len(queries), limit)
        for q, hits in enumerate(results):
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


def _put(rows: Ints, scores: Floats, near_rows: Ints, near: Floats) -> None:
    """Writes the best into a line of a result; equal scores come in the order of rows."""
    by_row = np.argsort(near_rows, kind="stable")
    order = by_row[top(near[by_row], len(rows))]
    rows[: len(order)], scores[: len(order)] = near_rows[order], near[order]


def _better(first: tuple[Ints, Floats], second: tuple[Ints, Floats]) -> tuple[Ints, Floats]:
    """The best of two results for each query."""
    rows, scores = empty_result(*first[0].shape)
    for q in range(len(rows)):
        both = np.concatenate([first[0][q], second[0][q]])
        near = np.concatenate([first[1][q], second[1][q]])
        _put(rows[q], scores[q], both[both >= 0], near[both >= 0])
    return rows, scores


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
