"""Bringing a library up to date with folders of pictures. Layer: library.

Files are told apart as unchanged (a stat), metadata only, moved, copied, changed, new and
gone. Reading, hashing and decoding run in threads with a bounded look-ahead while the
encoder runs; batches are committed whole, so a stop at any moment loses at most the batch
in flight. Picture files are only ever read.
"""

from __future__ import annotations

import collections
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from relook.core.settings import ImageLimits, IndexSettings
from relook.core.vectors import Floats
from relook.encoders.base import Encoder
from relook.library.files import LibraryFiles
from relook.library.reading import Read, read_picture
from relook.library.records import FileFacts, ImageRecord, SkippedFile, Words
from relook.library.report import IndexReport, Progress, ProgressCallback, Stop
from relook.library.scan import Listing
from relook.library.sidecar import Sidecars

__all__ = ["Builder"]

_SEP = os.sep.encode()
# A file that only could not be read just now keeps the image it was indexed as.
_PASSING = ("unreadable", "vanished", "worker_failed")
_MOST_READERS = 32  # a fast GPU takes what many cores can decode


@dataclass(frozen=True, slots=True)
class _Entry:
    """An image ready to be committed with its vectors [t, d]."""

    record: ImageRecord
    tiles: Floats


class Builder:
    """One run of indexing. The caller holds the writer's lock.

    Args:
        files: The open library.
        encoder: The one that made its vectors.
        settings, limits: How, and what a picture may cost.
        sidecars: What is said about pictures elsewhere.
        progress: Called now and then with where the run is.
    """

    def __init__(
        self,
        files: LibraryFiles,
        encoder: Encoder,
        settings: IndexSettings,
        limits: ImageLimits,
        sidecars: Sidecars,
        progress: ProgressCallback | None = None,
    ) -> None:
        self._files, self._encoder = files, encoder
        self._vectors = files.writer_vectors()
        self._settings, self._limits = settings, limits
        self._sidecars = sidecars
        self._progress = progress or (lambda _: None)
        self._report = IndexReport()
        self._entries: list[_Entry] = []
        self._waiting: list[Read] = []
        self._skips: list[SkippedFile] = []
        self._known = files.catalog.facts()
        self._contents = files.catalog.contents()
        self._skipped = {file.facts.path: file for file in files.catalog.skipped()}
        self._gone: dict[int, bytes] = {}
        self._mended: list[tuple[bytes]] = []  # skipped once, and again as they were indexed

    def run(self, listing: Listing, roots: list[bytes]) -> IndexReport:
        """Brings the library up to date with a listing of the roots.

        Ctrl-C (KeyboardInterrupt), or a progress callback that raises `Stop`, ends the run
        early: what is encoded is committed, and the report says `interrupted`.

        Raises:
            StorageError: when the disk refuses; what was committed before stays.
        """
        began = time.monotonic()
        self._vectors.cut_tail()
        self._gone = self._find_gone(listing, roots)
        todo = [facts for facts in listing.files.values() if self._is_work(facts)]
        try:
            self._read_all(todo)
            self._encode()
            self._commit()
            self._remove_gone(listing, roots)
        except (KeyboardInterrupt, Stop):
            self._report.interrupted = True
            self._commit()
        for folder, reason in listing.unlisted.items():
            self._report.notes.append(f"cannot list {os.fsdecode(folder)}: {reason}")
        self._report.skipped = [
            file for file in self._files.catalog.skipped() if file.facts.path in listing.files
        ]
        self._report.n_images = self._files.catalog.count("images")
        self._report.seconds = time.monotonic() - began
        return self._report

    def _find_gone(self, listing: Listing, roots: list[bytes]) -> dict[int, bytes]:
        """Images whose file is not there any more, by id."""
        return {
            image_id: path
            for path, (image_id, _, _) in self._known.items()
            if path not in listing.files
            and listing.covers(path, roots)
            and not os.path.lexists(path)
        }

    def _is_work(self, facts: FileFacts) -> bool:
        """Whether a file has to be read; counts it when not."""
        known = self._known.get(facts.path)
        if known and known[1:] == (facts.size_bytes, facts.mtime_ns):
            self._report.n_unchanged += 1
            self._update_words(known[0], facts.path)
            self._mended += [(facts.path,)] if facts.path in self._skipped else []
            return False
        return not self._is_skipped_still(facts)

    def _is_skipped_still(self, facts: FileFacts) -> bool:
        if self._settings.retry_skipped:
            return False
        before = self._skipped.get(facts.path)
        return before is not None and before.facts == facts and before.code not in _PASSING

    def _update_words(self, image_id: int, path: bytes) -> None:
        """Gives an unchanged image what a sidecar says now."""
        words = self._sidecars.get(path) if self._sidecars else None
        if words is None:
            return
        record = self._files.catalog.images([image_id])[0]
        new = _with_words(record, words)
        if new != record:
            with self._files.catalog.transaction() as db:
                self._files.catalog.put(db, new)
                self._files.catalog.bump(db)
            self._report.n_metadata += 1

    def _read_all(self, todo: list[FileFacts]) -> None:
        began = time.monotonic()
        for n_done, outcome in enumerate(self._in_threads(todo), start=1):
            self._take(outcome)
            if len(self._waiting) >= self._batch:
                self._encode()
            if len(self._entries) + len(self._skips) >= self._settings.commit_every:
                self._commit()
            if n_done % self._batch == 0 or n_done == len(todo):
                rate = n_done / max(time.monotonic() - began, 1e-9)
                n_bad = self._n_skipped
                self._progress(Progress("indexing", n_done, len(todo), rate, n_bad))

    @property
    def _batch(self) -> int:
        """Pictures encoded at once; an encoder may learn a better number as it runs."""
        return self._settings.batch or self._encoder.batch

    @property
    def _n_skipped(self) -> int:
        return len(self._report.skipped) + len(self._skips)

    def _in_threads(self, todo: Iterable[FileFacts]) -> Iterator[Read | SkippedFile]:
        """Reads files in threads, at most a few batches ahead; results in order."""
        n_workers = self._settings.workers or min(os.cpu_count() or 1, _MOST_READERS)
        pending: collections.deque[Future[Read | SkippedFile]] = collections.deque()
        pool = ThreadPoolExecutor(n_workers, thread_name_prefix="relook-read")
        try:
            for facts in todo:
                pending.append(pool.submit(self._read, facts))
                while len(pending) >= 2 * self._batch + n_workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, facts: FileFacts, again: bool = False) -> Read | SkippedFile:
        """Reads one file; runs in a thread. Known content is not decoded, unless `again`."""
        known = frozenset() if again else self._contents
        return read_picture(facts, self._encoder, self._limits, known)

    def _take(self, outcome: Read | SkippedFile) -> None:
        if isinstance(outcome, SkippedFile):
            self._skips.append(outcome)
        elif outcome.record is not None:
            self._waiting.append(outcome)
        elif twins := self._files.catalog.images_with(outcome.content):
            self._take_known(outcome, twins)
        else:  # the image that had this content changed during this run
            self._take(self._read(outcome.facts, again=True))

    def _take_known(self, read: Read, twins: list[ImageRecord]) -> None:
        """A file whose content the library has: touched, moved, or a copy."""
        known = self._known.get(read.facts.path)
        itself = next((twin for twin in twins if known and twin.image_id == known[0]), None)
        moved = next((twin for twin in twins if twin.image_id in self._gone), None)
        if itself:
            self._report.n_unchanged += 1
            self._put_now(replace(itself, facts=read.facts))
        elif moved and not known:
            del self._gone[moved.image_id]
            self._report.n_moved += 1
            self._put_now(replace(moved, facts=read.facts))
        else:
            first = twins[0].first_row
            rows = np.arange(first, first + twins[0].n_tiles, dtype=np.int64)
            twin = replace(twins[0], facts=read.facts, image_id=0)
            self._enter(twin, self._vectors.rows(rows))

    def _put_now(self, record: ImageRecord) -> None:
        words = self._sidecars.get(record.facts.path)
        with self._files.catalog.transaction() as db:
            self._files.catalog.put(db, _with_words(record, words))
            self._files.catalog.bump(db)

    def _encode(self) -> None:
        """Encodes the pictures that wait, and enters them."""
        reads, self._waiting = self._waiting, []
        tiles = self._encoder.encode_prepared([r.prepared for r in reads if r.prepared is not None])
        for read, rows in zip(reads, tiles, strict=True):
            assert read.record is not None
            self._enter(read.record, rows)

    def _enter(self, record: ImageRecord, tiles: Floats) -> None:
        known = self._known.get(record.facts.path)
        if known:
            self._report.n_updated += 1
            record = replace(record, image_id=known[0])
            for before in self._files.catalog.images([known[0]], missing_ok=True):
                # What a sidecar said once stays, where the changed file says nothing.
                record = _said(record, _words(record).over(_words(before)))
        else:
            self._report.n_added += 1
            self._report.n_duplicates += record.content in self._contents
        self._contents.add(record.content)
        words = self._sidecars.get(record.facts.path)
        self._entries.append(_Entry(_with_words(record, words), tiles))

    def _commit(self) -> None:
        """Vectors first, synced; then one transaction that names their rows."""
        entries, self._entries = self._entries, []
        skips, self._skips = self._skips, []
        if not entries and not skips:
            return
        vectors, catalog = self._vectors, self._files.catalog
        first = len(vectors)
        if entries:
            vectors.append(np.concatenate([entry.tiles for entry in entries]))
        try:
            with catalog.transaction() as db:
                self._put_entries(db, entries, first)
                for skip in skips:
                    self._put_skip(db, skip)
                catalog.bump(db, len(vectors))
        except BaseException:
            # A Ctrl-C may come after the commit: only the catalog knows which rows count.
            vectors.take_back(catalog.end_row())
            raise
        self._report.skipped += skips

    def _put_entries(self, db: sqlite3.Connection, entries: list[_Entry], row: int) -> None:
        catalog = self._files.catalog
        for entry in entries:
            record, n_tiles = entry.record, len(entry.tiles)
            boxes = self._encoder.tiles_for(record.width_px, record.height_px)
            tiling = catalog.tiling_id(db, boxes)
            record = replace(record, first_row=row, n_tiles=n_tiles, tiling_id=tiling)
            catalog.put(db, record)
            row += n_tiles

    def _put_skip(self, db: sqlite3.Connection, skip: SkippedFile) -> None:
        self._files.catalog.put_skipped(db, skip)
        if skip.code not in _PASSING and skip.facts.path in self._known:
            db.execute("DELETE FROM images WHERE path = ?", (skip.facts.path,))
            self._report.n_removed += 1

    def _remove_gone(self, listing: Listing, roots: list[bytes]) -> None:
        """Removes images whose file is gone, unless their whole root looks gone."""
        empty = [root for root in roots if not any(_under(path, root) for path in listing.files)]
        catalog = self._files.catalog
        gone = [
            image_id
            for image_id, path in self._gone.items()
            if not any(_under(path, root) for root in empty)
        ]
        n_kept = len(self._gone) - len(gone)
        if n_kept:
            self._report.notes.append(
                f"{n_kept} images are kept although their folder is empty or gone now;"
                " was a disk unplugged? Remove them with: relook forget PATH"
            )
        if gone:
            with catalog.transaction() as db:
                db.executemany("DELETE FROM images WHERE image_id = ?", [(i,) for i in gone])
                catalog.bump(db)
        self._report.n_removed += len(gone)
        present = listing.files.keys()
        stale = [(f.facts.path,) for f in catalog.skipped() if f.facts.path not in present]
        stale = [(path,) for (path,) in stale if listing.covers(path, roots)] + self._mended
        if stale:
            with catalog.transaction() as db:
                db.executemany("DELETE FROM skipped WHERE path = ?", stale)


def _under(path: bytes, root: bytes) -> bool:
    return path == root or path.startswith(root.rstrip(_SEP) + _SEP)


def _words(record: ImageRecord) -> Words:
    return Words(record.title, record.caption, record.metadata)


def _with_words(record: ImageRecord, words: Words | None) -> ImageRecord:
    """The record with these words, and its own where these say nothing."""
    return record if words is None else _said(record, words.over(_words(record)))


def _said(record: ImageRecord, words: Words) -> ImageRecord:
    return replace(record, title=words.title, caption=words.caption, metadata=words.metadata)
