"""Adding images whose vectors are known to a library. Layer: exchange."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relook.core.types import Box
from relook.core.vectors import Floats
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord, SkippedFile
from relook.library.sums import add_missing_sums, put_sum

__all__ = ["Entry", "NewImages"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An image with its vectors [t, d], the whole picture's first."""

    record: ImageRecord
    tiles: Floats


class NewImages:
    """Writes images into a library. The caller holds the writer's lock.

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
        add_missing_sums(files.catalog, self._vectors)

    def known(self, paths: Sequence[bytes]) -> set[bytes]:
        """Those of some paths that are images already."""
        marks = ",".join("?" * len(paths))
        rows = self._catalog.ask(f"SELECT path FROM images WHERE path IN ({marks})", paths)
        return {row[0] for row in rows}  # type: ignore[misc]

    def commit(self, entries: Sequence[Entry], skips: Sequence[SkippedFile]) -> None:
        """Vectors first, synced; then one transaction that names their rows.

        Raises:
            StorageError: when the disk refuses; what was committed before stays.
        """
        row = len(self._vectors)
        rows = np.concatenate([entry.tiles for entry in entries]) if entries else None
        if rows is not None:
            self._vectors.append(rows)
        try:
            with self._catalog.transaction() as db:
                if rows is not None:
                    put_sum(db, row, rows)
                for entry in entries:
                    tiling = self._catalog.tiling_id(db, self._boxes(entry.record))
                    n_tiles = len(entry.tiles)
                    record = replace(entry.record, first_row=row, n_tiles=n_tiles, tiling_id=tiling)
                    self._catalog.put(db, record)
                    row += n_tiles
                for skip in skips:
                    self._catalog.put_skipped(db, skip)
                self._catalog.bump(db, len(self._vectors))
        except BaseException:
            # A Ctrl-C may come after the commit: only the catalog knows which rows count.
            self._vectors.take_back(self._catalog.end_row())
            raise
