"""The nearest of many centres, for rows that are put into lists. Layer: stores.

Comparing every row with every centre is most of the work of building an index, and what keeps it
from having many lists. So a row is compared with every centre along a few directions only, those
along which the centres differ most, and with the best of some groups of centres exactly. Of
tiles of pictures 99 in 100 get the list that is nearest of all, and the others one that is nearly
as near (docs/decisions/0018-more-lists.md): a search looks into several.
"""

import numpy as np

from relook.core.vectors import Floats, Ints

_MANY = 4_096  # centres from which it pays
_DIRECTIONS = 96
_GROUPS = 32
_COMPARED = 8  # of the groups
BLOCK = 2**24
"""Products that are held at once."""


class Nearest:
    """Finds the nearest of unit vectors.

    Args:
        centres: [c, d]
        directions: [d, k] what `directions_of` made; rows are compared with every centre exactly
            when None.
    """

    def __init__(self, centres: Floats, directions: Floats | None = None) -> None:
        self._centres, self._directions = centres, directions
        self._short: Floats | None = None  # [c, k]
        if directions is not None:
            self._short = np.ascontiguousarray(centres @ directions)

    def of(self, rows: Floats) -> tuple[Floats, Ints]:
        """The highest inner product [n] of each row [n, d] with a centre, and whose it is [n]."""
        near, at = np.empty(len(rows), np.float32), np.empty(len(rows), np.int64)
        n_block = max(BLOCK // len(self._centres), 1)
        find = self._best if self._directions is None else self._nearly_best
        for start in range(0, len(rows), n_block):
            some = slice(start, start + n_block)
            near[some], at[some] = find(rows[some])
        return near, at

    def _best(self, rows: Floats) -> tuple[Floats, Ints]:
        products = rows @ self._centres.T  # [n, c]
        at = products.argmax(axis=1)
        return np.take_along_axis(products, at[:, None], axis=1)[:, 0], at

    def _nearly_best(self, rows: Floats) -> tuple[Floats, Ints]:
        assert self._directions is not None
        assert self._short is not None
        products = (rows @ self._directions) @ self._short.T  # [n, c]
        grouped = products.reshape(len(rows), _GROUPS, -1)
        firsts = grouped.argmax(axis=2) + np.arange(_GROUPS) * grouped.shape[2]  # [n, groups]
        values = np.take_along_axis(products, firsts, axis=1)
        chosen = np.argpartition(-values, _COMPARED, axis=1)[:, :_COMPARED]
        best = np.take_along_axis(firsts, chosen, axis=1)  # [n, compared]
        exact = np.matmul(self._centres[best], rows[:, :, None])[:, :, 0]
        at = exact.argmax(axis=1)[:, None]
        near, lists = (np.take_along_axis(values, at, axis=1)[:, 0] for values in (exact, best))
        return near, lists


def n_products(n_centres: int, dim: int) -> int:
    """Multiplications that finding the nearest of so many centres takes for a row."""
    if not _pays(n_centres, dim):
        return n_centres * dim
    return dim * (_DIRECTIONS + _COMPARED) + n_centres * _DIRECTIONS


def _pays(n_centres: int, dim: int) -> bool:
    return n_centres >= _MANY and n_centres % _GROUPS == 0 and dim > _DIRECTIONS


def directions_of(centres: Floats) -> Floats | None:
    """[d, k] the directions along which centres [c, d] differ most; None where all are needed."""
    if not _pays(*centres.shape):
        return None
    _, vectors = np.linalg.eigh(centres.T @ centres)  # in ascending order
    return np.ascontiguousarray(vectors[:, -_DIRECTIONS:], np.float32)
