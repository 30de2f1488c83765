"""A library goes over to another encoder: what it costs, and doing it. Layer: app."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relook.app.indexing import text_queries
from relook.app.models import spec_of, upgrade_encoder
from relook.core.converter import JsonValue
from relook.core.errors import ImageError, InputError, NotFoundError, StorageError, counted
from relook.core.progress import Progress, ProgressCallback
from relook.core.settings import EncoderSettings, SearchSettings
from relook.core.types import Box
from relook.encoders import Encoder
from relook.encoders.base import encode_images
from relook.library.image_table import UNENCODED
from relook.library.lock import WriterLock
from relook.library.report import Stop
from relook.library.upgrade import Restaging, UpgradeReport, new_number, switch
from relook.library.upgrade_staging import Staging, settle_upgrade
from relook.search.regions import encoded_boxes
from relook.stores.plan import plan_index

if TYPE_CHECKING:
    from relook.app.facade import Library
    from relook.library.files import LibraryFiles

_N_TIMED = 4  # pictures that are encoded to learn how long one takes
_ROOM = 1.2  # times the size of the new vectors: what the catalog needs beside them
_BOXES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class UpgradeCost(JsonValue):
    """What an upgrade would take.

    Args:
        before, after: The encoders, as messages name them.
        n_images: Images of the library.
        n_left: Those that are still to be encoded; an earlier run may have been stopped.
        n_away: Images whose file could not be reached when the library was indexed last.
        n_bytes: What the new vectors take on the disk; the old ones go afterwards.
        free_bytes: What is free there.
        seconds: How long it takes, about; None where no picture could be tried.
        is_needed: False when the library has this encoder already.
    """

    before: str
    after: str
    n_images: int
    n_left: int
    n_away: int
    n_bytes: int
    free_bytes: int
    seconds: float | None
    is_needed: bool


def upgrade_cost(
    library: Library, encoder: str | EncoderSettings | Encoder | None = None
) -> UpgradeCost:
    """Finds out what an upgrade would take, by encoding a few pictures; changes nothing.

    Args:
        library: The library.
        encoder: As for `upgrade`.

    Raises:
        RelookError: as `upgrade`.
    """
    files, encoder = library.files, library.encoders.chosen if encoder is None else encoder
    new = _opened(files, encoder)
    try:
        return _cost(library, files, new)
    finally:
        if new is not encoder:
            new.close()


def upgrade(
    library: Library,
    encoder: str | EncoderSettings | Encoder | None = None,
    progress: ProgressCallback | None = None,
) -> UpgradeReport:
    """Makes all vectors of a library again with another encoder.

    Searches go on with the old vectors, here and in other processes, until the new ones are
    whole. Ids, words, marks, boxes, sessions and pages are kept. A run that is stopped is gone
    on with by the next one for the same encoder.

    Args:
        library: Its pictures are read, and nothing else needs to be there.
        encoder: The new one: a model, settings, or an open one, which then stays open; the
            one that the library was opened with, or the present version of its own, when None.
        progress: Called now and then; may raise `Stop`.

    Raises:
        InputError: `not_for_shared` for vectors in a collection of several servers.
        NotFoundError: `no_picture` when none of the pictures can be read.
        LibraryBusyError: another process writes; StorageError: the disk refused, or has no room.
        ModelError, MissingExtraError, InputError: when the encoder cannot be opened.
    """
    files, encoder = library.files, library.encoders.chosen if encoder is None else encoder
    new = _opened(files, encoder)
    try:
        with WriterLock(library.folder):
            files.refresh()
            settle_upgrade(files)
            files.writer_vectors()  # removes what a kill left over
            report = _run(library, files, new, progress or (lambda _: None))
            files.backup.follow()  # the one before may name rows of the old file
    except BaseException:
        if new is not encoder:
            new.close()
        raise
    if files.manifest.fingerprint.digest == new.fingerprint.digest and not report.was_current:
        library.encoders.use(new)
        report.n_concepts, report.n_concepts_unread = library.concepts.renewed()
    elif new is not encoder:
        new.close()
    return report


def _opened(files: LibraryFiles, encoder: str | EncoderSettings | Encoder | None) -> Encoder:
    """The encoder that the vectors of a library of its own would be made with."""
    files.refresh()
    if files.shared is not None:
        raise InputError(
            "not_for_shared",
            f"this library has its vectors in {files.manifest.store}, which other servers use, too",
            "index the pictures into a new collection: relook index DIR --store ADDRESS"
            " --encoder NAME",
        )
    return upgrade_encoder(encoder, files.manifest)


def _run(
    library: Library, files: LibraryFiles, encoder: Encoder, progress: ProgressCallback
) -> UpgradeReport:
    began_s = time.monotonic()
    before, after = files.manifest.fingerprint, encoder.fingerprint
    report = UpgradeReport(before.told, after.told, n_images=files.catalog.count("images"))
    if before.digest == after.digest:
        report.was_current = True
        return report
    _check_room(files, encoder)
    staging = Staging(files.folder, spec_of(encoder), after)
    try:
        n_threads = library.index_settings.workers
        Restaging(files, staging, encoder, library.limits, report, progress, n_threads).run()
        if report.n_images and not staging.n_images():
            pictures = counted(report.n_images, "picture")
            raise NotFoundError(
                "no_picture",
                f"none of {pictures} can be read: {report.unread[0].message}",
                "plug in the disk that they are on, or relook move OLD NEW; the library stays as"
                " it is",
            )
        _stage_boxes(files, staging, encoder, report, progress)
        _stage_index(files, staging, encoder, library.search_settings, progress)
        progress(Progress("switching"))
        switch(files, staging, spec_of(encoder), after.number)
    except (KeyboardInterrupt, Stop):
        files.refresh()
        report.interrupted = files.manifest.fingerprint.digest != after.digest
    finally:
        staging.close()
    report.seconds = time.monotonic() - began_s
    return report


def _stage_boxes(
    files: LibraryFiles,
    staging: Staging,
    encoder: Encoder,
    report: UpgradeReport,
    progress: ProgressCallback,
) -> None:
    """Makes the vectors of marked boxes again, of pictures that can be read."""
    if not files.catalog.ask("SELECT 1 FROM sqlite_master WHERE name = 'judgements'"):
        return
    sql = (
        "SELECT DISTINCT image_id, CAST(box AS TEXT) FROM judgements WHERE box IS NOT NULL"
        " AND image_id IN (SELECT image_id FROM images) ORDER BY image_id"
    )
    places = [(int(str(image_id)), str(box)) for image_id, box in files.catalog.ask(sql)]
    known = staging.crop_places()
    todo = [place for place in places if place not in known]
    began_s = time.monotonic()
    for at in range(0, len(todo), _BOXES_AT_ONCE):
        crops = [
            (image_id, box, vector)
            for image_id, box in todo[at : at + _BOXES_AT_ONCE]
            if (vector := _box_vector(files, encoder, image_id, box)) is not None
        ]
        staging.put_crops(crops)
        n_done = min(at + _BOXES_AT_ONCE, len(todo))
        rate = n_done / max(time.monotonic() - began_s, 1e-9)
        progress(Progress("marks", n_done, len(todo), rate))
    report.n_boxes = len(staging.crop_places() & set(places))
    report.n_boxes_unread = len(places) - report.n_boxes


def _box_vector(files: LibraryFiles, encoder: Encoder, image_id: int, text: str):  # type: ignore[no-untyped-def]
    """The vector [d] of a box; None where it, or the picture, cannot be read."""
    try:
        box = Box(*json.loads(text))
        return encoded_boxes(files, encoder, [(image_id, box)])[image_id, box]
    except (ImageError, InputError, ValueError, TypeError):
        return None


def _stage_index(
    files: LibraryFiles,
    staging: Staging,
    encoder: Encoder,
    settings: SearchSettings,
    progress: ProgressCallback,
) -> None:
    """Builds the index of the new vectors before they are used, where they need one."""
    plan = plan_index(
        len(staging.vectors), encoder.dim, kind=settings.index_kind,
        exact_rows=settings.exact_rows, memory_bytes=settings.memory_mib * 1024**2,
    )  # fmt: skip
    if plan.kind == "exact":
        return
    from relook.stores.ivf_build import update_index

    def tell(stage: str, done: int, total: int) -> None:
        progress(Progress(stage, done, total))

    texts = text_queries(files, encoder)
    try:
        update_index(staging.vectors, staging.ann, new_number(files), plan, texts, tell)
    except (OSError, RuntimeError) as error:
        raise StorageError("disk_refused", f"cannot write the index: {error}") from error


def _n_bytes(files: LibraryFiles, encoder: Encoder) -> int:
    """Size of the vectors that a library would have."""
    sql = "SELECT width_px, height_px, count(*) FROM images GROUP BY width_px, height_px"
    n_rows = sum(
        len(encoder.tiles_for(int(str(width)), int(str(height)))) * int(str(n))
        for width, height, n in files.catalog.ask(sql)
    )
    return n_rows * encoder.dim * 2


def _check_room(files: LibraryFiles, encoder: Encoder) -> None:
    """Refuses to begin what the disk has no room for.

    Raises:
        StorageError: `disk_refused`.
    """
    there = Staging.n_bytes(files.folder, encoder.fingerprint)
    needed = int(_n_bytes(files, encoder) * _ROOM) - there
    free = shutil.disk_usage(files.folder).free
    if needed > free:
        raise StorageError(
            "disk_refused",
            f"the new vectors need {needed / 1024**2:,.0f} MiB beside the old ones; the disk of"
            f" {files.folder} has {free / 1024**2:,.0f} MiB free",
            "make room on the disk, and run the same command again; the library stays as it is",
        )


def _cost(library: Library, files: LibraryFiles, encoder: Encoder) -> UpgradeCost:
    before, after = files.manifest.fingerprint, encoder.fingerprint
    n_images = files.catalog.count("images")
    is_needed = before.digest != after.digest
    n_left = n_images - Staging.count(files.folder, after) if is_needed else 0
    per_picture_s = _seconds_a_picture(files, encoder) if n_left else 0.0
    return UpgradeCost(
        before.told,
        after.told,
        n_images,
        n_left,
        sum(absence.n for absence in files.catalog.absences()),
        _n_bytes(files, encoder) if is_needed else 0,
        shutil.disk_usage(files.folder).free,
        None if per_picture_s is None else round(per_picture_s * n_left, 1),
        is_needed,
    )


def _seconds_a_picture(files: LibraryFiles, encoder: Encoder) -> float | None:
    """How long one picture of the library takes, decoded and encoded; None where none can be."""
    from relook.core.images import load

    ids = [
        int(str(image_id))
        for (image_id,) in files.catalog.ask(
            f"SELECT image_id FROM images WHERE NOT ({UNENCODED})"
            " AND image_id NOT IN (SELECT image_id FROM whereabouts WHERE absence_id IS NOT NULL)"
            " ORDER BY (image_id * 7919) % 1000003 LIMIT ?",
            (3 * _N_TIMED,),
        )
    ]
    pictures, spent_s = [], 0.0
    for record in files.catalog.images(ids, missing_ok=True):
        began_s = time.perf_counter()
        try:
            pictures.append(load(record.path, encoder.input_px, files.limits).image)
        except ImageError:
            continue
        spent_s += time.perf_counter() - began_s
        if len(pictures) == _N_TIMED:
            break
    if not pictures:
        return None
    encode_images(encoder, pictures[:1])  # loads the model
    began_s = time.perf_counter()
    encode_images(encoder, pictures)
    return (spent_s + time.perf_counter() - began_s) / len(pictures)
