"""Taking images out of a library for good. Layer: library."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from relook.core.errors import NotFoundError
from relook.core.picture_paths import inside, spellings, split_member
from relook.library.files import LibraryFiles
from relook.library.tombstones import bury, n_marks, sweep_tombstones

__all__ = ["Forgotten", "forget"]

_WITHIN = "path = ?1 OR substr(path, 1, length(?2)) = ?2 OR substr(path, 1, length(?3)) = ?3"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was taken out.

    Args:
        n_images: How many images.
        n_marks: How many judgements are of them; sessions keep these judgements.
    """

    n_images: int
    n_marks: int


def forget(files: LibraryFiles, roots: Sequence[bytes]) -> Forgotten:
    """Takes the images at or below some paths out of the catalog. Writer's lock held.

    Their words are deleted, too. Sessions keep their judgements, which count again when the
    same content is indexed again.

    Args:
        files: The open library.
        roots: Files, folders, archives or addresses, as the catalog keeps them.

    Raises:
        NotFoundError: `no_image` when nothing is known of a path.
    """
    n_images = n_judged = 0
    if files.shared is not None:
        files.shared.take_in(now=True)
    with files.catalog.transaction() as db:
        for given in roots:
            root, ids = _known_at(db, given)
            n_judged += n_marks(db, ids)
            bury(db, ids, words=False, every=files.shared is not None)
            if not _forget_rest(db, root) and not ids:
                raise NotFoundError("no_image", f"no image is indexed at {os.fsdecode(root)}")
            n_images += len(ids)
        sweep_tombstones(db)
        files.catalog.bump(db)
    files.backup.follow()  # the one before still has their words
    return Forgotten(n_images, n_judged)


def _known_at(db: sqlite3.Connection, path: bytes) -> tuple[bytes, list[int]]:
    """A path in the Unicode form that the catalog has, and the images there."""
    for spelling in spellings(os.fsdecode(path)):
        known = os.fsencode(spelling)
        if ids := _images_at(db, known):
            return known, ids
    return path, []


def _images_at(db: sqlite3.Connection, root: bytes) -> list[int]:
    """Images at a path, or else below it; displaced images of another disk are left alone."""
    below = inside(root)
    rows = db.execute(
        f"SELECT image_id, path FROM images WHERE {_WITHIN}", (root, below[0], below[-1])
    ).fetchall()
    exact = [image_id for image_id, path in rows if path == root]
    return exact or [image_id for image_id, _ in rows]


def _forget_rest(db: sqlite3.Connection, root: bytes) -> bool:
    """Forgets roots, archives, skipped files and words below a path; returns whether any were."""
    below = inside(root)
    values = (root, below[0], below[-1])
    archive = (split_member(root) or (root,))[0]
    db.execute(f"DELETE FROM archives WHERE {_WITHIN} OR path = ?4", (*values, archive))
    n = sum(
        db.execute(f"DELETE FROM {table} WHERE {_WITHIN}", values).rowcount
        for table in ("dropped", "roots", "skipped")
    )
    silent = f"UPDATE tombstones SET title = '', caption = '', metadata = '{{}}' WHERE {_WITHIN}"
    return n + db.execute(silent, values).rowcount > 0
