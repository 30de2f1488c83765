"""Whether the vectors of a library are what the catalog says. Layer: library.

The vector file is read from front to back with plain reads: a memory map would end the process
where the disk fails.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relook.core.progress import Progress, ProgressCallback
from relook.core.vectors import Ints
from relook.library.catalog import Catalog
from relook.library.findings import CheckReport
from relook.library.manifest import Manifest
from relook.library.snapshot import vectors_path
from relook.library.vector_file import Sum, gaps, read_sums, rows_in_file

# A unit row in fp16 is off by less than 5e-4, one taken over from an index by 2e-3 more.
_OFF = 5e-3
_PIECE = 65_536  # rows read at once where there is no sum


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows and checksums that the catalog names.

    Args:
        dim: Length d of a row.
        end_row: Rows from here on do not count.
        table: [n, 3] int64 as `Catalog.row_table`.
        sums: Checksums by first row.
        vectors_file: Number of the file that the rows are in.
    """

    dim: int
    end_row: int
    table: Ints
    sums: list[Sum]
    vectors_file: int = 0

    def images(self, first: int, end: int) -> list[int]:
        """Ids of the images with a row in a range."""
        table = self.table
        meets = (table[:, 0] < end) & (table[:, 0] + table[:, 1] > first)
        return [int(image_id) for image_id in table[meets, 2]]

    def owners(self, rows: Ints) -> list[int]:
        """Ids of the images that some rows belong to."""
        if not len(rows) or not len(self.table):
            return []
        at = np.searchsorted(self.table[:, 0], rows, side="right") - 1
        theirs = self.table[np.maximum(at, 0)]  # [n, 3]
        inside = (at >= 0) & (rows < theirs[:, 0] + theirs[:, 1])
        return [int(image_id) for image_id in np.unique(theirs[inside, 2])]


def rows_of(catalog: Catalog, manifest: Manifest | None, report: CheckReport) -> Rows:
    """The rows and sums that the catalog names; reports a counter that is wrong.

    Raises:
        LibraryFormatError: when the catalog cannot be read.
    """
    dim = 1 if manifest is None else manifest.at(catalog.counter("encoder")).fingerprint.dim
    table, sums, end_row = catalog.row_table(), read_sums(catalog), catalog.end_row()
    used = max([0, *(int(first + n) for first, n, _ in table.tolist()), *(s.end_row for s in sums)])
    path = vectors_path(catalog.path.parent, catalog.vectors_file())
    held = end_row if manifest is None or manifest.store else rows_in_file(path, dim)
    right = max(used, min(end_row, held))
    if right != end_row:
        report.find("bad_counter", f"rows are used up to {used:,}; the catalog says {end_row:,}",
                    ["end_row"], f"set it to {right:,}", n=1)  # fmt: skip
    report.counts |= {"rows": right, "sums": len(sums)}
    return Rows(dim, right, table, sums, catalog.vectors_file())


@dataclass(slots=True)
class VectorDamage:
    """Damaged ranges of rows, each `(first, end)`.

    Args:
        missing: Behind the end of the file.
        unreadable: The disk gave an error.
        wrong: Other bytes than were written.
        odd_images: Images with a row that is not finite or not of length 1.
        n_bytes: Size of the file.
        n_unsummed: Rows that have no sum.
        reason: The system's message for the last read that failed.
    """

    missing: list[tuple[int, int]] = field(default_factory=list)
    unreadable: list[tuple[int, int]] = field(default_factory=list)
    wrong: list[tuple[int, int]] = field(default_factory=list)
    odd_images: list[int] = field(default_factory=list)
    n_bytes: int = 0
    n_unsummed: int = 0
    reason: str = ""


def look_at_vectors(path: Path, rows: Rows, progress: ProgressCallback) -> VectorDamage:
    """Reads every row that counts and compares it with its checksum and with length 1.

    Args:
        path: The vector file.
        rows: What the catalog says.
        progress: Called a few times a second.
    """
    damage = VectorDamage()
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        damage.missing = [(0, rows.end_row)] if rows.end_row else []
        damage.reason = error.strerror or str(error)
        return damage
    try:
        damage.n_bytes = os.fstat(descriptor).st_size
        for first, end, crc32 in _ranges(rows):
            _look(descriptor, rows, (first, end), crc32, damage)
            progress(Progress("checking vectors", end, rows.end_row))
    finally:
        os.close(descriptor)
    damage.n_unsummed = sum(end - first for first, end in gaps(rows.sums, rows.end_row))
    return damage


def _ranges(rows: Rows) -> Iterator[tuple[int, int, int | None]]:
    """Every range with its sum, or None, in the order of the file."""
    known: list[tuple[int, int, int | None]] = [
        (batch.first_row, min(batch.end_row, rows.end_row), batch.crc32) for batch in rows.sums
    ]
    for first, end in gaps(rows.sums, rows.end_row):
        known += [(at, min(at + _PIECE, end), None) for at in range(first, end, _PIECE)]
    yield from sorted(known, key=lambda piece: piece[0])


def _look(
    descriptor: int, rows: Rows, place: tuple[int, int], crc32: int | None, damage: VectorDamage
) -> None:
    (first, end), size = place, rows.dim * 2
    try:
        data = _read(descriptor, first * size, (end - first) * size)
    except OSError as error:
        damage.unreadable.append(place)
        damage.reason = error.strerror or str(error)
        return
    if len(data) < (end - first) * size:
        damage.missing.append(place)
    elif crc32 is not None and zlib.crc32(data) != crc32:
        damage.wrong.append(place)
    else:
        vectors = np.frombuffer(data, np.float16).reshape(-1, rows.dim)  # [n, d]
        damage.odd_images += _odd_images(vectors, first, rows)


def _odd_images(vectors: NDArray[np.float16], first: int, rows: Rows) -> list[int]:
    """Images with a row here that is not a unit vector."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)  # [n]
        odd = ~(np.abs(lengths - 1.0) <= _OFF)
    return rows.owners(first + np.flatnonzero(odd))


def _read(descriptor: int, start: int, n_bytes: int) -> bytes:
    """Bytes of the file; fewer only at its end."""
    parts: list[bytes] = []
    while n_bytes and (part := os.pread(descriptor, n_bytes, start)):
        parts.append(part)
        start += len(part)
        n_bytes -= len(part)
    return b"".join(parts)
