"""The append-only file of unit vectors and its checksums: fp16, memory-mapped. Layer: library.

Rows are numbered from 0 and never change; compaction writes a new file under another name. The
catalog names the rows that count; rows behind the last one it names are what a kill left over,
and the next writer cuts them off.

The catalog holds one checksum for each batch of rows. It is written in the transaction that
names the rows, from the numbers in memory: it tells what should be on the disk, not what is
there. Libraries of older versions have no checksums; the next writer adds them. `relook doctor
--check` compares.
"""

import os
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relook.core.errors import LibraryFormatError, disk_error
from relook.core.vectors import Floats, Halves, Ints, singles
from relook.library.catalog import Catalog

_BYTES = 2
# Rows under one sum where the batches are not known any more. One damaged byte then costs
# the pictures of all these rows.
_ROWS = 1024
_PUT = "INSERT OR REPLACE INTO sums VALUES (?, ?, ?)"


def rows_in_file(path: Path, dim: int) -> int:
    """How many whole rows of a length a file holds; 0 where there is none."""
    try:
        return path.stat().st_size // (dim * _BYTES)
    except OSError:
        return 0


class VectorFile:
    """Rows of d fp16 numbers in one file.

    Args:
        path: The file; made by the first `append`.
        dim: Length d of a row.
        n_rows: How many rows count, as the catalog says.

    Raises:
        LibraryFormatError: `vectors_missing` when the file is shorter than that.
    """

    def __init__(self, path: Path, dim: int, n_rows: int) -> None:
        self.path, self.dim = path, dim
        self._n_rows = 0
        self._map: Halves | None = None
        try:
            n_bytes = path.stat().st_size
        except FileNotFoundError:
            n_bytes = 0
        if n_bytes < n_rows * dim * _BYTES:
            raise LibraryFormatError(
                "vectors_missing",
                f"{path} holds {n_bytes // (dim * _BYTES)} rows; the catalog names {n_rows}",
                "relook doctor --repair, then relook index: ids, words and marks stay",
            )
        self._n_rows = n_rows
        self._mapped()  # mapped at once: a file that is replaced stays readable

    def __len__(self) -> int:
        return self._n_rows

    def block(self, start: int, stop: int) -> Floats:
        """Rows start..stop as [stop - start, d] float32."""
        return singles(self._mapped()[start:stop])

    def rows(self, rows: Ints) -> Floats:
        """Chosen rows as [n, d] float32."""
        return singles(self._mapped()[rows])

    def halves(self, rows: Ints | slice) -> Halves:
        """Chosen rows as they are stored, [n, d] float16."""
        return self._mapped()[rows]

    def cut_tail(self) -> None:
        """Removes rows that the catalog does not name. Only the one writer may call this."""
        if self.path.exists() and self.path.stat().st_size != self._n_rows * self.dim * _BYTES:
            os.truncate(self.path, self._n_rows * self.dim * _BYTES)

    def append(self, vectors: Floats) -> int:
        """Writes rows behind the others and waits until the disk has them.

        Args:
            vectors: [n, d] unit rows.

        Returns:
            The number of the first new row.

        Raises:
            StorageError: `disk_refused`; the file is then as it was before.
        """
        first = self._n_rows
        data = np.ascontiguousarray(vectors, dtype=np.float16).tobytes()
        try:
            with open(self.path, "ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.cut_tail()
            raise disk_error(
                f"cannot write {len(data):,} bytes to {self.path}", error,
                "make room on the disk and run the same command again; nothing is lost",
            ) from error  # fmt: skip
        self._n_rows += len(vectors)
        self._map = None
        return first

    def take_back(self, n_rows: int) -> None:
        """Forgets the rows from `n_rows` on, after the catalog refused to name them."""
        self._n_rows, self._map = n_rows, None
        self.cut_tail()

    def close(self) -> None:
        """Drops the memory map; closing twice is fine."""
        self._map = None

    def _mapped(self) -> Halves:
        if self._map is None:
            shape = (self._n_rows, self.dim)
            if self._n_rows == 0:
                self._map = np.zeros(shape, np.float16)
            else:  # as a plain array: numpy's class of mapped ones makes every access slower
                self._map = np.asarray(np.memmap(self.path, np.float16, mode="r", shape=shape))
        return self._map


@dataclass(frozen=True, slots=True)
class Sum:
    """The checksum of some rows of the vector file.

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
    """Every sum that can be read, by first row; none where an older version wrote the library."""
    if not catalog.ask("SELECT 1 FROM sqlite_master WHERE name = 'sums'"):
        return []
    rows = catalog.ask(
        "SELECT first_row, n_rows, crc32 FROM sums"
        " WHERE typeof(n_rows) = 'integer' AND typeof(crc32) = 'integer' ORDER BY first_row"
    )
    return [Sum(*row) for row in rows]  # type: ignore[arg-type]


def gaps(sums: list[Sum], end_row: int) -> list[tuple[int, int]]:
    """Ranges `(first, end)` of rows before `end_row` that have no sum."""
    missing, at = [], 0
    for batch in sums:
        if batch.first_row > at:
            missing.append((at, min(batch.first_row, end_row)))
        at = max(at, batch.end_row)
    if at < end_row:
        missing.append((at, end_row))
    return [(first, end) for first, end in missing if first < end]


def add_missing_sums(catalog: Catalog, vectors: VectorFile) -> int:
    """Adds missing sums, of the rows as the file has them now. Writer's lock held.

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
