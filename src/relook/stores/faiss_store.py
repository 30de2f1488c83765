"""Search through a FAISS index, with the shortlist scored again exactly. Layer: stores.

The index is inverted lists over short codes in one or more segments: it is derived from the
vectors and can always be made again (`ivf_build`). Rows appended since are compared exactly.
Words lie apart from pictures, so the lists nearest to words hold their best rows less often:
how many lists are read depends on how high the query finds the best of them.

Source: Faiss, https://github.com/facebookresearch/faiss/wiki (IVF, fast scan of 4-bit product
quantizer codes, search parameters). `benchmarks/search.py` measures speed and recall.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from relook.core.errors import LibraryFormatError
from relook.core.vectors import Floats, Ints, top
from relook.stores.base import Mask, VectorSource
from relook.stores.exact import empty_result, exact_search
from relook.stores.ivf_files import (
    Card,
    open_centres,
    open_directions,
    open_segment,
    rows_crc32,
)
from relook.stores.ivf_lists import FAR_REACH, NEAR_REACH
from relook.stores.plan import KINDS

# Below this many allowed rows, comparing with each of them is faster than the index.
_FEW_ROWS = 20_000
_MEASURED_AT = 20  # the limit that the probes were measured for


class FaissStore:
    """Searches the index in a folder, over the rows of a source.

    Args:
        source: The rows; the index may cover only the first of them.
        folder: Where `update_index` put its files.
        shortlist: Most rows that are scored again exactly for a page.
        number: Of the file of vectors that the rows are in.

    Raises:
        LibraryFormatError: `bad_index` when the files are missing, damaged, or were made for
            other vectors; the caller then builds it again or searches exactly.
    """

    def __init__(self, source: VectorSource, folder: Path, shortlist: int, number: int = 0) -> None:
        self._source = source
        self.card = card = Card.read(folder, number)
        # A writer may have added rows since this moment of the source: theirs are left out.
        ours = [segment for segment in card.segments if segment.stop <= len(source)]
        fits = bool(ours) and card.dim == source.dim
        if not fits or any(rows_crc32(source, s.start, s.stop) != s.rows_crc32 for s in ours):
            raise LibraryFormatError("bad_index", f"the index in {folder} is of other vectors")
        self._lists = open_centres(folder, card)
        self._directions = open_directions(folder, card.directions)
        self._segments = [open_segment(folder, segment) for segment in ours]
        dim, n_coded = self._directions.shape
        if dim != source.dim or any(
            segment.d != n_coded or segment.nlist != card.n_lists for segment in self._segments
        ):
            raise LibraryFormatError("bad_index", f"the index in {folder} is of other vectors")
        self._n_indexed = ours[-1].stop
        self._most = max(int(shortlist * KINDS[card.kind].shortlist), 1)
        self._packed: tuple[Mask, NDArray[np.uint8], int] | None = None

    def __len__(self) -> int:
        return len(self._source)

    @property
    def n_indexed(self) -> int:
        """Rows the index covers."""
        return self._n_indexed

    def search(
        self, queries: Floats, limit: int, allowed: Mask | None = None
    ) -> tuple[Ints, Floats]:
        """See `Store.search`."""
        bits, n_allowed = self._pack(allowed)
        if n_allowed <= max(_FEW_ROWS, limit):
            return exact_search(self._source, queries, limit, allowed)
        queries = np.ascontiguousarray(queries, np.float32)
        tail = exact_search(self._source, queries, limit, allowed, start=self.n_indexed)
        rows, scores = empty_result(len(queries), limit)
        for q in range(len(queries)):
            with _one_thread():
                candidates = self._candidates(queries[q : q + 1], limit, bits, n_allowed)
            near = self._source.rows(candidates) @ queries[q]  # [s]
            all_rows = np.concatenate([candidates, tail[0][q]])
            all_scores = np.concatenate([near, tail[1][q]])
            order = top(all_scores, limit)  # rows ascend: ties come as in an exact search
            rows[q, : len(order)] = all_rows[order]
            scores[q, : len(order)] = all_scores[order]
        if bool((rows < 0).any()):  # the probed lists held too few allowed rows
            return exact_search(self._source, queries, limit, allowed)
        return rows, scores

    def close(self) -> None:
        """Drops the index."""
        self._segments, self._packed = [], None

    def _pack(self, allowed: Mask | None) -> tuple[NDArray[np.uint8] | None, int]:
        """A mask as bits, and how many rows it allows; the last one is remembered."""
        if allowed is None:
            return None, len(self)
        packed = self._packed
        if packed is None or packed[0] is not allowed:
            bits = np.packbits(allowed[: self.n_indexed], bitorder="little")
            self._packed = packed = (allowed, bits, int(np.count_nonzero(allowed)))
        return packed[1], packed[2]

    def _candidates(
        self, query: Floats, limit: int, bits: NDArray[np.uint8] | None, n_allowed: int
    ) -> Ints:
        """Rows [s] that may be among the best, ascending, of a query [1, d]."""
        probes, n_lists = self.card.probes, self.card.n_lists
        # The fewer rows are allowed, the further away are the best of them.
        wider = 1.0 if bits is None else len(self) / n_allowed
        n_short, n_probe = probes.near_short, min(int(probes.near_lists * wider) + 1, n_lists)
        reached, lists = self._lists.highest(query, n_probe, NEAR_REACH)
        if reached[0, 0] < probes.edge:
            n_short, n_probe = probes.far_short, min(int(probes.far_lists * wider) + 1, n_lists)
            _, lists = self._lists.highest(query, n_probe, FAR_REACH)
        n_short = max(min(n_short * max(limit // _MEASURED_AT, 1), self._most), 3 * limit)
        along = query @ self._directions  # [1, k]
        results = [search_lists(segment, along, n_short, lists, bits) for segment in self._segments]
        rows, scores = (np.concatenate(part) for part in zip(*results, strict=True))
        if len(results) > 1:
            rows = rows[top(scores, n_short)]
        rows = rows[(rows >= 0) & (rows < len(self))]
        rows.sort()
        return rows


@contextmanager
def _one_thread() -> Iterator[None]:
    """FAISS's work in the thread that asks: OpenMP's others would wait for the next by spinning."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def search_lists(
    index: Any,
    query: Floats,
    n_short: int,
    lists: Ints,
    bits: NDArray[np.uint8] | None = None,
) -> tuple[Ints, Floats]:
    """The best rows of chosen lists of one segment.

    FAISS's Python layer takes no parameters beside chosen lists, so its C++ method is called.

    Args:
        index: A segment.
        query: [1, k] along the directions of codes.
        n_short: How many rows, at most.
        lists: [1, p] lists to read.
        bits: Rows that may be found, a bit each; all when None.

    Returns:
        rows [s], -1 where there are fewer, best first by code; their scores by code [s].
    """
    n_short = min(n_short, int(index.ntotal))
    scores = np.empty((1, n_short), np.float32)
    rows = np.empty((1, n_short), np.int64)
    # Python keeps the selector as long as the parameters need it.
    selector = None if bits is None else faiss.IDSelectorBitmap(bits)
    parameters = faiss.SearchParametersIVF(nprobe=lists.shape[1], sel=selector)
    unused = np.zeros(lists.shape, np.float32)  # codes are of rows, not of what they differ by
    at = faiss.swig_ptr
    index.search_preassigned_c(
        1, at(query), n_short, at(lists), at(unused), at(scores), at(rows), False, parameters
    )
    return rows[0], scores[0]
