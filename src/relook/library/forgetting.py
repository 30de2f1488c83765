"""Taking images out of a library. Layer: library."""

from __future__ import annotations

import os
from collections.abc import Sequence

from relook.core.errors import NotFoundError
from relook.core.picture_paths import inside, split_member
from relook.library.files import LibraryFiles

__all__ = ["forget"]


def forget(files: LibraryFiles, roots: Sequence[bytes]) -> int:
    """Takes the images at or below some paths out of the catalog. Writer's lock held.

    Args:
        files: The open library.
        roots: Files, folders, archives or addresses, as the catalog keeps them.

    Returns:
        How many there were.

    Raises:
        NotFoundError: `no_image` when no image is there.
    """
    within = "path = ?1 OR substr(path, 1, length(?2)) = ?2 OR substr(path, 1, length(?3)) = ?3"
    n_forgotten = 0
    if files.shared is not None:
        files.shared.take_in(now=True)
    with files.catalog.transaction() as db:
        for root in roots:
            below = inside(root)
            values = (root, below[0], below[-1])
            archive = (split_member(root) or (root,))[0]
            db.execute(f"DELETE FROM archives WHERE {within} OR path = ?4", (*values, archive))
            n_images = sum(
                db.execute(f"DELETE FROM {table} WHERE {within}", values).rowcount
                for table in ("images", "dropped")
            )
            db.execute(f"DELETE FROM roots WHERE {within}", values)
            db.execute(f"DELETE FROM skipped WHERE {within}", values)
            if not n_images:
                raise NotFoundError("no_image", f"no image is indexed at {os.fsdecode(root)}")
            n_forgotten += n_images
        files.catalog.bump(db)
    return n_forgotten
