"""WebDataset: tar files of pictures, each with its JSON and its vector. Layer: exchange.

Source: the WebDataset format, https://github.com/webdataset/webdataset (files of one sample
stand together and share their name up to the first dot).
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import ImageError
from relook.core.settings import ImageLimits
from relook.core.sources import read_bytes
from relook.exchange.export import ExportReport, LeftOut, about, new_file
from relook.exchange.rows import batches, new_folder
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord, printable
from relook.library.report import Progress, ProgressCallback

__all__ = ["export_webdataset"]

_SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "JPEG2000": "jp2"}


def export_webdataset(
    files: LibraryFiles,
    folder: Path,
    progress: ProgressCallback | None = None,
    shard_images: int = 10_000,
    shard_bytes: int = 1024**3,
) -> ExportReport:
    """`shard-000000.tar` and so on: the picture's file, `.json` and `.npy` (float16).

    Args:
        files: The library.
        folder: New, or without shards.
        progress: Called now and then.
        shard_images: Images in a shard at most.
        shard_bytes: A shard that has as many bytes is full.

    Returns:
        The report; pictures that are gone or cannot be read are left out, and named.

    Raises:
        InputError: `file_exists`; StorageError.
    """
    new_folder(folder, "shard-*.tar")
    report = ExportReport()
    total = files.catalog.count("images") if progress else 0
    with files.moment(), ExitStack() as shard:
        shards = _shards(folder, report, shard)
        tar, n_here, done = next(shards), 0, 0
        for images, vectors in batches(files):
            for image, vector in zip(images, vectors.astype(np.float16), strict=True):
                if n_here >= shard_images or (n_here and tar.offset >= shard_bytes):
                    shard.close()
                    tar, n_here = next(shards), 0
                n_here += _add(tar, image, vector, report)
            done += len(images)
            if progress:
                progress(Progress("writing", done, total))
    return report


def _shards(folder: Path, report: ExportReport, stack: ExitStack) -> Iterator[tarfile.TarFile]:
    """Tar files, opened one after the other in a stack that closes each."""
    number = 0
    while True:
        path = folder / f"shard-{number:06}.tar"
        report.files.append(path)
        file = stack.enter_context(new_file(path))
        yield stack.enter_context(tarfile.TarFile(fileobj=file, mode="w"))
        number += 1


def _add(
    tar: tarfile.TarFile, image: ImageRecord, vector: NDArray[np.float16], report: ExportReport
) -> int:
    """Adds one sample; returns how many were added."""
    try:
        picture = read_bytes(image.facts.path, ImageLimits())
    except ImageError as error:
        report.left_out.append(LeftOut(printable(image.facts.path), error.message))
        return 0
    name = f"{image.image_id:09}"
    suffix = _SUFFIXES.get(image.format, image.format.lower())
    tar.addfile(_member(f"{name}.{suffix}", len(picture)), io.BytesIO(picture))
    facts = json.dumps(about(image)).encode()
    tar.addfile(_member(f"{name}.json", len(facts)), io.BytesIO(facts))
    array = io.BytesIO()
    np.save(array, vector, allow_pickle=False)
    tar.addfile(_member(f"{name}.npy", array.tell()), io.BytesIO(array.getvalue()))
    report.n_images += 1
    return 1


def _member(name: str, n_bytes: int) -> tarfile.TarInfo:
    """A member that is the same whoever wrote it, and when."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = n_bytes, 0o644
    return member
