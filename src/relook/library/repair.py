"""Mending a library without inventing anything. Layer: library.

Derived data is made again, and what nothing refers to is removed. An image with damaged vectors
is taken out; its id and words are kept for the next run of indexing. Before rows are taken out
of the catalog, a copy of it is put beside it. Pictures are not touched.
"""

import contextlib
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from relook.core.errors import (
    InputError,
    LibraryBusyError,
    LibraryFormatError,
    NotFoundError,
    StorageError,
    counted,
    disk_error,
)
from relook.core.leftovers import sweep_files
from relook.core.progress import Progress, ProgressCallback
from relook.core.settings import SearchSettings
from relook.core.sources import STRANGERS
from relook.library.backup import Backup
from relook.library.catalog import Catalog
from relook.library.check import CATALOG, check, is_leftover
from relook.library.check_catalog import mend_rows
from relook.library.check_sessions import mend_sessions
from relook.library.column_files import COLUMN_FILES
from relook.library.files import LibraryFiles
from relook.library.findings import CheckReport, RepairReport
from relook.library.lock import WriterLock
from relook.library.manifest import Manifest, kept_manifest
from relook.library.restore import make_again, take_from_backup
from relook.library.row_table import ROWS_FILE
from relook.library.snapshot import vectors_number, vectors_path
from relook.library.sqlite_errors import database_error
from relook.library.text_table import TEXT_FAULTS, mend_texts
from relook.library.tombstones import drop
from relook.library.vector_file import VectorFile, add_missing_sums

_OF_SESSIONS = ("bad_session", "foreign_key", "empty_session")
_REMOVED = "removed the index; so few tiles need none, and searches are exact"
_PIECE_ROWS = 4096
_TURNS = 3


def repair(
    folder: Path,
    settings: SearchSettings | None = None,
    progress: ProgressCallback | None = None,
) -> RepairReport:
    """Mends what a check finds, and checks again.

    Args:
        folder: The library.
        settings: `exact_rows` says from how many rows on there should be an index.
        progress: Called now and then.

    Raises:
        NotFoundError: `no_library`.
        LibraryBusyError: when another process writes to it, or has the damaged catalog open.
        StorageError: when the disk refuses; running it again goes on.
        InputError: `not_for_shared` when the vectors are in a collection of several servers.
    """
    settings, progress = settings or SearchSettings(), progress or (lambda _: None)
    if not Manifest.exists(folder):
        Manifest.read(folder)  # raises `no_library`
    _refuse_shared(folder)
    with WriterLock(folder):
        before = check(folder, settings, progress)
        if before.has("newer_format"):
            return RepairReport(before, before)
        mending, after = _Mending(folder, settings, progress, before), before
        try:
            for _ in range(_TURNS):  # mending one damage may uncover another
                mending.run()
                after = check(folder, settings, progress)
                if after.sound or after.findings == before.findings:
                    break
                mending.report = after
            if after.sound and (mending.done or after.has("bad_backup")):
                mending.back_up(after)
        except StorageError:
            raise
        except sqlite3.DatabaseError as error:
            raise database_error(folder / CATALOG, error) from error
        except OSError as error:
            raise disk_error(f"cannot write to {folder}", error) from error
    return RepairReport(before, after, mending.done, mending.kept)


def _refuse_shared(folder: Path) -> None:
    """Refuses a shared library: its folder can be made anew from the collection."""
    try:
        store = Manifest.read(folder).store
    except (LibraryFormatError, NotFoundError):
        return  # damage that a repair looks at
    if store:
        raise InputError(
            "not_for_shared",
            f"this library has its vectors, and what is known of its images, in {store}",
            f"make its folder anew: move it away, and run: relook attach {store}",
        )


class _Mending:
    """One repair. The writer's lock is held."""

    def __init__(
        self,
        folder: Path,
        settings: SearchSettings,
        progress: ProgressCallback,
        report: CheckReport,
    ) -> None:
        self._folder, self._settings, self._progress = folder, settings, progress
        self.report = report
        self.done: list[str] = []
        self.kept: list[str] = []

    def run(self) -> None:
        """Mends from the bottom up: what comes later builds on what came before."""
        self._manifest()
        if self.report.has("bad_catalog"):
            self._restore()
            self.report = check(self._folder, self._settings, self._progress)
        if not self.report.has("bad_catalog"):
            self._rows()
            self._vectors()
            self._index()
        self._leftovers()

    def _manifest(self) -> None:
        """Makes a damaged manifest again.

        It is `manifest.json.new` of a stopped run, if that is whole, or the catalog's copy.
        """
        path, new = self._folder / "manifest.json", self._folder / "manifest.json.new"
        if not self.report.has("bad_manifest"):
            return
        with contextlib.suppress(LibraryFormatError, NotFoundError):
            Manifest.read(self._folder, new.name)
            if path.exists():
                self._keep(path)
            new.replace(path)
            self._look_again("took the manifest that a stop had left beside the damaged one")
            return
        if (manifest := kept_manifest(self._folder)) is not None:
            if path.exists():
                self._keep(path)
            manifest.write(self._folder)
            self._look_again("made manifest.json again from the copy that the catalog keeps")

    def _look_again(self, done: str) -> None:
        self.done.append(done)
        self.report = check(self._folder, self._settings, self._progress)

    def _restore(self) -> None:
        """Puts a new catalog in place of the damaged one, which stays beside it."""
        path, new = self._folder / CATALOG, self._folder / f"{CATALOG}.new"
        self._progress(Progress("restoring the catalog"))
        for old in (new, *_logs(new)):
            old.unlink(missing_ok=True)
        kept = None
        if path.exists():
            _alone(path)
            kept = self._keep(path)
        message = make_again(self._folder, kept, new)
        self._name_vectors(new)
        for log in () if kept is None else _logs(kept):
            if log.exists() and (log.name.endswith("-shm") or not log.stat().st_size):
                log.unlink()
        for log in _logs(path):  # of the damaged one: the new one has none
            log.unlink(missing_ok=True)
        for name in (ROWS_FILE, *COLUMN_FILES):
            (self._folder / name).unlink(missing_ok=True)
        new.replace(path)
        self.done.append(message)

    def _name_vectors(self, new: Path) -> None:
        """Makes a new catalog name the existing file of vectors.

        Where its rows are of another file, as before a compaction or an upgrade, every image
        waits to be indexed again.
        """
        numbers = [vectors_number(file) for file in self._folder.glob("vectors*.f16")]
        with closing(Catalog(new, writable=True)) as catalog:
            if numbers and catalog.vectors_file() not in numbers:
                with catalog.transaction() as db:
                    drop(
                        db, [image_id for (image_id,) in db.execute("SELECT image_id FROM images")]
                    )
                    db.execute("DELETE FROM sums")
                    db.execute("UPDATE judgements SET crop = NULL")
                    catalog.set_counter(db, "vectors_file", max(numbers))
                    if not self.report.has("bad_manifest"):
                        number = Manifest.read(self._folder).fingerprint.number
                        catalog.set_counter(db, "encoder", number)
                    catalog.bump(db, 0)
                name = vectors_path(self._folder, max(numbers)).name
                self.done.append(f"took {name} for the vectors; index the pictures again")
            catalog.ask("PRAGMA journal_mode=DELETE")

    def _keep(self, path: Path) -> Path:
        """Copies a damaged file, with SQLite's log, to a name beside it."""
        kept = _free_name(path)
        wal, kept_wal = _logs(path)[0], _logs(kept)[0]
        shutil.copy2(path, kept)
        if wal.exists() and wal.stat().st_size:
            shutil.copy2(wal, kept_wal)
        self.kept.append(str(kept))
        return kept

    def back_up(self, after: CheckReport) -> None:
        """Makes a backup of the mended catalog."""
        if not Backup(self._folder / CATALOG).make() and after.has("bad_backup"):
            self.done.append("made another backup of the catalog")
            after.notes = [note for note in after.notes if note.code != "bad_backup"]

    def _rows(self) -> None:
        """Takes damaged rows out of the catalog, after keeping a copy of it."""
        findings, report = self.report.findings, self.report
        ids = sorted({image_id for finding in findings for image_id in finding.image_ids})
        sessions = any(report.has(code) for code in _OF_SESSIONS)
        ranges = [place for finding in findings for place in finding.rows]
        rows, texts = report.has("bad_row"), any(map(report.has, TEXT_FAULTS))
        if not (ids or sessions or ranges or rows or texts or report.has("bad_counter")):
            return
        with closing(Catalog(self._folder / CATALOG, writable=True)) as catalog:
            if not self.kept:
                self._keep_copy(catalog)
            with catalog.transaction() as db:
                self.done += mend_rows(db) if rows else []
                self.done += mend_texts(db) if texts else []
                drop(db, ids)
                for first, end in ranges:
                    db.execute("DELETE FROM sums WHERE first_row < ? AND first_row + n_rows > ?",
                               (end, first))  # fmt: skip
                if sessions and (n := take_from_backup(self._folder, db)):
                    self.done.append(f"took {counted(n, 'row')} of sessions from the backup")
                self.done += mend_sessions(db) if sessions else []
                catalog.bump(db, report.counts["rows"])
        if ids:
            images = counted(len(ids), "image")
            self.done.append(f"took out {images}; index again what is missing: relook index")

    def _keep_copy(self, catalog: Catalog) -> None:
        kept = _free_name(catalog.path)
        with closing(sqlite3.connect(catalog.path)) as db, closing(sqlite3.connect(kept)) as copy:
            db.backup(copy)
        self.kept.append(str(kept))

    def _vectors(self) -> None:
        """Clears damaged rows, which no image names by now, and fits the file to the catalog."""
        if self.report.has("bad_manifest"):
            return
        with closing(Catalog(self._folder / CATALOG, writable=True)) as catalog:
            manifest = Manifest.read(self._folder).at(catalog.counter("encoder"))
            dim = manifest.fingerprint.dim
            path, end_row = vectors_path(self._folder, catalog.vectors_file()), catalog.end_row()
            ranges = [place for finding in self.report.findings for place in finding.rows]
            try:
                n_cut = _fit(path, dim, end_row, ranges)
            except OSError as error:
                message = f"cannot write {path}: {error.strerror}"
                hint = "if the disk fails, copy the library to another one and mend it there"
                raise StorageError(disk_error(message, error).code, message, hint) from error
            n_summed = add_missing_sums(catalog, VectorFile(path, dim, end_row))
        if ranges:
            n_cleared = sum(end - first for first, end in ranges)
            self.done.append(f"cleared {counted(n_cleared, 'damaged row')}")
        if n_cut:
            self.done.append(f"cut {n_cut:,} bytes behind the last row that counts")
        if n_summed:
            self.done.append(f"added the checksums of {counted(n_summed, 'row')}")

    def _index(self) -> None:
        if self.report.has("bad_manifest"):
            return
        with LibraryFiles.open(self._folder) as files:
            if files.index_fault(self._settings) or files.needs_index(self._settings):
                self._progress(Progress("building the index"))
                files.build_index(self._settings)
                is_small = files.index_plan(self._settings).kind == "exact"
                self.done.append(_REMOVED if is_small else "built the index anew")

    def _leftovers(self) -> None:
        for folder in (self._folder, self._folder / "ann"):
            for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
                if is_leftover(name):
                    (folder / name).unlink(missing_ok=True)
                    self.done.append(f"removed {name}, which a stop had left half written")
        for name in STRANGERS:
            if n := sweep_files(self._folder / name):
                files = counted(n, "file")
                self.done.append(f"removed {files} in {name}, which a stop had left half written")


def _fit(path: Path, dim: int, end_row: int, ranges: list[tuple[int, int]]) -> int:
    """Writes zeros over ranges of rows, and makes the file as long as its rows.

    Returns:
        How many bytes were cut off.
    """
    size = dim * 2
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        n_bytes = os.fstat(descriptor).st_size
        if n_bytes != end_row * size:
            os.ftruncate(descriptor, end_row * size)
        held = min(-(-n_bytes // size), end_row)  # behind the file's end all are zeros
        for first, end in ranges:
            for at in range(first, min(end, held), _PIECE_ROWS):
                n_rows = min(_PIECE_ROWS, end - at, held - at)
                os.pwrite(descriptor, bytes(n_rows * size), at * size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return max(n_bytes - end_row * size, 0)


def _alone(path: Path) -> None:
    """Refuses while another process has the catalog open: that would keep using the old file.

    Raises:
        LibraryBusyError: `library_busy`.
    """
    with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as db:
        try:
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
            db.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise LibraryBusyError(
                    "library_busy",
                    f"another process has {path} open, which must be replaced",
                    "stop relook serve and whatever else uses the library, and run it again",
                ) from error
            # Too damaged to be locked: too damaged to be used by anybody.


def _logs(path: Path) -> tuple[Path, Path]:
    """SQLite's files beside a database."""
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def _free_name(path: Path) -> Path:
    """An unused name for a copy of a damaged file, with the time in it."""
    stamp = time.strftime("%Y%m%dT%H%M%S")
    name = f"{path.name}.damaged-{stamp}"
    number = 1
    while path.with_name(name).exists():  # the clock may have gone back
        number += 1
        name = f"{path.name}.damaged-{stamp}-{number}"
    return path.with_name(name)
