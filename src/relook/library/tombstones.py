"""Images that are taken out, and what is kept of them until they come back. Layer: library.

An image that a judgement or a query names, or that has words, leaves a tombstone
when it is taken out: its id, its content and its words. It is no hit and is not counted. When
its content comes back, at whatever path, it takes its old id, and its words and judgements
count again.

`relook doctor --repair` takes out images whose vectors are damaged. It leaves their ids and
words in the table `dropped`; the next image at such a path gets both back.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from relook.core.picture_paths import original_path
from relook.library.records import ImageRecord, Words

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
Ask = Callable[[str, Sequence[object]], list[tuple[object, ...]]]
"""A catalog's `ask`."""
DROPPED = """
CREATE TABLE IF NOT EXISTS dropped (
    path BLOB PRIMARY KEY,
    image_id INTEGER NOT NULL,
    title TEXT NOT NULL,
    caption TEXT NOT NULL,
    metadata TEXT NOT NULL
);
"""
"""The table, as the catalog makes it."""
OBJECT = "CASE WHEN json_valid(metadata) THEN json_type(metadata) ELSE 'damaged' END"
"""What kind of JSON the metadata of an image is, in SQL."""


def bury(db: sqlite3.Connection, image_ids: Collection[int], *, words: bool, every: bool) -> None:
    """Takes images out of the catalog. Inside a transaction.

    Args:
        db: Of the transaction.
        image_ids: Which.
        words: Whether their words are kept, too; else only ids that sessions refer to.
        every: Whether all leave a tombstone, as other servers may have marked them.
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
        The image, and the id it gets back; None for a new id.
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
    """Image id -> path, for those of the given images that left a tombstone."""
    if not _has(db, "tombstones"):
        return {}
    sql = "SELECT image_id, path FROM tombstones WHERE image_id = ?"
    rows = [db.execute(sql, (image_id,)).fetchone() for image_id in image_ids]
    return {row[0]: original_path(row[1]) for row in rows if row}


def lies_buried(ask: Ask, path: bytes, content: bytes) -> bool:
    """Whether an image with this content was taken out at this path and left a tombstone."""
    sql = (
        "SELECT path FROM tombstones WHERE content = ?"
        " AND image_id NOT IN (SELECT image_id FROM images)"
    )
    return any(original_path(row[0]) == path for row in ask(sql, (content,)))  # type: ignore[arg-type]


def sweep_tombstones(db: sqlite3.Connection) -> int:
    """Removes tombstones that nothing refers to; returns how many. Inside a transaction."""
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


def drop(db: sqlite3.Connection, image_ids: list[int]) -> None:
    """Takes images out, to be indexed again. Inside a transaction."""
    ids = [(image_id,) for image_id in image_ids]
    db.executemany(
        f"INSERT OR REPLACE INTO dropped SELECT path, image_id, {_text('title')},"
        f" {_text('caption')}, CASE {OBJECT} WHEN 'object' THEN metadata ELSE '{{}}' END"
        " FROM images WHERE image_id = ?",
        ids,
    )
    db.executemany("DELETE FROM images WHERE image_id = ?", ids)


def taken_back(db: sqlite3.Connection, record: ImageRecord) -> tuple[ImageRecord, int | None]:
    """A new image with the id and words of the image that was dropped at its path.

    Args:
        db: Of a transaction.
        record: The image; its own words win.

    Returns:
        The image, and the id it gets back; None for a new id.
    """
    path = (record.facts.path,)
    sql = "SELECT image_id, title, caption, metadata FROM dropped WHERE path = ?"
    row = db.execute(sql, path).fetchone()
    if row is None:
        return record, None
    db.execute("DELETE FROM dropped WHERE path = ?", path)
    image_id, title, caption, metadata = row
    own = Words(record.title, record.caption, record.metadata)
    words = own.over(Words(title, caption, json.loads(metadata)))
    restored = replace(record, title=words.title, caption=words.caption, metadata=words.metadata)
    return restored, int(image_id)


def _text(column: str) -> str:
    return f"CASE typeof({column}) WHEN 'text' THEN {column} ELSE '' END"


def likeness(path: bytes, other: bytes) -> tuple[bool, int, int, int]:
    """Higher for paths that are more alike: the same name, the longer common end, then beginning.

    Returns:
        Whether the names are equal; parts of the path, then bytes, that the ends share; parts
        that the beginnings share.
    """
    parts, others = path.split(b"/"), other.split(b"/")
    n_parts = _n_common(reversed(parts), reversed(others))
    n_bytes = _n_common(reversed(path), reversed(other))
    return n_parts > 0, n_parts, n_bytes, _n_common(parts, others)


def _n_common(values: Iterable[object], others: Iterable[object]) -> int:
    both = zip(values, others, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both))
