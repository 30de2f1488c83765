"""Albums in the catalog: pictures that a person put together, by name. Layer: library.

An entry is an image, and the content that it had. It outlasts what happens to the file, as marks
do: away, moved, edited, removed and back. While an image is gone, another one of its content
stands in for it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from relook.core.errors import InputError, NotFoundError
from relook.library.album_values import (
    ALBUM,
    FAVOURITES,
    FAVOURITES_ID,
    MAX_ALBUM_NAME,
    Album,
    AlbumChange,
    album_name,
    name_key,
)
from relook.library.catalog import Catalog
from relook.library.sqlite_errors import whole_number
from relook.library.tombstones import sweep_tombstones

ALBUMS = """
CREATE TABLE IF NOT EXISTS albums (
    album_id INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL,
    created_s REAL NOT NULL,
    changed_s REAL NOT NULL,
    deleted_s REAL
);
CREATE TABLE IF NOT EXISTS album_images (
    entry_id INTEGER PRIMARY KEY AUTOINCREMENT,
    album_id INTEGER NOT NULL,
    image_id INTEGER NOT NULL,
    content BLOB,
    added_s REAL NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS album_images_once ON album_images (album_id, image_id);
CREATE INDEX IF NOT EXISTS album_images_image ON album_images (image_id);
"""
"""The tables of albums, as SQL."""
KEPT_S = 30 * 86400.0
"""How long an album that was deleted can be brought back."""
_ADOPT = (
    "INSERT OR IGNORE INTO albums"
    " SELECT DISTINCT album_id, '', 0, 0, NULL FROM album_images WHERE true"
)
_CHANGED = (
    "INSERT INTO counters VALUES ('album_changes', 1)"
    " ON CONFLICT (name) DO UPDATE SET value = value + 1"
)
# Each entry with the image that it is now: its own, or one of the content that this had last.
_HELD = (
    "SELECT album_id, entry_id, coalesce(own.image_id, (SELECT min(twin.image_id) FROM images AS"
    " twin WHERE twin.content = coalesce(gone.content, entry.content))) AS image_id"
    " FROM album_images AS entry"
    " LEFT JOIN images AS own ON own.image_id = entry.image_id"
    " LEFT JOIN tombstones AS gone ON gone.image_id = entry.image_id"
)


class AlbumTable:
    """The albums of one library. Reading makes no table.

        table.add("Trip", [hit.image_id for hit in page])
        library.search("a dog", where={"album": "Trip"})

    Albums are named by their names, in capitals or not, or by their ids.

    Args:
        catalog: Of the library.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def all(self, *, holding: int | None = None) -> list[Album]:
        """Every album, Favourites first, then by name.

        Args:
            holding: Only those that hold this image.
        """
        with self._catalog.reading():
            albums = self._counted(self._listed())
            if holding is None:
                return albums
            return [album for album in albums if holding in self.image_ids(album.album_id)]

    def deleted(self) -> list[Album]:
        """Albums that were deleted and can be brought back, the last one first."""
        with self._catalog.reading():
            return self._counted(self._deleted())

    def get(self, named: str | int) -> Album:
        """An album by its name or id.

        Raises:
            NotFoundError: `no_album`, with the names there are.
        """
        with self._catalog.reading():
            return self._counted([_chosen(self._listed(), named)])[0]

    def image_ids(self, named: str | int) -> list[int]:
        """Ids of the images that an album holds, in the order in which they were put there.

        Raises:
            NotFoundError: `no_album`.
        """
        if not self._is_there():
            return [] if _is_favourites(named) else _chosen([], named)  # type: ignore[return-value]
        album_id = named if isinstance(named, int) else _chosen(self._listed(), named).album_id
        sql = f"{_HELD} WHERE album_id = ? ORDER BY entry_id"
        rows = self._catalog.ask(sql, (_bounded(album_id),))
        return list(dict.fromkeys(whole_number(row[2]) for row in rows if row[2] is not None))

    def fitting(self, fits: Callable[[str], bool], name: str) -> list[int] | None:
        """Ids of the images in the albums that a filter names; None when it names none.

        Args:
            fits: Whether a name fits its pattern.
            name: The pattern: an album of exactly this name is meant alone.
        """
        albums = self._listed()
        named = [album for album in albums if name_key(album.name) == name_key(name)]
        chosen = named or [album for album in albums if fits(album.name)]
        if not chosen:
            return None
        return sorted({i for album in chosen for i in self.image_ids(album.album_id)})

    def version(self) -> int:
        """Another value after every change of an album, here or by another process."""
        return self._catalog.counter("album_changes")

    def together(self) -> AbstractContextManager[Any]:
        """Makes every change inside the block one: all of them, or none after a stop."""
        return self._writing()

    def create(self, name: str) -> Album:
        """Makes an empty album.

        Raises:
            InputError: `bad_name`; `name_taken` when there is one of this name.
        """
        with self._writing() as db:
            album_id = self._insert(db, album_name(name))
        return self.get(album_id)

    def add(self, named: str | int, image_ids: Iterable[int]) -> AlbumChange:
        """Puts images into an album: all of them, or none. A new name makes a new album.

        Raises:
            NotFoundError: `no_image` for an id that the library has not; `no_album` for the id
                of an album. InputError: `bad_name`.
        """
        wanted = list(dict.fromkeys(image_ids))
        with self._writing() as db:
            records = self._catalog.images(wanted)
            albums = self._listed()
            names = {name_key(album.name) for album in albums}
            if isinstance(named, str) and name_key(named) not in names:
                album_id = self._insert(db, album_name(named))
            else:
                album_id = _chosen(albums, named).album_id
            held = set(self.image_ids(album_id))
            rows = [
                (album_id, record.image_id, record.content, time.time())
                for record in records
                if record.image_id not in held
            ]
            sql = "INSERT OR IGNORE INTO album_images VALUES (NULL, ?, ?, ?, ?)"
            db.executemany(sql, rows)
            self._touch(db, album_id)
        return AlbumChange(self.get(album_id), len(rows))

    def remove(self, named: str | int, image_ids: Iterable[int]) -> AlbumChange:
        """Takes images out of an album; those that it does not hold change nothing.

        Raises:
            NotFoundError: `no_album`.
        """
        gone = set(image_ids)
        with self._writing() as db:
            album_id = _chosen(self._listed(), named).album_id
            rows = db.execute(f"{_HELD} WHERE album_id = ?", (album_id,)).fetchall()
            entries = [(entry_id, image_id) for _, entry_id, image_id in rows if image_id in gone]
            sql = "DELETE FROM album_images WHERE entry_id = ?"
            db.executemany(sql, [(entry_id,) for entry_id, _ in entries])
            sweep_tombstones(db)
            self._touch(db, album_id)
        return AlbumChange(self.get(album_id), len({image_id for _, image_id in entries}))

    def rename(self, named: str | int, name: str) -> Album:
        """Calls an album something else; sessions that keep to it follow.

        Raises:
            NotFoundError: `no_album`. InputError: `bad_name`, `name_taken`; `built_in_album`
                for Favourites.
        """
        new = album_name(name)
        with self._writing() as db:
            album = _changeable(_chosen(self._listed(), named), "called something else")
            self._refuse_taken(new, album.album_id)
            db.execute("UPDATE albums SET title = ? WHERE album_id = ?", (new, album.album_id))
            _rename_in_filters(db, album.name, new)
            self._touch(db, album.album_id)
        return self.get(album.album_id)

    def delete(self, named: str | int) -> Album:
        """Takes an album away; its pictures stay. It can be brought back for 30 days.

        Raises:
            NotFoundError: `no_album`. InputError: `built_in_album` for Favourites.
        """
        with self._writing() as db:
            album = _changeable(self.get(named), "deleted")
            now_s = time.time()
            sql = "UPDATE albums SET deleted_s = ? WHERE album_id = ?"
            db.execute(sql, (now_s, album.album_id))
            _sweep(db, now_s - KEPT_S)
            self._touch(db, album.album_id)
        return album

    def restore(self, named: str | int) -> Album:
        """Brings a deleted album back, with all that it held; the last one of a name.

        Raises:
            NotFoundError: `no_album`. InputError: `name_taken`: rename the other one first.
        """
        with self._writing() as db:
            album = _chosen(self._deleted(), named, "deleted album")
            self._refuse_taken(album.name, album.album_id)
            sql = "UPDATE albums SET deleted_s = NULL WHERE album_id = ?"
            db.execute(sql, (album.album_id,))
            self._touch(db, album.album_id)
        return self.get(album.album_id)

    def make(self) -> None:
        """Makes the tables, where they are missing, and albums for entries that lost theirs."""
        with self._catalog.transaction() as db:
            for statement in ALBUMS.split(";"):
                db.execute(statement)
            now_s = time.time()
            row = (FAVOURITES_ID, FAVOURITES, now_s, now_s)
            db.execute("INSERT OR IGNORE INTO albums VALUES (?, ?, ?, ?, NULL)", row)
            db.execute(_ADOPT)

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        if not self._is_there():
            self.make()
        return self._catalog.transaction()

    def _is_there(self) -> bool:
        sql = "SELECT 1 FROM sqlite_master WHERE name = 'album_images_image'"
        return bool(self._catalog.ask(sql))

    def _insert(self, db: sqlite3.Connection, name: str) -> int:
        self._refuse_taken(name)
        now_s = time.time()
        sql = "INSERT INTO albums VALUES (NULL, ?, ?, ?, NULL)"
        return int(db.execute(sql, (name, now_s, now_s)).lastrowid or 0)

    def _refuse_taken(self, name: str, album_id: int = 0) -> None:
        for album in self._listed():
            if name_key(album.name) == name_key(name) and album.album_id != album_id:
                raise InputError(
                    "name_taken", f"there is an album {album.name!r} already", "give another name"
                )

    def _touch(self, db: sqlite3.Connection, album_id: int) -> None:
        sql = "UPDATE albums SET changed_s = ? WHERE album_id = ?"
        db.execute(sql, (time.time(), album_id))
        db.execute(_CHANGED)

    def _deleted(self) -> list[Album]:
        """Albums that can be brought back, without counts."""
        return self._listed(f"deleted_s > {time.time() - KEPT_S}", "deleted_s DESC")

    def _listed(
        self, condition: str = "deleted_s IS NULL", order: str | None = None
    ) -> list[Album]:
        """Albums without counts; Favourites first, then by name, where no order is given."""
        if not self._is_there():
            is_listed = order is None
            return [Album(FAVOURITES_ID, FAVOURITES, is_built_in=True)] if is_listed else []
        columns = "album_id, CAST(title AS BLOB), created_s, changed_s"
        sql = f"SELECT {columns} FROM albums WHERE {condition} ORDER BY {order or 'album_id'}"
        albums = [_album(row) for row in self._catalog.ask(sql)]
        if order is None:
            albums.sort(key=lambda album: (not album.is_built_in, name_key(album.name)))
        return albums

    def _counted(self, albums: Sequence[Album]) -> list[Album]:
        """Albums with what they hold."""
        if not self._is_there():
            return list(albums)
        only = f" WHERE album_id = {albums[0].album_id:d}" if len(albums) == 1 else ""
        held: dict[object, set[int]] = {}
        n_removed: dict[object, int] = {}
        for album_id, _, image_id in self._catalog.ask(f"{_HELD}{only}"):
            if isinstance(image_id, int):
                held.setdefault(album_id, set()).add(image_id)
            else:
                n_removed[album_id] = n_removed.get(album_id, 0) + 1
        away = set(self._catalog.reasons({i for ids in held.values() for i in ids}))
        counted = []
        for album in albums:
            ids = held.get(album.album_id, set())
            n_away, n_gone = len(ids & away), n_removed.get(album.album_id, 0)
            counted.append(replace(album, n_images=len(ids), n_away=n_away, n_removed=n_gone))
        return counted


def adopt(db: sqlite3.Connection) -> int:
    """Gives entries whose album cannot be read an album without a name; returns how many.

    Inside a transaction.
    """
    return db.execute(_ADOPT).rowcount


def _album(row: Sequence[Any]) -> Album:
    album_id, title, created_s, changed_s = row
    is_built_in = album_id == FAVOURITES_ID
    name = FAVOURITES if is_built_in else _text(title) or f"Album {album_id}"
    return Album(
        int(album_id), name, created_s=_number(created_s), changed_s=_number(changed_s),
        is_built_in=is_built_in,
    )  # fmt: skip


def _text(data: object) -> str:
    return data.decode("utf-8", "replace")[:MAX_ALBUM_NAME] if isinstance(data, bytes) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _is_favourites(named: str | int) -> bool:
    return named == FAVOURITES_ID if isinstance(named, int) else (
        name_key(named) == FAVOURITES.casefold()
    )  # fmt: skip


def _bounded(album_id: int) -> int:
    """An id that SQLite takes; one that no album has for another."""
    return album_id if 0 < album_id < 2**63 else 0


def _chosen(albums: Sequence[Album], named: str | int, what: str = "album") -> Album:
    for album in albums:
        is_it = album.album_id == named if isinstance(named, int) else (
            name_key(album.name) == name_key(named)
        )  # fmt: skip
        if is_it:
            return album
    called = str(named) if isinstance(named, int) else f"{named!r:.80}"
    names = ", ".join(album.name for album in albums[:12])
    hint = f"it has {names}" if names else f"there is no {what}"
    raise NotFoundError("no_album", f"this library has no {what} {called}", hint)


def _changeable(album: Album, what: str) -> Album:
    if album.is_built_in:
        raise InputError(
            "built_in_album",
            f"{album.name} is always there and cannot be {what}",
            "take its pictures out, or make another album",
        )
    return album


def _sweep(db: sqlite3.Connection, before_s: float) -> None:
    """Lets albums go that were deleted before a time. Inside a transaction."""
    db.execute("DELETE FROM albums WHERE deleted_s < ?", (before_s,))
    db.execute("DELETE FROM album_images WHERE album_id NOT IN (SELECT album_id FROM albums)")
    sweep_tombstones(db)


def _rename_in_filters(db: sqlite3.Connection, old: str, new: str) -> None:
    """Has sessions that keep to an album name it as it is called now. Inside a transaction."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'rounds'").fetchone():
        return
    for key in (ALBUM, f"{ALBUM}!="):
        field = f'$.only.where."{key}"'
        rows = db.execute(
            "SELECT rowid, json_extract(record, ?1) FROM rounds WHERE json_valid(record)"
            " AND typeof(json_extract(record, ?1)) = 'text'",
            (field,),
        ).fetchall()
        same = [rowid for rowid, name in rows if name_key(name) == name_key(old)]
        sql = "UPDATE rounds SET record = json_set(record, ?, ?) WHERE rowid = ?"
        db.executemany(sql, [(field, new, rowid) for rowid in same])
