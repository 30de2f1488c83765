"""A damaged catalog made again from its backup. Layer: library.

What SQLite can still read of the damaged one is newer than the backup: rows of sessions take the
place of the backup's, and images that the backup does not have keep their ids and words until
they are indexed again. Nothing is made up: a row is taken as it was written, or not at all.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from relook.core.errors import counted
from relook.core.progress import duration
from relook.library.album_table import AlbumTable, adopt
from relook.library.backup import BACKUP, backup_age_s, backup_fault, read_only
from relook.library.catalog import Catalog
from relook.library.check_sessions import faulty_rows
from relook.library.concept_table import ConceptTable
from relook.library.session_table import SessionTable
from relook.library.sqlite_errors import DAMAGE

_Rows = dict[Any, tuple[Any, ...]]
_NEWER = (
    "sessions", "rounds", "judgements", "concepts", "concept_examples", "tombstones", "dropped",
    "roots", "albums", "album_images",
)  # fmt: skip
_KINDS: dict[str, tuple[type, ...]] = {
    "INTEGER": (int,), "REAL": (int, float), "TEXT": (str,), "BLOB": (bytes,),
}  # fmt: skip
_MOST_ID = 2**48  # no id that was given is as high; SQLite counts on from the highest
_TORN = (*DAMAGE, MemoryError)  # SQLite tries to allocate a damaged length
_METADATA = "CASE WHEN json_valid(?5) AND json_type(?5) = 'object' THEN ?5 ELSE '{}' END"
_DROP = (
    f"INSERT OR IGNORE INTO dropped SELECT ?1, ?2, ?3, ?4, {_METADATA}"
    " WHERE NOT EXISTS (SELECT 1 FROM images WHERE image_id = ?2 OR path = ?1)"
)
_BURY = (  # an image that comes back at another path is known by its content
    "INSERT OR IGNORE INTO tombstones SELECT image_id, path, ?1, title, caption, metadata, 0"
    " FROM dropped WHERE image_id = ?2"
)
_SHOWN = (
    "SELECT json_extract(hit.value, '$[0]') FROM rounds,"
    " json_each(CASE WHEN json_valid(hits) THEN hits ELSE '[]' END) AS hit WHERE hit.type = 'array'"
)


def restored_from(folder: Path) -> str:
    """What a repair makes a damaged catalog again from, for people."""
    fault, age_s = backup_fault(folder), backup_age_s(folder)
    base = "begin a new catalog" if fault else f"restore the backup of {duration(age_s or 0)} ago"
    return f"{base}, with what can be read of newer sessions; the damaged one is kept beside it"


def make_again(folder: Path, damaged: Path | None, new: Path) -> str:
    """Makes a catalog from the backup, and from what can be read of a damaged one.

    Args:
        folder: The library.
        damaged: The damaged catalog, with its log beside it; it is only read. None without one.
        new: The file to make; there must be none.

    Returns:
        What was done, as a sentence.

    Raises:
        StorageError, OSError: when the disk does not take the new catalog.
    """
    fault, age_s = backup_fault(folder), backup_age_s(folder)
    if not fault:
        shutil.copyfile(folder / BACKUP, new)
    catalog = Catalog(new, writable=True)
    try:
        SessionTable(catalog)
        ConceptTable(catalog).make()
        AlbumTable(catalog).make()
        with catalog.transaction() as db, _reader(damaged) as old:
            n_newer = sum(_take_newer(old, db, table) for table in _NEWER)
            adopt(db)
            take_from_backup(folder, db)
            n_images = _keep_ids(old, db)
            _never_again(old, db)
        catalog.ask("PRAGMA journal_mode=DELETE")  # one file, which can take another's name
    finally:
        catalog.close()
    base = f"began a new catalog (its backup: {fault})" if fault else (
        f"restored the catalog's backup of {duration(age_s or 0)} ago"
    )  # fmt: skip
    return (
        f"{base}; took {counted(n_newer, 'newer row')} of sessions and the ids of"
        f" {counted(n_images, 'newer image')}"
        " from the damaged one"
    )


@contextmanager
def _reader(damaged: Path | None) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:") if damaged is None else read_only(damaged)) as old:
        yield old


def _take_newer(old: sqlite3.Connection, db: sqlite3.Connection, table: str) -> int:
    """Gives a table the rows of the damaged catalog, but where those cannot be read.

    Returns:
        How many rows are other ones than in the backup.
    """
    names, kinds, may_be_null = _columns(db, table)
    columns = ", ".join(names)
    before = {row[0]: row[1:] for row in db.execute(f"SELECT rowid, {columns} FROM {table}")}
    read, is_whole = _read(old, table, columns)
    # A row that only the backup has was deleted, or cannot be read any more: SQLite takes a text
    # that is none, or a column of another name, for no damage.
    was_deleted = is_whole and _is_sound(old, table)
    gone = [rowid for rowid in before if rowid not in read] if was_deleted else []
    db.executemany(f"DELETE FROM {table} WHERE rowid = ?", [(rowid,) for rowid in gone])
    newer = [
        (rowid, *values)
        for rowid, values in read.items()
        if 0 < rowid < _MOST_ID
        and before.get(rowid) != values
        and all(
            isinstance(value, kind) or (value is None and null)
            for value, kind, null in zip(values, kinds, may_be_null, strict=True)
        )
    ]
    _put(db, table, names, newer)
    return len(newer) + len(gone)


def _columns(
    db: sqlite3.Connection, table: str
) -> tuple[list[str], list[tuple[type, ...]], list[bool]]:
    """The columns of a table but one that is the rowid: names, kinds, and which may be NULL."""
    facts = db.execute(f"PRAGMA table_info({table})").fetchall()
    facts = [fact for fact in facts if not (fact[5] and fact[2] == "INTEGER" and _is_key(facts))]
    return (
        [name for _, name, *_ in facts],
        [_KINDS.get(kind, (object,)) for _, _, kind, *_ in facts],
        [not (not_null or key) for *_, not_null, _, key in facts],
    )


def _is_key(facts: list[Any]) -> bool:
    """Whether a table's key is one column."""
    return sum(bool(key) for *_, key in facts) == 1


def _put(db: sqlite3.Connection, table: str, names: list[str], rows: list[Any]) -> None:
    """Adds rows, each its rowid and its columns, in place of those with their keys."""
    marks = ", ".join("?" * (len(names) + 1))
    sql = f"INSERT OR REPLACE INTO {table} (rowid, {', '.join(names)}) VALUES ({marks})"
    db.executemany(sql, rows)


def take_from_backup(folder: Path, db: sqlite3.Connection) -> int:
    """Gives damaged rows of sessions the values that the backup has. Inside a transaction.

    Args:
        folder: The library.
        db: Of the transaction.

    Returns:
        How many rows it could give some.
    """
    if backup_fault(folder):
        return 0
    n_given = 0
    with closing(read_only(folder / BACKUP)) as kept:
        for table, rowid in faulty_rows(lambda sql: db.execute(sql).fetchall()):
            names, *_ = _columns(db, table)
            sql = f"SELECT rowid, {', '.join(names)} FROM {table} WHERE rowid = ?"
            try:
                rows = kept.execute(sql, (rowid,)).fetchall()
            except _TORN:
                continue  # it is older than the table
            _put(db, table, names, rows)
            n_given += len(rows)
    return n_given


def _is_sound(old: sqlite3.Connection, table: str) -> bool:
    """Whether SQLite finds no fault in a table and its indexes."""
    try:  # of a table that is not there SQLite says that it is well
        old.execute(f"SELECT 1 FROM {table}")
        return old.execute(f"PRAGMA integrity_check({table})").fetchall() == [("ok",)]
    except _TORN:
        return False


def _read(
    old: sqlite3.Connection, table: str, columns: str, key: str = "rowid", index: str = ""
) -> tuple[_Rows, bool]:
    """The rows of a table, by their key, that can be read from its beginning or its end.

    Where an index has the key and the columns, the table itself is not read.

    Returns:
        The rows, and whether these are all.
    """
    rows: _Rows = {}
    for order in ("ASC", "DESC"):
        part: _Rows = {}
        with contextlib.suppress(*_TORN):
            for name, *values in old.execute(
                f"SELECT {key}, {columns} FROM {table} ORDER BY {index or key} {order}"
            ):
                if name in part:  # a page that leads back: going on might never end
                    break
                part[name] = tuple(values)
            else:
                return part, True
        rows = {**part, **rows}
    return rows, False


def _keep_ids(old: sqlite3.Connection, db: sqlite3.Connection) -> int:
    """Keeps ids and words of images that the backup lacks, as a repair does with any image.

    Returns:
        How many there are.
    """
    ids, _ = _read(old, "images", "image_id", "path")
    words, _ = _read(old, "images", "path, title, caption, metadata")
    db.executemany(
        _DROP,
        [
            (path, image_id, *texts)
            for image_id, (path, *texts) in words.items()
            if isinstance(path, bytes)
            and 0 < image_id < _MOST_ID
            and all(isinstance(text, str) for text in texts)
            and ids.get(path, (image_id,)) == (image_id,)  # else either of the two is damaged
        ],
    )
    paths = [
        (path, image_id, "", "", "{}")
        for path, (image_id,) in ids.items()
        if isinstance(path, bytes) and isinstance(image_id, int) and 0 < image_id < _MOST_ID
    ]
    db.executemany(_DROP, paths)  # of those whose row is lost
    contents = _read(old, "images", "content", "image_id", "content")[0].items()
    db.executemany(
        _BURY, [(content, i) for i, (content,) in contents if isinstance(content, bytes)]
    )
    return int(db.execute("SELECT count(*) FROM dropped").fetchone()[0])


def _never_again(old: sqlite3.Connection, db: sqlite3.Connection) -> None:
    """Makes new ids follow all that were ever given, so that no mark gets another image."""
    ids = [0]
    with contextlib.suppress(*_TORN):
        ids += [seq for (seq,) in old.execute("SELECT seq FROM sqlite_sequence"
                                              " WHERE name = 'images'")]  # fmt: skip
    for table in (
        "images",
        "judgements",
        "concept_examples",
        "album_images",
        "dropped",
        "tombstones",
    ):
        ids += [image_id for (image_id,) in db.execute(f"SELECT image_id FROM {table}")]
    ids += [image_id for (image_id,) in db.execute(_SHOWN)]
    last = max(value for value in ids if isinstance(value, int) and value < _MOST_ID)
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'images'")
    db.execute("INSERT INTO sqlite_sequence VALUES ('images', ?)", (last,))
