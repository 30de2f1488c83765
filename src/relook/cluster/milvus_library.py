"""A library whose vectors several servers share. Layer: cluster.

Vectors and what is known of each image are in a collection of Milvus; every server has a
library folder of its own with a catalog made from it, and its own sessions. A change of the
catalog is published before it is committed here, in this order: the new rows, the record in
the journal that makes them count, the deletion of the rows they replace. So a kill leaves
rows that no record names, or rows that should be gone (the next writer deletes both), or a
commit that only this server's catalog lacks (the next refresh takes it in, as on every
other server).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from relook.cluster.milvus import MilvusSource, MilvusStore, RowCache
from relook.cluster.milvus_client import VECTOR, Milvus, MilvusAddress
from relook.cluster.milvus_log import (
    ChangeLog,
    Changes,
    Commit,
    Identity,
    Joining,
    Journal,
    Span,
    taken,
)
from relook.cluster.milvus_rows import FIELDS, SharedVectors, Staged, row_payload
from relook.core.errors import (
    EncoderMismatchError,
    LibraryBusyError,
    LibraryFormatError,
    StoreError,
)
from relook.core.settings import SearchSettings
from relook.core.vectors import Ints
from relook.library.catalog import Catalog
from relook.library.manifest import COMPACTED_VERSION, Manifest
from relook.library.records import ImageRecord
from relook.stores.base import Mask

_LOG = logging.getLogger(__name__)
_ASK_EVERY_S = 2.0
_SPANS_A_RECORD = 1500  # a record of the journal is at most 64 KB


class Shared:
    """The collection of a library folder.

    Args:
        address: Where it is.
        folder: The library on this machine.
        catalog: Its catalog.
        identity: Whose vectors this library holds.
        clock: Seconds; a search looks for news at most every two.
    """

    def __init__(
        self,
        address: MilvusAddress,
        folder: Path,
        catalog: Catalog,
        identity: Identity,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address, self._identity = address, identity
        self.milvus = Milvus(address)
        self.journal = Journal(self.milvus, folder)
        self._catalog, self._clock = catalog, clock
        self._cache, self._staged = RowCache(), Staged()
        self._joining = Joining(self.milvus, self.journal, catalog)
        self._asked_s: float | None = None
        self._checked: object | None = None
        self._lock = threading.RLock()
        self._change_log: ChangeLog | None = None
        if catalog.writable:
            self._change_log = ChangeLog(catalog)
            catalog.before_commit = self._publish

    @classmethod
    def of(cls, folder: Path, manifest: Manifest, catalog: Catalog) -> Shared:
        """The collection that a manifest names; nothing is asked of it yet."""
        address = MilvusAddress.parse(manifest.store)
        return cls(address, folder, catalog, Identity(manifest.encoder, manifest.fingerprint))

    @classmethod
    def claimed(cls, folder: Path, manifest: Manifest, catalog: Catalog, store: str) -> Manifest:
        """Makes, or joins, the collection of a new library; see `claim_collection`."""
        named = replace(
            manifest, store=str(MilvusAddress.parse(store)), format_version=COMPACTED_VERSION
        )
        shared = cls.of(folder, named, catalog)
        try:
            shared.claim()
        except BaseException:
            catalog.close()
            raise
        finally:
            shared.close()
        return named

    def claim(self) -> None:
        """Makes the collection, unless it is there and holds this encoder's vectors.

        Raises:
            InputError: `store_taken` when another program's collection has the name.
            EncoderMismatchError: `other_encoder`.
            StoreError: `store_failed` when Milvus is down.
        """
        tiles, dim = self.address.collection, self._identity.fingerprint.dim
        if self.journal.identity() is None:
            there = self.milvus.has(tiles)
            # Asked again: another server may have made both meanwhile, the journal first.
            if there and self.journal.identity() is None:
                raise taken(tiles)
            if not there:
                self.journal.create(self._identity)
        if not self.milvus.has(tiles):
            self.milvus.create(tiles, FIELDS, dim, self.address.index)
        self._check_ready()

    @property
    def _is_ready(self) -> bool:
        """Whether the collection was checked and loaded, and the server not lost since."""
        return self._checked is not None and self._checked is self.milvus.connection

    def _check_ready(self) -> None:
        """Connects, and looks whether the collection is this library's."""
        if self._is_ready:
            return
        self._checked = None
        identity, tiles = self.journal.identity(), self.address.collection
        if identity is None or not self.milvus.has(tiles):
            raise LibraryFormatError(
                "store_missing",
                f"there is no library in the collection {tiles!r} at {self.address.uri}",
                "restore it from a backup, or index the pictures into a new library",
            )
        ours = self._identity.fingerprint
        if identity.fingerprint.digest != ours.digest:
            raise EncoderMismatchError(
                "other_encoder",
                f"the collection {tiles!r} was made by {identity.fingerprint.told};"
                f" the encoder at hand is {ours.told}",
                "name another collection, or use its encoder: relook attach ADDRESS does",
            )
        fields = self.milvus.fields(tiles)
        dim = int(fields.get(VECTOR, {}).get("params", {}).get("dim", 0))
        if not {name for name, _, _ in FIELDS} <= fields.keys() or dim != ours.dim:
            raise taken(tiles)
        self.milvus.load(tiles)
        self._checked = self.milvus.connection

    def source(self, n_rows: int) -> MilvusSource:
        """The first rows of the collection."""
        return MilvusSource(
            self.milvus, self.address.collection, self._identity.fingerprint.dim, n_rows,
            self._cache,
        )  # fmt: skip

    def store(self, n_rows: int, alive: Mask | None, settings: SearchSettings) -> MilvusStore:
        """What searches the first rows.

        Rows that no image names need no filter once they are deleted there, too.
        """
        absent = None
        if alive is not None:
            n = self.milvus.count(self.address.collection, f"row < {n_rows}")
            absent = ~alive if n == int(np.count_nonzero(alive)) else None
        return MilvusStore(self.source(n_rows), settings.shortlist, absent)

    def take_in(self, *, now: bool = False) -> None:
        """Takes in what others committed, if it is time to ask; at once when `now`.

        Raises:
            StoreError: `store_failed` when Milvus is down.
        """
        with self._lock:
            now_s = self._clock()
            recent = self._asked_s is not None and now_s - self._asked_s < _ASK_EVERY_S
            if self._change_log is None or (recent and self._is_ready and not now):
                return
            self._check_ready()
            self._joining.run(self._change_log)
            self._asked_s = self._clock()

    def begin_writing(self) -> SharedVectors:
        """Becomes the one writer, and mends what a killed one left behind.

        Raises:
            LibraryBusyError: `store_busy`.
            StoreError: `store_failed`.
        """
        self._check_ready()
        self.journal.hold()
        self.take_in(now=True)
        end = self._catalog.end_row()
        tiles = self.address.collection
        if self.milvus.count(tiles, f"row >= {end}"):
            _LOG.info("removing rows from %d on, which no commit names", end)
            self.milvus.delete(tiles, f"row >= {end}")
        self._sweep(end)
        return SharedVectors(self.source(end), self._staged)

    def _sweep(self, end: int) -> None:
        """Deletes the rows that no image names any more.

        Raises:
            LibraryFormatError: `vectors_missing` when rows that images name are gone.
        """
        tiles, table = self.address.collection, self._catalog.row_table()
        n_named, n = int(table[:, 1].sum()), self.milvus.count(tiles, f"row < {end}")
        if n > n_named:
            self._delete(_gaps(table, end))
            n = self.milvus.count(tiles, f"row < {end}")
        if n != n_named:
            raise LibraryFormatError(
                "vectors_missing",
                f"the collection {tiles!r} holds {n:,} rows; the images name {n_named:,}",
                "restore the collection from a backup, or index into a new one",
            )

    def _publish(self, db: sqlite3.Connection) -> None:
        """Writes a transaction's changes to the collection, before it is committed here."""
        assert self._change_log is not None
        changes = self._change_log.take(db)
        if not changes.image_ids:
            return
        # No lock of ours: the catalog's is held, and `take_in` waits for that one with ours.
        self._check_ready()
        self.journal.hold()
        generation = self._joining.generation()
        if self.journal.after(generation):
            raise LibraryBusyError(
                "store_busy",
                "another server changed this collection meanwhile",
                "run the same command again; what was committed is kept",
            )
        self._write(db, changes, generation)

    def _write(self, db: sqlite3.Connection, changes: Changes, generation: int) -> None:
        records = self._catalog.images(changes.image_ids, missing_ok=True)
        removed = sorted(set(changes.image_ids) - {record.image_id for record in records})
        start = self._joining.end_row()
        rows, changed, end = [], [], start
        for record in records:
            if record.first_row >= start:
                rows += self._rows(record, record.n_tiles)
                end = max(end, record.first_row + record.n_tiles)
            else:
                rows += self._rows(record, 1)
                changed.append(record.first_row)
        self.milvus.upsert(self.address.collection, rows)
        commits = _commits((start, end), self._next_id(db), changed, removed)
        self._joining.wrote(db, self.journal.append(generation, commits), end)
        self._staged.drop(end)
        still = {(record.first_row, record.n_tiles) for record in records}
        self._delete((first, first + n) for first, n in changes.rows - still if first < start)

    def _rows(self, record: ImageRecord, n_tiles: int) -> list[dict[str, Any]]:
        """The first tiles of an image, as the collection keeps them."""
        tiling = self._catalog.tiling(record.tiling_id)
        vectors = self._staged.get(record.first_row, n_tiles)
        if vectors is None:  # only what is said of the image changed
            numbers = np.arange(record.first_row, record.first_row + n_tiles, dtype=np.int64)
            vectors = self.source(record.first_row + n_tiles).rows(numbers)
        return [
            {**row_payload(record, tile, tiling), VECTOR: vectors[tile]} for tile in range(n_tiles)
        ]

    def _next_id(self, db: sqlite3.Connection) -> int:
        sequence = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'images'").fetchone()
        return (int(sequence[0]) if sequence else 0) + 1

    def _delete(self, spans: Iterable[Span]) -> None:
        """Deletes rows, some spans at once."""
        listed = sorted(spans)
        for at in range(0, len(listed), 500):
            rows = [row for start, stop in listed[at : at + 500] for row in range(start, stop)]
            self.milvus.delete(self.address.collection, f"row in {rows}")

    def close(self) -> None:
        """Lets others write, and ends the connection; closing twice is fine."""
        try:
            self.journal.release()
        except StoreError as error:
            _LOG.warning("others may write only when this writer is forgotten: %s", error)
        finally:
            self.milvus.close()


def _gaps(table: Ints, end: int) -> list[Span]:
    """Rows below `end` that no line of a row table names, in pieces of at most a thousand."""
    edges = [0, *(edge for first, n, _ in table.tolist() for edge in (first, first + n)), end]
    gaps = [(start, stop) for start, stop in list(pairwise(edges))[::2] if start < stop]
    return [(at, min(at + 1000, stop)) for start, stop in gaps for at in range(start, stop, 1000)]


def _commits(rows: Span, next_id: int, changed: list[int], removed: list[int]) -> list[Commit]:
    """One change as records of the journal: several when it is too long for one."""
    what = [("changed", span) for span in _spans(changed)]
    what += [("removed", span) for span in _spans(removed)]
    pieces = [what[at : at + _SPANS_A_RECORD] for at in range(0, len(what), _SPANS_A_RECORD)]
    commits = []
    for piece in pieces or [[]]:
        moved, gone = (
            tuple(span for kind, span in piece if kind == wanted)
            for wanted in ("changed", "removed")
        )
        commits.append(Commit(rows, next_id, moved, gone))
        rows = (rows[1], rows[1])
    return commits


def _spans(numbers: list[int]) -> list[Span]:
    """Numbers as stretches without a gap."""
    ordered = np.unique(np.array(numbers, np.int64))
    if not len(ordered):
        return []
    cuts = np.flatnonzero(np.diff(ordered) > 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(ordered, cuts)]
