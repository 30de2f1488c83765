"""Freeing the space of rows that no image names. Layer: library.

A new file of vectors is written under another name, and one transaction names it together with
every image's new first row. A kill before the transaction leaves the new file over, a kill
after it the old one; the next writer removes what is left over. Readers keep the old file
mapped until they refresh.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relook.core.converter import JsonValue
from relook.core.errors import InputError, LibraryFormatError, NotFoundError, StorageError
from relook.core.picture_paths import inside, printable, spellings, split_member
from relook.core.vectors import Ints
from relook.library.catalog import Catalog
from relook.library.files import LibraryFiles
from relook.library.snapshot import vectors_path
from relook.library.tombstones import Ask, bury, n_in_albums, n_marks, sweep_tombstones
from relook.library.vector_file import VectorFile, renew_sums
from relook.stores.base import Mask

_DEAD_SHARE = 0.3
_FEW = 2_000  # dead rows that are too few to report
_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class CompactReport(JsonValue):
    """What compaction did.

    Args:
        n_rows_before, n_rows: Rows of the file of vectors.
        n_bytes_freed: Of the disk, by the vectors alone.
    """

    n_rows_before: int
    n_rows: int
    n_bytes_freed: int


def is_worthwhile(files: LibraryFiles) -> bool:
    """Whether enough rows are dead that indexing should free their space by itself."""
    n_dead = len(files.vectors) - files.now.n_alive
    return n_dead > max(_FEW, _DEAD_SHARE * len(files.vectors))


def compact(
    files: LibraryFiles, progress: Callable[[int, int], None] | None = None
) -> CompactReport:
    """Rewrites the vectors without dead rows. Writer's lock held.

    Args:
        files: The open library.
        progress: Called with (rows copied, rows in all); may raise to stop.

    Raises:
        InputError: `not_for_shared` when the vectors are in a collection of several servers.
        StorageError: when the disk refuses; the library is then as it was.
    """
    files.refresh()
    old = files.vectors
    if not isinstance(old, VectorFile):
        raise InputError(
            "not_for_shared",
            f"this library has its vectors in {files.manifest.store}, which frees their space",
            "nothing is to be done: rows of removed images are deleted there at once",
        )
    files.writer_vectors().cut_tail()
    now, alive = files.now, files.alive()
    n_before = len(files.vectors)
    if alive is None:
        return CompactReport(n_before, n_before, 0)
    number = now.snapshot.vectors_file + 1
    new_row = np.cumsum(alive, dtype=np.int64) - 1  # [n], of rows that are alive
    path = vectors_path(files.folder, number)
    try:
        _copy(old, alive, path, progress or (lambda _done, _total: None))
        _renumber_index(files, alive, new_row, number)
        files.manifest.raise_version(files.folder)
        vectors = VectorFile(path, files.vectors.dim, int(alive.sum()))
        name_new_rows(files.catalog, now.rows, new_row, number, vectors)
    except BaseException as error:
        if files.catalog.snapshot(now.snapshot).vectors_file != number:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError | RuntimeError) and not isinstance(error, StorageError):
            raise StorageError(
                "disk_refused", f"cannot write {path}: {error}",
                "make room on the disk for a second file of vectors; nothing is lost",
            ) from error  # fmt: skip
        raise
    files.refresh()
    files.writer_vectors()  # removes the old file
    n_rows = len(files.vectors)
    return CompactReport(n_before, n_rows, (n_before - n_rows) * files.vectors.dim * 2)


def name_new_rows(
    catalog: Catalog, table: Ints, new_row: Ints, number: int, vectors: VectorFile
) -> None:
    """The one transaction: every image's new first row, the sums, and the file of the rows.

    Any other column that holds row numbers has to be updated here, too.

    Args:
        catalog: Of the library.
        table: [n, 3] row table of the moment that was copied, by first row.
        new_row: [rows] new numbers of rows.
        number: Of the new file.
        vectors: The new file.
    """
    first = new_row[table[:, 0]].tolist()
    moves = zip(first, table[:, 2].tolist(), strict=True)
    with catalog.transaction() as db:
        # By ascending rows: each image moves to rows that are free by then.
        db.executemany("UPDATE images SET first_row = ? WHERE image_id = ?", moves)
        db.execute("INSERT OR REPLACE INTO counters VALUES ('vectors_file', ?)", (number,))
        renew_sums(db, vectors)
        catalog.bump(db, len(vectors))


def _copy(
    vectors: VectorFile, alive: Mask, path: Path, progress: Callable[[int, int], None]
) -> None:
    n = len(alive)
    with open(path, "wb") as file:
        for start in range(0, n, _BLOCK):
            progress(start, n)
            kept = start + np.flatnonzero(alive[start : start + _BLOCK])
            file.write(vectors.halves(kept).tobytes())
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    progress(n, n)


def _renumber_index(files: LibraryFiles, alive: Mask, new_row: Ints, number: int) -> None:
    """An index over the new file, from the one over the old; none where that is not usable."""
    ann = files.folder / "ann"
    if not ann.is_dir():
        return
    from relook.stores.ivf_files import renumber_index

    with contextlib.suppress(LibraryFormatError):  # damaged or outdated: the next run builds one
        renumber_index(files.vectors, ann, number, alive, new_row)


_WITHIN = "path = ?1 OR substr(path, 1, length(?2)) = ?2 OR substr(path, 1, length(?3)) = ?3"
_REST = ("dropped", "roots", "skipped")  # what else is kept by its path


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was taken out.

    Args:
        n_images: How many images.
        n_marks: How many judgements are of them; sessions keep these judgements.
        n_in_albums: How many of them albums hold; albums keep their places.
    """

    n_images: int
    n_marks: int
    n_in_albums: int = 0


def forget(files: LibraryFiles, roots: Sequence[bytes]) -> Forgotten:
    """Takes the images at or below some paths out of the catalog. Writer's lock held.

    Their words are deleted, too. Sessions keep their judgements, which count again when the
    same content is indexed again. Paths may contain each other, and be named twice.

    Args:
        files: The open library.
        roots: Files, folders, archives or addresses, as the catalog keeps them.

    Raises:
        NotFoundError: `no_image` when nothing is known of a path.
    """
    if files.shared is not None:
        files.shared.take_in(now=True)
    with files.catalog.transaction() as db:

        def ask(sql: str, values: Sequence[object]) -> Any:
            return db.execute(sql, values).fetchall()

        known = [_known_at(ask, root) for root in roots]  # all of them before any is forgotten
        for root, at in known:
            if not at and not _has_rest(ask, root):
                raise NotFoundError("no_image", f"no image is indexed at {printable(root)}")
        ids = list({image_id: None for _, at in known for image_id in at})
        forgotten = Forgotten(len(ids), n_marks(db, ids), n_in_albums(db, ids))
        bury(db, ids, words=False, every=files.shared is not None)
        for root, _ in known:
            _forget_rest(db, root)
        sweep_tombstones(db)
        files.catalog.bump(db)
    files.backup.follow()  # the one before still has their words
    return forgotten


def images_at(catalog: Catalog, path: bytes) -> list[int]:
    """Ids of the images at a path, or else below it.

    Args:
        catalog: Of the library.
        path: Of a file, a folder or an archive, as the catalog keeps it; in any Unicode form.

    Raises:
        NotFoundError: `no_image` when there is none.
    """
    ids = _known_at(catalog.ask, path)[1]
    if not ids:
        raise NotFoundError("no_image", f"no image is indexed at {printable(path)}",
                            "relook index FOLDER reads what is new")  # fmt: skip
    return ids


def _known_at(ask: Ask, path: bytes) -> tuple[bytes, list[int]]:
    """A path in the Unicode form that the catalog has, and the images there."""
    for spelling in spellings(os.fsdecode(path)):
        known = os.fsencode(spelling)
        if ids := _images_at(ask, known):
            return known, ids
    return path, []


def _images_at(ask: Ask, root: bytes) -> list[int]:
    """Images at a path, or else below it; displaced images of another disk are left alone."""
    sql = f"SELECT image_id, path FROM images WHERE {_WITHIN} ORDER BY path"
    rows: list[Any] = ask(sql, _within(root))
    exact = [image_id for image_id, path in rows if path == root]
    return exact or [image_id for image_id, _ in rows]


def _has_rest(ask: Ask, root: bytes) -> bool:
    """Whether a root, a skipped file or an image that was taken out is at or below a path."""
    values = _within(root)
    return any(
        ask(f"SELECT 1 FROM {table} WHERE {_WITHIN} LIMIT 1", values)
        for table in (*_REST, "tombstones")
    )


def _forget_rest(db: sqlite3.Connection, root: bytes) -> None:
    """Forgets roots, archives, skipped files and words below a path."""
    values = _within(root)
    archive = (split_member(root) or (root,))[0]
    db.execute(f"DELETE FROM archives WHERE {_WITHIN} OR path = ?4", (*values, archive))
    for table in _REST:
        db.execute(f"DELETE FROM {table} WHERE {_WITHIN}", values)
    silent = f"UPDATE tombstones SET title = '', caption = '', metadata = '{{}}' WHERE {_WITHIN}"
    db.execute(silent, values)


def _within(root: bytes) -> tuple[bytes, bytes, bytes]:
    """The values of `_WITHIN`."""
    below = inside(root)
    return root, below[0], below[-1]
