"""The centres of an index's lists: learnt, kept, and asked which are nearest. Layer: stores.

Comparing a query with every centre would take most of a search from a few thousand lists on. So it
is compared with their codes of 4 bits a number, and with the best of the centres exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from relook.core.vectors import Floats, Ints, unit
from relook.stores.base import VectorSource
from relook.stores.plan import IndexPlan

Report = Callable[[str, int, int], None]
"""Called with a stage and how much of it is done, of how much; may raise to stop."""
_ROUNDS = 6  # of k-means; 25 take four times as long and find no more
_BLOCK = 4_096
_CODED = 1_024  # lists from which their centres have codes
_COMPARED = 3  # times the lists that are wanted: centres that are compared exactly
_FEWEST = 96


class Lists:
    """Centres of lists, unit vectors.

    Args:
        index: FAISS's, over the centres: flat, or of codes with the centres behind them.
    """

    def __init__(self, index: Any) -> None:
        self.index = index
        self._coded = hasattr(index, "refine_index")

    def __len__(self) -> int:
        return int(self.index.ntotal)

    @property
    def centres(self) -> Floats:
        """A copy of the centres, [n, d]."""
        centres: Floats = self._flat.reconstruct_n(0, len(self))
        return centres

    @property
    def _flat(self) -> Any:
        return faiss.downcast_index(self.index.refine_index if self._coded else self.index)

    @classmethod
    def of(cls, centres: Floats) -> Lists:
        """Makes them of centres [n, d]."""
        dim = centres.shape[1]
        kind = f"PQ{dim}x4fs,RFlat" if len(centres) >= _CODED else "Flat"
        index = faiss.index_factory(dim, kind, faiss.METRIC_INNER_PRODUCT)
        index.train(centres)
        index.add(centres)
        return cls(index)

    @classmethod
    def read(cls, path: Path) -> Lists:
        """Maps what `write` wrote.

        Raises:
            RuntimeError: when FAISS cannot read it.
        """
        return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC))

    def write(self, path: Path) -> None:
        """Writes them into a file."""
        faiss.write_index(self.index, str(path))

    def nearest(self, queries: Floats, n: int) -> tuple[Floats, Ints]:
        """Inner products [q, n] with the nearest centres, best first, and their lists [q, n]."""
        if not self._coded:
            near, lists = self.index.search(queries, n)
            return near, lists
        compared = min(max(_COMPARED * n, _FEWEST), len(self))
        deep = faiss.IndexRefineSearchParameters(k_factor=compared / n)
        near, lists = self.index.search(queries, n, params=deep)
        return near, lists

    def assign(self, rows: Floats) -> tuple[Floats, Ints]:
        """The inner product [n] of rows [n, d] with the centre of their list, and the list [n]."""
        flat = self._flat
        centres: Floats = faiss.rev_swig_ptr(flat.get_xb(), len(self) * flat.d)  # as they lie
        return _nearest(rows, centres.reshape(len(self), flat.d))


def _nearest(rows: Floats, centres: Floats) -> tuple[Floats, Ints]:
    """The highest inner product [n] of each row [n, d] with a centre [c, d], and whose it is [n].

    numpy's multiplication takes a quarter of the time of FAISS's.
    """
    near, at = np.empty(len(rows), np.float32), np.empty(len(rows), np.int64)
    for start in range(0, len(rows), _BLOCK):
        some = slice(start, start + _BLOCK)
        products = rows[some] @ centres.T  # [b, c]
        at[some] = products.argmax(axis=1)
        near[some] = np.take_along_axis(products, at[some, None], axis=1)[:, 0]
    return near, at


def train_lists(source: VectorSource, plan: IndexPlan, report: Report, seed: int = 7) -> Lists:
    """Learns the centres of a plan's lists from a sample of the rows: spherical k-means.

    FAISS has it too, but cannot be stopped in the middle or say how far it is.

    Args:
        source: The rows.
        plan: Says how many lists, and how large a sample.
        report: Told how far it is; may raise to stop.
        seed: Of the sample.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(source), plan.n_sample, replace=False)
    sample = source.rows(np.sort(chosen).astype(np.int64))  # [s, d]
    centres, total = sample[rng.permutation(len(sample))[: plan.n_lists]], _ROUNDS * len(sample)
    for done in range(0, total, len(sample)):
        sums = np.zeros_like(centres)
        for at in range(0, len(sample), _BLOCK):
            report("training the index", done + at, total)
            block = sample[at : at + _BLOCK]
            lists = _nearest(block, centres)[1]
            order = np.argsort(lists, kind="stable")
            which, firsts = np.unique(lists[order], return_index=True)
            sums[which] += np.add.reduceat(block[order], firsts, axis=0)
        empty = np.flatnonzero(~sums.any(axis=1))
        sums[empty] = sample[rng.choice(len(sample), len(empty))]
        centres = unit(sums)
    report("training the index", total, total)
    return Lists.of(centres)
