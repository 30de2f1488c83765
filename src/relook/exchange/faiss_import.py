"""A library of vectors that exist: another program's, or its own with other tiles. Layer: exchange.

Another program's vectors are taken as they are; each picture is read once, for what the catalog
keeps of it (content, size, hash). Before anything is written, a few pictures are encoded here and
compared with their rows, so that vectors of another model are not taken for this one's.
"""

import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import EncoderMismatchError, ImageError, InputError, counted
from relook.core.images import content_hash, decode, dhash, load
from relook.core.picture_paths import printable
from relook.core.progress import Progress, ProgressCallback
from relook.core.settings import ImageLimits
from relook.core.sources import limits_at, read_bytes, read_file
from relook.core.types import WHOLE
from relook.core.vectors import Floats
from relook.encoders.base import Encoder, encode_images
from relook.exchange.export import INDEX, PATHS, NewImages, batches
from relook.exchange.flat_index import FlatFile
from relook.library.commit import Entry
from relook.library.files import LibraryFiles
from relook.library.picture_facts import embedded_words
from relook.library.records import FileFacts, ImageRecord, SkippedFile
from relook.library.report import IndexReport, Stop

_BATCH = 512
_MAX_LINE = 65_536
_N_COMPARED = 4
_SAME_COSINE = 0.9
_UNIT = 2e-3
_SEP = os.sep.encode()


class FaissFolder:
    """`image_index.faiss` and `image_paths.txt`, as VisualReF wrote them.

    Args:
        folder: Where they are; or the index itself, with the paths beside it.
        root: Folder to look for the pictures in, whatever the paths begin with.

    Raises:
        InputError: `bad_faiss_file`, `bad_paths_file`, or `length_mismatch` when there are
            more or fewer paths than rows.
    """

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        self.index = folder if folder.is_file() else folder / INDEX
        self.vectors = FlatFile(self.index)
        self._paths = self.index.with_name(PATHS)
        self._root = None if root is None else os.fsencode(os.path.realpath(root))
        n_lines = sum(1 for _ in self._lines())
        if n_lines != len(self.vectors):
            raise InputError(
                "length_mismatch",
                f"{self._paths} names {counted(n_lines, 'picture')}; {self.index} holds"
                f" {counted(len(self.vectors), 'vector')}",
                "nobody can say which belongs to which; VisualReF also lists pictures that it"
                " could not open: index them again with: relook index",
            )

    def __len__(self) -> int:
        return len(self.vectors)

    def entries(self, size: int = _BATCH) -> Iterator[tuple[list[bytes], Floats]]:
        """Absolute paths with their rows [n, d], some at a time."""
        lines = self._lines()
        start = 0
        while some := list(itertools.islice(lines, size)):
            paths = [self._resolved(line) for line in some]
            yield paths, self.vectors.block(start, start + len(some))
            start += len(some)

    def _lines(self) -> Iterator[bytes]:
        try:
            with open(self._paths, "rb") as file:
                while line := file.readline(_MAX_LINE):
                    if len(line) == _MAX_LINE or b"\0" in line:
                        raise InputError(
                            "bad_paths_file", f"{self._paths} is no list of paths", "check the file"
                        )
                    yield line.rstrip(b"\r\n")
        except OSError as error:
            raise InputError(
                "bad_paths_file", f"cannot read {self._paths}: {error.strerror}", "check the path"
            ) from error

    def _resolved(self, line: bytes) -> bytes:
        """Where the picture is: as the line says, or below the root by what the line ends with."""
        if self._root is None:
            return os.path.abspath(line)
        parts = [part for part in line.split(_SEP) if part not in (b"", b".", b"..")]
        for n_left_out in range(len(parts)):
            path = _SEP.join([self._root, *parts[n_left_out:]])
            if os.path.lexists(path):
                return path
        return _SEP.join([self._root, *parts])


def check_source(source: FaissFolder, encoder: Encoder, limits: ImageLimits | None = None) -> None:
    """Refuses vectors that another encoder made.

    Args:
        source: The vectors and paths.
        encoder: The one that is said to have made them.
        limits: What a picture may cost.

    Raises:
        EncoderMismatchError: `other_dim`, or `other_encoder` when the first pictures that can
            be read look different to the encoder.
    """
    name = encoder.fingerprint.name
    if encoder.dim != source.vectors.dim:
        raise EncoderMismatchError(
            "other_dim",
            f"the index has vectors of {source.vectors.dim} numbers; {name} makes {encoder.dim}",
            "name the model that made the index with --encoder",
        )
    compared = itertools.islice(_cosines(source, encoder, limits or ImageLimits()), _N_COMPARED)
    cosines = list(compared)
    if cosines and float(np.median(cosines)) < _SAME_COSINE:
        raise EncoderMismatchError(
            "other_encoder",
            f"{name} sees other things in these pictures than the index says (cosine"
            f" {np.median(cosines):.2f} of {counted(len(cosines), 'picture')})",
            "name the model that made the index with --encoder; or the paths are not in the"
            " order of its rows",
        )


def _cosines(source: FaissFolder, encoder: Encoder, limits: ImageLimits) -> Iterator[float]:
    """Our vector against the row, of pictures that can be read."""
    for paths, vectors in source.entries():
        for path, vector in zip(paths, vectors, strict=True):
            try:
                picture = load(os.fsdecode(path), encoder.input_px, limits)
            except ImageError:
                continue
            unit = vector / max(float(np.linalg.norm(vector)), 1e-12)
            yield float(encode_images(encoder, [picture.image])[0] @ unit)


class Importer:
    """One run of taking vectors over. The caller holds the writer's lock.

    Args:
        files: The open library.
        encoder: The one that is said to have made the vectors.
        limits: What a picture may cost.
        progress: Called now and then.
    """

    def __init__(
        self,
        files: LibraryFiles,
        encoder: Encoder,
        limits: ImageLimits | None = None,
        progress: ProgressCallback | None = None,
    ) -> None:
        self._files, self._encoder = files, encoder
        self._writer = NewImages(files, lambda _: (WHOLE,))
        self._limits = limits or ImageLimits()
        self._progress = progress or (lambda _: None)
        self._report = IndexReport()

    def run(self, source: FaissFolder) -> IndexReport:
        """Takes over every picture that is there; the others are listed with a reason.

        Running again after a stop goes on where it was.

        Raises:
            StorageError: what was committed stays.
        """
        began = time.monotonic()
        done = 0
        try:
            with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
                for paths, vectors in source.entries():
                    self._take(paths, vectors, pool)
                    done += len(paths)
                    rate = done / max(time.monotonic() - began, 1e-9)
                    n_bad = len(self._report.skipped)
                    self._progress(Progress("importing", done, len(source), rate, n_bad))
        except (KeyboardInterrupt, Stop):
            self._report.interrupted = True
        self._report.n_images = self._files.catalog.count("images")
        self._report.seconds = time.monotonic() - began
        return self._report

    def _take(self, paths: list[bytes], vectors: Floats, pool: ThreadPoolExecutor) -> None:
        """Reads one batch of pictures and commits it with its rows."""
        known = self._writer.known(paths)
        new = {path: row for row, path in enumerate(paths) if path not in known}
        self._report.n_unchanged += len(paths) - len(new)
        units, usable = _units(vectors)
        entries, skips = [], []
        for read, row in zip(pool.map(self._read, new), new.values(), strict=True):
            if isinstance(read, SkippedFile):
                skips.append(read)
            elif not usable[row]:
                message = (
                    f"row {row} of its batch in the index is no direction (zero, or not a number)"
                )
                skips.append(SkippedFile(read.facts, "bad_vector", message))
            else:
                entries.append(Entry(read, units[row : row + 1]))
        self._writer.commit(entries, skips)
        self._report.n_added += len(entries)
        self._report.skipped += skips

    def _read(self, path: bytes) -> ImageRecord | SkippedFile:
        """What the catalog keeps of a picture; runs in a thread."""
        facts = FileFacts(path, 0, 0)
        try:
            stat = os.stat(path)
            facts = FileFacts.of(path, stat)
            data = read_file(path, self._limits)
            picture = decode(data, self._encoder.input_px, limits_at(path, self._limits))
        except FileNotFoundError:
            return SkippedFile(facts, "vanished", f"it is not at {printable(path)}")
        except OSError as error:
            return SkippedFile(facts, "unreadable", error.strerror or str(error))
        except ImageError as error:
            return SkippedFile(facts, error.code, error.message)
        words = embedded_words(picture)
        return ImageRecord(
            facts, content_hash(data), picture.width_px, picture.height_px, picture.format,
            dhash(picture.image), title=words.title, caption=words.caption,
            metadata=words.metadata,
        )  # fmt: skip


def _units(vectors: Floats) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Rows of length 1, and which of them are usable; unit rows stay as they are, to the bit."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(vectors, axis=1)
    usable = np.isfinite(lengths) & (lengths > 1e-6)
    change = usable & (np.abs(lengths - 1.0) > _UNIT)
    units = vectors.copy()
    units[change] /= lengths[change, None]
    return units, usable


_RETILED_AT_ONCE = 64


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
                for images, wholes in batches(self._old, _RETILED_AT_ONCE):
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
