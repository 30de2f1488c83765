"""Writing finished images into a library, a batch at a time. Layer: library.

Vectors first, synced; then one transaction that names their rows. So a kill at any moment
loses at most the batch in flight.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relook.core.types import Box
from relook.core.vectors import Floats
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord, SkippedFile
from relook.library.sums import add_missing_sums, put_sum
from relook.library.vector_file import VectorFile

__all__ = ["PASSING", "Committer", "Entry"]

PASSING = ("unreadable", "vanished", "worker_failed")
"""Codes of what only could not be read just now: it keeps the image it was indexed as."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An image to be written.

    Args:
        record: Replaces the image with its `image_id`; a new one when that is 0.
        tiles: [t, d] unit vectors, the whole picture's first; None keeps the rows that the
            record names.
    """

    record: ImageRecord
    tiles: Floats | None


class Committer:
    """Writes images into a library, from one thread at a time. The writer's lock is held.

    Args:
        files: The open library.
        boxes: The tiles of an image, as many as its entry has vectors.
    """

    def __init__(
        self, files: LibraryFiles, boxes: Callable[[ImageRecord], tuple[Box, ...]]
    ) -> None:
        self._catalog, self._boxes = files.catalog, boxes
        self._vectors = files.writer_vectors()
        self._vectors.cut_tail()
        # Sums are of the bytes of a file; a collection of Milvus looks after its own.
        self._has_sums = isinstance(self._vectors, VectorFile)
        if isinstance(self._vectors, VectorFile):
            add_missing_sums(files.catalog, self._vectors)

    def commit(self, entries: Sequence[Entry], skips: Sequence[SkippedFile] = ()) -> int:
        """Writes images and the files that could not be used; all or nothing.

        Returns:
            How many images went because their file cannot be used any more.

        Raises:
            StorageError: when the disk refuses; what was committed before stays.
        """
        tiles = [entry.tiles for entry in entries if entry.tiles is not None]
        row = len(self._vectors)
        rows = np.concatenate(tiles) if tiles else None
        if rows is not None:
            self._vectors.append(rows)
        n_removed = 0
        try:
            with self._catalog.transaction() as db:
                if rows is not None and self._has_sums:
                    put_sum(db, row, rows)
                for entry in entries:
                    row = self._put(db, entry, row)
                for skip in skips:
                    n_removed += self._skip(db, skip)
                self._catalog.bump(db, len(self._vectors))
        except BaseException:
            # A Ctrl-C may come after the commit: only the catalog knows which rows count.
            self._vectors.take_back(self._catalog.end_row())
            raise
        return n_removed

    def _put(self, db: sqlite3.Connection, entry: Entry, row: int) -> int:
        record = entry.record
        if entry.tiles is None:
            self._catalog.put(db, record)
            return row
        n_tiles = len(entry.tiles)
        tiling = self._catalog.tiling_id(db, self._boxes(record))
        record = replace(record, first_row=row, n_tiles=n_tiles, tiling_id=tiling)
        self._catalog.put(db, record)
        return row + n_tiles

    def _skip(self, db: sqlite3.Connection, skip: SkippedFile) -> int:
        self._catalog.put_skipped(db, skip)
        if skip.code in PASSING:
            return 0
        return db.execute("DELETE FROM images WHERE path = ?", (skip.facts.path,)).rowcount
