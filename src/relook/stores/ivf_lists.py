"""The lists of an index: their centres, and how rows lie in them. Layer: stores.

A search looks for the lists that reach highest: not those whose rows score highest on average, but
whose best rows are expected to. Words are about as far from all lists, and there it tells more how
much the rows of a list differ than where their mean is, see
docs/decisions/0020-lists-that-reach-far.md.

Comparing a query with every list would take most of a search from a few thousand lists on. So it
is compared with their codes of 4 bits a number, and with the best of the lists exactly.

Rows lie in segments that are mapped. FAISS keeps codes of 4 bits in blocks of 32 rows and would
read them all into memory; its lists on disk are mapped, but it cannot fill those with blocks. So
the blocks are made here, as its own index files have them, and put where its lists on disk look for
them: behind the header, list by list, the blocks and then the row numbers, a list's room rounded up
to whole blocks.

Source: Andre, Kermarrec, Le Scouarnec 2015, "Cache locality is not enough" (the blocks), as
FAISS's `pq4_pack_codes` and `OnDiskInvertedLists` have them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from relook.core.vectors import Floats, Ints, unit
from relook.stores.base import Mask, VectorSource
from relook.stores.centres import Report, learn_centres, spread_of
from relook.stores.nearest import Nearest, directions_of
from relook.stores.plan import IndexPlan

NEAR_REACH, FAR_REACH = 1.0, 3.0
"""Spreads above the mean at which the best rows of a list are looked for.

For a query that lies among the rows, as pictures do, and for one that lies outside, as words do.
"""
_CODED = 1_024  # lists from which their centres have codes
_COMPARED = 3  # times the lists that are wanted: centres that are compared exactly
_FEWEST = 96
Bytes = NDArray[np.uint8]
_PAGE = 4096
_ID_BYTES = 8
_AT_ONCE = 256  # lists
_NOWHERE = np.uint64(2**64 - 1)  # where FAISS has empty lists
# Rows of a block in the order in which its bytes hold their codes.
_ORDER = np.array([0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15])


class Lists:
    """Lists: the mean of the rows of each, and how far their scores spread about its score.

    Args:
        index: FAISS's, over rows of d + 1 numbers, the mean of a list and its spread: flat, or
            of codes with these rows behind them.
    """

    def __init__(self, index: Any) -> None:
        self.index = index
        self._coded = hasattr(index, "refine_index")

    def __len__(self) -> int:
        return int(self.index.ntotal)

    @property
    def centres(self) -> Floats:
        """A copy of the means, [n, d]."""
        return np.ascontiguousarray(self._reaching[:, :-1])

    @property
    def _reaching(self) -> Floats:
        """[n, d + 1], where they lie."""
        flat = faiss.downcast_index(self.index.refine_index if self._coded else self.index)
        lie: Floats = faiss.rev_swig_ptr(flat.get_xb(), len(self) * flat.d)
        return lie.reshape(len(self), flat.d)

    @classmethod
    def of(cls, centres: Floats, spread: Floats) -> Lists:
        """Makes them of the means of their rows [n, d] and how far scores spread about it [n]."""
        dim, directions = centres.shape[1], directions_of(centres)
        reaching = np.column_stack([centres, spread]).astype(np.float32)
        if directions is None:
            kind = f"PQ{dim + 1}x4fs,RFlat" if len(centres) >= _CODED else "Flat"
            index = faiss.index_factory(dim + 1, kind, faiss.METRIC_INNER_PRODUCT)
        else:
            n = directions.shape[1] + 1
            turn = np.zeros((n, dim + 1), np.float32)
            turn[:-1, :-1], turn[-1, -1] = directions.T, 1.0
            turned = faiss.LinearTransform(dim + 1, n, False)
            faiss.copy_array_to_vector(turn.ravel(), turned.A)
            turned.is_trained = True
            codes = faiss.index_factory(n, f"PQ{n}x4fs", faiss.METRIC_INNER_PRODUCT)
            index = faiss.IndexRefineFlat(faiss.IndexPreTransform(turned, codes))
        index.train(reaching)
        index.add(reaching)
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

    def highest(self, queries: Floats, n: int, reach: float) -> tuple[Floats, Ints]:
        """How high the lists reach [q, n] that reach highest, best first, and which they are.

        Args:
            queries: [q, d]
            n: How many lists.
            reach: How many spreads above its mean a list reaches.
        """
        queries = np.column_stack([queries, np.full(len(queries), reach, np.float32)])
        if not self._coded:
            reached, lists = self.index.search(queries, n)
            return reached, lists
        compared = min(max(_COMPARED * n, _FEWEST), len(self))
        deep = faiss.IndexRefineSearchParameters(k_factor=compared / n)
        reached, lists = self.index.search(queries, n, params=deep)
        return reached, lists

    @cached_property
    def _nearest(self) -> Nearest:
        centres = unit(self._reaching[:, :-1])
        return Nearest(centres, directions_of(centres))

    def assign(self, rows: Floats) -> tuple[Floats, Ints]:
        """The inner product [n] of rows [n, d] with their list's direction, and the list [n]."""
        return self._nearest.of(rows)


def train_lists(source: VectorSource, plan: IndexPlan, report: Report, seed: int = 7) -> Lists:
    """Learns the centres of a plan's lists from a sample of the rows.

    Args:
        source: The rows.
        plan: Says how many lists, and how large a sample.
        report: Told how far it is; may raise to stop.
        seed: Of the sample.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(source), plan.n_sample, replace=False)
    sample = source.rows(np.sort(chosen).astype(np.int64))  # [s, d]
    centres = learn_centres(sample, plan.n_lists, rng, report)
    return Lists.of(centres, spread_of(sample, centres))


class Entries(Protocol):
    """Rows in lists."""

    def batch(self, lo: int, hi: int) -> tuple[Ints, Ints, Bytes]:
        """The rows of the lists lo..hi: list [n], ascending, row number [n], code [n, c]."""
        ...


class Coded:
    """Rows that were assigned and coded just now.

    Args:
        lists: [n] of each row.
        codes: [n, c]
        start: Number of the first row.
    """

    def __init__(self, lists: NDArray[np.int32], codes: Bytes, start: int) -> None:
        self._order = np.argsort(lists, kind="stable")
        self._lists, self._codes, self._start = lists[self._order], codes, start

    def batch(self, lo: int, hi: int) -> tuple[Ints, Ints, Bytes]:
        """See `Entries.batch`."""
        start, stop = np.searchsorted(self._lists, (lo, hi))
        rows = self._order[start:stop]
        return self._lists[start:stop].astype(np.int64), rows + self._start, self._codes[rows]


class Kept:
    """The rows of a segment, of those that stay, with the numbers that they have now.

    Args:
        index: The segment.
        alive: [n] bool: rows that stay; all when None.
        new_row: [n] their numbers.
    """

    def __init__(self, index: Any, alive: Mask | None = None, new_row: Ints | None = None) -> None:
        self._index, self._alive, self._new_row = index, alive, new_row

    def batch(self, lo: int, hi: int) -> tuple[Ints, Ints, Bytes]:
        """See `Entries.batch`."""
        held, n_block, n_code = self._index.invlists, block_rows(self._index), _n_code(self._index)
        lists, rows, codes = [], [np.zeros(0, np.int64)], [np.zeros((0, n_code), np.uint8)]
        for number in range(lo, hi):
            size = held.list_size(number)
            lists.append(np.full(size, number))
            if size:
                room = -(-size // n_block) * n_block
                rows.append(faiss.rev_swig_ptr(held.get_ids(number), size))
                packed = faiss.rev_swig_ptr(held.get_codes(number), room * n_code)
                codes.append(_unpacked(packed, n_code, n_block)[:size])
        return self._chosen(np.concatenate(lists), np.concatenate(rows), np.concatenate(codes))

    def _chosen(self, lists: Ints, rows: Ints, codes: Bytes) -> tuple[Ints, Ints, Bytes]:
        if self._alive is None or self._new_row is None:
            return lists, rows, codes
        stays = self._alive[rows]
        return lists[stays], self._new_row[rows[stays]], codes[stays]


class Joined:
    """The rows of several, one after the other in each list."""

    def __init__(self, parts: Sequence[Entries]) -> None:
        self._parts = parts

    def batch(self, lo: int, hi: int) -> tuple[Ints, Ints, Bytes]:
        """See `Entries.batch`."""
        batches = [part.batch(lo, hi) for part in self._parts]
        lists, rows, codes = (np.concatenate(part) for part in zip(*batches, strict=True))
        order = np.argsort(lists, kind="stable")
        return lists[order], rows[order], codes[order]


def block_rows(index: Any) -> int:
    """How many rows lie in a block: FAISS's fast scan has 32."""
    return int(getattr(index, "bbs", 1))


def _n_code(index: Any) -> int:
    return int(index.code_size)


def write_lists(
    path: Path, index: Any, entries: Entries, tell: Callable[[int, int], None] | None = None
) -> int:
    """Writes a segment: the header of an index, and behind it rows in lists.

    Args:
        path: New.
        index: Trained; its own lists, empty or not, are left out.
        entries: The rows.
        tell: Called with how many lists are written, of how many; may raise to stop.

    Returns:
        How many rows.

    Raises:
        OSError, RuntimeError: when the disk refuses.
    """
    n_lists, n_code = int(index.nlist), _n_code(index)
    table = np.zeros((n_lists, 3), np.uint64)  # size, room, offset: FAISS's OnDiskOneList
    table[:, 2] = _NOWHERE
    header = path.with_name(f"{path.name}.new")
    try:
        at = -(-len(_header(header, index, table, 0, path.name)) // _PAGE) * _PAGE
        with open(path, "wb") as file:
            file.seek(at)
            for lo in range(0, n_lists, _AT_ONCE):
                hi = min(lo + _AT_ONCE, n_lists)
                if tell:
                    tell(lo, n_lists)
                data, sizes, rooms = _packed(*entries.batch(lo, hi), lo, hi, block_rows(index))
                file.write(data.tobytes())
                offsets = at + np.concatenate([[0], np.cumsum(rooms)]) * (n_code + _ID_BYTES)
                table[lo:hi, 0], table[lo:hi, 1] = sizes, rooms
                table[lo:hi, 2] = np.where(sizes > 0, offsets[:-1].astype(np.uint64), _NOWHERE)
                at = int(offsets[-1])
            file.truncate(at)
            file.seek(0)
            file.write(_header(header, index, table, at, path.name))
            file.flush()
            os.fsync(file.fileno())
    finally:
        header.unlink(missing_ok=True)
    return int(table[:, 0].sum())


def _header(path: Path, index: Any, table: NDArray[np.uint64], end: int, name: str) -> bytes:
    """What FAISS writes of an index whose lists lie in a file, without the centres of its lists."""
    lists = faiss.OnDiskInvertedLists(index.nlist, _n_code(index), name)
    faiss.memcpy(lists.lists.data(), faiss.swig_ptr(table), table.nbytes)
    lists.totsize = end
    nothing = faiss.IndexFlatIP(index.d)
    before, index.invlists = index.invlists, lists
    quantizer, index.quantizer = index.quantizer, nothing
    n_rows, index.ntotal = index.ntotal, int(table[:, 0].sum())
    try:
        faiss.write_index(index, str(path))
    finally:
        index.invlists, index.quantizer, index.ntotal = before, quantizer, n_rows
    return path.read_bytes()


def _packed(
    lists: Ints, rows: Ints, codes: Bytes, lo: int, hi: int, n_block: int
) -> tuple[Bytes, Ints, Ints]:
    """The bytes of the lists lo..hi, how many rows each has, and for how many there is room."""
    sizes = np.bincount(lists - lo, minlength=hi - lo)
    rooms = -(-sizes // n_block) * n_block
    firsts, places = np.cumsum(sizes) - sizes, np.cumsum(rooms) - rooms
    at = places[lists - lo] + np.arange(len(lists)) - firsts[lists - lo]
    all_codes = np.zeros((int(rooms.sum()), codes.shape[1]), np.uint8)
    all_rows = np.full(len(all_codes), -1, np.int64)
    all_codes[at], all_rows[at] = codes, rows
    blocks = _blocks(all_codes, n_block).reshape(len(all_codes), codes.shape[1])
    ids = all_rows.view(np.uint8).reshape(len(all_rows), _ID_BYTES)
    parts = [np.zeros(0, np.uint8)]
    for place, room in zip(places, rooms, strict=True):
        parts += [blocks[place : place + room].ravel(), ids[place : place + room].ravel()]
    return np.concatenate(parts), sizes, rooms


def _blocks(codes: Bytes, n_block: int) -> Bytes:
    """Codes [n, c] as FAISS scans them; n is a whole number of blocks."""
    if n_block == 1:
        return codes
    columns = codes.reshape(-1, n_block, codes.shape[1]).transpose(0, 2, 1)  # [b, c, 32]
    first, second = columns[..., _ORDER], columns[..., _ORDER + 16]
    return np.concatenate([first & 15 | second << 4, first >> 4 | second & 0xF0], axis=-1)


def _unpacked(packed: Bytes, n_code: int, n_block: int) -> Bytes:
    """What `_blocks` was given, [n, c]."""
    if n_block == 1:
        return packed.reshape(-1, n_code)
    blocks = packed.reshape(-1, n_code, n_block)
    low, high = blocks[..., :16], blocks[..., 16:]
    columns = np.empty_like(blocks)
    columns[..., _ORDER] = low & 15 | high << 4
    columns[..., _ORDER + 16] = low >> 4 | high & 0xF0
    return np.ascontiguousarray(columns.transpose(0, 2, 1)).reshape(-1, n_code)


def open_lists(path: Path) -> Any:
    """Maps a segment.

    Raises:
        RuntimeError: when FAISS cannot read it, or it is not one of ours.
    """
    # FAISS would print a line when it is told to look in the folder of the file.
    index = faiss.read_index(str(path), faiss.IO_FLAG_SKIP_IVF_DATA)
    lists = faiss.downcast_InvertedLists(index.invlists)
    if not isinstance(lists, faiss.OnDiskInvertedLists):
        raise RuntimeError("its lists are not mapped")
    if lists.totsize != path.stat().st_size:
        raise RuntimeError("the file is not as long as it should be")
    lists.filename, lists.read_only, lists.prefetch_nthread = str(path), True, 0
    lists.do_mmap()
    return index
