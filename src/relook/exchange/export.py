"""Images with their vectors, out of a library and into one: FAISS and its paths, NumPy, Parquet,
WebDataset. Layer: exchange.

Source: the WebDataset format, https://github.com/webdataset/webdataset (files of one sample
stand together and share their name up to the first dot).
"""

import io
import itertools
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from relook.core.converter import JsonValue
from relook.core.errors import ImageError, InputError, MissingExtraError, disk_error
from relook.core.outputs import check_place
from relook.core.picture_paths import printable, split_scene
from relook.core.progress import Progress, ProgressCallback
from relook.core.settings import ImageLimits
from relook.core.sources import read_bytes
from relook.core.vectors import Floats
from relook.exchange.flat_index import FlatWriter
from relook.library.commit import Committer
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord


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
        InputError: `file_exists` when one of the files is there already; as `check_place`;
        StorageError.
    """
    check_place(folder)
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


INDEX, PATHS, TEXTS = "image_index.faiss", "image_paths.txt", "image_texts.jsonl"
_VECTORS, _IMAGES = "vectors.npy", "images.jsonl"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An image that could not be written, and why."""

    path: str
    message: str


@dataclass(slots=True)
class ExportReport(JsonValue):
    """What an export wrote.

    Args:
        files: The files, in the order they were begun.
        n_images: Images in them.
        left_out: Images that could not be written.
    """

    files: list[Path] = field(default_factory=list)
    n_images: int = 0
    left_out: list[LeftOut] = field(default_factory=list)


def about(image: ImageRecord) -> dict[str, Any]:
    """What the catalog knows of an image, as JSON."""
    return {
        "image_id": image.image_id,
        "path": printable(image.facts.path),
        "width_px": image.width_px,
        "height_px": image.height_px,
        "content": image.content.hex(),
        "title": image.title,
        "caption": image.caption,
        "metadata": image.metadata,
    }


def export_faiss(
    files: LibraryFiles, folder: Path, progress: ProgressCallback | None = None
) -> ExportReport:
    """A flat inner-product index of the whole pictures, and their paths line by line.

    The files are those of VisualReF's `write_faiss_index.py`: row i of `image_index.faiss`
    is the picture in line i of `image_paths.txt`.

    Raises:
        InputError: `file_exists`; StorageError.
    """
    new_folder(folder, INDEX, PATHS)
    report = ExportReport([folder / INDEX, folder / PATHS])
    counted = _counter(files, progress)
    with (
        files.moment(),
        new_file(folder / PATHS) as paths,
        FlatWriter(folder / INDEX, files.vectors.dim) as index,
    ):
        for images, vectors in batches(files):
            # A path with a line break would be two lines: that image is left out, and named.
            fit = [b"\n" not in image.facts.path for image in images]
            index.append(vectors[fit])
            for image, fits in zip(images, fit, strict=True):
                if fits:
                    paths.write(image.facts.path + b"\n")
                else:
                    report.left_out.append(
                        LeftOut(printable(image.facts.path), "its name breaks a line")
                    )
            report.n_images += sum(fit)
            counted(len(images))
    return report


def export_npy(
    files: LibraryFiles, folder: Path, progress: ProgressCallback | None = None
) -> ExportReport:
    """`vectors.npy` [n, d] float16, and `images.jsonl` with one line a row.

    Raises:
        InputError: `file_exists`; StorageError.
    """
    new_folder(folder, _VECTORS, _IMAGES)
    report = ExportReport([folder / _VECTORS, folder / _IMAGES])
    counted = _counter(files, progress)
    with (
        files.moment(),
        new_file(folder / _VECTORS) as matrix,
        new_file(folder / _IMAGES) as lines,
    ):
        _npy_header(matrix, 0, files.vectors.dim)
        for images, vectors in batches(files):
            matrix.write(vectors.astype("<f2").tobytes())
            for image in images:
                lines.write(json.dumps(about(image)).encode() + b"\n")
            report.n_images += len(images)
            counted(len(images))
        matrix.seek(0)
        _npy_header(matrix, report.n_images, files.vectors.dim)
    return report


def _npy_header(file: IO[bytes], n: int, dim: int) -> None:
    """The head of a .npy file; of one length, whatever n is."""
    shape = (n, dim)
    # NumPy pads the header so that it can be written again with a longer number.
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f2", "fortran_order": False, "shape": shape}
    )


def export_parquet(
    files: LibraryFiles, folder: Path, progress: ProgressCallback | None = None
) -> ExportReport:
    """`images.parquet`: one line an image, with its whole-picture vector.

    Raises:
        MissingExtraError: without pyarrow; InputError: `file_exists`; StorageError.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "missing_extra",
            f"exporting Parquet needs the package {error.name!r}",
            "pip install 'relook[parquet]'",
        ) from error
    path = new_folder(folder, "images.parquet") / "images.parquet"
    text, size = pa.string(), pa.int32()
    columns = [
        ("image_id", pa.int64()), ("path", text), ("width_px", size), ("height_px", size),
        ("content", text), ("title", text), ("caption", text), ("metadata", text),
        ("vector", pa.list_(pa.float32(), files.vectors.dim)),
    ]  # fmt: skip
    schema = pa.schema(columns)
    report, counted = ExportReport([path]), _counter(files, progress)
    with files.moment(), new_file(path) as file, pq.ParquetWriter(file, schema) as writer:
        for images, vectors in batches(files, 8192):
            rows = [{**about(image), "metadata": json.dumps(image.metadata)} for image in images]
            flat = pa.array(vectors.reshape(-1), pa.float32())
            lists = pa.FixedSizeListArray.from_arrays(flat, files.vectors.dim)
            plain = [pa.array([row[name] for row in rows], kind) for name, kind in columns[:-1]]
            writer.write_table(pa.Table.from_arrays([*plain, lists], schema=schema))
            report.n_images += len(images)
            counted(len(images))
    return report


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that has its name only when it is whole.

    Raises:
        StorageError: `disk_refused`.
    """
    new = path.with_name(path.name + ".new")
    try:
        with open(new, "wb") as file:
            yield file
        os.replace(new, path)
    except OSError as error:
        raise disk_error(f"cannot write {path}", error) from error
    finally:
        new.unlink(missing_ok=True)


def _counter(files: LibraryFiles, progress: ProgressCallback | None) -> Callable[[int], None]:
    """Counts written images for a progress bar."""
    done, total = 0, files.catalog.count("images") if progress else 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        if progress:
            progress(Progress("writing", done, total))

    return count


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
    suffix = suffix if split_scene(image.facts.path) is None else "jpg"
    if image.format == "RAW":  # each camera's has its own
        suffix = image.path.suffix[1:].lower() or "dng"
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
