"""Rows of a collection of Milvus, read by their keys. Layer: stores.

Rows never change once they are committed, so those that are asked for one by one (judged
pictures, samples) are kept for the next time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from relook.core.vectors import Floats, Ints
from relook.stores.milvus_client import MOST_RESULTS, VECTOR, Milvus

__all__ = ["MilvusSource", "RowCache"]

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
            found = {row: self._rows[row] for row in rows if row in self._rows}
            for row in found:
                self._rows.move_to_end(row)
        return found

    def put(self, found: dict[int, Floats]) -> None:
        """Keeps rows, and lets go of those that nobody asked for the longest."""
        with self._lock:
            self._rows.update(found)
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
        found = self._cache.get(wanted)
        missing = sorted(set(wanted) - found.keys())
        for at in range(0, len(missing), self._step):
            ids, vectors = self._query(f"row in {missing[at : at + self._step]}")
            read = dict(zip(ids.tolist(), vectors, strict=True))
            self._cache.put(read)
            found.update(read)
        out = np.zeros((len(wanted), self.dim), np.float32)
        for at, row in enumerate(wanted):
            if row in found:
                out[at] = found[row]
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
        found = self.milvus.query(self.collection, expression, ("row", VECTOR))
        found.sort(key=lambda row: int(row["row"]))
        ids = np.array([row["row"] for row in found], np.int64)
        vectors = np.array([row[VECTOR] for row in found], np.float32)
        return ids, vectors.reshape(len(found), self.dim)
