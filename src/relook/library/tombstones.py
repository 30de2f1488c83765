"""Taking images out, and what is kept of those that somebody refers to. Layer: library.

An image that a judgement or a query names, or of which something is said, leaves its id, its
content and its words here when it is taken out. It is no hit and is not counted. When its
content comes back, at whatever path, it takes its old id, and everything said of it holds again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from relook.core.picture_paths import original_path
from relook.library.path_likeness import likeness
from relook.library.records import ImageRecord, Words

__all__ = ["TOMBSTONES", "buried", "bury", "n_marks", "sweep_tombstones", "unburied"]

TOMBSTONES = """
CREATE TABLE IF NOT EXISTS tombstones (
    image_id INTEGER PRIMARY KEY,
    path BLOB NOT NULL,
    content BLOB NOT NULL,
    title TEXT NOT NULL,
    caption TEXT NOT NULL,
    metadata TEXT NOT NULL,
    removed_s REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS tombstones_content ON tombstones (content);
"""
"""The table, as the catalog makes it."""

_SAID = "(title <> '' OR caption <> '' OR metadata NOT IN ('', '{}'))"
_AT_ONCE = 500


def bury(db: sqlite3.Connection, image_ids: Collection[int], *, words: bool, every: bool) -> None:
    """Takes images out of the catalog. Inside a transaction.

    Args:
        db: Of the transaction.
        image_ids: Which.
        words: Whether what is said of them is kept, too; else only what sessions refer to.
        every: Whether all leave a tombstone: where other servers may have marked them.
    """
    if not image_ids:
        return
    named = referred(db)
    kept = "?, path, content, " + ("title, caption, metadata" if words else "'', '', '{}'")
    condition = f" AND {_SAID}" if words else " AND 0"
    now_s = time.time()
    for image_id in image_ids:
        whole = every or image_id in named
        db.execute(
            f"INSERT OR REPLACE INTO tombstones SELECT {kept}, ? FROM images"
            f" WHERE image_id = ?{'' if whole else condition}",
            (image_id, now_s, image_id),
        )
    ids = [(image_id,) for image_id in image_ids]
    db.executemany("DELETE FROM images WHERE image_id = ?", ids)
    db.executemany("DELETE FROM whereabouts WHERE image_id = ?", ids)


def unburied(db: sqlite3.Connection, record: ImageRecord) -> tuple[ImageRecord, int | None]:
    """A new image with the id and the words of the one that had its content.

    Of several, the one whose path is most like the new one comes back.

    Args:
        db: Of a transaction.
        record: The image; its own words win.

    Returns:
        The image, and the id it shall have; None for the next one.
    """
    sql = (
        "SELECT path, image_id, title, caption, metadata FROM tombstones WHERE content = ?"
        " AND image_id NOT IN (SELECT image_id FROM images)"
    )
    rows = db.execute(sql, (record.content,)).fetchall()
    if not rows:
        return record, None
    path = record.facts.path
    best = max(rows, key=lambda row: (likeness(original_path(row[0]), path), -row[1]))
    _, image_id, title, caption, metadata = best
    db.execute("DELETE FROM tombstones WHERE image_id = ?", (image_id,))
    own = Words(record.title, record.caption, record.metadata)
    both = own.over(Words(title, caption, json.loads(metadata)))
    back = replace(record, title=both.title, caption=both.caption, metadata=both.metadata)
    return back, int(image_id)


def buried(db: sqlite3.Connection, image_ids: Iterable[int]) -> dict[int, bytes]:
    """Paths of those of some images that left a tombstone."""
    if not _has(db, "tombstones"):
        return {}
    sql = "SELECT image_id, path FROM tombstones WHERE image_id = ?"
    rows = [db.execute(sql, (image_id,)).fetchone() for image_id in image_ids]
    return {row[0]: original_path(row[1]) for row in rows if row}


def sweep_tombstones(db: sqlite3.Connection) -> int:
    """Removes those that nothing refers to any more; returns how many. Inside a transaction."""
    sql = f"SELECT image_id FROM tombstones WHERE NOT {_SAID}"
    rows = db.execute(sql).fetchall()
    if not rows:
        return 0
    named = referred(db)
    gone = [row for row in rows if row[0] not in named]
    db.executemany("DELETE FROM tombstones WHERE image_id = ?", gone)
    return len(gone)


def referred(db: sqlite3.Connection) -> set[int]:
    """Ids of the images that a judgement or a session's query names."""
    if not _has(db, "judgements"):
        return set()
    named = db.execute(
        "SELECT image_id FROM judgements UNION"
        " SELECT part.value FROM sessions,"
        " json_tree(CASE WHEN json_valid(query) THEN query ELSE '{}' END) AS part"
        " WHERE part.key = 'image_id'"
    )
    return {row[0] for row in named.fetchall() if isinstance(row[0], int)}


def n_marks(db: sqlite3.Connection, image_ids: Sequence[int]) -> int:
    """How many judgements are of some images."""
    if not _has(db, "judgements"):
        return 0
    total = 0
    for at in range(0, len(image_ids), _AT_ONCE):
        some = image_ids[at : at + _AT_ONCE]
        sql = f"SELECT count(*) FROM judgements WHERE image_id IN ({','.join('?' * len(some))})"
        total += int(db.execute(sql, list(some)).fetchone()[0])
    return total


def _has(db: sqlite3.Connection, table: str) -> bool:
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return db.execute(sql, (table,)).fetchone() is not None
