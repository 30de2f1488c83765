"""Bringing a library up to date with folders of pictures. Layer: library.

Files are told apart as unchanged (a stat), metadata only, moved, copied, changed, new and
gone. Five stages overlap: one thread lists, several read and decode with a bounded
look-ahead, this one encodes, and one writes. Batches are committed whole, so a stop at any
moment loses at most the batches in flight. Picture files are only ever read.
"""

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from relook.core.picture_paths import is_url, original_path, split_member
from relook.core.progress import Progress, ProgressCallback, StageRate
from relook.core.settings import ImageLimits, IndexSettings
from relook.core.vectors import Floats
from relook.encoders.base import Encoder
from relook.library.commit import PASSING, WORKER_FAILED, Committer, Entry
from relook.library.edits import Edit, Edits, edited
from relook.library.files import LibraryFiles
from relook.library.homes import Homes
from relook.library.image_table import UNENCODED
from relook.library.image_words import Sidecars
from relook.library.known import load_known, remember_archives
from relook.library.missing import places_of, sort_missing
from relook.library.reading import (
    Duplicates,
    Outcomes,
    PictureReader,
    Read,
    ReadElsewhere,
    read_ahead,
)  # fmt: skip
from relook.library.records import ImageRecord, SkippedFile, set_words, with_words, words_of
from relook.library.report import Clock, IndexReport, Stop
from relook.library.scan import Scan
from relook.library.survey import Survey
from relook.library.tombstones import lies_buried, pairs
from relook.library.unread import OddFiles, drop_skipped, tell_missing, tell_unread, why_away
from relook.library.whereabouts import NOWHERE
from relook.library.words_by_name import put_words_by_name

_MOST_READERS = 32  # a fast GPU takes what many cores can decode


class Builder:
    """One run of indexing. The caller holds the writer's lock.

    Args:
        files: The open library.
        encoder: The one that made its vectors.
        settings, limits: How, and what a picture may cost.
        sidecars: Titles, captions and metadata from files beside the pictures.
        progress: Called now and then with where the run is.
        elsewhere: Reads and encodes the pictures in place of threads of this process.
    """

    def __init__(
        self,
        files: LibraryFiles,
        encoder: Encoder,
        settings: IndexSettings,
        limits: ImageLimits,
        sidecars: Sidecars,
        progress: ProgressCallback | None = None,
        elsewhere: ReadElsewhere | None = None,
    ) -> None:
        self._files, self._encoder, self._limits = files, encoder, limits
        self._settings, self._sidecars, self._elsewhere = settings, sidecars, elsewhere
        self._progress = progress or (lambda _: None)
        self._report = IndexReport()
        self._committer = Committer(
            files,
            lambda r: encoder.tiles_for(r.width_px, r.height_px),
            lambda place: self._scan.identities.get(place, NOWHERE),
        )
        self._vectors = files.committed_vectors()  # only this thread reads it
        self._known, contents = load_known(files.catalog)
        self._has_bare = files.catalog.count(f"images WHERE {UNENCODED}") > 0
        self._n_workers = settings.workers or min(os.cpu_count() or 1, _MOST_READERS)
        self._reader = PictureReader(encoder, limits, contents, self._n_workers)
        self._duplicates = Duplicates()
        self._entries, self._skips = list[Entry](), list[SkippedFile]()
        self._flight: Future[None] | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="relook-write")
        self._waiting: dict[bytes, list[Read]] = {}  # files of which several images may be
        self._edits, self._read_again, self._new_skips = Edits(), set[bytes](), set[bytes]()
        self._unread: dict[str, str] = {}  # files beside pictures, and why they cannot be read
        self._unsettled = set[bytes]()  # archives with members to be tried again
        self._clocks = (Clock("encode"), Clock("write"))

    def run(self, scan: Scan) -> IndexReport:
        """Brings the library up to date with some roots.

        Ctrl-C (KeyboardInterrupt), or a progress callback that raises `Stop`, ends the run
        early: what is encoded is committed, and the report says `interrupted`.

        Raises:
            StorageError: when the disk refuses; what was committed before stays.
        """
        began = time.monotonic()
        self._scan, catalog = scan, self._files.catalog
        survey = Survey(scan, catalog, self._known, self._sidecars, self._settings, self._limits)
        self._homes = Homes(survey, places_of(catalog))
        with self._writer:
            try:
                with survey:
                    self._index(survey)
                self._sort_missing(survey)
                put_words_by_name(
                    catalog, scan, self._sidecars, self._known, self._report, self._progress
                )
                remember_archives(catalog, survey.archives_but(self._unsettled))
            except (KeyboardInterrupt, Stop):
                self._report.interrupted = True
                self._part_moved(self._waiting)
                self._enter_edits()
                self._commit()
                self._settle()
        report = self._report
        report.n_unchanged += survey.n_unchanged
        report.n_metadata += survey.n_metadata
        tell_missing(catalog, scan, report)
        odd = OddFiles(self._reader.misnamed, self._unread)
        tell_unread(catalog, scan, odd, self._sidecars, report)
        met = survey.present | self._new_skips
        report.skipped = [file for file in catalog.skipped() if file.facts.path in met]
        report.n_images = catalog.count("images")
        report.stages = self._rates(survey)
        report.seconds = time.monotonic() - began
        return report

    def _rates(self, survey: Survey) -> tuple[StageRate, ...]:
        clocks = (survey.listing, self._reader.reading, self._reader.decoding, *self._clocks)
        return tuple(clock.rate() for clock in clocks)

    def _index(self, survey: Survey) -> None:
        """Reads, encodes and commits what the survey finds."""

        def tell() -> None:
            self._progress(Progress("listing", survey.n_listed))

        began, n_done = time.monotonic(), 0
        read = self._elsewhere or self._read_ahead
        with contextlib.closing(read(survey, tell)) as outcomes:
            for outcome in outcomes:
                self._take(outcome)
                n_done += 1
                self._skips += survey.skips()
                if self._duplicates.n_waiting >= self._batch:
                    self._encode()
                if len(self._entries) + len(self._skips) >= self._settings.commit_every:
                    self._commit()
                total = survey.n_todo if survey.is_over else 0
                if n_done % self._batch == 0 or n_done == total:
                    rate = n_done / max(time.monotonic() - began, 1e-9)
                    n_bad = len(self._new_skips) + len(self._skips)
                    rates = self._rates(survey)
                    self._progress(Progress("indexing", n_done, total, rate, n_bad, rates))
        self._skips += survey.skips()
        self._encode()
        self._pair()
        self._commit()
        self._settle()

    @property
    def _batch(self) -> int:
        """Pictures encoded at once; an encoder may learn a better number as it runs."""
        return self._settings.batch or self._encoder.batch

    def _read_ahead(self, survey: Survey, tell: Callable[[], None]) -> Outcomes:
        """Reads files in threads, at most a few batches ahead; results in order."""
        n_threads = self._settings.readers or self._n_workers
        if not self._settings.readers and any(map(is_url, survey.roots)):
            n_threads = max(n_threads, self._settings.connections)
        return read_ahead(
            survey, self._reader.read, n_threads, lambda: 2 * self._batch + n_threads, tell
        )

    def _take(self, outcome: Read | SkippedFile) -> None:
        self._unread |= outcome.beside.unread if isinstance(outcome, Read) else {}
        if isinstance(outcome, SkippedFile):
            self._skips.append(outcome)
            if outcome.code != WORKER_FAILED:
                self._homes.miss(outcome.facts.path)
        elif self._duplicates.join(outcome):
            return
        elif twin := self._duplicates.twin(outcome.content):
            self._enter(outcome.as_of(twin.record), outcome, twin.tiles)
        elif outcome.tiles is not None:
            self._take_encoded(outcome, outcome.tiles)
        elif outcome.record is not None and outcome.content not in self._read_again:
            self._duplicates.wait(outcome)
        elif twins := self._encoded(outcome.content):
            self._take_known(outcome, twins)
        elif outcome.record is not None:
            self._duplicates.wait(outcome)
        else:
            # Its image changed during this run, or the equal file that claimed it is none.
            self._read_again.add(outcome.content)
            self._take(self._reader.read(outcome.facts, again=True))

    def _take_encoded(self, read: Read, tiles: Floats) -> None:
        """Enters a picture that was encoded elsewhere, without knowledge of the library."""
        if twins := self._encoded(read.content):
            self._take_known(read, twins)
            return
        assert read.record is not None
        self._duplicates.encoded(read.record, tiles)
        self._enter(read.record, read, tiles, is_copy=False)

    def _encoded(self, content: bytes) -> list[ImageRecord]:
        """The images with a content, one that has vectors first; none where none has any."""
        twins = self._files.catalog.images_with(content)
        twins.sort(key=lambda twin: not twin.n_tiles)
        return twins if twins and twins[0].n_tiles else []

    def _take_known(self, read: Read, twins: list[ImageRecord]) -> None:
        """Enters a file whose content the library has: touched, moved, or a copy."""
        known = self._known_as(read.facts.path)
        if itself := next((twin for twin in twins if twin.image_id == known), None):
            self._report.n_unchanged += 1
            self._homes.touch(read.facts.path)
            self._put(replace(itself, facts=read.facts), read)
            return
        if not known and lies_buried(self._files.catalog.ask, read.facts.path, read.content):
            self._copy(read, twins)  # what was deleted here is back, whatever else is away
            return
        lost = list(filter(self._homes.may_move, twins))
        olds = [image.facts.path for image in lost]
        # A store that does not answer is no proof before everything is listed.
        is_sure = len(olds) == 1 and not (is_url(olds[0]) or self._homes.is_changing(lost[0]))
        if is_sure and os.path.basename(original_path(olds[0])) == os.path.basename(
            read.facts.path
        ):
            self._move(lost[0], read)
        elif lost or known or any(map(self._homes.is_changing, twins)):
            spare = replace(read, prepared=None, record=None, tiles=None)
            self._waiting.setdefault(read.content, []).append(spare)
            self._edits.replaced += [known] if known else []
        else:
            self._copy(read, twins)

    def _move(self, image: ImageRecord, read: Read) -> None:
        """Gives an image the new path of its file."""
        self._homes.displace(self._known_as(read.facts.path))
        if original_path(image.facts.path) != read.facts.path:
            self._report.n_moved += 1
        self._put(replace(image, facts=read.facts), read)

    def _copy(self, read: Read, twins: list[ImageRecord]) -> None:
        """Enters one more file with a content that the library has."""
        self._enter(read.as_of(twins[0]), read, self._tiles_of(twins[0]))

    def _tiles_of(self, twin: ImageRecord) -> Floats:
        """[t, d] vectors of an image that has some."""
        end = twin.first_row + twin.n_tiles
        if end > len(self._vectors):  # of this run
            self._vectors = self._files.committed_vectors()
        return self._vectors.rows(np.arange(twin.first_row, end, dtype=np.int64))

    def _pair(self) -> None:
        """Gives the files that wait to the images that they are most like."""
        waiting, self._waiting = self._waiting, {}
        self._part_moved(waiting)
        for content, reads in waiting.items():
            twins = self._encoded(content)
            if not twins:  # the image that had it changed during this run
                for read in reads:
                    self._take(self._reader.read(read.facts, again=True))
                continue
            lost = list(filter(self._homes.may_move, twins))
            arrived = [read.facts.path for read in reads]
            paired = dict(pairs(arrived, [image.facts.path for image in lost]))
            for at, read in enumerate(reads):
                if at in paired:
                    self._move(lost[paired[at]], read)
                else:
                    self._copy(read, twins)
                if len(self._entries) >= self._settings.commit_every:
                    self._commit()
        self._encode()
        self._enter_edits()

    def _part_moved(self, waiting: Mapping[bytes, object]) -> None:
        """Parts images from files that have other pictures now, where theirs are among these."""
        for image_id in self._edits.moved(self._files.catalog, waiting, self._tiles_of):
            self._homes.displace(image_id)

    def _known_as(self, path: bytes) -> int:
        """Id of the image that was made from a file; 0 for none."""
        image_id = self._files.catalog.image_at(path) if self._known.has(path) else 0
        return 0 if self._homes.has_left(image_id, path) else image_id

    def _put(self, record: ImageRecord, read: Read) -> None:
        """Enters an image that keeps its vectors; one without gets those of an equal picture."""
        self._homes.settle(record.image_id, record.facts.path)
        tiles = None if record.n_tiles else self._tiles_of(self._encoded(record.content)[0])
        self._add(record, read, tiles)

    def _add(self, record: ImageRecord, read: Read, tiles: Floats | None) -> None:
        """Enters a record with the words that stand beside its picture, and in sidecar files."""
        record = with_words(record, read.beside.words)
        record = set_words(record, words_of(record).over(read.beside.fills))
        words = self._sidecars.get(record.facts.path)
        self._entries.append(Entry(with_words(record, words), tiles))

    def _encode(self) -> None:
        """Encodes the pictures that wait, and enters them."""
        groups = self._duplicates.take()
        prepared = [g.first.prepared for g in groups if g.first.prepared is not None]
        with self._clocks[0].work(len(groups)):
            tiles = self._encoder.encode_prepared(prepared)
        for group, rows in zip(groups, tiles, strict=True):
            assert group.first.record is not None
            self._duplicates.encoded(group.first.record, rows)
            self._enter(group.first.record, group.first, rows, is_copy=False)
            for other in group.others:
                self._enter(other.as_of(group.first.record), other, rows)

    def _enter(
        self, record: ImageRecord, read: Read, tiles: Floats, *, is_copy: bool = True
    ) -> None:
        known = self._known_as(read.facts.path)
        if known and not is_copy:
            self._edits.wait(Edit(known, record, tiles, read))
            if len(self._edits) >= self._settings.commit_every:
                self._enter_edits()
            return
        known = self._homes.still(known, read.facts.path)
        if not known and self._has_bare:
            known = self._homes.unencoded(self._files.catalog, read.facts.path, read.content)
        self._enter_as(known, record, read, tiles, is_copy)

    def _enter_edits(self) -> None:
        """Enters the edits that wait, each as the image that its file still is."""
        for edit in self._edits.take():
            path = edit.read.facts.path
            known = self._homes.still(self._known_as(path), path)
            self._enter_as(known, edit.record, edit.read, edit.tiles)

    def _enter_as(
        self, known: int, record: ImageRecord, read: Read, tiles: Floats, is_copy: bool = False
    ) -> None:
        """Enters a record as a known image, or as a new one where that is 0."""
        if known:
            self._report.n_updated += 1
            self._homes.settle(known, record.facts.path)
            record = replace(record, image_id=known)
            for before in self._files.catalog.images([known], missing_ok=True):
                record = edited(record, before)
        else:
            self._report.n_added += 1
            self._report.n_duplicates += is_copy
        self._add(record, read, tiles)

    def _commit(self) -> None:
        """Hands what is finished to the writer, once the batch before is on disk."""
        self._settle()
        entries, self._entries = self._entries, []
        skips, self._skips = self._skips, []
        if entries or skips:
            self._duplicates.commit()
            self._new_skips.update(skip.facts.path for skip in skips)
            for skip in skips:
                if skip.code in PASSING and (member := split_member(skip.facts.path)):
                    self._unsettled.add(member[0])
            self._flight = self._writer.submit(self._write, entries, skips)

    def _write(self, entries: list[Entry], skips: list[SkippedFile]) -> None:
        with self._clocks[1].work(len(entries) + len(skips)):
            self._committer.commit(entries, skips)

    def _settle(self) -> None:
        """Waits for the batch in flight; raises what went wrong with it."""
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.result()

    def _sort_missing(self, survey: Survey) -> None:
        """Sorts images into away, deleted and back, and drops files that are no longer skipped."""
        catalog, met = self._files.catalog, survey.present | self._new_skips
        skipped = {file.facts.path: file for file in catalog.skipped()}
        unread = {
            image_id: file
            for path, file in skipped.items()
            if path in met and path not in survey.mended and file.code != WORKER_FAILED
            if (image_id := self._known_as(path))
        }
        sort_missing(
            catalog, survey, self._homes, why_away(unread), self._report,
            every=self._files.shared is not None,
        )  # fmt: skip
        stale = {path for path in skipped.keys() - met if self._scan.covers(path)} | survey.mended
        drop_skipped(catalog, stale, self._scan.identities.keys() | survey.looked_into)
