"""The store seam: nearest rows of a set of vectors. Layer: stores."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from relook.core.vectors import Floats, Ints

Mask = NDArray[np.bool_]


class VectorSource(Protocol):
    """Rows of vectors that lie somewhere else, on disk for one; they are only ever appended."""

    @property
    def dim(self) -> int: ...

    def __len__(self) -> int: ...

    def block(self, start: int, stop: int) -> Floats:
        """Rows start..stop as [stop - start, d] float32."""
        ...

    def rows(self, rows: Ints) -> Floats:
        """Chosen rows as [n, d] float32."""
        ...


class Store(Protocol):
    """Finds the rows with the highest inner product."""

    def __len__(self) -> int: ...

    def search(
        self, queries: Floats, limit: int, allowed: Mask | None = None
    ) -> tuple[Ints, Floats]:
        """Finds the best rows of each query.

        Args:
            queries: [q, d]
            limit: How many rows a query gets, at most k = min(limit, number of rows).
            allowed: [n] bool; rows that may be returned, all when None. A store filters
                inside its search: it returns `limit` rows whenever that many are allowed.

        Returns:
            rows [q, k] int64, best first, -1 where fewer are allowed; scores [q, k] float32,
            inner products with the stored vectors, -inf beside a -1.
        """
        ...

    def close(self) -> None:
        """Frees what the store holds; closing twice is fine."""
        ...
