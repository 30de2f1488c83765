"""The catalog of a library: SQLite, the one truth about what is in it. Layer: library.

Every change is one transaction. Vector rows count only when an image here names them.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from relook.core.errors import LibraryBusyError, NotFoundError
from relook.core.progress import check_cancelled
from relook.core.types import Box
from relook.core.vectors import Ints
from relook.library.fact_table import FACTS, has_facts, make_facts
from relook.library.image_table import (
    COLUMNS,
    IMAGES,
    column_values,
    matching_sql,
    prepare,
    read_columns,
)
from relook.library.left_out import OTHER_FILES
from relook.library.records import FileFacts, ImageRecord, SkippedFile, checked_id
from relook.library.row_table import Snapshot, read_snapshot
from relook.library.sqlite_errors import DAMAGE, bad_text, database_error, whole_number
from relook.library.tombstones import DROPPED, TOMBSTONES, returning
from relook.library.whereabouts import HOME, WHEREABOUTS, Absence, absences, reasons_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tilings (tiling_id INTEGER PRIMARY KEY, boxes TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS skipped (
    path BLOB PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS archives (
    path BLOB PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    n_members INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS videos (
    digest BLOB PRIMARY KEY,
    n_most INTEGER NOT NULL,
    duration_s REAL NOT NULL,
    times_s TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS roots (path BLOB PRIMARY KEY);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS kept_manifest (manifest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sums (
    first_row INTEGER PRIMARY KEY, n_rows INTEGER NOT NULL, crc32 INTEGER NOT NULL
);
"""
TABLES = IMAGES + _SCHEMA + FACTS + DROPPED + WHEREABOUTS + TOMBSTONES + HOME + OTHER_FILES
"""Every table but those of sessions, as SQL."""


class Catalog:
    """The open catalog of one library. Safe to use from several threads.

    Args:
        path: The SQLite file.
        writable: Whether tables may be made and rows changed.

    Raises:
        LibraryFormatError: `bad_catalog` when the file is not a catalog.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        self.path, self.writable = path, writable
        self._lock = threading.RLock()
        self.before_commit: Callable[[sqlite3.Connection], None] | None = None
        self.after_commit: Callable[[], None] | None = None
        self._db = _connect(path, writable)
        try:
            if writable:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.executescript(TABLES)
                self._migrate()
            self._db.execute("SELECT count(*) FROM roots").fetchone()
        except DAMAGE as error:
            self._db.close()
            raise database_error(path, error) from error

    def _migrate(self) -> None:
        """Brings what an older version wrote up to date; later, while another process writes."""
        if not has_facts(self.counter):
            with suppress(LibraryBusyError), self.transaction() as db:
                make_facts(db)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: rolls back when the block raises. One inside another is part of it.

        Raises:
            LibraryBusyError, StorageError, LibraryFormatError: as `database_error` says.
            InputError: `bad_text` for a text with half a character in it.
        """
        with self._lock:
            if self._in_transaction():
                yield self._db
                return
            try:
                self._db.execute("BEGIN IMMEDIATE")
                n_before = self._db.total_changes
                yield self._db
                if self.before_commit is not None:  # a shared library publishes the commit
                    self.before_commit(self._db)
                self._db.execute("COMMIT")
            except BaseException as error:
                self._roll_back()
                if isinstance(error, sqlite3.DatabaseError):
                    raise database_error(self.path, error) from error
                if isinstance(error, UnicodeEncodeError):
                    raise bad_text(error) from error
                raise
            if self.after_commit is not None and self._db.total_changes != n_before:
                self.after_commit()

    def _in_transaction(self) -> bool:
        try:
            return self._db.in_transaction
        except sqlite3.ProgrammingError as error:  # it is closed
            raise database_error(self.path, error) from error

    def _roll_back(self) -> None:
        if self._in_transaction():
            self._db.execute("ROLLBACK")

    def listen(self, triggers: str) -> None:
        """Makes temporary triggers, which end with this connection."""
        with self._lock:
            self._db.executescript(triggers)

    def image_at(self, path: bytes) -> int:
        """Id of the image at a path; 0 for none. Raises as `ask`."""
        rows = self.ask("SELECT image_id FROM images WHERE path = ?", (path,))
        return int(str(rows[0][0])) if rows else 0

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """All rows of a SELECT.

        Raises:
            LibraryBusyError, StorageError, LibraryFormatError: as `database_error` says.
            InputError: `bad_text` for a value with half a character in it.
            CancelledWork: when this is part of work that was cancelled.
        """
        check_cancelled()
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except DAMAGE as error:
                raise database_error(self.path, error) from error
            except UnicodeEncodeError as error:
                raise bad_text(error) from error

    def version(self) -> tuple[int, int]:
        """Another value after every change, here or by another process."""
        with self._lock:
            ((elsewhere,),) = self.ask("PRAGMA data_version")
            return whole_number(elsewhere), self._db.total_changes

    def count(self, table: str) -> int:
        """Number of rows of `images` or `skipped`, with a WHERE perhaps."""
        return whole_number(self.ask(f"SELECT count(*) FROM {table}")[0][0])

    def n_tiles(self) -> int:
        """Number of vectors that count."""
        return whole_number(self.ask("SELECT coalesce(sum(n_tiles), 0) FROM images")[0][0])

    def end_row(self) -> int:
        """The row behind the last one that any image, living or removed, has used."""
        return self.counter("end_row")

    def vectors_file(self) -> int:
        """The number of the file that holds the rows, see `snapshot.vectors_path`."""
        return self.counter("vectors_file")

    def generation(self) -> int:
        """Grows with every change of images."""
        return self.counter("generation")

    def counter(self, name: str) -> int:
        """A stored counter; 0 until it is set."""
        values = self.ask("SELECT value FROM counters WHERE name = ?", (name,))
        return whole_number(values[0][0]) if values else 0

    def set_counter(self, db: sqlite3.Connection, name: str, value: int) -> None:
        """Stores a counter. Inside a transaction."""
        db.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (name, value))

    def images_with(self, content: bytes) -> list[ImageRecord]:
        """Images whose file has this digest, oldest first."""
        sql = f"SELECT image_id, {COLUMNS} FROM images WHERE content = ? ORDER BY image_id"
        return [read_columns(row) for row in self.ask(sql, (content,))]

    def images(self, image_ids: Iterable[int], *, missing_ok: bool = False) -> list[ImageRecord]:
        """Records of the given images, in the given order.

        Args:
            image_ids: Which.
            missing_ok: Leave out images that are gone.

        Raises:
            NotFoundError: `no_image` naming an id that the library does not have.
        """
        wanted = list(map(checked_id, image_ids))
        records: dict[int, ImageRecord] = {}
        possible = [image_id for image_id in wanted if 0 < image_id < 2**63]
        for at in range(0, len(possible), 500):
            some = possible[at : at + 500]
            marks = ",".join("?" * len(some))
            sql = f"SELECT image_id, {COLUMNS} FROM images WHERE image_id IN ({marks})"
            for row in self.ask(sql, some):
                records[whole_number(row[0])] = read_columns(row)
        missing = [image_id for image_id in wanted if image_id not in records]
        if missing and not missing_ok:
            raise NotFoundError(
                "no_image", f"the library has no image {missing[0]}", "it may have been removed"
            )
        return [records[image_id] for image_id in wanted if image_id in records]

    def contents(self, image_ids: Iterable[int]) -> dict[int, bytes]:
        """Image id -> digest of its file, for those of the given images that are there."""
        some = "SELECT value FROM json_each(?)"
        sql = f"SELECT image_id, content FROM images WHERE image_id IN ({some})"
        return dict(self.ask(sql, (json.dumps(list(image_ids)),)))  # type: ignore[arg-type]

    def each_image(self) -> Iterator[ImageRecord]:
        """Every image, by id; a thousand in memory at once."""
        sql = f"SELECT image_id, {COLUMNS} FROM images WHERE image_id > ? ORDER BY image_id"
        last = 0
        while rows := self.ask(f"{sql} LIMIT 1000", (last,)):
            for row in rows:
                yield read_columns(row)
            last = whole_number(rows[-1][0])

    def metadata_keys(self, n_images: int, n_keys: int) -> list[str]:
        """The first `n_keys` keys, sorted, of the metadata of at most `n_images` images."""
        some = "(SELECT metadata FROM images LIMIT ?) AS some, json_each(some.metadata) AS each"
        sql = f"SELECT DISTINCT each.key FROM {some} ORDER BY each.key LIMIT ?"
        return [str(key) for (key,) in self.ask(sql, (n_images, n_keys))]

    def tiling(self, tiling_id: int) -> tuple[Box, ...]:
        """The boxes of a tiling, in the order of the rows."""
        rows = self.ask("SELECT boxes FROM tilings WHERE tiling_id = ?", (tiling_id,))
        return tuple(Box(*edges) for edges in json.loads(str(rows[0][0])))

    def skipped(self) -> list[SkippedFile]:
        """Files that could not be indexed, by path."""
        sql = "SELECT path, size_bytes, mtime_ns, code, message FROM skipped ORDER BY path"
        return [SkippedFile(FileFacts(*row[:3]), *row[3:]) for row in self.ask(sql)]  # type: ignore[arg-type]

    def roots(self) -> list[bytes]:
        """Folders and files that were given to index, by path."""
        return [row[0] for row in self.ask("SELECT path FROM roots ORDER BY path")]  # type: ignore[misc]

    def absences(self) -> list[Absence]:
        """Reasons why images are away, those with the most images first."""
        with self.reading():
            return absences(self._db)

    def reasons(self, image_ids: Iterable[int]) -> dict[int, str]:
        """Image id -> reason, for those of the given images that are away."""
        with self.reading():
            return reasons_of(self._db, image_ids)

    def row_table(self) -> Ints:
        """[n, 3] int64: first row, number of tiles, image id; sorted by first row."""
        return self.snapshot().rows

    def matching(self, where: dict[str, str], path: str | None) -> Ints:
        """Ids of the images whose metadata and path fit, sorted.

        Args:
            where: Metadata key -> value; `title` and `caption` are keys too. `*` and `?` in a
                value stand for anything, and case does not count. Or a comparison: `rating>=`.
            path: A pattern for the whole path, with `*` and `?`; without a `*` it may stand
                anywhere in the path.

        Raises:
            InputError: `bad_filter` for a key that cannot be one.
        """
        sql, values = matching_sql(where, path)
        return np.array(self.ask(sql, values), np.int64).reshape(-1)

    def snapshot(self, known: Snapshot | None = None) -> Snapshot:
        """Counters and row table in one consistent state, whatever a writer does meanwhile.

        Args:
            known: An earlier snapshot; only what was added since is then read.

        Raises:
            LibraryFormatError: `bad_catalog` when the file is damaged.
        """
        with self.reading():
            try:
                return read_snapshot(self._db, known)
            except DAMAGE as error:
                raise database_error(self.path, error) from error

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Every `ask` inside the block reads the same state of the catalog."""
        with self._lock:
            if self._in_transaction():
                yield  # the outer block decides
                return
            self.ask("BEGIN")
            try:
                yield
            finally:
                self._roll_back()

    def add_root(self, path: bytes) -> None:
        """Remembers a folder or file that was given to index."""
        with self.transaction() as db:
            db.execute("INSERT OR IGNORE INTO roots VALUES (?)", (path,))

    def tiling_id(self, db: sqlite3.Connection, boxes: tuple[Box, ...]) -> int:
        """The id of a list of boxes; a new list gets a new id. Inside a transaction."""
        text = json.dumps([box.as_list() for box in boxes])
        db.execute("INSERT OR IGNORE INTO tilings (boxes) VALUES (?)", (text,))
        rows = db.execute("SELECT tiling_id FROM tilings WHERE boxes = ?", (text,)).fetchone()
        return int(rows[0])

    def put(self, db: sqlite3.Connection, record: ImageRecord) -> int:
        """Adds an image, or replaces the one with its `image_id`. Inside a transaction."""
        facts, image_id = record.facts, None
        if not record.image_id:
            record, image_id = returning(db, record)
        values = column_values(record)
        db.execute("DELETE FROM skipped WHERE path = ?", (facts.path,))
        if record.image_id:
            marks = ", ".join(f"{name.strip()} = ?" for name in COLUMNS.split(","))
            db.execute(f"UPDATE images SET {marks} WHERE image_id = ?", (*values, record.image_id))
            return record.image_id
        marks = ", ".join("?" * (len(values) + 2))
        sql = f"INSERT INTO images ({COLUMNS}, added_s, image_id) VALUES ({marks})"
        return int(db.execute(sql, (*values, time.time(), image_id)).lastrowid or 0)

    def put_skipped(self, db: sqlite3.Connection, file: SkippedFile) -> None:
        """Remembers a file that could not be indexed. Inside a transaction."""
        facts = file.facts
        row = (facts.path, facts.size_bytes, facts.mtime_ns, file.code, file.message)
        db.execute("INSERT OR REPLACE INTO skipped VALUES (?, ?, ?, ?, ?)", row)

    def bump(self, db: sqlite3.Connection, end_row: int | None = None) -> None:
        """Records that images changed, and how many rows are used. Inside a transaction."""
        db.execute(
            "INSERT INTO counters VALUES ('generation', 1)"
            " ON CONFLICT (name) DO UPDATE SET value = value + 1"
        )
        db.execute("INSERT OR REPLACE INTO counters VALUES ('stamp', random())")
        if end_row is not None:
            self.set_counter(db, "end_row", end_row)

    def close(self) -> None:
        """Closes the file; closing twice is fine."""
        self._db.close()


def _connect(path: Path, writable: bool) -> sqlite3.Connection:
    uri = path.absolute().as_uri()
    # Another process may write to a folder that this one only reads. Where SQLite cannot read
    # that writer's log, the file is opened without it.
    uris = [uri] if writable else [f"{uri}?mode=ro", f"{uri}?mode=ro&immutable=1"]
    error = sqlite3.OperationalError("cannot open it")
    for address in uris:
        try:
            db = sqlite3.connect(address, uri=True, timeout=30, check_same_thread=False)
        except sqlite3.OperationalError as failed:
            error = failed
            continue
        db.isolation_level = None
        prepare(db)
        if len(uris) == 1 or address is uris[-1] or _is_readable(db):
            return db
        db.close()
    raise database_error(path, error) from error


def _is_readable(db: sqlite3.Connection) -> bool:
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except DAMAGE:
        return False
    return True
