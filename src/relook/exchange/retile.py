"""A library with other tiles, its whole-picture vectors kept. Layer: exchange."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import ImageError
from relook.core.images import content_hash, decode
from relook.core.settings import ImageLimits
from relook.core.sources import read_bytes
from relook.core.untrusted import limits_at
from relook.core.vectors import Floats
from relook.encoders.base import Encoder
from relook.exchange.image_vectors import Entry, NewImages, batches
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord, SkippedFile
from relook.library.report import IndexReport, Progress, ProgressCallback, Stop

__all__ = ["Retiler"]

_BATCH = 64


class Retiler:
    """One run of copying a library. The caller holds the writer's lock of the new one.

    Args:
        old: Where the images and their whole-picture vectors are.
        new: Where they go.
        encoder: The one that made both, with the new tiles; it encodes crops one by one.
        limits: What a picture may cost.
        progress: Called now and then.
    """

    def __init__(
        self,
        old: LibraryFiles,
        new: LibraryFiles,
        encoder: Encoder,
        limits: ImageLimits,
        progress: ProgressCallback | None = None,
    ) -> None:
        self._old, self._new, self._encoder, self._limits = old, new, encoder, limits
        self._writer = NewImages(new, self._boxes)
        self._progress = progress or (lambda _: None)
        self._report = IndexReport()

    def run(self) -> IndexReport:
        """Copies every image; only tiles that the old library lacks are encoded.

        Running again after a stop goes on where it was.

        Raises:
            StorageError: what was committed stays.
        """
        began, done = time.monotonic(), 0
        total = self._old.catalog.count("images")
        try:
            with self._old.moment(), ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
                for images, wholes in batches(self._old, _BATCH):
                    self._take(images, wholes, pool)
                    done += len(images)
                    rate = done / max(time.monotonic() - began, 1e-9)
                    n_bad = len(self._report.skipped)
                    self._progress(Progress("copying", done, total, rate, n_bad))
        except (KeyboardInterrupt, Stop):
            self._report.interrupted = True
        self._report.n_images = self._new.catalog.count("images")
        self._report.seconds = time.monotonic() - began
        return self._report

    def _boxes(self, image: ImageRecord) -> Any:
        return self._encoder.tiles_for(image.width_px, image.height_px)

    def _take(self, images: list[ImageRecord], wholes: Floats, pool: ThreadPoolExecutor) -> None:
        known = self._writer.known([image.facts.path for image in images])
        new = [row for row, image in enumerate(images) if image.facts.path not in known]
        self._report.n_unchanged += len(images) - len(new)
        skips, kept, crops = [], [], []
        for row, read in zip(new, pool.map(self._crops, [images[row] for row in new]), strict=True):
            if isinstance(read, SkippedFile):
                skips.append(read)
            else:
                kept.append(row)
                crops.append(read)
        entries = [
            Entry(replace(images[row], image_id=0), np.concatenate([wholes[row : row + 1], rows]))
            for row, rows in zip(kept, self._encode(crops), strict=True)
        ]
        self._writer.commit(entries, skips)
        self._report.n_added += len(entries)
        self._report.skipped += skips

    def _encode(self, crops: list[NDArray[Any] | None]) -> list[Floats]:
        """The vectors of each picture's crops, [t - 1, d]."""
        given = [crop for crop in crops if crop is not None]
        encoded = iter(self._encoder.encode_prepared(given) if given else ())
        none = np.zeros((0, self._encoder.dim), np.float32)
        return [none if crop is None else next(encoded) for crop in crops]

    def _crops(self, image: ImageRecord) -> NDArray[Any] | SkippedFile | None:
        """What the encoder needs of a picture but its whole; None when that is nothing."""
        if len(self._boxes(image)) == 1:
            return None
        try:
            data = read_bytes(image.facts.path, self._limits)
            if content_hash(data) != image.content:
                why = "the file changed since it was indexed: relook index takes it in"
                return SkippedFile(image.facts, "changed", why)
            picture = decode(
                data, self._encoder.input_px, limits_at(image.facts.path, self._limits)
            )
        except ImageError as error:
            return SkippedFile(image.facts, error.code, error.message)
        return self._encoder.prepare(picture.image)[1:]
