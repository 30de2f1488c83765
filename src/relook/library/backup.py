"""The backup of a library's catalog. Layer: library.

SQLite's online backup copies the catalog to a file beside it: after each run that changed it,
and while people mark pictures every so often. A copy takes the place of the one before only
when SQLite finds no fault in it, so damage never reaches the backup. `library.restore` makes a
catalog again from it.
"""

import contextlib
import logging
import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

from relook.core.errors import counted
from relook.library.sqlite_errors import DAMAGE

_LOG = logging.getLogger(__name__)
BACKUP, _LOCK = "backup.sqlite3", "backup.lock"
_LOCKED_S = 60.0  # how long another process may take for its backup
# A backup takes some 3 ms a megabyte, so that it has at most a few thousandths of the time.
_LEAST_S, _S_PER_BYTE = 10.0, 10 / 1e6
_MUCH_BYTES = 200_000_000
_SETTLE_S = 5.0  # what a person does in one step comes together
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
_NEEDED = {"images", "tilings", "roots", "counters"}  # of every version
_DERIVED = ("sqlite_", "videos", "text_index")  # how the names of tables begin that may be deleted


def backup_age_s(folder: Path) -> float | None:
    """Seconds since the last backup of a library's catalog was begun; None without one."""
    try:
        return max(time.time() - (folder / BACKUP).stat().st_mtime, 0.0)
    except OSError:
        return None


def backup_fault(folder: Path) -> str:
    """What is wrong with the backup of a library's catalog; empty when nothing is.

    Returns:
        `there is none` when there is none.
    """
    path = folder / BACKUP
    if not path.exists():
        return "there is none"
    try:
        with closing(read_only(path)) as db:
            return _fault(db)
    except DAMAGE as error:
        return str(error)


def catalog_fault(path: Path) -> tuple[str, list[str]]:
    """Why a library's catalog must not be opened: what lacks would be made anew, and backed up.

    Returns:
        That it is gone, is empty, as a crash leaves it, or lacks tables, which are listed. Empty
        when it has all that every catalog has, and that its backup has; and when it cannot be
        read, which is told by whoever opens it.
    """
    if not path.exists():
        return f"{path} is gone", []
    try:
        tables = _tables(path)
    except DAMAGE:
        return "", []
    if not tables:
        return f"{path} is empty", []
    lost = sorted((_NEEDED - tables) | _lost(path.with_name(BACKUP), tables))
    return (f"{path} lacks {counted(len(lost), 'table')} that it had", lost) if lost else ("", [])


def _tables(path: Path) -> set[str]:
    """The tables of a database but those that may be deleted."""
    with closing(read_only(path)) as db:
        names = [str(name) for (name,) in db.execute(_TABLES)]
    return {name for name in names if not name.startswith(_DERIVED)}


def _lost(backup: Path, tables: set[str]) -> set[str]:
    """The tables that a backup has beside some; none where it is not there, or damaged."""
    try:
        lost = _tables(backup) - tables if backup.exists() else set()
    except DAMAGE:
        return set()
    return set() if lost and backup_fault(backup.parent) else lost


class Backup:
    """Keeps the backup of one catalog. Safe to use from several threads.

    A failing disk or a damaged catalog costs the new backup, never the one before and never the
    work that it is made after.

    Args:
        catalog: The file.
        is_kept: Whether there is to be one; nothing is done else.
    """

    def __init__(self, catalog: Path, *, is_kept: bool = True) -> None:
        self._is_kept = is_kept
        self._catalog, self._path = catalog, catalog.with_name(BACKUP)
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._changed = self._closed = False
        self._tried_s = 0.0

    def note_change(self) -> None:
        """Says that the catalog was changed; a backup follows in a thread when it is due."""
        with self._lock:
            self._changed = self._is_kept
            if self._changed and self._timer is None and not self._closed:
                self._timer = threading.Timer(max(self._due_in_s(), _SETTLE_S), self._follow)
                self._timer.daemon = True
                self._timer.start()

    def _follow(self) -> None:
        self.make()
        with self._lock:
            self._timer = None
            is_wanted = self._changed
        if is_wanted:
            self.note_change()

    def _due_in_s(self) -> float:
        """Seconds until the next backup may be made; negative when it may be made now."""
        try:
            last_s, n_bytes = self._path.stat().st_mtime, self._catalog.stat().st_size
        except OSError:
            last_s, n_bytes = 0.0, 0
        last_s = max(last_s, self._tried_s)
        age_s = time.time() - last_s
        # A file of tomorrow tells that the clock was set back.
        return max(_LEAST_S, n_bytes * _S_PER_BYTE) - age_s if age_s >= 0 else 0.0

    @property
    def takes_long(self) -> bool:
        """Whether a backup may take longer than a second or two."""
        return self._catalog.stat().st_size > _MUCH_BYTES

    def is_wanted(self, *, often: bool = False) -> bool:
        """Whether images, or anything here, changed since the last backup; after a run.

        Args:
            often: Whether runs come one after the other, so that a backup has to be due, too.
        """
        if not self._is_kept or (often and self._due_in_s() > 0):
            return False
        was_stopped = _new(self._path).exists()
        return self._changed or was_stopped or _stamp(self._path) != _stamp(self._catalog)

    def follow(self) -> str:
        """Makes a backup when one is wanted; see `make`."""
        return self.make() if self.is_wanted() else ""

    def make(self) -> str:
        """Makes a backup now.

        Returns:
            Why there is no new one; empty when there is.
        """
        import filelock  # reading makes none

        with self._lock:
            self._changed = False  # what is changed from here on may not be in it
        try:
            with filelock.FileLock(self._path.with_name(_LOCK), timeout=_LOCKED_S):
                _back_up(self._catalog, self._path)
        except (OSError, *DAMAGE) as error:
            self._changed = True
            _LOG.warning("there is no new backup of %s: %s", self._catalog, error)
            return f"there is no new backup of the catalog: {error}"
        finally:
            self._tried_s = time.time()
        return ""

    def close(self) -> None:
        """Waits for a backup in the making, and makes one that is due; closing twice is fine."""
        with self._lock:
            timer, self._closed = self._timer, True
        if timer is not None:
            timer.cancel()
            timer.join()
        if self._changed and self._due_in_s() <= 0:
            self.make()


def _back_up(catalog: Path, path: Path) -> None:
    """Copies a catalog; the copy takes its name once it is checked and on the disk."""
    new, began_s = _new(path), time.time()
    new.unlink(missing_ok=True)
    try:
        with closing(read_only(catalog)) as source, closing(sqlite3.connect(new)) as copy:
            copy.execute("PRAGMA journal_mode=OFF")
            copy.execute("PRAGMA synchronous=OFF")
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, which can take another's name
            if fault := _fault(copy):
                raise sqlite3.DatabaseError(f"SQLite finds damage: {fault}; see doctor --check")
        if lost := _lost(path, _tables(new)):
            raise sqlite3.DatabaseError(f"tables are gone: {', '.join(sorted(lost))}")
        os.utime(new, (began_s, began_s))
        _sync(new)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        _sync(path.parent)


def _new(path: Path) -> Path:
    """The name of a backup in the making."""
    return path.with_name(path.name + ".new")


def _stamp(path: Path) -> object:
    """Another value after every change of images, kills included; None where it cannot be read."""
    try:
        with closing(read_only(path)) as db:
            return db.execute("SELECT value FROM counters WHERE name = 'stamp'").fetchone()
    except DAMAGE:
        return None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_only(path: Path) -> sqlite3.Connection:
    """A connection to a database that only reads."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _fault(db: sqlite3.Connection) -> str:
    """The first fault that SQLite finds in a database; empty when it finds none."""
    text = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    return "" if text == "ok" else " ".join(text.split())
