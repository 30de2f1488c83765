"""Each way in which SQLite fails has a code of its own and a hint that fits."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from relook.core.errors import (
    InputError,
    LibraryBusyError,
    LibraryFormatError,
    RelookError,
    StorageError,
)
from relook.library.catalog import Catalog
from relook.library.sqlite_errors import database_error


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with closing(Catalog(tmp_path / "catalog.sqlite3", writable=True)) as opened:
        yield opened


def failing(catalog: Catalog) -> RelookError:
    with pytest.raises(RelookError) as raised:
        catalog.add_root(b"/photos/" + b"x" * 100_000)
    return raised.value


def test_another_program_holds_the_catalog(catalog: Catalog) -> None:
    """No room on the disk would help: the person has to close that program."""
    with closing(sqlite3.connect(catalog.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        catalog.ask("PRAGMA busy_timeout=0")
        error = failing(catalog)
    assert isinstance(error, LibraryBusyError)
    assert (error.code, "locked" in error.message) == ("catalog_locked", True)
    assert "close what has it open" in error.hint
    assert "room" not in error.hint
    catalog.add_root(b"/photos")  # and then it works


def test_the_disk_is_full(catalog: Catalog) -> None:
    pages = catalog.ask("PRAGMA page_count")[0][0]
    catalog.ask(f"PRAGMA max_page_count={pages}")
    error = failing(catalog)
    assert isinstance(error, StorageError)
    assert (error.code, "make room" in error.hint) == ("disk_refused", True)


def test_nothing_may_be_written(catalog: Catalog) -> None:
    catalog.ask("PRAGMA query_only=1")
    error = failing(catalog)
    assert isinstance(error, StorageError)
    assert (error.code, "who may write" in error.hint) == ("disk_read_only", True)


def test_what_the_file_holds_is_no_catalog(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite3"
    path.write_bytes(b"no database at all, whatever it is called" * 50)
    with pytest.raises(LibraryFormatError) as raised:
        Catalog(path, writable=True)
    assert raised.value.code == "bad_catalog"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SQLITE_BUSY_SNAPSHOT", "catalog_locked"), ("SQLITE_LOCKED_SHAREDCACHE", "catalog_locked"),
        ("SQLITE_PROTOCOL", "catalog_locked"), ("SQLITE_READONLY_DIRECTORY", "disk_read_only"),
        ("SQLITE_PERM", "disk_read_only"), ("SQLITE_IOERR_FSYNC", "disk_failed"),
        ("SQLITE_IOERR_READ", "disk_failed"), ("SQLITE_CANTOPEN_ISDIR", "disk_refused"),
        ("SQLITE_FULL", "disk_refused"), ("SQLITE_CORRUPT_VTAB", "bad_catalog"),
        ("SQLITE_NOTADB", "bad_catalog"), ("SQLITE_ERROR", "bad_catalog"),
    ],
)  # fmt: skip
def test_codes_by_what_sqlite_says(name: str, code: str) -> None:
    failed = sqlite3.OperationalError("it failed")
    failed.sqlite_errorcode = getattr(sqlite3, name)
    error = database_error(Path("c.sqlite3"), failed)
    assert error.code == code
    assert "c.sqlite3" in error.message
    assert error.hint


def test_text_that_no_database_holds(catalog: Catalog) -> None:
    """Bytes of a command line that are not UTF-8 come as half characters."""
    with pytest.raises(InputError) as raised:
        catalog.ask("SELECT ?", ("nai\udcefve",))
    assert raised.value.code == "bad_text"
    with pytest.raises(InputError), catalog.transaction() as db:
        db.execute("INSERT INTO skipped VALUES (?, 1, 1, ?, ?)", (b"a", "nai\udcefve", ""))
    assert catalog.count("skipped") == 0
    catalog.add_root(b"/photos")  # no transaction was left open


@pytest.mark.parametrize("key", ["", '"', "\0", "a\0b", "a\udcff", "\ud800"])
def test_a_key_that_cannot_be_one(catalog: Catalog, key: str) -> None:
    with pytest.raises(InputError) as raised:
        catalog.matching({key: "*"}, None)
    assert raised.value.code == "bad_filter"


@pytest.mark.parametrize("key", ["a\\", "\\u0041", "[0]", "$", "#-1", "'", "\n", "ä.b", "\ufffe"])
def test_any_other_key_is_only_a_key(catalog: Catalog, key: str) -> None:
    assert catalog.matching({key: "*"}, None).size == 0


@pytest.mark.parametrize("where", [{"title": "\0"}, {"k": "a\0"}, {}])
def test_a_pattern_with_a_nul_would_only_be_read_in_part(
    catalog: Catalog, where: dict[str, str]
) -> None:
    with pytest.raises(InputError) as raised:
        catalog.matching(where, None if where else "\0")
    assert raised.value.code == "bad_filter"
