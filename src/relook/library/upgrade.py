"""A library's vectors made again by another encoder. Layer: library.

New vectors are made beside the old ones, with which searches go on. When they are whole,
one transaction of the catalog names them, and with it everything that held the old ones: rows,
tilings, boxes of sessions, the number of the encoder. The manifest names both encoders from
before that transaction until after it, so a kill at any moment leaves the old library or the new.
"""

import collections
import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Annotated

from relook.core.converter import JsonValue
from relook.core.errors import disk_error
from relook.core.json_form import Digits
from relook.core.picture_paths import split_member
from relook.core.progress import Progress, ProgressCallback
from relook.core.settings import ImageLimits
from relook.core.types import Box
from relook.encoders.base import Encoder
from relook.library.files import LibraryFiles
from relook.library.manifest import FORMAT_VERSION, Manifest, keep_manifest
from relook.library.reading import PictureReader, Read
from relook.library.records import ImageRecord, SkippedFile
from relook.library.snapshot import vectors_path
from relook.library.upgrade_staging import StagedImage, Staging, settle_upgrade, staged_for
from relook.library.vector_file import VectorFile, renew_sums

_COMMIT_EVERY = 256
_LISTED = 1000  # unread pictures that a report lists
_PICTURES_AT_ONCE = 500


@dataclass(slots=True)
class UpgradeReport(JsonValue):
    """What an upgrade did.

    Args:
        before, after: The encoders, as messages name them.
        was_current: Whether there was nothing to do.
        n_images: Images of the library.
        n_encoded: Pictures that were encoded in this run.
        n_resumed: Images that an earlier run, which was stopped, had done.
        n_unread: Images whose picture cannot be read now: they keep id, words and marks, and get
            vectors when they can be indexed again.
        unread: The first of them, with reasons.
        n_boxes: Boxes of sessions whose vectors were made again.
        n_boxes_unread: Boxes that get theirs when the session is used again.
        n_concepts: Concepts that were fitted again.
        n_concepts_unread: Those of which nothing can be read now; they are fitted when it can.
        seconds: Wall time.
        interrupted: Stopped before the end: the library is as it was, and the next run goes on.
    """

    before: str
    after: str
    was_current: bool = False
    n_images: int = 0
    n_encoded: int = 0
    n_resumed: int = 0
    n_unread: int = 0
    unread: list[SkippedFile] = field(default_factory=list)
    n_boxes: int = 0
    n_boxes_unread: int = 0
    n_concepts: int = 0
    n_concepts_unread: int = 0
    seconds: Annotated[float, Digits(3)] = 0.0
    interrupted: bool = False


class Restaging:
    """Makes the vectors of every image of a library again. The caller holds the writer's lock.

    Args:
        files: The open library.
        staging: Where they go.
        encoder: The new one.
        limits: What a picture may cost.
        report: Is filled in.
        progress: Called now and then; may raise to stop.
        n_threads: Pictures read at once; one a core when 0.
    """

    def __init__(
        self,
        files: LibraryFiles,
        staging: Staging,
        encoder: Encoder,
        limits: ImageLimits,
        report: UpgradeReport,
        progress: ProgressCallback,
        n_threads: int = 0,
    ) -> None:
        self._files, self._staging, self._encoder = files, staging, encoder
        self._report, self._progress = report, progress
        self._n_threads = n_threads or os.cpu_count() or 1
        self._reader = PictureReader(encoder, limits, None, self._n_threads)
        self._waiting: list[tuple[ImageRecord, Read]] = []
        self._made: list[StagedImage] = []
        self._unread: list[tuple[ImageRecord, SkippedFile]] = []
        self._n_done = 0
        self._began_s = time.monotonic()

    def run(self) -> None:
        """Makes what is missing; what was made is kept whatever ends it.

        Raises:
            StorageError: when the disk refuses.
        """
        self._report.n_images = self._files.catalog.count("images")
        try:
            with contextlib.closing(self._read_ahead()) as outcomes:
                for image, outcome in outcomes:
                    self._take(image, outcome)
            self._encode()
        finally:
            self._commit()
        self._give_twins()
        self._report.n_unread = len(self._unread)
        self._report.unread = [file for _, file in self._unread[:_LISTED]]

    def _todo(self) -> Iterator[ImageRecord]:
        images = self._files.catalog.each_image()
        while some := list(islice(images, _PICTURES_AT_ONCE)):
            missing = self._staging.missing(some)
            self._report.n_resumed += len(some) - len(missing)
            self._n_done += len(some) - len(missing)
            yield from missing

    def _read_ahead(self) -> Generator[tuple[ImageRecord, Read | SkippedFile], None, None]:
        """Reads pictures in threads, a few batches ahead; results in order."""
        pending: collections.deque[tuple[ImageRecord, Future[Read | SkippedFile]]]
        pending = collections.deque()
        pool = ThreadPoolExecutor(self._n_threads, thread_name_prefix="relook-read")
        try:
            for image in self._todo():
                pending.append((image, pool.submit(self._reader.read, image.facts)))
                while len(pending) > 2 * self._encoder.batch + self._n_threads:
                    first, outcome = pending.popleft()
                    yield first, outcome.result()
            for first, outcome in pending:
                yield first, outcome.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _take(self, image: ImageRecord, outcome: Read | SkippedFile) -> None:
        self._n_done += 1
        if isinstance(outcome, Read) and outcome.content != image.content:
            why = "another picture is there now: relook index takes it in"
            outcome = SkippedFile(image.facts, "changed", why)
        if isinstance(outcome, SkippedFile):
            self._unread.append((image, outcome))
            return
        self._waiting.append((image, outcome))
        if len(self._waiting) >= self._encoder.batch:
            self._encode()
        if len(self._made) >= _COMMIT_EVERY:
            self._commit()

    def _encode(self) -> None:
        waiting, self._waiting = self._waiting, []
        prepared = [read.prepared for _, read in waiting if read.prepared is not None]
        if prepared:
            tiles = self._encoder.encode_prepared(prepared)
            for (image, _), rows in zip(waiting, tiles, strict=True):
                boxes = self._encoder.tiles_for(image.width_px, image.height_px)
                self._made.append((image, rows, boxes))
            self._report.n_encoded += len(prepared)
        n_new = self._n_done - self._report.n_resumed
        rate = n_new / max(time.monotonic() - self._began_s, 1e-9)
        self._progress(
            Progress("encoding", self._n_done, self._report.n_images, rate, len(self._unread))
        )

    def _commit(self) -> None:
        made, self._made = self._made, []
        self._staging.put(made)

    def _give_twins(self) -> None:
        """Gives images that cannot be read the vectors of an equal picture that can."""
        left = []
        for image, file in self._unread:
            twin = self._staging.twin(image.content)
            if twin is None:
                left.append((image, file))
            else:
                self._made.append((image, *twin))
            if len(self._made) >= _COMMIT_EVERY:
                self._commit()
        self._commit()
        self._unread = left


def new_number(files: LibraryFiles) -> int:
    """The number of the file that the new vectors will be in."""
    return files.catalog.vectors_file() + 1


def switch(files: LibraryFiles, staging: Staging, encoder: str, encoder_number: int) -> None:
    """Makes the new vectors those that count. Writer's lock held.

    Args:
        files: The open library.
        staging: With the vectors of every image that can be read, and their index perhaps.
        encoder: What opens the new encoder.
        encoder_number: Of its fingerprint.

    Raises:
        StorageError: when the disk refuses; the library is then as it was.
    """
    folder, number = files.folder, new_number(files)
    target = staged_for(folder)
    assert target is not None
    assert target.fingerprint.number == encoder_number
    try:
        _put_in_place(files, staging, number)
    except OSError as error:
        raise disk_error(f"cannot put the new vectors into {folder}", error) from error
    after = Manifest(encoder, target.fingerprint, FORMAT_VERSION)
    replace(files.manifest, format_version=FORMAT_VERSION, next=after).write(folder)
    vectors = VectorFile(vectors_path(folder, number), target.fingerprint.dim, len(staging.vectors))
    with files.catalog.transaction() as db:
        _name_rows(files, db, staging)
        _renew_boxes(db, staging)
        files.catalog.set_counter(db, "vectors_file", number)
        files.catalog.set_counter(db, "encoder", encoder_number)
        renew_sums(db, vectors)
        keep_manifest(files.catalog, after)
        files.catalog.bump(db, len(vectors))
    files.refresh()
    staging.close()
    settle_upgrade(files)
    files.writer_vectors()  # removes the old file


def _put_in_place(files: LibraryFiles, staging: Staging, number: int) -> None:
    """The files of the new vectors under the names that the catalog will say."""
    path = vectors_path(files.folder, number)
    path.unlink(missing_ok=True)
    staging.vectors.path.touch()  # of a library without an image that can be read
    try:
        os.link(staging.vectors.path, path)  # so that a kill before the switch costs nothing
    except OSError:
        os.replace(staging.vectors.path, path)  # a disk without links
    if staging.ann.is_dir():
        ann = files.folder / "ann"
        ann.mkdir(exist_ok=True)
        # The card comes last: it names the others.
        for file in sorted(staging.ann.iterdir(), key=lambda file: file.suffix == ".json"):
            os.replace(file, ann / file.name)
    if os.name == "posix":
        descriptor = os.open(files.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _name_rows(files: LibraryFiles, db: sqlite3.Connection, staging: Staging) -> None:
    """Gives images their new rows and tilings; those without vectors have none."""
    tilings = {
        staged: files.catalog.tiling_id(db, _boxes(text))
        for staged, text in staging.tilings().items()
    }
    before = dict(db.execute("SELECT image_id, tiling_id FROM images").fetchall())
    db.execute("UPDATE images SET first_row = -image_id, n_tiles = 0")
    moves = (
        (first, n_tiles, tilings[tiling], image_id, content)
        for first, n_tiles, tiling, image_id, content in staging.rows()
    )
    db.executemany(
        "UPDATE images SET first_row = ?, n_tiles = ?, tiling_id = ?"
        " WHERE image_id = ? AND content = ?",
        moves,
    )
    _move_tiles(db, before)
    # Else an archive that has not changed would not be looked into again.
    bare = db.execute("SELECT path FROM images WHERE n_tiles = 0").fetchall()
    members = (split_member(path) for (path,) in bare)
    archives = {member[0] for member in members if member}
    db.executemany("DELETE FROM archives WHERE path = ?", [(path,) for path in archives])


def _move_tiles(db: sqlite3.Connection, before: Mapping[int, int]) -> None:
    """Has the pages of sessions name tiles by their new numbers; the whole where one is gone."""
    after = dict(db.execute("SELECT image_id, tiling_id FROM images").fetchall())
    changed = {i: (before[i], after[i]) for i in after if before[i] != after[i]}
    if not changed or not _has(db, "rounds"):
        return
    texts = dict(db.execute("SELECT tiling_id, boxes FROM tilings").fetchall())
    pairs = {
        pair: _new_tiles(_boxes(texts[pair[0]]), _boxes(texts[pair[1]]))
        for pair in set(changed.values())
    }
    for session_id, number, text in db.execute(
        "SELECT session_id, number, hits FROM rounds"
    ).fetchall():
        try:
            hits = [
                (image_id, score, _new_tile(tile, pairs.get(changed.get(image_id))))  # type: ignore[arg-type]
                for image_id, score, tile in json.loads(text)
            ]
        except (ValueError, TypeError):
            continue  # a damaged page stays as it is
        db.execute(
            "UPDATE rounds SET hits = ? WHERE session_id = ? AND number = ?",
            (json.dumps(hits), session_id, number),
        )


def _new_tiles(old: Sequence[Box], new: Sequence[Box]) -> list[int]:
    """The number of each old tile among the new ones; 0 where it is not there."""
    return [new.index(box) if box in new else 0 for box in old]


def _new_tile(tile: int, numbers: list[int] | None) -> int:
    if numbers is None:
        return tile
    return numbers[tile] if tile < len(numbers) else 0


def _renew_boxes(db: sqlite3.Connection, staging: Staging) -> None:
    """Gives marked boxes their new vectors; those without get them when they are used."""
    if not _has(db, "judgements"):
        return
    db.execute("UPDATE judgements SET crop = NULL")
    db.executemany("UPDATE judgements SET crop = ? WHERE image_id = ? AND box = ?", staging.crops())
    if _has(db, "undone_steps"):
        db.execute(
            "UPDATE undone_steps SET step = json_set(step, '$.mark.crop', NULL)"
            " WHERE json_valid(step) AND json_extract(step, '$.mark.crop') IS NOT NULL"
        )


def _boxes(text: str) -> tuple[Box, ...]:
    return tuple(Box(*edges) for edges in json.loads(text))


def _has(db: sqlite3.Connection, table: str) -> bool:
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return db.execute(sql, (table,)).fetchone() is not None
