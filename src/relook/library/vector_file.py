"""The append-only file of unit vectors: fp16, memory-mapped. Layer: library.

Rows are numbered from 0 and never change; compaction writes a new file under another name. The
catalog names the rows that count; rows behind the last one it names are what a kill left over,
and the next writer cuts them off.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from relook.core.disk_errors import disk_error
from relook.core.errors import LibraryFormatError
from relook.core.vectors import Floats, Halves, Ints, singles

__all__ = ["VectorFile"]

_BYTES = 2


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
                "restore the file from a backup, or index the pictures into a new library",
            )
        self._n_rows = n_rows
        self._mapped()  # at once: a file that is replaced stays readable to those who have it

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
