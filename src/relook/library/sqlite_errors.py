"""Errors of SQLite as errors of Relook, with a hint what to do. Layer: library.

Source: sqlite.org/rescode.html (result codes; the low byte is the primary one).
"""

import shutil
import sqlite3
from pathlib import Path

from relook.core.errors import (
    InputError,
    LibraryBusyError,
    LibraryError,
    LibraryFormatError,
    StorageError,
)

# SQLite's message may quote bytes of a damaged file, which Python cannot decode.
DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)

_LOG_BYTES = 1024**2
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_FORBIDDEN = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)


def database_error(path: Path, error: Exception) -> LibraryError | InputError:
    """The error to raise for one that SQLite raised.

    Args:
        path: The database.
        error: One of `DAMAGE`.

    Returns:
        LibraryError `library_closed` after `close`; LibraryBusyError `catalog_locked` while
        another program holds the file; StorageError `disk_refused` when the disk is full or the
        file cannot be opened, `disk_read_only` when nothing may be written, `disk_failed` when
        reading or writing fails; InputError `bad_value` for a value of another kind than asked for;
        LibraryFormatError `bad_catalog` for everything else, which is damage.
    """
    if "binding parameter" in str(error):
        return InputError("bad_value", f"nothing is called so: {error}", "give a text or a number")
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return LibraryError(
            "library_closed",
            f"the library {path.parent} was closed by this program",
            "open it again, and the session with it: relook.Library(FOLDER).session(ID)",
        )
    return _of_code(path, error)


def _of_code(path: Path, error: Exception) -> LibraryError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in _LOCKED:
        return LibraryBusyError(
            "catalog_locked",
            f"another program holds {path}: {error}",
            "close what has it open (a database browser, a backup or a sync program), and run the"
            " same command again",
        )
    if code in _FORBIDDEN:
        return StorageError(
            "disk_read_only",
            f"cannot write {path}: {error}",
            "check who may write there and whether the disk is mounted read-only, and run the same"
            " command again",
        )
    if code == sqlite3.SQLITE_IOERR and not _is_full(path):
        return StorageError(
            "disk_failed",
            f"reading or writing {path} fails: {error}",
            "check the disk: its connection, its room and what the system's log says of it; then"
            " relook doctor --check",
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return StorageError(
            "disk_refused",
            f"cannot write {path}: {error}",
            "make room on the disk, and run the same command again",
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return StorageError(
            "disk_refused",
            f"cannot open {path}: {error}",
            "check that the disk is there and who may read and write in that folder",
        )
    return LibraryFormatError(
        "bad_catalog",
        f"{path} is not a readable catalog: {error}",
        "relook doctor --repair makes it again from its backup",
    )


def whole_number(value: object) -> int:
    """A whole number that a catalog gave.

    Raises:
        LibraryFormatError: `bad_catalog` for anything else.
    """
    if not isinstance(value, int):
        raise LibraryFormatError(
            "bad_catalog",
            f"the catalog is damaged: {value!r:.40} is no number",
            "relook doctor --repair keeps all that can be read; or restore it from a backup",
        )
    return value


def _is_full(path: Path) -> bool:
    """Whether the disk is full: SQLite reports that as a failing disk when its log grows."""
    try:
        return shutil.disk_usage(path.parent).free < _LOG_BYTES
    except OSError:
        return False


def bad_text(error: UnicodeEncodeError) -> InputError:
    """The error for a text with half a character in it, which no database can hold."""
    return InputError(
        "bad_text",
        f"{error.object[:100]!r} is no text: {error.object[error.start : error.end]!r} is half a"
        " character or a byte that is not UTF-8",
        "write it in UTF-8",
    )
