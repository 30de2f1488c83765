"""An index for rows that got new numbers, without encoding any of them again. Layer: stores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from relook.core.vectors import Floats, Ints
from relook.stores.base import Mask, VectorSource
from relook.stores.ivf_files import Card, Segment, open_segment, write_segment

__all__ = ["renumber_index"]


def renumber_index(
    source: VectorSource, folder: Path, number: int, alive: Mask, new_row: Ints
) -> None:
    """Writes the index of vectors file `number` from that of the file before.

    Args:
        source: The old rows.
        folder: Of the index.
        number: Of the new file of vectors; the old one's is one less.
        alive: [n] bool: old rows that are in the new file.
        new_row: [n] their new numbers.

    Raises:
        LibraryFormatError: `bad_index` when the old index is missing or damaged.
        OSError, RuntimeError: when the disk refuses.
    """
    card = Card.read(folder, number - 1)
    kept = np.flatnonzero(alive)
    segments: list[Segment] = []
    for segment in card.segments:
        index = open_segment(folder, segment, whole=True)
        start, stop = (int(np.searchsorted(kept, row)) for row in (segment.start, segment.stop))
        _renumber(index, alive, new_row)
        if stop > start:
            new = _New(source, kept)
            segments.append(write_segment(index, folder, new, start, stop, segment.closeness))
    trained = max(int(card.trained_rows * len(kept) / max(len(alive), 1)), 1)
    replace(card, segments=tuple(segments), trained_rows=trained).write(folder, number)


def _renumber(index: Any, alive: Mask, new_row: Ints) -> None:
    """Takes dead rows out of a segment and gives the others their new numbers."""
    dead = np.packbits(~alive, bitorder="little")
    index.remove_ids(faiss.IDSelectorBitmap(dead))
    lists = index.invlists
    for number in range(index.nlist):
        size = lists.list_size(number)
        if size:
            ids = faiss.rev_swig_ptr(lists.get_ids(number), size)
            ids[:] = new_row[ids]


class _New:
    """The rows of the new file, from the old one."""

    def __init__(self, source: VectorSource, kept: Ints) -> None:
        self._source, self._kept = source, kept
        self.dim = source.dim

    def __len__(self) -> int:
        return len(self._kept)

    def block(self, start: int, stop: int) -> Floats:
        return self._source.rows(self._kept[start:stop])

    def rows(self, rows: Ints) -> Floats:
        return self._source.rows(self._kept[rows])
