"""What a shared collection says of itself, and taking it in: the encoder, every commit.

Layer: cluster.

Beside the collection of tiles stands a small one, `<collection>_journal`. Its record 0 names
the encoder; record -1 names who is writing; records 1, 2, ... are commits, and a commit
counts once its record is there. Every server reads them in order and so comes to know the
same images. Milvus has no transactions: the record of a commit is its last write but for the
deletion of what it replaced.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relook.cluster.milvus_client import MOST_RESULTS, VECTOR, Field, Milvus
from relook.cluster.milvus_rows import PAYLOAD, read_payload
from relook.core.errors import InputError, LibraryBusyError
from relook.encoders.base import Fingerprint
from relook.library.catalog import Catalog
from relook.library.image_table import COLUMNS, column_values
from relook.library.records import ImageRecord
from relook.library.tombstones import bury

Span = tuple[int, int]
"""From a number to the one behind the last."""

_IDENTITY, _WRITER = 0, -1
_PAGE = 1000
_LEASE_S = 600.0
_NOTHING = [0.0, 0.0]  # a collection must have a vector
_TRIGGERS = """
CREATE TEMP TABLE IF NOT EXISTS touched (image_id INTEGER, first_row INTEGER, n_tiles INTEGER);
CREATE TEMP TRIGGER IF NOT EXISTS touched_put AFTER INSERT ON main.images
    BEGIN INSERT INTO touched VALUES (NEW.image_id, NULL, NULL); END;
CREATE TEMP TRIGGER IF NOT EXISTS touched_set AFTER UPDATE ON main.images
    BEGIN INSERT INTO touched VALUES (NEW.image_id, OLD.first_row, OLD.n_tiles); END;
CREATE TEMP TRIGGER IF NOT EXISTS touched_gone AFTER DELETE ON main.images
    BEGIN INSERT INTO touched VALUES (OLD.image_id, OLD.first_row, OLD.n_tiles); END;
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose vectors a collection holds.

    Args:
        encoder: What opens the encoder.
        fingerprint: Of that encoder.
    """

    encoder: str
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Commit:
    """One change of the images.

    Args:
        rows: Rows that are new.
        next_id: No image has had this id, or a higher one.
        changed: First rows of images whose facts or words changed.
        removed: Ids of images that are gone.
        generation: Its number; 0 until it has one.
    """

    rows: Span
    next_id: int
    changed: tuple[Span, ...] = ()
    removed: tuple[Span, ...] = ()
    generation: int = 0


class Journal:
    """The journal of one collection.

    Args:
        milvus: Where it is.
        folder: The library that reads it here.
        clock: Tells the time in seconds since 1970, as other machines do.
    """

    def __init__(
        self, milvus: Milvus, folder: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._milvus, self._clock = milvus, clock
        self.collection = f"{milvus.address.collection}_journal"
        self._me = {
            "process": os.getpid(), "host": socket.gethostname(), "folder": str(folder.resolve()),
        }  # fmt: skip
        self._key = uuid.uuid4().hex
        self._held = False

    def identity(self) -> Identity | None:
        """Whose vectors these are; None when there is no journal yet.

        Raises:
            InputError: `store_taken` when another program's collection has the name.
        """
        if not self._milvus.has(self.collection):
            return None
        if not {"number", "body"} <= self._milvus.fields(self.collection).keys():
            raise taken(self.collection)
        self._milvus.load(self.collection)
        body = self._body(_IDENTITY)
        if body is None:
            return None  # whoever was making it was killed
        return Identity(str(body["encoder"]), Fingerprint.from_dict(body["fingerprint"]))

    def create(self, identity: Identity) -> None:
        """Makes the journal; one that is there already is only given its identity."""
        if not self._milvus.has(self.collection):
            fields: list[Field] = [("number", "INT64", {}), ("body", "JSON", {})]
            self._milvus.create(self.collection, fields, len(_NOTHING), "FLAT")
        body = {
            "format": 1, "encoder": identity.encoder,
            "fingerprint": identity.fingerprint.as_dict(),
        }  # fmt: skip
        self._put([(_IDENTITY, body)])

    def after(self, generation: int) -> list[Commit]:
        """The commits that follow a generation, in order; up to a thousand."""
        expression = f"number > {generation} and number <= {generation + _PAGE}"
        records = self._milvus.query(self.collection, expression, ("number", "body"))
        bodies = {int(row["number"]): _read(row["body"]) for row in records}
        commits = []
        while (body := bodies.get(generation + 1)) is not None:
            generation += 1
            commits.append(
                Commit(
                    _span(body["rows"]), int(body["next_id"]),
                    tuple(map(_span, body["changed"])), tuple(map(_span, body["removed"])),
                    generation,
                )
            )  # fmt: skip
        return commits

    def append(self, generation: int, commits: Sequence[Commit]) -> int:
        """Writes the commits that follow a generation; returns the number of the last."""
        bodies = [
            {
                "rows": list(commit.rows), "next_id": commit.next_id,
                "changed": list(map(list, commit.changed)),
                "removed": list(map(list, commit.removed)),
            }
            for commit in commits
        ]  # fmt: skip
        numbers = range(generation + 1, generation + 1 + len(bodies))
        self._put(list(zip(numbers, bodies, strict=True)))
        return numbers[-1]

    def hold(self) -> None:
        """Becomes the writer, or stays it. The lock of the library's folder is held.

        Raises:
            LibraryBusyError: `store_busy` when another library is writing.
        """
        now = self._clock()
        other = self._body(_WRITER)
        if other and other["key"] != self._key and not self._has_ended(other):
            left_s = float(other["until_s"]) - now
            if left_s > 0:
                raise LibraryBusyError(
                    "store_busy",
                    f"process {other['process']} on {other['host']} is writing to the collection",
                    f"wait until it is done; if it was killed, it is forgotten in {left_s:.0f} s",
                )
        self._put([(_WRITER, {**self._me, "key": self._key, "until_s": now + _LEASE_S})])
        self._held = True
        seen = self._body(_WRITER)
        if seen is None or seen["key"] != self._key:
            self._held = False
            raise LibraryBusyError(
                "store_busy", "another server has just begun to write", "wait until it is done"
            )

    def release(self) -> None:
        """Lets others write."""
        if self._held:
            self._held = False
            self._milvus.delete(self.collection, f"number in [{_WRITER}]")

    def _has_ended(self, other: dict[str, Any]) -> bool:
        """Whether a writer is known to be gone: this folder's lock is ours, or it was killed."""
        if other["host"] != self._me["host"]:
            return False
        return other["folder"] == self._me["folder"] or not _is_alive(int(other["process"]))

    def _body(self, number: int) -> dict[str, Any] | None:
        records = self._milvus.query(self.collection, f"number in [{number}]", ("body",))
        return _read(records[0]["body"]) if records else None

    def _put(self, records: Sequence[tuple[int, dict[str, Any]]]) -> None:
        rows = [{"number": n, "body": body, VECTOR: _NOTHING} for n, body in records]
        self._milvus.upsert(self.collection, rows)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another person's
        return True
    return True


def _read(body: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(body) if isinstance(body, str | bytes) else dict(body)
    return read


def _span(pair: Sequence[int]) -> Span:
    return int(pair[0]), int(pair[1])


def taken(collection: str) -> InputError:
    """The error for a name that another program's collection has."""
    return InputError(
        "store_taken",
        f"the collection {collection!r} is there and was not made by Relook",
        "choose another name for the collection",
    )


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

    def run(self, change_log: ChangeLog) -> None:
        """Takes in every commit that is new; a stop in between leaves whole commits."""
        while commits := self._journal.after(self.generation()):
            records = [read_payload(row) for row in self._payloads(commits)]
            changed = [span for commit in commits for span in commit.changed]
            records += [read_payload(row) for row in self._changed(changed)]
            with self._catalog.transaction() as db:
                if self.generation() < commits[0].generation:  # no other process was faster
                    self._take(db, commits, records)
                change_log.take(db)  # what comes from the collection does not go back there
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
        records = self._milvus.query(self._tiles, expression, PAYLOAD)
        return sorted(records, key=lambda row: int(row["row"]))


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


@dataclass(frozen=True, slots=True)
class Changes:
    """What one transaction did so far.

    Args:
        image_ids: Images that were added, changed or removed.
        rows: (first row, number of tiles) that images had before.
    """

    image_ids: list[int]
    rows: set[Span]


class ChangeLog:
    """Listens to the open connection of a catalog.

    Args:
        catalog: A writable one.
    """

    def __init__(self, catalog: Catalog) -> None:
        catalog.listen(_TRIGGERS)

    def take(self, db: sqlite3.Connection) -> Changes:
        """What was changed since the transaction began, or since it was last asked."""
        rows = db.execute("SELECT image_id, first_row, n_tiles FROM touched").fetchall()
        if rows:
            db.execute("DELETE FROM touched")
        ids = dict.fromkeys(int(row[0]) for row in rows)
        return Changes(list(ids), {(row[1], row[2]) for row in rows if row[1] is not None})
