"""Whether the rows of a catalog can be read, and images and tilings fit. Layer: library."""

import collections
import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from relook.core.errors import counted
from relook.core.picture_paths import printable
from relook.core.types import Box
from relook.library.album_table import ALBUMS, adopt
from relook.library.backup import backup_age_s, backup_fault
from relook.library.catalog import TABLES, Catalog
from relook.library.concept_table import CONCEPTS
from relook.library.fact_table import make_facts
from relook.library.findings import CheckReport
from relook.library.image_table import UNENCODED
from relook.library.restore import restored_from
from relook.library.session_table import SESSIONS
from relook.library.text_table import TEXT_INDEX, TEXTS, check_texts, find_unindexed
from relook.library.tombstones import OBJECT
from relook.library.whereabouts import away_note

AGAIN = "take them out, keep their words and ids, and index them again with: relook index"
# Of tables that hold words: what is written over a damaged value of a column.
_EMPTY = {
    **dict.fromkeys(("title", "caption", "relevant_words", "irrelevant_words"), "''"),
    **dict.fromkeys(("removed_s", "created_s", "changed_s", "added_s"), "0"),
    "metadata": "'{}'", "weight": "1",
}  # fmt: skip
_TYPES = {"INTEGER": "'integer'", "REAL": "'real', 'integer'", "TEXT": "'text'", "BLOB": "'blob'"}
# Tables that have checks of their own.
_OF_OTHERS = (
    "images", "tilings", "sessions", "rounds", "judgements", "counters", "picture_texts",
)  # fmt: skip
_LOOSE = " WHERE album_id NOT IN (SELECT album_id FROM albums)"
_Ask = Callable[[str], Sequence[tuple[Any, ...]]]


def check_sqlite(catalog: Catalog, report: CheckReport) -> None:
    """Adds the damage that SQLite itself reports.

    Raises:
        LibraryFormatError: when it cannot read that far.
    """
    texts = [str(row[0]) for row in catalog.ask("PRAGMA integrity_check(20)")]
    lines = [line for text in texts for line in text.splitlines()] if texts != ["ok"] else []
    if of_texts := [line for line in lines if TEXT_INDEX in line]:
        find_unindexed(report, len(of_texts))
    lines = [line for line in lines if TEXT_INDEX not in line]
    if lines:
        report.find(
            "bad_catalog",
            f"SQLite finds {counted(len(lines), 'fault')} in {catalog.path}",
            lines,
            restored_from(catalog.path.parent),
        )
    if lacking := _lacking(catalog):
        message = f"tables of {catalog.path} have other columns than Relook gives them"
        report.find("bad_catalog", message, lacking, restored_from(catalog.path.parent))
        return
    loose = catalog.ask("PRAGMA foreign_key_check")
    lost = sorted({f"{table} -> {parent}" for table, _, parent, _ in loose if table != "images"})
    if lost:
        rows_name = counted(len(loose), "row names", "rows name")
        report.find("foreign_key", f"{rows_name} one that is not there", lost, "take them out")


def _lacking(catalog: Catalog) -> list[str]:
    """Columns that a table lacks; a table that an older version did not make lacks none."""
    lacking: list[str] = []
    for table, expected in _columns_made().items():
        names = {str(row[1]) for row in catalog.ask(f"PRAGMA table_info({table})")}
        lacking += [f"{table}.{name}" for name in sorted(expected - names) if names]
    return lacking


@cache
def _columns_made() -> Mapping[str, AbstractSet[str]]:
    """Table -> columns, as this version makes them."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(TABLES + SESSIONS + CONCEPTS + ALBUMS + TEXTS)
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            table: {str(row[1]) for row in db.execute(f"PRAGMA table_info({table})")}
            for (table,) in tables
        }


def check_backup(folder: Path, report: CheckReport) -> None:
    """Adds how old the backup of a library's catalog is, and whether a repair could use it."""
    report.backup_age_s = backup_age_s(folder)
    if report.backup_age_s is not None and (fault := backup_fault(folder)):
        message = f"the backup of the catalog is damaged: {fault}"
        report.note("bad_backup", message, 1, "make another")


def check_images(catalog: Catalog, report: CheckReport) -> None:
    """Adds images whose record, rows or tiling is damaged.

    Raises:
        LibraryFormatError: when the catalog cannot be read.
    """
    unfit = " OR ".join((*_unfit(catalog.ask, "images").values(), f"{OBJECT} <> 'object'"))
    report.find_images("bad_record", "images whose record is damaged",
                       _named(catalog, unfit), AGAIN)  # fmt: skip
    odd = f"(first_row < 0 OR n_tiles < 1) AND NOT ({UNENCODED})"
    report.find_images("bad_rows", "images without rows", _named(catalog, odd), AGAIN)
    report.find_images("shared_rows", "images that have another image's rows",
                       _shared(catalog), AGAIN)  # fmt: skip
    _check_tilings(catalog, report)
    if not report.has("bad_record"):
        collections.deque(catalog.each_image(), maxlen=0)  # a damaged text raises here
    report.counts["images"] = catalog.count("images")
    if away := away_note(catalog.absences()):
        n_away = sum(absence.n for absence in catalog.absences())
        report.note("away", f"{away}; they come back by themselves", n_away,
                    "nothing; relook forget PATH takes them out for good")  # fmt: skip
    if n_unencoded := catalog.count(f"images WHERE {UNENCODED}"):
        images_have = counted(n_unencoded, "image has", "images have")
        message = f"{images_have} no vectors: an upgrade could not read what they show"
        report.note("unencoded", message, n_unencoded, "nothing; index them again")
    waiting = _count(catalog, "dropped")
    if waiting:
        images = counted(waiting, "image")
        message = f"{images} taken out by a repair, waiting for: relook index"
        report.note("waiting", message, waiting, "nothing; index them again")


def check_rows(catalog: Catalog, report: CheckReport) -> None:
    """Adds rows of the other tables with a value of another kind than their column's.

    Raises:
        LibraryFormatError: when the catalog cannot be read.
    """
    counters = " OR ".join(_unfit(catalog.ask, "counters").values())
    if n_rows := catalog.count(f"counters WHERE {counters}"):
        message = f"{counted(n_rows, 'counter')} of {catalog.path} without a number"
        report.find("bad_catalog", message, ["counters"], restored_from(catalog.path.parent),
                    n=n_rows)  # fmt: skip
    for table, column, condition in _damaged_columns(catalog.ask):
        n_rows = catalog.count(f"{table} WHERE {condition}")
        if n_rows:
            message = f"{counted(n_rows, 'row')} of {table} whose {column} is damaged"
            repair = "make it empty" if _empty(catalog.ask, table, column) else "take them out"
            report.find("bad_row", message, [f"{table}.{column}"], repair, n=n_rows)
    if n_rows := _count(catalog, "album_images", _LOOSE):
        message = f"{counted(n_rows, 'picture')} of albums that are not there"
        report.find("bad_row", message, ["album_images"], "make albums for them", n=n_rows)
    check_texts(catalog, report)


def mend_rows(db: sqlite3.Connection) -> list[str]:
    """Empties or takes out what `check_rows` finds. Inside a transaction.

    Returns:
        What was done.
    """
    done = []

    def ask(sql: str) -> Sequence[tuple[Any, ...]]:
        return db.execute(sql).fetchall()

    for table, column, condition in list(_damaged_columns(ask)):
        empty = _empty(ask, table, column)
        verb = f"UPDATE {table} SET {column} = {empty}" if empty else f"DELETE FROM {table}"
        if n_rows := db.execute(f"{verb} WHERE {condition}").rowcount:
            did = "emptied" if empty else "took out"
            done.append(f"{did} {counted(n_rows, 'row')} of {table} whose {column} was damaged")
    if _has(ask, "album_images") and (n_made := adopt(db)):
        done.append(f"made {counted(n_made, 'album')} for pictures whose album was not there")
    if done and ask("SELECT 1 FROM sqlite_master WHERE name = 'facts'"):
        make_facts(db)  # derived: made again, whatever was damaged
    return done


def _empty(ask: _Ask, table: str, column: str) -> str:
    """What is written over a damaged value, in SQL; empty where the row says nothing without."""
    if column in _EMPTY:
        return _EMPTY[column]
    facts = {row[1]: row for row in ask(f"PRAGMA table_info({table})")}
    *_, not_null, _, key = facts[column]
    return "" if not_null or key else "NULL"


def _damaged_columns(ask: _Ask) -> Iterator[tuple[str, str, str]]:
    """Table, column, and a condition in SQL that no row should fulfil."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    for (table,) in ask(sql):
        if table in _OF_OTHERS or table.startswith(TEXT_INDEX):
            continue
        for column, condition in _unfit(ask, table).items():
            yield table, column, condition
        if table in ("tombstones", "dropped"):
            yield table, "metadata", f"{OBJECT} <> 'object'"


def _unfit(ask: _Ask, table: str) -> dict[str, str]:
    """Column of a table -> condition in SQL for a value that is none of its kind."""
    conditions = {}
    for _, column, kind, not_null, _, key in ask(f"PRAGMA table_info({table})"):
        kinds = _TYPES.get(kind, "")
        may_be_null = not (not_null or key)  # SQLite takes NULL for a key of another kind
        if kinds:
            types = f"{kinds}, 'null'" if may_be_null else kinds
            conditions[column] = f"typeof({column}) NOT IN ({types})"
    return conditions


def _shared(catalog: Catalog) -> list[tuple[int, str]]:
    """Images that share a row with another image."""
    table = catalog.row_table()
    if not len(table):
        return []
    ends = np.maximum.accumulate(table[:, 0] + table[:, 1])
    meets = table[1:, 0] < ends[:-1]  # [n - 1]: the image reaches into one before it
    both = table[np.append(meets, False) | np.insert(meets, 0, False), 2]
    return images_named(catalog, both.tolist())


def _check_tilings(catalog: Catalog, report: CheckReport) -> None:
    sizes = {
        int(str(tiling_id)): _n_boxes(str(boxes))
        for tiling_id, boxes in catalog.ask("SELECT tiling_id, boxes FROM tilings")
    }
    wrong: dict[str, list[tuple[int, str]]] = defaultdict(list)
    sql = f"SELECT DISTINCT tiling_id, n_tiles FROM images WHERE NOT ({UNENCODED})"
    for tiling_id, n_tiles in catalog.ask(sql):
        if sizes.get(tiling_id) != n_tiles:  # type: ignore[call-overload]
            message = (
                f"images of {n_tiles} tiles whose list of boxes {tiling_id} has"
                f" {sizes.get(tiling_id, 'gone')}"  # type: ignore[call-overload]
            )
            wrong[message] += _named(
                catalog, "tiling_id IS ? AND n_tiles IS ?", (tiling_id, n_tiles)
            )
    for message, images in wrong.items():
        report.find_images("bad_tiling", message, images, AGAIN)


def _n_boxes(text: str) -> int:
    """How many boxes a tiling has; -1 when it cannot be read."""
    try:
        return len([Box(*edges) for edges in json.loads(text)])
    except (ValueError, TypeError):
        return -1


def _named(
    catalog: Catalog, condition: str, values: Iterable[object] = ()
) -> list[tuple[int, str]]:
    """Id and path of the images that fit a condition in SQL."""
    sql = f"SELECT image_id, path FROM images WHERE {condition} ORDER BY image_id"
    return [
        (int(str(image_id)), printable(path if isinstance(path, bytes) else str(path)))
        for image_id, path in catalog.ask(sql, tuple(values))
    ]


def images_named(catalog: Catalog, image_ids: list[int]) -> list[tuple[int, str]]:
    """Images with their paths, even where the rest of their record is damaged."""
    return _named(catalog, "image_id IN (SELECT value FROM json_each(?))", (json.dumps(image_ids),))


def _count(catalog: Catalog, table: str, where: str = "") -> int:
    return catalog.count(f"{table}{where}") if _has(catalog.ask, table) else 0


def _has(ask: _Ask, table: str) -> bool:
    return bool(ask(f"SELECT 1 FROM sqlite_master WHERE name = '{table}'"))
