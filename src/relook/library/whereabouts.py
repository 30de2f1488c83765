"""Where each image's file was seen last, and which images are away. Layer: library.

A *place* is one folder (or archive) as it was when pictures were seen in it: its path with
what tells it from another folder at the same path, the file system and the inode. Images share
a place's row when they were seen in it together; what came while one of them was missing has
another row of the same folder, so that it never tells anything about that one. An image is
*away* while its file cannot be reached; an *absence* says where and why. Both are kept beside
the table of images, so that a change of them is no change of an image.
"""

import os
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from relook.core.converter import JsonValue
from relook.core.errors import counted
from relook.core.json_form import PATH
from relook.core.picture_paths import printable, split_member, split_scene
from relook.core.vectors import Ints

WHEREABOUTS = """
CREATE TABLE IF NOT EXISTS places (
    place_id INTEGER PRIMARY KEY,
    path BLOB NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS places_path ON places (path);
CREATE TABLE IF NOT EXISTS absences (
    absence_id INTEGER PRIMARY KEY,
    place BLOB NOT NULL,
    reason TEXT NOT NULL,
    since_s REAL NOT NULL,
    UNIQUE (place, reason)
);
CREATE TABLE IF NOT EXISTS whereabouts (
    image_id INTEGER PRIMARY KEY,
    place_id INTEGER,
    absence_id INTEGER
);
CREATE INDEX IF NOT EXISTS whereabouts_away ON whereabouts (absence_id)
    WHERE absence_id IS NOT NULL;
"""
"""The tables, as the catalog makes them."""
HOME = "CREATE TABLE IF NOT EXISTS home (path BLOB PRIMARY KEY);\n"
"""Where the library's folder was when it was written to last."""

Identity = tuple[int, int]
"""File system and inode of a folder."""
NOWHERE: Identity = (0, 0)
"""Of an archive or a remote folder: what is at its path is it."""


@dataclass(frozen=True, slots=True)
class Absence(JsonValue):
    """Images that are away for one reason.

    Args:
        place: The folder, archive, file or address that cannot be reached or has changed.
        reason: Why ("is not there").
        n: How many images.
    """

    place: Annotated[bytes, PATH]
    reason: str
    n: int


def device_of(folder: bytes, facts: os.stat_result) -> int:
    """A number for the file system that a folder is on.

    The file system's own number is used where there is one: it stays the same at every mount.
    Numbers of devices change as disks come and go.
    """
    try:
        number = os.statvfs(folder).f_fsid
    except OSError:
        number = 0
    return _signed(number or facts.st_dev)


def _signed(number: int) -> int:
    """The number as SQLite stores 64 bits."""
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number


def identity_of(device: int, facts: os.stat_result) -> Identity:
    """The numbers that tell a folder from another one at its path."""
    return device, _signed(facts.st_ino)


def place_of(path: bytes) -> bytes:
    """The archive or folder that a picture is in; of a video's scene the folder of the video."""
    member = None if split_scene(path) else split_member(path)
    return member[0] if member else os.path.dirname(path)


def newest_place(db: sqlite3.Connection) -> int:
    """The id of the row of `places` that was made last; 0 when there is none."""
    return int(db.execute("SELECT coalesce(max(place_id), 0) FROM places").fetchone()[0])


def put_place(
    db: sqlite3.Connection, image_id: int, path: bytes, identity: Identity, after: int
) -> None:
    """Records the place of an image's file; the image is not away then. Inside a transaction.

    An image that stays in its folder keeps its row there. A new one takes a row that was made
    since this run began: it is not known yet which of the others are still there.

    Args:
        db: Of the transaction.
        image_id: Which image.
        path: The folder or archive that its file is in.
        identity: What that is now.
        after: What `newest_place` was when the run began.
    """
    where = "path = ? AND device = ? AND inode = ?"
    kept = f"SELECT place_id FROM whereabouts JOIN places USING (place_id) WHERE {where}"
    row = db.execute(f"{kept} AND image_id = ?", (path, *identity, image_id)).fetchone()
    if row is None:
        made = f"SELECT place_id FROM places WHERE {where} AND place_id > ? LIMIT 1"
        row = db.execute(made, (path, *identity, after)).fetchone()
    place_id = row[0] if row else _new_place(db, path, identity)
    db.execute("INSERT OR REPLACE INTO whereabouts VALUES (?, ?, NULL)", (image_id, place_id))


def join_places(
    db: sqlite3.Connection, images: Iterable[tuple[int, int, int]], rows: Mapping[int, int]
) -> None:
    """Gives images that were seen together one row of `places`. Inside a transaction.

    Args:
        db: Of the transaction.
        images: New row, image id and old row of each that was there before.
        rows: Rows that were made in this run, all of whose images get another, and which.
    """
    sql = "UPDATE whereabouts SET place_id = ? WHERE image_id = ? AND place_id = ?"
    db.executemany(sql, images)
    if rows:
        db.execute("CREATE TEMP TABLE joined (place_id INTEGER PRIMARY KEY, target INTEGER)")
        db.executemany("INSERT INTO joined VALUES (?, ?)", rows.items())
        db.execute(
            "UPDATE whereabouts SET place_id = (SELECT target FROM joined"
            " WHERE joined.place_id = whereabouts.place_id)"
            " WHERE place_id IN (SELECT place_id FROM joined)"
        )
        db.execute("DROP TABLE joined")


def _new_place(db: sqlite3.Connection, path: bytes, identity: Identity) -> int:
    sql = "INSERT INTO places (path, device, inode) VALUES (?, ?, ?)"
    return int(db.execute(sql, (path, *identity)).lastrowid or 0)


def mark_away(
    db: sqlite3.Connection, images: Iterable[tuple[int, bytes, str]], now_s: float
) -> None:
    """Records that images are away. Inside a transaction.

    Args:
        db: Of the transaction.
        images: Image id, place, reason of each.
        now_s: The time.
    """
    known: dict[tuple[bytes, str], int] = {}
    rows = []
    for image_id, place, reason in images:
        key = (place, reason)
        if key not in known:
            db.execute(
                "INSERT OR IGNORE INTO absences (place, reason, since_s) VALUES (?, ?, ?)",
                (*key, now_s),
            )
            sql = "SELECT absence_id FROM absences WHERE place = ? AND reason = ?"
            known[key] = db.execute(sql, key).fetchone()[0]
        rows.append((image_id, known[key]))
    db.executemany(
        "INSERT INTO whereabouts (image_id, absence_id) VALUES (?, ?)"
        " ON CONFLICT (image_id) DO UPDATE SET absence_id = excluded.absence_id",
        rows,
    )
    _sweep(db)


def mark_back(db: sqlite3.Connection, image_ids: Iterable[int]) -> None:
    """Records that images can be reached again. Inside a transaction."""
    sql = "UPDATE whereabouts SET absence_id = NULL WHERE image_id = ?"
    db.executemany(sql, [(image_id,) for image_id in image_ids])
    _sweep(db)


def _sweep(db: sqlite3.Connection) -> None:
    db.execute(
        "DELETE FROM absences WHERE absence_id NOT IN"
        " (SELECT absence_id FROM whereabouts WHERE absence_id IS NOT NULL)"
    )


def has_whereabouts(db: sqlite3.Connection) -> bool:
    """Whether the catalog has these tables; one that an older version wrote may lack them."""
    sql = "SELECT count(*) FROM sqlite_master WHERE name IN ('whereabouts', 'absences')"
    return bool(db.execute(sql).fetchone()[0] == 2)


def away_ids(db: sqlite3.Connection) -> Ints:
    """[n] int64: ids of the images that are away, sorted."""
    if not has_whereabouts(db):
        return np.zeros(0, np.int64)
    sql = "SELECT group_concat(image_id) FROM whereabouts WHERE absence_id IS NOT NULL"
    text = db.execute(sql).fetchone()[0]
    return np.sort(np.fromstring(text or "", np.int64, sep=","))


def absences(db: sqlite3.Connection) -> list[Absence]:
    """Reasons why images are away, those with the most images first."""
    if not has_whereabouts(db):
        return []
    # Not "IN (SELECT ...)": that walks all images, where the index has the few that are away.
    sql = (
        "SELECT place, reason, count(*) AS n FROM whereabouts JOIN absences USING (absence_id)"
        " WHERE EXISTS (SELECT 1 FROM images WHERE images.image_id = whereabouts.image_id)"
        " GROUP BY absence_id ORDER BY n DESC, place"
    )
    return [Absence(place, reason, n) for place, reason, n in db.execute(sql).fetchall()]


def reasons_of(db: sqlite3.Connection, image_ids: Iterable[int]) -> dict[int, str]:
    """Image id -> reason, for those of the given images that are away."""
    if not has_whereabouts(db):
        return {}
    sql = (
        "SELECT image_id, place, reason FROM whereabouts JOIN absences USING (absence_id)"
        " WHERE image_id = ?"
    )
    rows = [db.execute(sql, (image_id,)).fetchone() for image_id in image_ids]
    return {row[0]: f"{printable(row[1])} {row[2]}" for row in rows if row}


def away_note(absences: list[Absence]) -> str:
    """One sentence on what is away; empty when nothing is."""
    n = sum(absence.n for absence in absences)
    if not n:
        return ""
    why = "; ".join(f"{printable(absence.place)} {absence.reason}" for absence in absences[:3])
    more = f"; and {counted(len(absences) - 3, 'more place')}" if len(absences) > 3 else ""
    return f"{counted(n, 'picture is', 'pictures are')} away: {why}{more}"
