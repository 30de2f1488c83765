"""Images that are taken out, and what is kept of them until they come back. Layer: library.

An image that a judgement, a query, a concept or an album names, or that has words, leaves a
tombstone when it is taken out: its id, its content and its words. It is no hit and is not counted.
When its content comes back, at whatever path, it takes its old id, and its words and judgements
count again.

`relook doctor --repair` takes out images whose vectors are damaged. It leaves tombstones of all of
them, and their ids and words in the table `dropped`: the next image at such a path gets both
back, and so does one with that content at any other path.
"""

import itertools
import json
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from relook.core.picture_paths import original_path, split_member
from relook.library.records import ImageRecord, Words
from relook.library.whereabouts import place_of

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
    named = referred(_asking(db))
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


def returning(db: sqlite3.Connection, record: ImageRecord) -> tuple[ImageRecord, int | None]:
    """A new image with the id and the words of the one that was there before, if there was one.

    That is the one which a repair took out at its path with its content, else one that had its
    content anywhere, else the one which a repair took out at its path: the file was edited.

    Args:
        db: Of a transaction.
        record: The image; its own words win.

    Returns:
        The image, and the id it gets back; None for a new id.
    """
    sql = (
        "SELECT dropped.image_id, dropped.title, dropped.caption, dropped.metadata, content"
        " FROM dropped LEFT JOIN tombstones USING (image_id) WHERE dropped.path = ?"
        " AND image_id NOT IN (SELECT image_id FROM images)"
    )
    dropped = db.execute(sql, (record.facts.path,)).fetchone()
    is_itself = dropped is not None and dropped[4] in (None, record.content)
    row = dropped if is_itself else _buried_row(db, record) or dropped
    if row is None:
        return record, None
    image_id, title, caption, metadata, *_ = row
    for table in ("tombstones", "dropped"):
        db.execute(f"DELETE FROM {table} WHERE image_id = ?", (image_id,))
    own = Words(record.title, record.caption, record.metadata)
    both = own.over(Words(title, caption, json.loads(metadata)))
    back = replace(record, title=both.title, caption=both.caption, metadata=both.metadata)
    return back, int(image_id)


def _buried_row(db: sqlite3.Connection, record: ImageRecord) -> tuple[Any, ...] | None:
    """Id and words of the tombstone with an image's content, at the path that is most alike."""
    sql = (
        "SELECT image_id, title, caption, metadata, path FROM tombstones WHERE content = ?"
        " AND image_id NOT IN (SELECT image_id FROM images)"
    )
    rows = db.execute(sql, (record.content,)).fetchall()
    rows = [row for row in rows if not _is_expected(db, row[0])]
    path = record.facts.path
    return max(rows, key=lambda row: (likeness(original_path(row[4]), path), -row[0]), default=None)


def _is_expected(db: sqlite3.Connection, image_id: int) -> bool:
    """Whether the file of an image that a repair took out is there, and only has to be read."""
    # One whose file cannot be used now does not wait for it.
    sql = "SELECT path FROM dropped WHERE image_id = ? AND path NOT IN (SELECT path FROM skipped)"
    row = db.execute(sql, (image_id,)).fetchone()
    if row is None:
        return False
    member = split_member(row[0])
    return os.path.lexists(member[0] if member else row[0])


def kept_contents(ask: Ask, image_ids: Iterable[int]) -> dict[int, tuple[bytes, bytes]]:
    """Image id -> content and path, for those of the given images that left a tombstone."""
    if not ask("SELECT 1 FROM sqlite_master WHERE name = 'tombstones'", ()):
        return {}  # a catalog of an older version, which may only be read
    sql = "SELECT image_id, content, path FROM tombstones WHERE image_id = ?"
    rows = [row for image_id in image_ids for row in ask(sql, (image_id,))]
    return {row[0]: (row[1], original_path(row[2])) for row in rows}  # type: ignore[misc, arg-type]


def buried_with(ask: Ask, content: bytes) -> list[tuple[int, bytes]]:
    """Id and path of the images with a content that left a tombstone, oldest first."""
    sql = (
        "SELECT image_id, path FROM tombstones WHERE content = ?"
        " AND image_id NOT IN (SELECT image_id FROM images) ORDER BY image_id"
    )
    return [(row[0], original_path(row[1])) for row in ask(sql, (content,))]  # type: ignore[misc, arg-type]


def lies_buried(ask: Ask, path: bytes, content: bytes) -> bool:
    """Whether an image with this content was taken out at this path and left a tombstone."""
    return any(kept == path for _, kept in buried_with(ask, content))


def sweep_tombstones(db: sqlite3.Connection) -> int:
    """Removes tombstones that nothing refers to; returns how many. Inside a transaction."""
    sql = f"SELECT image_id FROM tombstones WHERE NOT {_SAID}"
    rows = db.execute(sql).fetchall()
    if not rows:
        return 0
    named = referred(_asking(db))
    gone = [row for row in rows if row[0] not in named]
    db.executemany("DELETE FROM tombstones WHERE image_id = ?", gone)
    return len(gone)


def referred(ask: Ask) -> set[int]:
    """Ids of the images that a judgement, a session's query, a concept or an album names.

    Args:
        ask: Of the catalog.
    """
    questions = {
        "judgements": "SELECT image_id FROM judgements UNION"
        " SELECT part.value FROM sessions,"
        " json_tree(CASE WHEN json_valid(query) THEN query ELSE '{}' END) AS part"
        " WHERE part.key = 'image_id'",
        "concept_examples": "SELECT image_id FROM concept_examples",
        "album_images": "SELECT image_id FROM album_images",
        "undone_steps": "SELECT json_extract(step, '$.mark.image_id') FROM undone_steps"
        " WHERE json_valid(step)",  # which may be made again
    }
    tables = {row[0] for row in ask("SELECT name FROM sqlite_master WHERE type = 'table'", ())}
    rows = [row for table, sql in questions.items() if table in tables for row in ask(sql, ())]
    return {row[0] for row in rows if isinstance(row[0], int)}


def _asking(db: sqlite3.Connection) -> Ask:
    return lambda sql, values: db.execute(sql, values).fetchall()


def rename_in_sessions(db: sqlite3.Connection, new_ids: Mapping[int, int]) -> None:
    """Makes all that sessions, concepts and albums hold of some images be of others.

    Inside a transaction.

    Args:
        db: Of the transaction.
        new_ids: Image id -> the one that takes its place.
    """
    pairs = [(new, old) for old, new in new_ids.items()]
    if _has(db, "concept_examples"):
        db.executemany("UPDATE concept_examples SET image_id = ? WHERE image_id = ?", pairs)
    if _has(db, "album_images"):  # which may hold both: then it has the other already
        db.executemany("UPDATE OR IGNORE album_images SET image_id = ? WHERE image_id = ?", pairs)
        lost = [(old,) for _, old in pairs]
        db.executemany("DELETE FROM album_images WHERE image_id = ?", lost)
    if not new_ids or not _has(db, "judgements"):
        return
    db.executemany("UPDATE judgements SET image_id = ? WHERE image_id = ?", pairs)
    for rowid, text in db.execute(
        "SELECT rowid, query FROM sessions WHERE json_valid(query) AND query LIKE '%image_id%'"
    ).fetchall():
        query = json.loads(text)
        for part in query.get("parts", ()):
            part["image_id"] = new_ids.get(part.get("image_id"), part.get("image_id"))
        db.execute("UPDATE sessions SET query = ? WHERE rowid = ?", (json.dumps(query), rowid))
    for rowid, text in db.execute(
        "SELECT rowid, hits FROM rounds WHERE json_valid(hits)"
    ).fetchall():
        hits = json.loads(text)
        if not any(hit[0] in new_ids for hit in hits):
            continue
        renamed: dict[int, list[object]] = {}  # two that are one now are one hit
        for image_id, *rest in hits:
            now = new_ids.get(image_id, image_id)
            renamed.setdefault(now, [now, *rest])
        kept = (json.dumps(list(renamed.values())), rowid)
        db.execute("UPDATE rounds SET hits = ? WHERE rowid = ?", kept)


def n_marks(db: sqlite3.Connection, image_ids: Sequence[int]) -> int:
    """How many judgements are of some images."""
    return _n_rows(db, "judgements", "count(*)", image_ids)


def n_in_albums(db: sqlite3.Connection, image_ids: Sequence[int]) -> int:
    """How many of some images albums hold."""
    return _n_rows(db, "album_images", "count(DISTINCT image_id)", image_ids)


def _n_rows(db: sqlite3.Connection, table: str, count: str, image_ids: Sequence[int]) -> int:
    if not _has(db, table):
        return 0
    total = 0
    for at in range(0, len(image_ids), _AT_ONCE):
        some = image_ids[at : at + _AT_ONCE]
        sql = f"SELECT {count} FROM {table} WHERE image_id IN ({','.join('?' * len(some))})"
        total += int(db.execute(sql, list(some)).fetchone()[0])
    return total


def _has(db: sqlite3.Connection, table: str) -> bool:
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return db.execute(sql, (table,)).fetchone() is not None


def drop(db: sqlite3.Connection, image_ids: list[int]) -> None:
    """Takes images out, to be indexed again at any path. Inside a transaction."""
    ids = [(image_id,) for image_id in image_ids]
    words = (
        f"{_text('title')}, {_text('caption')},"
        f" CASE {OBJECT} WHEN 'object' THEN metadata ELSE '{{}}' END"
    )
    db.executemany(
        f"INSERT OR REPLACE INTO dropped SELECT path, image_id, {words} FROM images"
        " WHERE image_id = ? AND typeof(path) = 'blob'",
        ids,
    )
    db.executemany(
        f"INSERT OR REPLACE INTO tombstones SELECT image_id, path, content, {words}, {time.time()}"
        " FROM images WHERE image_id = ? AND typeof(path) = 'blob' AND typeof(content) = 'blob'",
        ids,
    )
    db.executemany("DELETE FROM images WHERE image_id = ?", ids)
    # What is indexed again is new in its folder: beside what it lay before proves nothing.
    db.executemany("DELETE FROM whereabouts WHERE image_id = ?", ids)


def sweep_dropped(db: sqlite3.Connection, places: Collection[bytes]) -> None:
    """Lets a later file at the path of an image that a repair took out be another picture.

    Inside a transaction, after a run that has read every file. The tombstones stay.

    Args:
        db: Of the transaction.
        places: Folders and archives that the run has seen: what was dropped there and is neither
            an image nor skipped was deleted.
    """
    rows = db.execute(
        "SELECT path FROM dropped WHERE path NOT IN (SELECT path FROM skipped)"
    ).fetchall()
    gone = [row for row in rows if place_of(row[0]) in places]
    db.executemany("DELETE FROM dropped WHERE path = ?", gone)


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


def pairs(arrived: Sequence[bytes], lost: Sequence[bytes]) -> list[tuple[int, int]]:
    """Which lost image each arrived file of one content is: the most alike first.

    Args:
        arrived: Paths of files.
        lost: Paths of images whose files are not where they were.

    Returns:
        (position in `arrived`, position in `lost`); each at most once.
    """
    ranked = sorted(
        (
            (likeness(original_path(image), path), at, which)
            for at, path in enumerate(arrived)
            for which, image in enumerate(lost)
        ),
        key=lambda pair: ([-int(part) for part in pair[0]], arrived[pair[1]], pair[2]),
    )
    taken_files: set[int] = set()
    taken_images: set[int] = set()
    paired = []
    for _, at, which in ranked:
        if at not in taken_files and which not in taken_images:
            taken_files.add(at)
            taken_images.add(which)
            paired.append((at, which))
    return paired


def _n_common(values: Iterable[object], others: Iterable[object]) -> int:
    both = zip(values, others, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both))
