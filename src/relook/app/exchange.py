"""Libraries to and from other programs' files, by name. Layer: app."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from relook.app.facade import Library
from relook.app.indexing import run_with_index
from relook.app.models import spec_of
from relook.core.errors import InputError, NotFoundError
from relook.core.progress import ProgressCallback
from relook.core.settings import EncoderSettings
from relook.encoders.spec import ModelSpec
from relook.exchange.export import (
    TEXTS,
    ExportReport,
    export_faiss,
    export_npy,
    export_parquet,
    export_webdataset,
)
from relook.exchange.faiss_import import FaissFolder, Importer, Retiler, check_source
from relook.exchange.picture_texts import copy_texts, take_texts, write_texts
from relook.library.files import LibraryFiles
from relook.library.lock import WriterLock
from relook.library.report import IndexReport

_OF_CROPS = ("hf", "st")
EXPORTS: Mapping[str, Callable[[LibraryFiles, Path, ProgressCallback | None], ExportReport]] = (
    MappingProxyType(
        {
            "faiss": export_faiss,
            "npy": export_npy,
            "parquet": export_parquet,
            "webdataset": export_webdataset,
        }
    )
)
"""Kind of export -> what writes it."""


def export(
    library: Library, kind: str, folder: Path, progress: ProgressCallback | None = None
) -> ExportReport:
    """Writes a library's vectors for other programs, and the words in its pictures beside them.

    Args:
        library: Which.
        kind: Of `EXPORTS`.
        folder: New, or without an export.
        progress: Called now and then.

    Raises:
        InputError: `file_exists`; MissingExtraError: without pyarrow; StorageError.
    """
    files = library.files
    with files.moment():
        report = EXPORTS[kind](files, folder, progress)
        write_texts(files, folder, report)
    return report


def import_texts(library: Library, source: Path) -> int:
    """Takes the words in pictures from an export, for those that were not read here.

    Args:
        library: With the same pictures, wherever they are.
        source: `image_texts.jsonl`, or the folder of the export.

    Returns:
        Of how many pictures they were taken.

    Raises:
        InputError: `bad_text_file`; nothing has changed then. LibraryBusyError; StorageError;
        NotFoundError: `no_library`.
    """
    files = library.files
    with WriterLock(library.folder):
        return take_texts(files, source)


def whole_pictures(encoder: str) -> str:
    """The same encoder, with one vector a picture, as foreign indexes have it."""
    spec = ModelSpec.parse(encoder)
    return str(spec.with_options(tiles="none") if spec.kind in _OF_CROPS else spec)


def import_faiss(
    library: Library,
    source: Path,
    root: Path | None = None,
    progress: ProgressCallback | None = None,
) -> IndexReport:
    """Makes a library of a FAISS index and its list of paths, or adds them to one.

    Args:
        library: With the encoder that made the index.
        source: The folder of the two files, or the index.
        root: Where the pictures are now.
        progress: Called now and then.

    Raises:
        InputError: `bad_faiss_file`, `bad_paths_file`, `length_mismatch`;
        EncoderMismatchError: `other_dim`, `other_encoder`; LibraryBusyError; StorageError;
        NotFoundError: `no_path` when the root is not there.
    """
    if root is not None and not root.is_dir():
        raise NotFoundError("no_path", f"there is no folder {root}", "check --root")
    folder = FaissFolder(source, root)
    encoder = library._encoder
    check_source(folder, encoder, library.limits)  # a refused index leaves no empty library
    files = library.open_or_create()
    files.check_encoder(encoder)
    with WriterLock(library.folder):
        files.refresh()
        importer = Importer(files, encoder, library.limits, progress)
        report = run_with_index(
            files, encoder, library.search_settings, len(files.row_table) + len(folder),
            lambda: importer.run(folder), progress,
        )  # fmt: skip
        if (beside := folder.index.with_name(TEXTS)).exists():
            _tell_texts(report, take_texts(files, beside))
        if root is not None:
            files.catalog.add_root(os.fsencode(os.path.realpath(root)))
    if report.n_added:
        report.notes.append(f"whole pictures only, by {spec_of(encoder)}; search as usual")
    elif report.skipped and not report.n_unchanged:
        report.notes.append("none of the pictures is where the list says: give --root FOLDER")
    return report


def retile(
    old: Library, folder: Path, tiles: str, progress: ProgressCallback | None = None
) -> IndexReport:
    """A library of the same pictures with other tiles; whole-picture vectors are copied.

    Args:
        old: Of an encoder that takes crops (`hf:`, `st:`).
        folder: Of the new library; new, empty, or where an earlier run stopped.
        tiles: `none`, `grid` or `pyramid`.
        progress: Called now and then.

    Raises:
        InputError: `fixed_tiles` when the encoder's tiles cannot be chosen; `folder_in_use`.
    """
    spec = ModelSpec.parse(old.files.manifest.encoder)
    if spec.kind not in _OF_CROPS:
        raise InputError(
            "fixed_tiles",
            f"the tiles of {spec.kind!r} are part of it",
            "only libraries of hf: and st: encoders can be tiled otherwise",
        )
    settings = EncoderSettings(str(spec.with_options(tiles=tiles)))
    with Library(folder, encoder=settings, limits=old.limits) as new:
        files = new.open_or_create()
        encoder = new._encoder
        old.files.check_encoder(encoder)
        with WriterLock(new.folder):
            files.refresh()
            retiler = Retiler(old.files, files, encoder, old.limits, progress)
            n_images = len(old.files.row_table)
            report = run_with_index(
                files, encoder, new.search_settings, n_images, retiler.run, progress
            )
            for root in old.files.catalog.roots():
                files.catalog.add_root(root)
            _tell_texts(report, copy_texts(old.files, files))
    return report


def _tell_texts(report: IndexReport, n: int) -> None:
    if n:
        report.notes.append(f"the words in {n:,} pictures came along")
