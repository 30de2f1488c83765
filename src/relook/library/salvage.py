"""A new catalog from what can still be read of a damaged one. Layer: library.

Rows come from SQLite as far as it gets, around what it cannot read. Of a table that it could
not read to the end, rows on pages that nothing leads to any more are taken as well. Nothing
is made up: a row is taken as it was written, or not at all.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from relook.library.catalog import Catalog
from relook.library.session_table import SessionTable
from relook.library.sqlite_errors import DAMAGE
from relook.library.sqlite_pages import Value, stray_rows

_KINDS: dict[str, tuple[type, ...]] = {
    "INTEGER": (int,), "REAL": (int, float), "TEXT": (str,), "BLOB": (bytes,),
}  # fmt: skip
_FAR = 2**62
_DAMAGE = (*DAMAGE, MemoryError)  # SQLite tries to allocate a damaged length


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the new catalog: its columns as (name, kind, may be NULL, is the rowid)."""

    name: str
    columns: tuple[tuple[str, str, bool, bool], ...]

    def fits(self, values: tuple[Value, ...]) -> bool:
        """Whether a record can be a row of this table."""
        return len(values) == len(self.columns) and all(
            value is None if is_rowid else (value is None and may_be_null)
            or isinstance(value, _KINDS.get(kind, (object,)))
            for value, (_, kind, may_be_null, is_rowid) in zip(values, self.columns, strict=True)
        )  # fmt: skip

    def holds(self, values: tuple[Value, ...]) -> bool:
        """Whether a row is of the kinds that its columns have."""
        return len(values) == len(self.columns) and all(
            (value is None and may_be_null and not is_rowid)
            or isinstance(value, _KINDS.get(kind, (object,)))
            for value, (_, kind, may_be_null, is_rowid) in zip(values, self.columns, strict=True)
        )  # fmt: skip

    def row(self, rowid: int, values: tuple[Value, ...]) -> tuple[Value, ...]:
        """A record as the row that SQLite would give."""
        return tuple(
            rowid if is_rowid else value
            for value, (*_, is_rowid) in zip(values, self.columns, strict=True)
        )


def salvage(damaged: Path, new: Path) -> dict[str, int]:
    """Writes what can be read of a catalog into a new one.

    Args:
        damaged: The catalog, with its log beside it. It is only read.
        new: The new file; there must be none.

    Returns:
        Table -> how many rows were saved, of tables that had any.

    Raises:
        StorageError: when the disk does not take the new catalog.
    """
    with contextlib.closing(
        sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=ro", uri=True)
    ) as old:
        old.isolation_level = None
        _copy_schema(old, new)
        catalog = Catalog(new, writable=True)
        try:
            SessionTable(catalog)
            with catalog.transaction() as db:
                saved = _copy_all(old, damaged, db)
            catalog.ask("PRAGMA journal_mode=DELETE")  # one file, which can take another's name
        finally:
            catalog.close()
    return {name: n for name, n in saved.items() if n}


def _copy_schema(old: sqlite3.Connection, new: Path) -> None:
    """Tables and indexes as they were, as far as that can be read; the catalog adds the others."""
    with contextlib.closing(sqlite3.connect(new)) as db:
        statements, _ = _rows(old, "sqlite_master", "sql")
        for _, sql in statements:
            if isinstance(sql, str) and "sqlite_" not in sql:
                with contextlib.suppress(sqlite3.DatabaseError):
                    db.execute(sql)
        db.commit()


def _copy_all(old: sqlite3.Connection, damaged: Path, db: sqlite3.Connection) -> dict[str, int]:
    tables, torn = _tables(db), []
    for table in tables:
        rows, whole = _rows(old, table.name, "*")
        sound = [tuple(values) for _, *values in rows if table.holds(tuple(values))]
        for values in sound:
            _insert(db, table, values)
        torn += [] if whole and len(sound) == len(rows) else [table]
    sequence, _ = _rows(old, "sqlite_sequence", "name, seq")
    last_ids = {str(name): int(seq) for _, name, seq in sequence if isinstance(seq, int)}
    if torn:
        last_ids |= _copy_strays(damaged, db, torn)
    _distrust(old, db)
    _copy_from_indexes(old, db)
    _never_again(db, last_ids)
    return {
        table.name: db.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
        for table in tables
    }


def _copy_from_indexes(old: sqlite3.Connection, db: sqlite3.Connection) -> None:
    """Adds what an index still has of rows that are lost: boxes, roots, and ids of images."""
    for question, statement in (
        ("SELECT tiling_id, boxes FROM tilings ORDER BY boxes",
         "INSERT OR IGNORE INTO tilings VALUES (?1, ?2)"),
        ("SELECT path FROM roots ORDER BY path", "INSERT OR IGNORE INTO roots VALUES (?1)"),
        ("SELECT path, image_id FROM images ORDER BY path",
         "INSERT OR IGNORE INTO dropped SELECT ?1, ?2, '', '', '{}' WHERE NOT EXISTS"
         " (SELECT 1 FROM images WHERE image_id = ?2 OR path = ?1)"),
    ):  # fmt: skip
        db.executemany(statement, _of_index(old, question))


def _distrust(old: sqlite3.Connection, db: sqlite3.Connection) -> None:
    """Takes out images whose table row and index entry differ: either may be wrong."""
    for column in ("path", "content"):
        rows = _of_index(old, f"SELECT image_id, {column} FROM images ORDER BY {column}")
        sql = f"DELETE FROM images WHERE image_id = ? AND {column} IS NOT ?"
        db.executemany(sql, rows)


def _of_index(old: sqlite3.Connection, question: str) -> list[tuple[Value, ...]]:
    """Rows of a question that an index alone answers, up to where it is damaged."""
    rows: list[tuple[Value, ...]] = []
    with contextlib.suppress(*_DAMAGE):
        rows.extend(old.execute(question))
    return rows


def _tables(db: sqlite3.Connection) -> list[_Table]:
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    tables = []
    for (name,) in db.execute(sql).fetchall():
        columns = [
            (str(column), str(kind), not not_null, bool(key) and kind == "INTEGER")
            for _, column, kind, not_null, _, key in db.execute(f"PRAGMA table_info({name})")
        ]
        # A key of several columns is no name for the rowid.
        n_keys = sum(bool(row[5]) for row in db.execute(f"PRAGMA table_info({name})"))
        if n_keys > 1:
            columns = [(column, kind, null, False) for column, kind, null, _ in columns]
        tables.append(_Table(name, tuple(columns)))
    return tables


def _rows(db: sqlite3.Connection, table: str, columns: str) -> tuple[list[tuple[Value, ...]], bool]:
    """Rowid and columns of every row that SQLite can read; and whether those are all."""
    rows: list[tuple[Value, ...]] = []
    sql = f"SELECT rowid, {columns} FROM {table} WHERE rowid > ? ORDER BY rowid"
    last, whole = -1, True
    while True:
        try:
            for row in db.execute(sql, (last,)):
                if row[0] <= last:  # a page that leads back: going on might never end
                    raise sqlite3.DatabaseError("rows are out of order")
                rows.append(row)
                last = int(row[0])
            return rows, whole
        except _DAMAGE as error:
            if "no such table" in str(error):
                return rows, False
            whole = False
            beyond = _beyond(db, sql, last)
        if beyond is None:
            return rows, False
        last = beyond


def _beyond(db: sqlite3.Connection, sql: str, last: int) -> int | None:
    """A rowid behind the damage, after which SQLite can read again; None when there is none."""

    def reads(rowid: int) -> bool:
        try:
            row = db.execute(f"{sql} LIMIT 1", (rowid,)).fetchone()
        except _DAMAGE:
            return False
        return row is None or bool(row[0] > rowid)

    step = 1
    while not reads(last + step):
        step *= 2
        if step > _FAR:
            return None
    low, high = last + step // 2, last + step  # reads at `high`, not at `low`
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reads(middle) else (middle, high)
    return high


def _copy_strays(damaged: Path, db: sqlite3.Connection, torn: list[_Table]) -> dict[str, int]:
    """Adds rows of torn tables from pages that nothing leads to; returns the last ids given."""
    names = {table.name for table in _tables(db)}
    last_ids: dict[str, int] = {}
    for rowid, values in stray_rows(damaged):
        if len(values) == 2 and values[0] in names and isinstance(values[1], int):
            last_ids[str(values[0])] = values[1]
            continue
        homes = [table for table in torn if table.fits(values)]
        if len(homes) == 1:  # a row that fits two tables is left out
            _insert(db, homes[0], homes[0].row(rowid, values))
    return last_ids


def _insert(db: sqlite3.Connection, table: _Table, values: tuple[Value, ...]) -> None:
    """Adds a row, unless one with its key is there already."""
    marks = ", ".join("?" * len(values))
    with contextlib.suppress(sqlite3.IntegrityError):
        db.execute(f"INSERT OR IGNORE INTO {table.name} VALUES ({marks})", values)


def _never_again(db: sqlite3.Connection, last_ids: dict[str, int]) -> None:
    """Makes new ids follow all that were ever given, so that no mark gets another image."""
    image_ids = [row[0] for row in db.execute("SELECT image_id FROM judgements")]
    image_ids += [row[0] for row in db.execute("SELECT image_id FROM dropped")]
    image_ids += [row[0] for row in db.execute("SELECT image_id FROM tombstones")]
    for (hits,) in db.execute("SELECT hits FROM rounds WHERE json_valid(hits)"):
        image_ids += [hit[0] for hit in json.loads(hits)]
    last_ids["images"] = max(
        [last_ids.get("images", 0), *(i for i in image_ids if isinstance(i, int))]
    )
    for name, last in last_ids.items():
        row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (name,)).fetchone()
        if row is None:
            db.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (name, last))
        elif row[0] < last:
            db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (last, name))
