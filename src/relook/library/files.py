"""A library's files, opened together. Layer: library."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from relook.core.errors import (
    EncoderMismatchError,
    InputError,
    LibraryFormatError,
    NotFoundError,
    StorageError,
)
from relook.core.settings import SearchSettings
from relook.core.types import Box
from relook.core.vectors import Ints
from relook.encoders.base import Encoder, Fingerprint
from relook.library.catalog import Catalog
from relook.library.lock import WriterLock
from relook.library.manifest import Manifest
from relook.library.records import ImageRecord
from relook.library.vector_file import VectorFile
from relook.stores import ExactStore, Store
from relook.stores.base import Mask

if TYPE_CHECKING:
    from relook.library.shared import Shared
    from relook.library.shared_vectors import SharedVectors
    from relook.stores.faiss_store import FaissStore
    from relook.stores.milvus_source import MilvusSource

__all__ = ["LibraryFiles"]

_LOG = logging.getLogger(__name__)
_CATALOG, _VECTORS, _ANN = "catalog.sqlite3", "vectors.f16", "ann"


@dataclass(slots=True)
class _Moment:
    """What a library held when it was read; rows are [n, 3], see `LibraryFiles.row_table`."""

    generation: int
    vectors: VectorFile | MilvusSource
    rows: Ints
    alive: Mask | None = None
    store: Store | None = None
    derived: dict[str, Any] = field(default_factory=dict)


class LibraryFiles:
    """Manifest, catalog, vectors and index of one library.

    Use `create` or `open`. Everything an open library answers is of one moment; `refresh`
    takes in what another process has committed since. Threads may share it: each wraps what
    belongs together in `moment`, and another's `refresh` does not show in there.
    """

    def __init__(self, folder: Path, manifest: Manifest, catalog: Catalog) -> None:
        self.folder, self.manifest, self.catalog = folder, manifest, catalog
        self._tilings: dict[int, tuple[Box, ...]] = {}
        self._lock = threading.RLock()
        self._pinned = threading.local()
        try:
            self.shared = _shared(folder, manifest, catalog)
            self._latest = self._read()
        except BaseException:
            catalog.close()
            raise

    def _read(self) -> _Moment:
        generation, end_row, rows = self.catalog.snapshot()
        return _Moment(generation, self._vectors(end_row), rows)

    def _vectors(self, end_row: int) -> VectorFile | MilvusSource:
        """The vectors up to a row: in the collection that the manifest names, or in a file."""
        if self.shared is not None:
            return self.shared.source(end_row)
        return VectorFile(self.folder / _VECTORS, self.manifest.fingerprint.dim, end_row)

    @property
    def _now(self) -> _Moment:
        pinned: _Moment | None = getattr(self._pinned, "moment", None)
        return pinned or self._latest

    @property
    def derived(self) -> dict[str, Any]:
        """What others worked out from this moment's vectors; gone with it."""
        return self._now.derived

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """Takes in what is new, and answers this thread of that one moment inside the block."""
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
        try:
            folder.mkdir(parents=True, exist_ok=True)
            others = sorted(name for name in os.listdir(folder) if not _ours(name))
        except OSError as error:
            raise StorageError(
                "disk_refused", f"cannot make a library at {folder}: {error.strerror}"
            ) from error
        if others:
            raise InputError(
                "folder_in_use",
                f"{folder} holds other files ({others[0]!r}, for one) and no library",
                "choose a new folder for the library; pictures stay where they are",
            )
        with WriterLock(folder):
            if Manifest.exists(folder):  # another process was faster
                return cls.open(folder)
            catalog = Catalog(folder / _CATALOG, writable=True)
            if catalog.end_row():
                catalog.close()
                raise LibraryFormatError(
                    "bad_manifest",
                    f"{folder} holds a catalog of indexed images but no manifest.json",
                    "restore it from a backup, or index the pictures into a new library",
                )
            manifest = Manifest(encoder_name, fingerprint)
            if store:
                from relook.library.shared import claim

                manifest = claim(folder, manifest, catalog, store)
            manifest.write(folder)
        return cls(folder, manifest, catalog)

    @classmethod
    def open(cls, folder: Path) -> LibraryFiles:
        """Opens a library.

        Raises:
            NotFoundError: `no_library`.
            LibraryFormatError: when it is newer or damaged.
        """
        manifest = Manifest.read(folder)
        if not (folder / _CATALOG).exists():
            raise LibraryFormatError(
                "bad_catalog",
                f"{folder / _CATALOG} is gone",
                "restore it from a backup, or index the pictures into a new library",
            )
        writable = os.access(folder, os.W_OK)
        return cls(folder, manifest, Catalog(folder / _CATALOG, writable=writable))

    def check_encoder(self, encoder: Encoder) -> None:
        """Refuses an encoder that did not make this library's vectors.

        Raises:
            EncoderMismatchError: `other_encoder` naming both.
        """
        ours, theirs = self.manifest.fingerprint, encoder.fingerprint
        if ours.digest != theirs.digest:
            raise EncoderMismatchError(
                "other_encoder",
                f"this library was made by {_name(ours)}; the encoder at hand is {_name(theirs)}",
                "index the pictures into a new library, or use the encoder it was made with",
            )

    def refresh(self, *, index_too: bool = False) -> bool:
        """Takes in what was committed since; True when there was something.

        Args:
            index_too: Also take in an index that was built meanwhile.
        """
        if self.shared is not None:
            self.shared.take_in(now=index_too)
        with self._lock:
            if not index_too and self.catalog.generation() == self._latest.generation:
                return False
            self._latest = self._read()
        return True

    @property
    def vectors(self) -> VectorFile | MilvusSource:
        """The vectors, [n, d]."""
        return self._now.vectors

    @property
    def row_table(self) -> Ints:
        """[n, 3] int64: first row, number of tiles, image id of every image, by first row."""
        return self._now.rows

    def records(self, image_ids: Iterable[int]) -> list[ImageRecord]:
        """What the catalog knows of images, in the given order, as far as it fits this moment.

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
        now = self._now
        if int(now.rows[:, 1].sum()) == len(now.vectors):
            return None
        if now.alive is None:
            now.alive = self.rows_of(now.rows)
        return now.alive

    def rows_of(self, table: Ints) -> Mask:
        """[n_rows] bool: the rows that some lines of `row_table` name."""
        edges = np.zeros(len(self.vectors) + 1, np.int32)
        edges[table[:, 0]] += 1
        np.subtract.at(edges, table[:, 0] + table[:, 1], 1)
        return np.cumsum(edges[:-1]) > 0

    def tiling(self, tiling_id: int) -> tuple[Box, ...]:
        """The boxes of a tiling, in the order of an image's rows."""
        if tiling_id not in self._tilings:
            self._tilings[tiling_id] = self.catalog.tiling(tiling_id)
        return self._tilings[tiling_id]

    def store(self, settings: SearchSettings) -> Store:
        """What searches the vectors: exact while they are few, then the index.

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
        if len(self.vectors) > settings.exact_rows:
            try:
                return self._open_index(settings)
            except LibraryFormatError as error:
                _LOG.warning("searching without the index: %s", error)
        return ExactStore(self.vectors)

    def _open_index(self, settings: SearchSettings) -> FaissStore:
        from relook.stores.faiss_store import FaissStore

        return FaissStore(self.vectors, self.folder / _ANN, settings.shortlist)

    def needs_index(self, settings: SearchSettings) -> bool:
        """Whether the index is missing, damaged, or covers too little."""
        if self.shared is not None or len(self.vectors) <= settings.exact_rows:
            return False
        try:
            store = self._open_index(settings)
        except LibraryFormatError:
            return True
        return store.n_indexed < 0.8 * len(self.vectors)

    def build_index(self) -> None:
        """Builds the index of all rows anew.

        Raises:
            StorageError: when the disk refuses.
        """
        from relook.stores.faiss_store import build_index

        try:
            build_index(self.vectors, self.folder / _ANN)
        except (OSError, RuntimeError) as error:
            raise StorageError("disk_refused", f"cannot write the index: {error}") from error
        self._now.store = None

    def writer_vectors(self) -> VectorFile | SharedVectors:
        """The vectors for the one writer, which `refresh` in another thread does not replace."""
        if self.shared is not None:
            return self.shared.begin_writing()
        dim = self.manifest.fingerprint.dim
        return VectorFile(self.folder / _VECTORS, dim, self.catalog.end_row())

    def forget(self, roots: list[bytes]) -> int:
        """Takes the images at or below some paths out of the catalog. Writer's lock held.

        Returns:
            How many there were.

        Raises:
            NotFoundError: `no_image` when no image is there.
        """
        inside = "path = ?1 OR substr(path, 1, length(?2)) = ?2"
        n_forgotten = 0
        if self.shared is not None:
            self.shared.take_in(now=True)
        with self.catalog.transaction() as db:
            for root in roots:
                values = (root, root.rstrip(os.sep.encode()) + os.sep.encode())
                n_images = db.execute(f"DELETE FROM images WHERE {inside}", values).rowcount
                db.execute(f"DELETE FROM roots WHERE {inside}", values)
                db.execute(f"DELETE FROM skipped WHERE {inside}", values)
                if not n_images:
                    raise NotFoundError("no_image", f"no image is indexed at {os.fsdecode(root)}")
                n_forgotten += n_images
            self.catalog.bump(db)
        return n_forgotten

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


def _shared(folder: Path, manifest: Manifest, catalog: Catalog) -> Shared | None:
    """The collection that the manifest names; None for a library of this machine alone."""
    if not manifest.store:
        return None
    from relook.library.shared import shared_of

    return shared_of(folder, manifest, catalog)


def _ours(name: str) -> bool:
    return name.startswith((_CATALOG, _VECTORS, "manifest.json", "writer.")) or name == _ANN


def _name(fingerprint: Fingerprint) -> str:
    return f"{fingerprint.name} {fingerprint.revision} ({fingerprint.digest})"
