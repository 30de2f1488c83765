"""The vectors of a shared library, for its one writer. Layer: library.

Takes what `VectorFile` takes. Rows that were appended wait here until the catalog's
transaction ends: they go out together with what the catalog says of them.
"""

from __future__ import annotations

import numpy as np

from relook.core.vectors import Floats, Ints
from relook.stores.milvus import MilvusSource

__all__ = ["SharedVectors", "Staged", "as_kept"]


def as_kept(vectors: Floats) -> Floats:
    """Vectors as every library keeps them: numbers that 16 bits hold, [n, d] float32."""
    return np.asarray(vectors, np.float16).astype(np.float32)


class Staged:
    """Rows that wait to be written: a first row, and [n, d] behind it."""

    def __init__(self) -> None:
        self._blocks: list[tuple[int, Floats]] = []

    def put(self, first: int, vectors: Floats) -> None:
        """Adds rows."""
        self._blocks.append((first, as_kept(vectors)))

    def get(self, first: int, n: int) -> Floats | None:
        """[n, d] rows that wait; None when they do not."""
        for start, block in self._blocks:
            if start <= first and first + n <= start + len(block):
                return block[first - start : first - start + n]
        return None

    def drop(self, end: int) -> None:
        """Forgets the rows before `end`, which are written.

        Others stay: what a thread beside the writer says of images is a change of its own.
        """
        self._blocks = [one for one in self._blocks if one[0] + len(one[1]) > end]

    def clear(self) -> None:
        """Forgets them all."""
        self._blocks.clear()


class SharedVectors:
    """The rows of a collection, and those that are about to be.

    Args:
        source: The committed ones.
        staged: Where new ones wait for the transaction that names them.
    """

    def __init__(self, source: MilvusSource, staged: Staged) -> None:
        self._source, self._staged = source, staged
        self.dim = source.dim
        self._n_rows = len(source)
        staged.clear()

    def __len__(self) -> int:
        return self._n_rows

    def block(self, start: int, stop: int) -> Floats:
        """Rows start..stop as [stop - start, d] float32."""
        return self.rows(np.arange(start, min(stop, self._n_rows), dtype=np.int64))

    def rows(self, rows: Ints) -> Floats:
        """Chosen rows as [n, d] float32, of this run or of one before."""
        return self._source.rows(rows)

    def append(self, vectors: Floats) -> int:
        """Puts rows [n, d] behind the others; they are written when the catalog commits.

        Returns:
            The number of the first new row.
        """
        first = self._n_rows
        self._staged.clear()
        self._staged.put(first, vectors)
        self._n_rows += len(vectors)
        return first

    def take_back(self, n_rows: int) -> None:
        """Forgets the rows from `n_rows` on, after the catalog refused to name them."""
        self._staged.clear()
        self._n_rows = n_rows

    def cut_tail(self) -> None:
        """Nothing to do: what a kill left over was removed when the writer began."""

    def close(self) -> None:
        """The connection belongs to the library."""
