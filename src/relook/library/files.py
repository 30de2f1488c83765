"""A library's files, opened together. Layer: library."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from relook.core.errors import LibraryFormatError, StorageError
from relook.core.settings import ImageLimits, SearchSettings
from relook.core.types import Box
from relook.core.vectors import Floats, Ints
from relook.encoders.base import Encoder, Fingerprint
from relook.library.backup import Backup, catalog_fault
from relook.library.catalog import Catalog
from relook.library.collection import (
    LibraryVectors,
    WriterVectors,
    begin_library,
    make_folder,
    open_collection,
)
from relook.library.column_files import COLUMN_FILES
from relook.library.lock import WriterLock
from relook.library.manifest import Manifest, check_encoder
from relook.library.records import ImageRecord
from relook.library.row_table import ROWS_FILE, Snapshot
from relook.library.snapshot import Moment, read_moment, vectors_path
from relook.library.vector_file import VectorFile
from relook.stores import ExactStore, Store
from relook.stores.base import Mask
from relook.stores.ivf_files import index_stamp, sweep
from relook.stores.plan import IndexPlan, plan_index

if TYPE_CHECKING:
    from relook.stores.centres import Report

_LOG = logging.getLogger(__name__)
_CATALOG, _VECTORS, _ANN = "catalog.sqlite3", "vectors", "ann"
_OURS = (
    _CATALOG, _VECTORS, ROWS_FILE, *COLUMN_FILES, "manifest.json", "writer.", "upgrade", "backup.",
)  # fmt: skip


class LibraryFiles:
    """Manifest, catalog, vectors and index of one library.

    Use `create` or `open`. An open library shows one consistent state; `refresh` takes in what
    another process has committed since. Threads may share it: inside a `moment` block a thread
    sees one state, whatever another thread refreshes.
    """

    def __init__(self, folder: Path, manifest: Manifest, catalog: Catalog) -> None:
        self.folder, self.catalog = folder, catalog
        self.limits = ImageLimits()  # for decoding one of its pictures again
        self.columns: dict[str, Any] = {}  # by kind, of an earlier moment
        self._tilings: dict[int, tuple[Box, ...]] = {}
        self._lock = threading.RLock()
        self._pinned = threading.local()
        try:
            self.shared = open_collection(folder, manifest, catalog)
            self._latest = self._read(manifest)
        except BaseException:
            catalog.close()
            raise
        # A shared library is made anew by attaching.
        self.backup = Backup(catalog.path, is_kept=self.shared is None and catalog.writable)
        catalog.after_commit = self.backup.note_change

    def _read(self, manifest: Manifest, before: Snapshot | None = None) -> Moment:
        now = read_moment(self.folder, self.catalog, manifest, self._vectors_of, before)
        now.index_stamp = self._index_stamp(now.snapshot)
        return now

    def _vectors_of(self, now: Snapshot, manifest: Manifest) -> LibraryVectors:
        """The vectors of a moment: in the collection that the manifest names, or in a file."""
        if self.shared is not None:
            return self.shared.source(now.end_row)
        path = vectors_path(self.folder, now.vectors_file)
        return VectorFile(path, manifest.fingerprint.dim, now.end_row)

    @property
    def manifest(self) -> Manifest:
        """Of the encoder that made this moment's vectors."""
        return self._now.manifest

    @manifest.setter
    def manifest(self, manifest: Manifest) -> None:
        self._latest.manifest = manifest

    def is_current(self) -> bool:
        """Whether the encoder of this moment's vectors is still the library's."""
        return self.catalog.counter("encoder") == self._now.snapshot.encoder

    def _index_stamp(self, now: Snapshot) -> int:
        return 0 if self.shared else index_stamp(self.folder / _ANN, now.vectors_file)

    @property
    def _now(self) -> Moment:
        pinned: Moment | None = getattr(self._pinned, "moment", None)
        return pinned or self._latest

    @property
    def derived(self) -> dict[str, Any]:
        """Values derived from this moment's vectors; dropped together with it."""
        return self._now.derived

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """Refreshes, and shows this thread that one state for the whole block."""
        if getattr(self._pinned, "moment", None) is not None:
            yield  # the outer block decides
            return
        self.refresh()
        self._pinned.moment = self._latest
        try:
            yield
        finally:
            self._pinned.moment = None

    @classmethod
    def create(
        cls, folder: Path, encoder_name: str, fingerprint: Fingerprint, store: str = ""
    ) -> LibraryFiles:
        """Makes a new, empty library in a new or empty folder.

        Args:
            folder: Where.
            encoder_name: What opens the encoder that will make its vectors.
            fingerprint: Of that encoder.
            store: Address of the collection for the vectors; a file in the folder when empty.

        Raises:
            InputError: `folder_in_use` when other files are in the folder.
            LibraryFormatError: `bad_manifest` when only the manifest of a library is gone.
            LibraryBusyError: when another process is making it.
            StorageError: when it cannot be made.
        """
        make_folder(folder, _OURS, _ANN)
        with WriterLock(folder):
            if Manifest.exists(folder):  # another process was faster
                return cls.open(folder)
            catalog = Catalog(folder / _CATALOG, writable=True)
            manifest = begin_library(folder, catalog, encoder_name, fingerprint, store)
        return cls(folder, manifest, catalog)

    @classmethod
    def open(cls, folder: Path) -> LibraryFiles:
        """Opens a library.

        Raises:
            NotFoundError: `no_library`.
            LibraryFormatError: when it is newer or damaged.
        """
        manifest = Manifest.read(folder)
        fault, lost = catalog_fault(folder / _CATALOG)
        if fault:
            message = f"{fault}: {', '.join(lost)}" if lost else fault
            hint = "relook doctor --repair makes it again from its backup"
            raise LibraryFormatError("bad_catalog", message, hint)
        writable = os.access(folder, os.W_OK)
        return cls(folder, manifest, Catalog(folder / _CATALOG, writable=writable))

    def check_encoder(self, encoder: Encoder) -> None:
        """Refuses an encoder that did not make this library's vectors: `other_encoder`."""
        check_encoder(self.manifest, encoder, self.folder)

    def refresh(self, *, now: bool = False) -> bool:
        """Takes in new commits and a new index; returns whether there were any.

        Args:
            now: Ask a shared collection at once instead of every two seconds.
        """
        if self.shared is not None:
            self.shared.take_in(now=now)
        with self._lock:
            latest = self._latest
            if self.catalog.generation() != latest.snapshot.generation:
                self._latest = self._read(latest.manifest, latest.snapshot)
                return True
            stamp = self._index_stamp(latest.snapshot)
            if stamp == latest.index_stamp:
                return False
            # Threads inside a `moment` block keep the one they have.
            self._latest = replace(latest, index_stamp=stamp, store=None)
        return True

    @property
    def vectors(self) -> LibraryVectors:
        """The vectors, [n, d]."""
        return self._now.vectors

    @property
    def row_table(self) -> Ints:
        """[n, 3] int64: first row, number of tiles, image id of every image, by first row."""
        return self._now.rows

    def records(self, image_ids: Iterable[int]) -> list[ImageRecord]:
        """Records of images, in the given order, as far as they fit this moment.

        An image that was removed or indexed anew since the vectors were mapped is left out:
        its rows may not be there, or be another picture's.
        """
        records = self.catalog.images(image_ids, missing_ok=True)
        table = self.row_table
        if not len(table):
            return []
        theirs = np.array([(r.first_row, r.n_tiles, r.image_id) for r in records], np.int64)
        theirs = theirs.reshape(-1, 3)
        at = np.minimum(np.searchsorted(table[:, 0], theirs[:, 0]), len(table) - 1)
        same = (table[at] == theirs).all(axis=1)
        return [record for record, fits in zip(records, same.tolist(), strict=True) if fits]

    def alive(self) -> Mask | None:
        """[n_rows] bool: rows that an image names; None when all do."""
        return self._now.alive()

    def rows_of(self, table: Ints) -> Mask:
        """[n_rows] bool: the rows that some lines of `row_table` name."""
        return self._now.rows_of(table)

    @property
    def now(self) -> Moment:
        """The moment that this thread sees."""
        return self._now

    def tiling(self, tiling_id: int) -> tuple[Box, ...]:
        """The boxes of a tiling, in the order of an image's rows."""
        if tiling_id not in self._tilings:
            self._tilings[tiling_id] = self.catalog.tiling(tiling_id)
        return self._tilings[tiling_id]

    def store(self, settings: SearchSettings) -> Store:
        """The store that searches the vectors: exact while they are few, then the index.

        A damaged or missing index is left aside, and the search is exact until the next
        run of indexing has built it again.
        """
        now = self._now
        with self._lock:  # threads that begin together open the index once
            if now.store is None:
                now.store = self._new_store(settings)
        return now.store

    def _new_store(self, settings: SearchSettings) -> Store:
        if self.shared is not None:
            return self.shared.store(len(self.vectors), self.alive(), settings)
        if settings.index_kind != "exact" and len(self.vectors) > settings.exact_rows:
            try:
                return self._open_index(settings)
            except LibraryFormatError as error:
                _LOG.warning("searching without the index until the next run: %s", error)
        return ExactStore(self.vectors)

    def _open_index(self, settings: SearchSettings) -> Store:
        from relook.stores.faiss_store import FaissStore

        ann, number = self.folder / _ANN, self._now.snapshot.vectors_file
        try:
            return FaissStore(self.vectors, ann, settings.shortlist, number)
        except LibraryFormatError:
            # A writer may have put another in its place while this one was opened.
            return FaissStore(self.vectors, ann, settings.shortlist, number)

    def index_plan(self, settings: SearchSettings, n_rows: int | None = None) -> IndexPlan:
        """The index that suits the library, or one of so many rows.

        A collection that several servers share has an index of its own, and none here.

        Raises:
            InputError: `memory_limit` when the configured memory is too little for any.
        """
        return plan_index(
            len(self.vectors) if n_rows is None else n_rows,
            self.manifest.fingerprint.dim,
            kind="exact" if self.shared else settings.index_kind,
            exact_rows=settings.exact_rows,
            memory_bytes=settings.memory_mib * 1024**2,
        )

    def index_fault(self, settings: SearchSettings) -> LibraryFormatError | None:
        """Why the index on the disk cannot be used; None when it can, or there is none."""
        if not self._index_stamp(self._now.snapshot):
            return None
        try:
            self._open_index(settings).close()
        except LibraryFormatError as error:
            return error
        return None

    def needs_index(self, settings: SearchSettings) -> bool:
        """Whether the index is missing, damaged, or lacks more than a few rows."""
        plan = self.index_plan(settings)
        if plan.kind == "exact":
            return False
        from relook.stores.ivf_build import needs_update

        return needs_update(self.vectors, self.folder / _ANN, self._file_number, plan)

    def rows_without_index(self, settings: SearchSettings) -> int:
        """How many rows are compared exactly although an index should have them."""
        plan = self.index_plan(settings)
        if plan.kind == "exact":
            return 0
        from relook.stores.ivf_build import rows_without

        return rows_without(self.vectors, self.folder / _ANN, self._file_number, plan)

    def build_index(
        self,
        settings: SearchSettings | None = None,
        texts: Floats | None = None,
        report: Report | None = None,
    ) -> None:
        """Makes the index, or adds to it what it lacks. Writer's lock held.

        Args:
            settings: What kind, and what memory it may take.
            texts: [n, d] queries by words to measure it with.
            report: Called with the progress; may raise to stop.

        Raises:
            StorageError: when the disk refuses.
            InputError: `memory_limit`.
        """
        settings = settings or SearchSettings()
        plan, ann = self.index_plan(settings), self.folder / _ANN
        if plan.kind == "exact":
            if self.index_fault(settings):  # of when there were more rows
                sweep(ann, self._file_number, None)
                self.refresh()
            return
        from relook.stores.ivf_build import update_index

        try:
            update_index(self.vectors, ann, self._file_number, plan, texts, report)
        except (OSError, RuntimeError) as error:
            raise StorageError("disk_refused", f"cannot write the index: {error}") from error
        self.refresh()

    @property
    def _file_number(self) -> int:
        return self._now.snapshot.vectors_file

    def committed_vectors(self) -> LibraryVectors:
        """The vectors that the catalog names now, which no `refresh` replaces; to be read only."""
        now = self.catalog.snapshot(self._latest.snapshot)
        return self._vectors_of(now, self._latest.manifest)

    def writer_vectors(self) -> WriterVectors:
        """The vectors for the one writer, which `refresh` in another thread does not replace."""
        if self.shared is not None:
            return self.shared.begin_writing()
        now = self.catalog.snapshot(self._latest.snapshot)
        path = vectors_path(self.folder, now.vectors_file)
        vectors = VectorFile(path, self.manifest.fingerprint.dim, now.end_row)
        for other in self.folder.glob(f"{_VECTORS}*.f16"):
            if other != path:  # left over by a compaction that was killed
                other.unlink(missing_ok=True)
        return vectors

    def n_bytes(self) -> int:
        """Size of the library's files on disk."""
        n_bytes = 0
        for path in self.folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # SQLite's log comes and goes
                n_bytes += path.stat().st_size if path.is_file() else 0
        return n_bytes

    def close(self) -> None:
        """Closes every file; closing twice is fine."""
        latest = self._latest
        if latest.store is not None:
            latest.store.close()
        latest.vectors.close()
        try:
            self.backup.close()
            if self.shared is not None:
                self.shared.close()
        finally:
            self.catalog.close()

    def __enter__(self) -> LibraryFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
