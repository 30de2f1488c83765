"""The state of an open library at one moment. Layer: library."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from relook.core.errors import LibraryFormatError
from relook.core.vectors import Ints
from relook.library.catalog import Catalog
from relook.library.collection import LibraryVectors
from relook.library.manifest import Manifest
from relook.library.row_table import KEPT_FROM, Snapshot, keep_rows, kept_rows
from relook.stores import Store
from relook.stores.base import Mask

_PLACE = "vectors"


@dataclass(slots=True)
class Moment:
    """The state of a library at one moment, with everything derived from it.

    Args:
        snapshot: Counters and row table of the catalog.
        manifest: Of the encoder that made the vectors.
        vectors: The rows, [n, d].
        index_stamp: Of the index that was there, see `ivf_files.index_stamp`.
    """

    snapshot: Snapshot
    manifest: Manifest
    vectors: LibraryVectors
    index_stamp: int = 0
    store: Store | None = None
    derived: dict[str, Any] = field(default_factory=dict)
    _alive: Mask | None = None
    _counts: tuple[int, int] | None = None
    _by_id: tuple[Ints, Ints] | None = None
    _present: tuple[Mask | None, Mask] | None = None

    @property
    def rows(self) -> Ints:
        """[n, 3], see `LibraryFiles.row_table`."""
        return self.snapshot.rows

    @property
    def n_alive(self) -> int:
        """Rows that an image names."""
        return self._counted()[0]

    @property
    def most_tiles(self) -> int:
        """Rows of the image that has the most; 1 when there is none."""
        return self._counted()[1]

    def _counted(self) -> tuple[int, int]:
        if self._counts is None:
            n_tiles = self.rows[:, 1]
            self._counts = int(n_tiles.sum()), max(int(n_tiles.max(initial=1)), 1)
        return self._counts

    def alive(self) -> Mask | None:
        """[n_rows] bool: rows that an image names; None when all do."""
        if self.n_alive == len(self.vectors):
            return None
        if self._alive is None:
            self._alive = self.rows_of(self.rows)
        return self._alive

    @property
    def n_away(self) -> int:
        """How many images are away."""
        return int(np.count_nonzero(~self.present()[1])) if self._any_away else 0

    @property
    def _any_away(self) -> bool:
        away = self.snapshot.away
        return away is not None and len(away) > 0

    def present(self) -> tuple[Mask | None, Mask]:
        """The rows and images that are not away.

        Returns:
            [n_rows] bool, the rows of such images (None when all are); [n images, by first row]
            bool, the images.
        """
        if self._present is None:
            images = np.ones(len(self.rows), np.bool_)
            if self._any_away:
                assert self.snapshot.away is not None
                places = self.places(self.snapshot.away)
                images[places[places >= 0]] = False
            rows = self.alive() if images.all() else self.rows_of_images(images)
            self._present = rows, images
        return self._present

    def rows_of(self, table: Ints) -> Mask:
        """[n_rows] bool: the rows that some lines of the row table name."""
        edges = np.zeros(len(self.vectors) + 1, np.bool_)
        edges[table[:, 0]] ^= True
        edges[table[:, 0] + table[:, 1]] ^= True  # where the next image begins it goes on
        inside: Mask = np.logical_xor.accumulate(edges[:-1])
        return inside

    def rows_of_images(self, images: Mask) -> Mask:
        """[n_rows] bool: the rows of some images, [n images by first row] bool."""
        if self.n_alive == len(self.vectors):  # one after the other, without a gap
            return np.repeat(images, self.rows[:, 1])
        return self.rows_of(self.rows[images])

    def places(self, image_ids: Ints) -> Ints:
        """[k] positions in the row table of images, -1 for those that are not in it."""
        if self._by_id is None:
            order = np.argsort(self.rows[:, 2], kind="stable")
            self._by_id = self.rows[order, 2], order
        ids, order = self._by_id
        if not len(ids):
            return np.full(len(image_ids), -1, np.int64)
        at = np.minimum(np.searchsorted(ids, image_ids), len(ids) - 1)
        return np.where(ids[at] == image_ids, order[at], -1)


def vectors_path(folder: Path, number: int) -> Path:
    """The file of vectors that a catalog names by its number."""
    return folder / (f"{_PLACE}-{number}.f16" if number else f"{_PLACE}.f16")


def vectors_number(path: Path) -> int:
    """The inverse of `vectors_path`."""
    return int(path.stem.removeprefix(f"{_PLACE}-")) if "-" in path.stem else 0


def read_moment(
    folder: Path,
    catalog: Catalog,
    manifest: Manifest,
    vectors_of: Callable[[Snapshot, Manifest], LibraryVectors],
    known: Snapshot | None,
) -> Moment:
    """The current state of the catalog, with its vectors mapped.

    Args:
        folder: Of the library.
        catalog: The open one there.
        manifest: As it was read last.
        vectors_of: Opens the vectors of a moment.
        known: An earlier snapshot.

    Raises:
        LibraryFormatError: `vectors_missing`, `bad_catalog`; `bad_manifest` where manifest and
            catalog are of different encoders.
    """
    known = kept_rows(folder) if known is None else known
    while True:
        now = catalog.snapshot(known)
        try:
            manifest = _manifest_at(folder, manifest, now)
            vectors = vectors_of(now, manifest)
        except LibraryFormatError:
            if catalog.snapshot(now).vectors_file == now.vectors_file:
                raise
            continue  # meanwhile a compaction or an upgrade replaced the file
        went_on = known is not None and known.rewrites == now.rewrites
        n_read = len(now.rows) - (len(known.rows) if known and went_on else 0)
        if n_read * 10 > len(now.rows) > KEPT_FROM and catalog.writable:
            keep_rows(folder, now)
        return Moment(now, manifest, vectors)


def _manifest_at(folder: Path, manifest: Manifest, now: Snapshot) -> Manifest:
    """The manifest of the encoder that made the rows of a snapshot; read again where it is old."""
    manifest = manifest.at(now.encoder)
    if now.encoder in (0, manifest.fingerprint.number):
        return manifest
    manifest = Manifest.read(folder).at(now.encoder)
    if manifest.fingerprint.number != now.encoder:
        raise LibraryFormatError(
            "bad_manifest",
            f"{folder / 'manifest.json'} names {manifest.fingerprint.told}, and the vectors are of"
            " another encoder",
            "restore the whole library from one backup, or index the pictures into a new one",
        )
    return manifest
