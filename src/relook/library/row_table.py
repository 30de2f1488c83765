"""Which rows of the vectors belong to which image: read fast, and kept beside the catalog.

A library of a million images opens fast because no Python tuple is made for each of them: SQLite
returns the numbers as one text, only new images are read when images were only added, and a
file with a checksum keeps the table between processes. Layer: library.
"""

import contextlib
import json
import logging
import os
import sqlite3
import zlib
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from relook.core.vectors import Ints
from relook.library.whereabouts import away_ids

_LOG = logging.getLogger(__name__)
ROWS_FILE = "rows.cache"
KEPT_FROM = 50_000  # images from which the file pays for itself
_HEADER_BYTES = 512
_PART = 1_000_000  # images whose numbers are one text: SQLite's texts end at a billion bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The catalog's counters and row table in one consistent state.

    Args:
        generation: Grows with every change of images.
        stamp: A random number of that change: two catalogs with one history differ in it.
        rewrites: Grows when rows of images that were there change or go.
        end_row: The row behind the last one that any image has used.
        vectors_file: Which file of vectors the rows are of.
        rows: [n, 3] int64: first row, number of tiles, image id; sorted by first row.
        away: [k] int64: ids of the images that are away, sorted; None where they were not read.
        encoder: Number of the fingerprint of the encoder that made the rows, once the library was
            upgraded; 0 before.
    """

    generation: int
    stamp: int
    rewrites: int
    end_row: int
    vectors_file: int
    rows: Ints
    away: Ints | None = None
    encoder: int = 0


_ARRAYS = ("rows", "away")


def read_snapshot(db: sqlite3.Connection, known: Snapshot | None = None) -> Snapshot:
    """Reads a snapshot of the catalog, inside a transaction of the caller.

    Args:
        db: The open catalog.
        known: An earlier snapshot, so that only what was added since is read.
    """
    counters = dict(db.execute("SELECT name, value FROM counters").fetchall())
    names = [field.name for field in fields(Snapshot) if field.name not in _ARRAYS]
    now = {name: int(counters.get(name, 0)) for name in names}
    if known is not None:
        if (known.generation, known.stamp) == (now["generation"], now["stamp"]):
            return known if known.away is not None else replace(known, away=away_ids(db))
        same = (known.rewrites, known.vectors_file) == (now["rewrites"], now["vectors_file"])
        if same and known.generation <= now["generation"] and known.end_row <= now["end_row"]:
            new = _rows(db, known.end_row)
            rows = np.concatenate([known.rows, new]) if len(new) else known.rows
            return Snapshot(**now, rows=rows, away=away_ids(db))
    return Snapshot(**now, rows=_rows(db, 0), away=away_ids(db))


def _rows(db: sqlite3.Connection, start: int) -> Ints:
    """[n, 3]: first row, number of tiles, image id of the images from a row on, by row.

    Images without vectors have a first row below 0, and are not there.
    """
    sql = (
        "SELECT group_concat(first_row), group_concat(n_tiles), group_concat(image_id)"
        " FROM (SELECT first_row, n_tiles, image_id FROM images WHERE first_row >= ?"
        " ORDER BY first_row LIMIT ?)"
    )
    parts = []
    while True:
        texts = db.execute(sql, (start, _PART)).fetchone()
        if texts[0] is None:
            break
        columns = [np.fromstring(str(text), np.int64, sep=",") for text in texts]
        parts.append(np.stack(columns, axis=1))
        start = int(parts[-1][-1, 0]) + 1
        if len(parts[-1]) < _PART:
            break
    table = np.concatenate(parts) if parts else np.zeros((0, 3), np.int64)
    in_order = bool((np.diff(table[:, 0]) > 0).all())  # SQLite promises it, all but in writing
    return table if in_order else table[np.argsort(table[:, 0], kind="stable")]


def keep_rows(folder: Path, now: Snapshot) -> None:
    """Writes a snapshot beside the catalog. Where the disk refuses, opening takes longer."""
    data = np.ascontiguousarray(now.rows, "<i8").tobytes()
    names = [field.name for field in fields(Snapshot) if field.name not in _ARRAYS]
    facts = {name: getattr(now, name) for name in names}
    header = json.dumps({**facts, "n": len(now.rows), "crc32": zlib.crc32(data)}).encode()
    new = folder / f"{ROWS_FILE}.{os.getpid()}"
    try:
        with open(new, "wb") as file:
            file.write(header.ljust(_HEADER_BYTES))
            file.write(data)
        new.replace(folder / ROWS_FILE)
    except OSError as error:
        _LOG.info("the row table is not kept: %s", error)
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def kept_rows(folder: Path) -> Snapshot | None:
    """The snapshot that was written last; None when there is none or the file is damaged."""
    path = folder / ROWS_FILE
    try:
        with open(path, "rb") as file:
            facts = json.loads(file.read(_HEADER_BYTES))
            n, crc32 = int(facts.pop("n")), int(facts.pop("crc32"))
            rows = np.fromfile(file, "<i8").astype(np.int64, copy=False)
        if len(rows) != 3 * n or zlib.crc32(rows.tobytes()) != crc32:
            raise ValueError("it is not as it was written")
        return Snapshot(**facts, rows=rows.reshape(n, 3))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _LOG.warning("%s is left aside: %s", path, error)
        return None
