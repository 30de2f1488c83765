"""Taking what other servers committed into this server's catalog. Layer: library."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from relook.library.catalog import Catalog
from relook.library.image_columns import COLUMNS, column_values
from relook.library.journal import Commit, Journal, Span
from relook.library.payload import PAYLOAD, read_payload
from relook.library.records import ImageRecord
from relook.library.tombstones import bury
from relook.library.touched import Touched
from relook.stores.milvus_client import MOST_RESULTS, Milvus

__all__ = ["Joining"]

_LOG = logging.getLogger(__name__)
_ROWS_AT_ONCE = 4096  # answers stay far below what one message may hold


class Joining:
    """Reads the journal, and brings the catalog up to it.

    Args:
        milvus: Where the collection is.
        journal: Its journal.
        catalog: Of this server.
    """

    def __init__(self, milvus: Milvus, journal: Journal, catalog: Catalog) -> None:
        self._milvus, self._journal, self._catalog = milvus, journal, catalog
        self._tiles = milvus.address.collection

    def generation(self) -> int:
        """The last commit of the journal that this catalog holds."""
        return self._catalog.counter("store_generation")

    def end_row(self) -> int:
        """The row behind the last one of those commits."""
        return self._catalog.counter("store_end_row")

    def wrote(self, db: sqlite3.Connection, generation: int, end_row: int) -> None:
        """Says how far the catalog is; inside the transaction that brings it there."""
        self._catalog.set_counter(db, "store_generation", generation)
        self._catalog.set_counter(db, "store_end_row", end_row)

    def run(self, touched: Touched) -> None:
        """Takes in every commit that is new; a stop in between leaves whole commits."""
        while commits := self._journal.after(self.generation()):
            records = [read_payload(row) for row in self._payloads(commits)]
            changed = [span for commit in commits for span in commit.changed]
            records += [read_payload(row) for row in self._changed(changed)]
            with self._catalog.transaction() as db:
                if self.generation() < commits[0].generation:  # no other process was faster
                    self._take(db, commits, records)
                touched.take(db)  # what comes from the collection does not go back there
            _LOG.info("took in %d images of %d commits", len(records), len(commits))

    def _take(self, db: sqlite3.Connection, commits: Sequence[Commit], records: list[Any]) -> None:
        for record, tiling in records:
            tiling_id = self._catalog.tiling_id(db, tiling)
            _put_as(db, replace(record, tiling_id=tiling_id))
        for start, stop in (span for commit in commits for span in commit.removed):
            sql = "SELECT image_id FROM images WHERE image_id >= ? AND image_id < ?"
            ids = [row[0] for row in db.execute(sql, (start, stop)).fetchall()]
            bury(db, ids, words=True, every=True)
        last = commits[-1]
        end_row = max(self.end_row(), *(commit.rows[1] for commit in commits))
        _reserve_ids(db, max(commit.next_id for commit in commits))
        self.wrote(db, last.generation, end_row)
        self._catalog.bump(db, end_row)

    def _payloads(self, commits: Sequence[Commit]) -> Iterator[dict[str, Any]]:
        """The images of new rows, by row: of an image that changed twice, the latest comes last."""
        start = min(commit.rows[0] for commit in commits)
        stop = max(commit.rows[1] for commit in commits)
        for at in range(start, stop, _ROWS_AT_ONCE):
            inside = f"row >= {at} and row < {min(at + _ROWS_AT_ONCE, stop)}"
            yield from self._query(f"{inside} and tile in [0]")

    def _changed(self, spans: Sequence[Span]) -> Iterator[dict[str, Any]]:
        rows = sorted({row for start, stop in spans for row in range(start, stop)})
        step = min(_ROWS_AT_ONCE, MOST_RESULTS)
        for at in range(0, len(rows), step):
            yield from self._query(f"row in {rows[at : at + step]}")

    def _query(self, expression: str) -> list[dict[str, Any]]:
        found = self._milvus.query(self._tiles, expression, PAYLOAD)
        return sorted(found, key=lambda row: int(row["row"]))


def _put_as(db: sqlite3.Connection, record: ImageRecord) -> None:
    """Puts an image that has its id from another server.

    It takes the place of whatever has its id, its path or its first row here.
    """
    path = record.facts.path
    db.execute("DELETE FROM skipped WHERE path = ?", (path,))
    # Not left to REPLACE, which would not set off the triggers that count rewritten rows.
    there = (record.image_id, path, record.first_row)
    db.execute("DELETE FROM images WHERE image_id = ? OR path = ? OR first_row = ?", there)
    marks = ", ".join("?" * (len(COLUMNS.split(",")) + 2))
    sql = f"INSERT INTO images ({COLUMNS}, added_s, image_id) VALUES ({marks})"
    db.execute(sql, (*column_values(record), time.time(), record.image_id))


def _reserve_ids(db: sqlite3.Connection, next_id: int) -> None:
    """No new image gets an id below `next_id`."""
    sql = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'images'"
    if not db.execute(sql, (next_id - 1,)).rowcount:
        db.execute("INSERT INTO sqlite_sequence VALUES ('images', ?)", (next_id - 1,))
