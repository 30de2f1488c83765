"""Writing finished images into a library, a batch at a time. Layer: library.

Vectors first, synced; then one transaction that names their rows. So a kill at any moment
loses at most the batch in flight.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from relook.core.picture_paths import displaced_path
from relook.core.types import Box
from relook.core.vectors import Floats
from relook.library.catalog import Catalog
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord, SkippedFile
from relook.library.sqlite_errors import whole_number
from relook.library.vector_file import VectorFile, add_missing_sums, put_sum
from relook.library.whereabouts import Identity, newest_place, place_of, put_place

WORKER_FAILED = "worker_failed"
"""Code of a file that was not looked at, as the process that decodes it ended."""
PASSING = ("unreadable", "vanished", WORKER_FAILED)
"""Codes of failures that may pass without a change of the file: it is read again each time."""


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
        identify: Gives the identity of a folder with pictures; None where no files are listed.
    """

    def __init__(
        self,
        files: LibraryFiles,
        boxes: Callable[[ImageRecord], tuple[Box, ...]],
        identify: Callable[[bytes], Identity] | None = None,
    ) -> None:
        self._catalog, self._boxes, self._identify = files.catalog, boxes, identify
        with files.catalog.transaction() as db:
            self._newest = newest_place(db)
        self._vectors = files.writer_vectors()
        self._vectors.cut_tail()
        # Checksums cover the bytes of a file; Milvus looks after its own data.
        self._has_sums = isinstance(self._vectors, VectorFile)
        if isinstance(self._vectors, VectorFile):
            add_missing_sums(files.catalog, self._vectors)

    def commit(self, entries: Sequence[Entry], skips: Sequence[SkippedFile] = ()) -> None:
        """Writes images and the files that could not be used; all or nothing.

        Raises:
            StorageError: when the disk refuses; what was committed before stays.
        """
        tiles = [entry.tiles for entry in entries if entry.tiles is not None]
        row = len(self._vectors)
        rows = np.concatenate(tiles) if tiles else None
        if rows is not None:
            self._vectors.append(rows)
        try:
            with self._catalog.transaction() as db:
                if rows is not None and self._has_sums:
                    put_sum(db, row, rows)
                for entry in entries:
                    row = self._put(db, entry, row)
                for skip in skips:
                    self._catalog.put_skipped(db, skip)
                self._catalog.bump(db, len(self._vectors))
        except BaseException:
            # A Ctrl-C may come after the commit: only the catalog knows which rows count.
            self._vectors.take_back(self._catalog.end_row())
            raise

    def _put(self, db: sqlite3.Connection, entry: Entry, row: int) -> int:
        record = entry.record
        _displace(db, record)
        if entry.tiles is None:
            self._place(db, self._catalog.put(db, record), record)
            return row
        n_tiles = len(entry.tiles)
        tiling = self._catalog.tiling_id(db, self._boxes(record))
        record = replace(record, first_row=row, n_tiles=n_tiles, tiling_id=tiling)
        self._place(db, self._catalog.put(db, record), record)
        return row + n_tiles

    def _place(self, db: sqlite3.Connection, image_id: int, record: ImageRecord) -> None:
        """Records the folder that the image's file is in."""
        if self._identify is not None:
            place = place_of(record.facts.path)
            put_place(db, image_id, place, self._identify(place), self._newest)


def _displace(db: sqlite3.Connection, record: ImageRecord) -> None:
    """Frees the path of an image: the image that has it gets a placeholder path."""
    path = record.facts.path
    row = db.execute("SELECT image_id FROM images WHERE path = ?", (path,)).fetchone()
    if row and row[0] != record.image_id:
        aside = displaced_path(path, row[0])
        db.execute("UPDATE images SET path = ? WHERE image_id = ?", (aside, row[0]))


_LIKE = 4000
_IDENTITY = (1, 1)  # a device and an inode; folders are those that are there


def n_bytes_of(catalog: Catalog) -> int:
    """Bytes of a catalog's pages."""
    [(n_pages, page_bytes)] = catalog.ask("SELECT * FROM pragma_page_count, pragma_page_size")
    return whole_number(n_pages) * whole_number(page_bytes)


def image_bytes(catalog: Catalog) -> float:
    """What an image takes in a catalog of thousands like those of this one, on disk.

    Args:
        catalog: One to throw away, with an image at least: thousands are put into it, as the pages
            of a short one are not full.
    """
    records = list(catalog.each_image())
    row, n_before, random = catalog.end_row(), n_bytes_of(catalog), Random(7)
    with catalog.transaction() as db:
        for number in range(_LIKE):
            like = records[number % len(records)]
            path = b"%b~%04d" % (like.facts.path[:-5], number)
            facts = replace(like.facts, path=path)
            content = random.randbytes(16)
            image = replace(like, facts=facts, content=content, first_row=row, image_id=0)
            put_place(db, catalog.put(db, image), place_of(path), _IDENTITY, 0)
            row += like.n_tiles
    return (n_bytes_of(catalog) - n_before) / _LIKE
