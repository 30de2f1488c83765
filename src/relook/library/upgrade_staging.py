"""Vectors of another encoder, made beside those that count. Layer: library.

The folder `upgrade` of a library holds them until they are whole: `target.json` names the
encoder, `vectors.f16` has the rows, `staged.sqlite3` says whose they are. Rows are appended and
synced first, then one transaction names them, so that a kill costs the batch in flight.
"""

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from relook.core.errors import LibraryFormatError
from relook.core.types import Box
from relook.core.vectors import Floats
from relook.encoders.base import Fingerprint
from relook.library.files import LibraryFiles
from relook.library.manifest import Manifest, write_whole
from relook.library.records import ImageRecord
from relook.library.sqlite_errors import DAMAGE, database_error
from relook.library.vector_file import VectorFile

FOLDER = "upgrade"
_TARGET, _DATABASE, _VECTORS = "target.json", "staged.sqlite3", "vectors.f16"
StagedImage = tuple[ImageRecord, Floats, Sequence[Box]]
"""An image, its vectors [t, d], and the rectangles that they stand for."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tilings (tiling_id INTEGER PRIMARY KEY, boxes TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS staged (
    image_id INTEGER PRIMARY KEY,
    content BLOB NOT NULL,
    first_row INTEGER NOT NULL,
    n_tiles INTEGER NOT NULL,
    tiling_id INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS staged_content ON staged (content);
CREATE TABLE IF NOT EXISTS crops (
    image_id INTEGER NOT NULL,
    box TEXT NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (image_id, box)
);
"""


def staged_for(library: Path) -> Manifest | None:
    """The encoder for which an upgrade was begun, as the manifest to be; None where none was."""
    try:
        return Manifest.read(library / FOLDER, _TARGET)
    except (LibraryFormatError, LookupError):
        return None


class Staging:
    """The vectors made so far. The caller holds the writer's lock.

    Vectors of an earlier run for the same encoder are gone on with; those for another are
    thrown away.

    Args:
        library: The library's folder.
        encoder: What opens the new encoder.
        fingerprint: Of it.

    Raises:
        StorageError: when the disk refuses.
    """

    def __init__(self, library: Path, encoder: str, fingerprint: Fingerprint) -> None:
        self.folder = library / FOLDER
        before = staged_for(library)
        if before is None or before.fingerprint.digest != fingerprint.digest:
            self.remove(library)
            self.folder.mkdir(exist_ok=True)
            values = {"encoder": encoder, "fingerprint": fingerprint.as_dict()}
            write_whole(self.folder / _TARGET, {"format_version": 1, **values})
        self._path = self.folder / _DATABASE
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            self._db.executescript(_SCHEMA)
            self.vectors = self._open_vectors(fingerprint.dim)
        except DAMAGE as error:
            self._db.close()
            raise database_error(self._path, error) from error
        except LibraryFormatError:  # the rows are gone: begin again
            self._db.executescript("DELETE FROM staged; DELETE FROM crops;")
            self.vectors = self._open_vectors(fingerprint.dim)

    def _open_vectors(self, dim: int) -> VectorFile:
        (end_row,) = self._db.execute(
            "SELECT coalesce(max(first_row + n_tiles), 0) FROM staged"
        ).fetchone()
        vectors = VectorFile(self.folder / _VECTORS, dim, end_row)
        vectors.cut_tail()
        return vectors

    @property
    def ann(self) -> Path:
        """The folder for the index of the new vectors."""
        return self.folder / "ann"

    def missing(self, images: Sequence[ImageRecord]) -> list[ImageRecord]:
        """Those of some images that have no vectors here, or those of an earlier picture."""
        marks = ",".join("?" * len(images))
        rows = self._ask(
            f"SELECT image_id, content FROM staged WHERE image_id IN ({marks})",
            [image.image_id for image in images],
        )
        known = dict(rows)
        return [image for image in images if known.get(image.image_id) != image.content]

    def twin(self, content: bytes) -> tuple[Floats, tuple[Box, ...]] | None:
        """Vectors [t, d] and rectangles of an image with a content; None where none has any."""
        rows = self._ask(
            "SELECT first_row, n_tiles, boxes FROM staged JOIN tilings USING (tiling_id)"
            " WHERE content = ? LIMIT 1",
            (content,),
        )
        if not rows:
            return None
        first, n_tiles, boxes = rows[0]
        tiles = self.vectors.rows(np.arange(first, first + n_tiles, dtype=np.int64))
        return tiles, tuple(Box(*edges) for edges in json.loads(boxes))

    def put(self, images: Sequence[StagedImage]) -> None:
        """Adds images with their vectors, all or none.

        Raises:
            StorageError: when the disk refuses; what was put before stays.
        """
        if not images:
            return
        n_before = len(self.vectors)
        row = self.vectors.append(np.concatenate([tiles for _, tiles, _ in images]))
        try:
            self._db.execute("BEGIN")
            for image, tiles, boxes in images:
                text = json.dumps([box.as_list() for box in boxes])
                self._db.execute("INSERT OR IGNORE INTO tilings (boxes) VALUES (?)", (text,))
                self._db.execute(
                    "INSERT OR REPLACE INTO staged SELECT ?, ?, ?, ?, tiling_id FROM tilings"
                    " WHERE boxes = ?",
                    (image.image_id, image.content, row, len(tiles), text),
                )
                row += len(tiles)
            self._db.execute("COMMIT")
        except BaseException as error:
            committed = not self._db.in_transaction
            if not committed:
                self._db.execute("ROLLBACK")
                self.vectors.take_back(n_before)
            if isinstance(error, sqlite3.DatabaseError):
                raise database_error(self._path, error) from error
            raise

    def put_crops(self, crops: Iterable[tuple[int, str, Floats]]) -> None:
        """Adds vectors [d] of boxes: image id, the box as judgements keep it, vector."""
        rows = [
            (image_id, box, vector.astype(np.float32).tobytes()) for image_id, box, vector in crops
        ]
        try:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR REPLACE INTO crops VALUES (?, ?, ?)", rows)
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError):
                raise database_error(self._path, error) from error
            raise

    def crop_places(self) -> set[tuple[int, str]]:
        """Image id and box of the boxes that have vectors."""
        return set(self._ask("SELECT image_id, box FROM crops"))

    def crops(self) -> Iterator[tuple[bytes, int, str]]:
        """Vector, image id and box of every box."""
        return iter(self._db.execute("SELECT vector, image_id, box FROM crops"))

    def tilings(self) -> dict[int, str]:
        """The lists of boxes, by id."""
        return dict(self._ask("SELECT tiling_id, boxes FROM tilings"))

    def rows(self) -> Iterator[tuple[int, int, int, int, bytes]]:
        """First row, number of tiles, tiling, image id and content of every image."""
        return iter(
            self._db.execute(
                "SELECT first_row, n_tiles, tiling_id, image_id, content FROM staged"
                " ORDER BY first_row"
            )
        )

    def n_images(self) -> int:
        """How many images have vectors."""
        return int(self._ask("SELECT count(*) FROM staged")[0][0])

    def _ask(self, sql: str, values: Sequence[object] = ()) -> list[tuple]:  # type: ignore[type-arg]
        try:
            return self._db.execute(sql, values).fetchall()
        except DAMAGE as error:
            raise database_error(self._path, error) from error

    def close(self) -> None:
        """Closes the files; closing twice is fine."""
        self.vectors.close()
        self._db.close()

    @staticmethod
    def n_bytes(library: Path, fingerprint: Fingerprint) -> int:
        """Size of the vectors that an earlier run has made for an encoder."""
        target = staged_for(library)
        if target is None or target.fingerprint.digest != fingerprint.digest:
            return 0
        try:
            return (library / FOLDER / _VECTORS).stat().st_size
        except OSError:
            return 0

    @staticmethod
    def count(library: Path, fingerprint: Fingerprint) -> int:
        """How many images an earlier run has done for an encoder; nothing is changed."""
        path = library / FOLDER / _DATABASE
        if not Staging.n_bytes(library, fingerprint) or not path.exists():
            return 0
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
                return int(db.execute("SELECT count(*) FROM staged").fetchone()[0])
        except DAMAGE:
            return 0

    @staticmethod
    def remove(library: Path) -> None:
        """Throws away what was made; fine where nothing was."""
        folder = library / FOLDER
        (folder / _TARGET).unlink(missing_ok=True)  # first: without it the rest counts for nothing
        shutil.rmtree(folder, ignore_errors=True)


def settle_upgrade(files: LibraryFiles) -> None:
    """Ends what a kill right after a switch left: the manifest names one encoder again.

    Writer's lock held; the files are refreshed.
    """
    if Manifest.read(files.folder).next is not None:
        files.manifest.write(files.folder)
    target = staged_for(files.folder)
    if target is None or target.fingerprint.digest == files.manifest.fingerprint.digest:
        Staging.remove(files.folder)
