"""Images with their vectors, read from a library or added to one. Layer: exchange."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from relook.core.disk_errors import disk_error
from relook.core.errors import InputError
from relook.core.vectors import Floats
from relook.library.commit import Committer, Entry
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord

__all__ = ["Entry", "NewImages", "batches", "new_folder", "tiles_of"]


def batches(files: LibraryFiles, size: int = 1024) -> Iterator[tuple[list[ImageRecord], Floats]]:
    """Images by id with their whole-picture vectors [n, d], as they are stored.

    Args:
        files: Inside one `moment`.
        size: How many at once.
    """
    images = files.catalog.each_image()
    n_rows = len(files.vectors)
    while some := list(itertools.islice(images, size)):
        # What another process has added since this moment is not in its vectors.
        # An image without vectors has a first row below 0.
        kept = [image for image in some if 0 <= image.first_row <= n_rows - image.n_tiles]
        if kept:
            yield kept, files.vectors.rows(np.array([image.first_row for image in kept], np.int64))


def tiles_of(files: LibraryFiles, image: ImageRecord) -> Floats:
    """All vectors of an image, [t, d]; the whole picture's first."""
    return files.vectors.block(image.first_row, image.first_row + image.n_tiles)


def new_folder(folder: Path, *names: str) -> Path:
    """Makes a folder for an export.

    Raises:
        InputError: `file_exists` when one of the files is there already; StorageError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(f"cannot make {folder}", error, "choose another folder") from error
    for name in names:
        if next(iter(folder.glob(name)), None) is not None:
            raise InputError(
                "file_exists", f"{folder} holds an export already ({name})", "choose a new folder"
            )
    return folder


class NewImages(Committer):
    """Writes images into a library. The caller holds the writer's lock.

    Args:
        files: The open library.
        boxes: The tiles of an image, as many as its entry has vectors.
    """

    def known(self, paths: Sequence[bytes]) -> set[bytes]:
        """Those of some paths that are images already."""
        marks = ",".join("?" * len(paths))
        rows = self._catalog.ask(f"SELECT path FROM images WHERE path IN ({marks})", paths)
        return {row[0] for row in rows}  # type: ignore[misc]
