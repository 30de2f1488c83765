"""The file of people: its tables, and the log in it. Layer: people.

A small SQLite file that only its owner may read. Passwords are in it as Argon2id hashes, tokens as
digests; the log never has either.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from relook.core.converter import JsonValue
from relook.core.errors import StorageError, disk_error

CONSOLE = "console"
"""Who runs `relook user`, in the log and as the maker of links."""
LONGEST_S = 366 * 86_400
"""How long an invitation or a link may last."""
_VERSION = 3  # 1 had no links to albums, 2 did not say who made links
_WAIT_S = 10.0  # for another process that writes
_LOGGED = 10_000  # lines that are kept
_MOST = 200  # letters of each word of a line
_ALBUM_LINKS = """
CREATE TABLE album_links (
    pass_id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE,
    library_id TEXT NOT NULL, album TEXT NOT NULL, created_s REAL NOT NULL, ends_s REAL NOT NULL
) STRICT"""
_MADE_BY = tuple(  # until then the console alone made links
    f"ALTER TABLE {table} ADD COLUMN made_by TEXT NOT NULL DEFAULT '{CONSOLE}'"
    for table in ("links", "album_links")
)
_TABLES = f"""
CREATE TABLE users (
    user_id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    hash TEXT NOT NULL, created_s REAL NOT NULL, is_disabled INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE rights (
    user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE, library_id TEXT NOT NULL,
    level INTEGER NOT NULL, PRIMARY KEY (user_id, library_id)
) STRICT;
CREATE TABLE sessions (
    digest BLOB PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    created_s REAL NOT NULL, seen_s REAL NOT NULL, ends_s REAL NOT NULL
) STRICT;
CREATE TABLE invitations (
    pass_id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, rights TEXT NOT NULL,
    created_s REAL NOT NULL, ends_s REAL NOT NULL
) STRICT;
CREATE TABLE links (
    pass_id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE,
    library_id TEXT NOT NULL, created_s REAL NOT NULL, ends_s REAL NOT NULL
) STRICT;
{_ALBUM_LINKS.strip()};
{_MADE_BY[0]};
{_MADE_BY[1]};
CREATE TABLE log (
    line_id INTEGER PRIMARY KEY AUTOINCREMENT, at_s REAL NOT NULL, who TEXT NOT NULL,
    address TEXT NOT NULL, what TEXT NOT NULL, library_id TEXT NOT NULL, outcome TEXT NOT NULL
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class LogLine(JsonValue):
    """What somebody did.

    Args:
        at_s: When, in seconds since 1970.
        who: Name of a person, `token`, `link NUMBER`, or `console` for the command line.
        address: Where the request came from; empty for the command line.
        what: `sign-in`, `export`, `index`, ...
        library_id: Which library; empty where it was none.
        outcome: `done`, `refused` or `failed`, with more where there is more to say.
    """

    at_s: float
    who: str
    address: str
    what: str
    library_id: str = ""
    outcome: str = "done"


class PeopleFile:
    """The file, which need not be there: then there are no people.

    It is opened on first use, and again when another file has taken its place. Every method may be
    called from any thread.

    Args:
        path: Where it is.
        clock: Seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = path, clock
        self._lock = threading.RLock()
        self._open: tuple[tuple[int, int], sqlite3.Connection] | None = None

    def exists(self) -> bool:
        """Whether somebody was ever added."""
        return os.path.lexists(self.path)

    def make(self) -> None:
        """Makes the file, for its owner alone, where there is none.

        Raises:
            StorageError: when the disk refuses.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise disk_error(f"cannot make {self.path}", error) from error
        with self.change() as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _TABLES.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The open file, for this thread alone.

        Raises:
            StorageError: `people_unreadable`.
        """
        try:
            with self._lock:
                yield self._connected()
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(
                "people_unreadable",
                f"the file of people {self.path} cannot be used: {error}",
                "nobody can sign in until it can; check the file and who may read it",
            ) from error

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One change, whole or not at all; other processes wait for it.

        Raises:
            StorageError: `people_unreadable`.
        """
        with self.read() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    def write_line(
        self, who: str, address: str, what: str, library_id: str = "", outcome: str = "done"
    ) -> None:
        """Adds a line to the log; the oldest go when there are too many."""
        words = [word[:_MOST] for word in (who, address, what, library_id, outcome)]
        with self.change() as connection:
            connection.execute(
                "INSERT INTO log (at_s, who, address, what, library_id, outcome)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (self.clock(), *words),
            )
            connection.execute(
                "DELETE FROM log WHERE line_id <= (SELECT MAX(line_id) FROM log) - ?", (_LOGGED,)
            )

    def lines(self, since_s: float = 0.0, limit: int | None = None) -> list[LogLine]:
        """The log, oldest first; the newest `limit` lines of it."""
        with self.read() as connection:
            rows = connection.execute(
                "SELECT at_s, who, address, what, library_id, outcome FROM log WHERE at_s >= ?"
                " ORDER BY line_id DESC LIMIT ?",
                (since_s, -1 if limit is None else limit),
            ).fetchall()
        return [LogLine(*row) for row in reversed(rows)]

    def close(self) -> None:
        """Closes the file; closing twice is fine."""
        with self._lock:
            if self._open is not None:
                self._open[1].close()
                self._open = None

    def _connected(self) -> sqlite3.Connection:
        facts = os.stat(self.path)
        file = (facts.st_dev, facts.st_ino)
        if self._open is not None and self._open[0] == file:
            return self._open[1]
        self.close()
        if facts.st_mode & 0o077:  # copied from somewhere, perhaps
            os.chmod(self.path, 0o600)
        connection = sqlite3.connect(
            self.path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise sqlite3.DatabaseError("a newer Relook made it")
            if 0 < version < _VERSION:
                _bring_up_to_date(connection)
        except sqlite3.Error:
            connection.close()
            raise
        self._open = (file, connection)
        return connection


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Makes an older file one of this version; another process may do the same at this moment."""
    connection.execute("BEGIN IMMEDIATE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    steps = [] if version >= _VERSION else [*_MADE_BY, f"PRAGMA user_version = {_VERSION}"]
    if version == 1:
        steps.insert(0, _ALBUM_LINKS)
    for step in steps:
        connection.execute(step)
    connection.execute("COMMIT")
