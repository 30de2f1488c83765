"""Which archives were listed whole, so that an unchanged one costs a stat. Layer: library."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from relook.core.picture_paths import member_path
from relook.core.vectors import Ints
from relook.library.catalog import Catalog
from relook.library.records import FileFacts

__all__ = ["images_inside", "is_unchanged", "remember", "skipped_inside"]


def is_unchanged(catalog: Catalog, facts: FileFacts) -> bool:
    """Whether the library has everything of this archive, as it is now."""
    sql = "SELECT size_bytes, mtime_ns, n_members FROM archives WHERE path = ?"
    kept = catalog.ask(sql, (facts.path,))
    return bool(kept) and kept[0] == (facts.size_bytes, facts.mtime_ns, _n(catalog, facts.path))


def images_inside(catalog: Catalog, archive: bytes) -> Ints:
    """[n] int64: ids of the images that are members of an archive."""
    rows = catalog.ask(_inside("SELECT image_id FROM images"), _range(archive))
    return np.array(rows, np.int64).reshape(-1)


def skipped_inside(catalog: Catalog, archive: bytes) -> list[bytes]:
    """Paths of an archive's members that could not be used."""
    rows = catalog.ask(_inside("SELECT path FROM skipped"), _range(archive))
    return [row[0] for row in rows]  # type: ignore[misc]


def remember(catalog: Catalog, listed: Mapping[bytes, FileFacts]) -> None:
    """Says that the library has everything of some archives, by path.

    Raises:
        StorageError: when the disk refuses.
    """
    rows = [
        (path, facts.size_bytes, facts.mtime_ns, _n(catalog, path))
        for path, facts in listed.items()
    ]
    if rows:
        with catalog.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO archives VALUES (?, ?, ?, ?)", rows)


def _n(catalog: Catalog, archive: bytes) -> int:
    """Members that are images, and those that could not be used."""
    found = [
        catalog.ask(_inside(f"SELECT count(*) FROM {table}"), _range(archive))[0][0]
        for table in ("images", "skipped")
    ]
    return sum(int(str(n)) for n in found)


def _inside(select: str) -> str:
    return f"{select} WHERE path >= ? AND path < ?"


def _range(archive: bytes) -> tuple[bytes, bytes]:
    first = member_path(archive, b"")
    return first, first[:-1] + bytes([first[-1] + 1])
