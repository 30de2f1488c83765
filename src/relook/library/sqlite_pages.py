"""Rows in a SQLite file whose trees are torn: every leaf page is read by itself. Layer: library.

SQLite finds a row through pages above it. When one of those is damaged the rows below are
still in the file, on leaf pages that nothing leads to; here they are read from there.

Source: https://www.sqlite.org/fileformat2.html (1.2 pages, 1.3 header, 1.5 free pages,
1.6 b-tree pages, 2.1 record format).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

Value = int | float | str | bytes | None
_MAGIC, _HEADER_BYTES = b"SQLite format 3\0", 100
_TABLE_LEAF = 0x0D
_PAGE_BYTES = 4096  # SQLite's default, where the header is gone
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # serial type -> bytes


def stray_rows(path: Path) -> Iterator[tuple[int, tuple[Value, ...]]]:
    """Rowid and columns of every row on a leaf page in use, whatever table it belongs to.

    Where the header is damaged nobody can tell free pages: rows that were deleted may be
    among the others then.
    """
    file = _File(path.read_bytes())
    for number in range(1, file.n_pages + 1):
        if number not in file.free:
            yield from file.rows(number)


class _File:
    """The pages of a database file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        whole = data.startswith(_MAGIC)
        (size,) = struct.unpack_from(">H", data, 16) if whole else (_PAGE_BYTES,)
        self._size = 65_536 if size == 1 else size
        if self._size < 512 or self._size & (self._size - 1):
            self._size, whole = _PAGE_BYTES, False
        self._usable = self._size - (data[20] if whole else 0)
        self.n_pages = len(data) // self._size
        self.free = self._free_pages() if whole else set()

    def _page(self, number: int) -> bytes:
        if not 1 <= number <= self.n_pages:
            raise ValueError(f"no page {number}")
        return self._data[(number - 1) * self._size : number * self._size]

    def _free_pages(self) -> set[int]:
        free: set[int] = set()
        (trunk,) = struct.unpack_from(">I", self._data, 32)
        while 1 <= trunk <= self.n_pages and trunk not in free:
            page = self._page(trunk)
            free.add(trunk)
            trunk, n_leaves = struct.unpack_from(">II", page)
            n_leaves = min(n_leaves, self._usable // 4 - 2)
            free.update(struct.unpack_from(f">{n_leaves}I", page, 8))
        return free

    def rows(self, number: int) -> Iterator[tuple[int, tuple[Value, ...]]]:
        """What a page holds that is a leaf of a table; nothing for another page."""
        page, at = self._page(number), _HEADER_BYTES if number == 1 else 0
        if page[at] != _TABLE_LEAF:
            return
        (n_cells,) = struct.unpack_from(">H", page, at + 3)
        for cell in range(min(n_cells, self._usable // 2)):
            try:
                (start,) = struct.unpack_from(">H", page, at + 8 + 2 * cell)
                yield self._cell(page, start)
            except (ValueError, IndexError, struct.error):
                continue  # this one is damaged; its neighbours need not be

    def _cell(self, page: bytes, start: int) -> tuple[int, tuple[Value, ...]]:
        n_bytes, at = _varint(page, start)
        rowid, at = _varint(page, at)
        return rowid, _record(self._payload(page, at, n_bytes))

    def _payload(self, page: bytes, at: int, n_bytes: int) -> bytes:
        """The bytes of a record, those on overflow pages included."""
        most, least = self._usable - 35, (self._usable - 12) * 32 // 255 - 23
        if not 0 <= n_bytes <= len(self._data):
            raise ValueError("a record longer than the file")
        if n_bytes <= most:
            local = n_bytes
        else:
            local = least + (n_bytes - least) % (self._usable - 4)
            local = local if local <= most else least
        parts, left = [page[at : at + local]], n_bytes - local
        if left:
            (following,) = struct.unpack_from(">I", page, at + local)
        while left:
            more = self._page(following)
            parts.append(more[4 : min(self._usable, 4 + left)])
            left -= len(parts[-1])
            (following,) = struct.unpack_from(">I", more)
        return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    value = 0
    for n in range(8):
        byte = data[at + n]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + n + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >= 1 << 63 else value, at + 9


def _record(data: bytes) -> tuple[Value, ...]:
    head, at = _varint(data, 0)
    types = []
    while at < head:
        kind, at = _varint(data, at)
        types.append(kind)
    values: list[Value] = []
    for kind in types:
        value, at = _value(data, at, kind)
        values.append(value)
    if at != len(data):
        raise ValueError("a record that is longer than its columns")
    return tuple(values)


def _value(data: bytes, at: int, kind: int) -> tuple[Value, int]:
    """One column, and where it ends."""
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind == 7:
        return struct.unpack_from(">d", data, at)[0], at + 8
    n_bytes = _INTEGERS[kind] if kind in _INTEGERS else (kind - 12) // 2
    part = data[at : at + n_bytes]
    if kind in (10, 11) or kind < 0 or len(part) < n_bytes:
        raise ValueError("no column")
    if kind in _INTEGERS:
        return int.from_bytes(part, "big", signed=True), at + n_bytes
    return (part.decode("utf-8") if kind % 2 else part), at + n_bytes
