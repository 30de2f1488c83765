"""Checksums of stored vectors: one a batch, in the catalog. Layer: library.

A sum is written in the transaction that names its rows, from the numbers in memory, so that
it tells what should be on the disk and not what is. Libraries of older versions have none;
the next writer adds them. `relook doctor --check` compares.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from relook.core.vectors import Floats, Halves
from relook.library.catalog import Catalog
from relook.library.vector_file import VectorFile

__all__ = ["Sum", "add_missing_sums", "gaps", "put_sum", "read_sums", "renew_sums"]

# Rows that get one sum where nobody knows the batches any more; a damaged byte then costs
# the pictures of so many rows.
_ROWS = 1024
_PUT = "INSERT OR REPLACE INTO sums VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Sum:
    """What some rows of the vector file should add up to.

    Args:
        first_row, n_rows: Which rows.
        crc32: Of their bytes, as they are in the file.
    """

    first_row: int
    n_rows: int
    crc32: int

    @property
    def end_row(self) -> int:
        """The row behind the last one."""
        return self.first_row + self.n_rows


def put_sum(db: sqlite3.Connection, first_row: int, vectors: Floats | Halves) -> None:
    """Keeps the sum of a batch. Inside the transaction that names its rows.

    Args:
        db: Of the transaction.
        first_row: Where the batch begins in the file.
        vectors: [n, d] as they were given to `VectorFile.append`, or as they are stored.
    """
    if len(vectors):
        db.execute(_PUT, (first_row, len(vectors), _crc32(vectors)))


def read_sums(catalog: Catalog) -> list[Sum]:
    """Every sum, by first row; none for a library of an older version that is only read."""
    if not catalog.ask("SELECT 1 FROM sqlite_master WHERE name = 'sums'"):
        return []
    rows = catalog.ask("SELECT first_row, n_rows, crc32 FROM sums ORDER BY first_row")
    return [Sum(*row) for row in rows]  # type: ignore[arg-type]


def gaps(sums: list[Sum], end_row: int) -> list[tuple[int, int]]:
    """Ranges `(first, end)` of rows before `end_row` that have no sum."""
    found, at = [], 0
    for one in sums:
        if one.first_row > at:
            found.append((at, min(one.first_row, end_row)))
        at = max(at, one.end_row)
    if at < end_row:
        found.append((at, end_row))
    return [(first, end) for first, end in found if first < end]


def add_missing_sums(catalog: Catalog, vectors: VectorFile) -> int:
    """Gives rows their sums that have none, as the file has them now. Writer's lock held.

    Returns:
        How many rows there were.
    """
    missing = gaps(read_sums(catalog), len(vectors))
    if missing:
        with catalog.transaction() as db:
            for first, end in missing:
                _put_range(db, vectors, first, end)
    return sum(end - first for first, end in missing)


def renew_sums(db: sqlite3.Connection, vectors: VectorFile) -> None:
    """Replaces every sum by those of a vector file that was written anew (compaction).

    Args:
        db: Of the transaction that renumbers the rows.
        vectors: The new file.
    """
    db.execute("DELETE FROM sums")
    _put_range(db, vectors, 0, len(vectors))


def _put_range(db: sqlite3.Connection, vectors: VectorFile, first: int, end: int) -> None:
    for start, stop in _pieces(first, end):
        put_sum(db, start, vectors.halves(slice(start, stop)))


def _pieces(first: int, end: int) -> Iterator[tuple[int, int]]:
    for start in range(first, end, _ROWS):
        yield start, min(start + _ROWS, end)


def _crc32(vectors: Floats | Halves) -> int:
    return zlib.crc32(np.ascontiguousarray(vectors, np.float16).tobytes())
