"""FAISS's file of a flat index, read and written without FAISS. Layer: exchange.

`faiss.read_index` believes what a file says of itself: it allocates what the header asks
for and follows it into any of its index types. A flat index is a header and rows, so it is
read here as just that: its length must be what the header says, to the byte, and the rows
are mapped, not loaded.

Source: FAISS 1.7 to 1.15, `faiss/impl/index_write.cpp` (`write_index_header`, `IndexFlat`).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import InputError, StorageError, disk_error
from relook.core.vectors import Floats

# Kind, d, ntotal, two unused numbers, is_trained, metric type, count of floats; little-endian.
_HEADER = struct.Struct("<4siqqq?iq")
_INNER_PRODUCT, _L2 = 0, 1
_UNUSED = 1 << 20
_KINDS = {b"IxFI": _INNER_PRODUCT, b"IxF2": _L2}
_MAX_DIM = 65_536


class FlatFile:
    """The rows of a flat index, mapped.

    Args:
        path: What `faiss.write_index` wrote of an IndexFlatIP or IndexFlatL2.

    Raises:
        InputError: `bad_faiss_file` when it is anything else, or its length does not fit.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with open(path, "rb") as file:
                n_bytes = os.fstat(file.fileno()).st_size
                head = file.read(_HEADER.size)
        except OSError as error:
            raise InputError(
                "bad_faiss_file",
                f"{path} cannot be read: {error.strerror or error}",
                "name the folder that holds image_index.faiss and image_paths.txt",
            ) from error
        kind = head[:4]
        if len(head) < _HEADER.size or kind not in _KINDS:
            raise _bad(path, f"it begins with {kind!r}, and a flat index with b'IxFI' or b'IxF2'")
        _, self.dim, n_rows, _, _, _, metric, n_floats = _HEADER.unpack(head)
        if metric != _KINDS[kind] or not 0 < self.dim <= _MAX_DIM or n_rows < 0:
            raise _bad(path, f"its header says {n_rows} rows of {self.dim}, metric {metric}")
        if n_floats != n_rows * self.dim or n_bytes != _HEADER.size + 4 * n_floats:
            needed = _HEADER.size + 4 * n_rows * self.dim
            raise _bad(
                path, f"{n_rows} rows of {self.dim} need {needed:,} bytes, it has {n_bytes:,}"
            )
        self._rows: NDArray[np.float32] = np.zeros((0, self.dim), np.float32)
        if n_rows:
            self._rows = np.memmap(path, "<f4", "r", _HEADER.size, (n_rows, self.dim))

    def __len__(self) -> int:
        return len(self._rows)

    def block(self, start: int, stop: int) -> Floats:
        """Rows start..stop as [stop - start, d] float32."""
        return np.array(self._rows[start:stop], np.float32)


class FlatWriter:
    """Writes an IndexFlatIP row after row; the file has its name only when it is whole.

    Args:
        path: The file.
        dim: Length d of a row.

    Raises:
        StorageError: `disk_refused`.
    """

    def __init__(self, path: Path, dim: int) -> None:
        self.path, self.dim, self.n_rows = path, dim, 0
        self._new = path.with_name(path.name + ".new")
        self._file: BinaryIO | None = None

    def __enter__(self) -> FlatWriter:
        try:
            self._file = open(self._new, "wb")
            self._file.write(self._header())
        except OSError as error:
            self._give_up()
            raise _refused(self.path, error) from error
        return self

    def append(self, rows: Floats) -> None:
        """Writes rows [n, d] behind the others."""
        assert self._file is not None
        try:
            self._file.write(np.ascontiguousarray(rows, "<f4").tobytes())
        except OSError as error:
            raise _refused(self.path, error) from error
        self.n_rows += len(rows)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._file is not None
        if kind is not None:
            self._give_up()
            return
        try:
            self._file.seek(0)
            self._file.write(self._header())
            self._file.close()
            self._new.replace(self.path)
        except OSError as failed:
            self._give_up()
            raise _refused(self.path, failed) from failed

    def _header(self) -> bytes:
        n = self.n_rows
        return _HEADER.pack(
            b"IxFI", self.dim, n, _UNUSED, _UNUSED, True, _INNER_PRODUCT, n * self.dim
        )

    def _give_up(self) -> None:
        if self._file is not None:
            self._file.close()
        self._new.unlink(missing_ok=True)


def _bad(path: Path, reason: str) -> InputError:
    return InputError(
        "bad_faiss_file",
        f"{path} is no flat FAISS index: {reason}",
        "other kinds hold no exact vectors, or are not read from strangers; write the vectors"
        " with faiss.IndexFlatIP",
    )


def _refused(path: Path, error: OSError) -> StorageError:
    return disk_error(f"cannot write {path}", error)
