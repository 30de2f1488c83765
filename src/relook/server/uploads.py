"""Pictures that are added to a library over the network. Layer: server."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from relook.core.disk_errors import disk_error
from relook.core.errors import ImageError
from relook.core.images import decode
from relook.core.leftovers import new_file
from relook.core.untrusted import mark
from relook.serving.answers import SkippedLine
from relook.serving.libraries import ServedLibrary
from relook.serving.query_pictures import EXTENSIONS

__all__ = ["safe_stem", "store_uploads"]

_MIN_PX = 256


def safe_stem(name: str) -> str:
    """What may stay of a stranger's file name: letters, digits, dashes; no path, no dots."""
    last = re.split(r"[\\/]", name)[-1]
    stem = last.rpartition(".")[0] or last
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:60]


def store_uploads(
    volume: ServedLibrary, files: Sequence[tuple[str, BinaryIO]]
) -> tuple[Path, list[SkippedLine]]:
    """Puts pictures into `<library>/uploads`, each under a new name with its content's suffix.

    Returns:
        The folder, and which files were refused.

    Raises:
        ImageError: when none of them is a picture.
        StorageError: when the disk refuses.
    """
    folder = volume.library.folder / "uploads"
    refused = []
    try:
        folder.mkdir(exist_ok=True)
        mark(folder)
        for name, file in files:
            try:
                _store(folder, name, file.read(), volume)
            except ImageError as error:
                refused.append(SkippedLine(safe_stem(name), error.code, error.message))
    except OSError as error:
        raise disk_error("cannot store it", error) from error
    if len(refused) == len(files):
        first = refused[0]
        raise ImageError(
            first.code, f"no picture among {len(files)} files: {first.message}",
            "send JPEG, PNG, WebP or another raster format",
        )  # fmt: skip
    return folder, refused


def _store(folder: Path, name: str, data: bytes, volume: ServedLibrary) -> None:
    picture = decode(data, _MIN_PX, replace(volume.library.limits, isolate=True))
    suffix = EXTENSIONS.get(picture.format, ".img")
    stem = safe_stem(name) or "picture"
    path = folder / f"{stem}-{uuid.uuid4().hex[:12]}{suffix}"
    with new_file(path) as file:
        file.write(data)
