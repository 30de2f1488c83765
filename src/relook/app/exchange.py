"""Libraries to and from other programs' files, by name. Layer: app.

Vectors go out and come in with the words in their pictures; marks, concepts, albums and captions go
out as keywords in XMP files beside the pictures. Pictures are never touched, and an XMP file that
is there keeps all that it says.
"""

import contextlib
import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from relook.app.facade import Library
from relook.app.indexing import run_with_index
from relook.app.models import spec_of
from relook.app.paths import expanded
from relook.core.beside import NamesBeside, xmp_beside
from relook.core.converter import JsonValue
from relook.core.errors import InputError, NotFoundError, counted
from relook.core.json_form import PATH
from relook.core.outputs import check_place
from relook.core.picture_paths import is_url, printable, split_member
from relook.core.progress import Progress, ProgressCallback
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
from relook.exchange.xmp_sidecar import MOST_BYTES, with_keywords
from relook.library.files import LibraryFiles
from relook.library.lock import WriterLock
from relook.library.records import ImageRecord
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
_NO_PICTURES = (b".xmp", b".json", b".txt", b".csv")


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
        InputError: `fixed_tiles` when the encoder's tiles cannot be chosen; `folder_in_use`;
            `same_library`; `in_library` for a folder in the old one's.
    """
    _check_apart(old.folder, expanded(folder))
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


def _check_apart(old: Path, new: Path) -> None:
    """Refuses a copy of a library that is the library itself, in it, or around it."""
    here, there = (Path(os.path.realpath(folder)) for folder in (old, new))
    name = printable(bytes(new))
    if here == there:
        message = f"{name} is the library that is to be copied"
        raise InputError("same_library", message, "name a new folder for the copy")
    if there in here.parents:
        message = f"{name} holds the library that is to be copied, {printable(bytes(old))}"
        raise InputError("folder_in_use", message, "choose a new folder for the copy")
    check_place(new, is_library=True)


def _tell_texts(report: IndexReport, n: int) -> None:
    if n:
        report.notes.append(f"the words in {counted(n, 'picture')} came along")


@dataclass(frozen=True, slots=True)
class LeftAlone(JsonValue):
    """A picture whose file was not written, with the reason."""

    path: Annotated[bytes, PATH]
    message: str


@dataclass(slots=True)
class XmpReport(JsonValue):
    """What an export of XMP files did.

    Args:
        n_pictures: Pictures with keywords.
        n_new: Files that were made.
        n_changed: Files that were there and got keywords.
        n_unchanged: Files that had them all.
        left_out: Pictures whose file could not be written.
    """

    n_pictures: int = 0
    n_new: int = 0
    n_changed: int = 0
    n_unchanged: int = 0
    left_out: list[LeftAlone] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class XmpChoice:
    """What becomes keywords.

    Args:
        marks: The names of sessions in which a picture was marked relevant.
        concepts: The names of concepts that rest on it.
        albums: The names of albums that hold it.
        captions: Captions of boxes on it that were marked relevant.
        write: Whether files are written, or only counted.
    """

    marks: bool = True
    concepts: bool = True
    albums: bool = True
    captions: bool = True
    write: bool = True


def export_xmp(
    library: Library, choice: XmpChoice | None = None, progress: ProgressCallback | None = None
) -> XmpReport:
    """Writes keywords beside the pictures of a library: `NAME.xmp` where there is one.

    A new file is called `NAME.jpg.xmp`, so that pictures of one stem each have their own.

    Args:
        library: Which.
        choice: What becomes keywords; everything when None.
        progress: Called now and then.
    """
    choice = choice or XmpChoice()
    keywords = _keywords(library, choice)
    records = library.files.catalog.images(sorted(keywords), missing_ok=True)
    report = XmpReport(n_pictures=len(records))
    for done, record in enumerate(records):
        if progress:
            progress(Progress("writing XMP", done, len(records)))
        try:
            _write(record, keywords[record.image_id], report, write=choice.write)
        except (InputError, OSError) as error:
            message = getattr(error, "message", "") or str(error)
            report.left_out.append(LeftAlone(record.facts.path, message))
    return report


def _keywords(library: Library, choice: XmpChoice) -> Mapping[int, list[str]]:
    """Image id -> keywords, in the order in which they were made."""
    keywords: defaultdict[int, list[str]] = defaultdict(list)
    for row in reversed(library.sessions()) if choice.marks or choice.captions else ():
        for judgement in library.session(row.session_id, captions=False).judgements:
            if not judgement.relevant:
                continue
            if choice.marks and row.name:
                keywords[judgement.image_id].append(row.name)
            if choice.captions and judgement.caption:
                keywords[judgement.image_id].append(judgement.caption)
    for concept in library.concepts.all() if choice.concepts else ():
        for example in concept.examples:
            if example.relevant and example.image_id is not None:
                keywords[example.image_id].append(concept.name)
    for album in library.albums.all() if choice.albums else ():
        for image_id in library.albums.image_ids(album.album_id):
            keywords[image_id].append(album.name)
    return keywords


def _write(record: ImageRecord, keywords: list[str], report: XmpReport, *, write: bool) -> None:
    path = record.facts.path
    if is_url(path) or split_member(path) is not None:
        raise InputError("bad_xmp", "it is in an archive, or elsewhere")
    if not os.path.exists(path):
        raise InputError("bad_xmp", "its file is not there now")
    target, packet = _sidecar(path)
    merged = with_keywords(packet, keywords)
    is_there = os.path.exists(target)
    if merged == packet and (is_there or not merged):
        report.n_unchanged += 1
        return
    if write:
        _replace(target, merged)
    if is_there:
        report.n_changed += 1
    else:
        report.n_new += 1


def _sidecar(path: bytes) -> tuple[bytes, bytes]:
    """The XMP file to write for a picture, and what stands in the one that is read for it now."""
    folder, name = os.path.split(path)
    names = os.listdir(folder)
    beside = xmp_beside(name, NamesBeside.of(names))
    if beside is None:
        return path + b".xmp", b""
    target = os.path.realpath(os.path.join(folder, beside))
    with open(target, "rb") as file:
        packet = file.read(MOST_BYTES + 1)
    stem = os.path.splitext(name)[0]
    is_shared = not beside.startswith(name) and any(
        other != name
        and os.path.splitext(other)[0] == stem
        and not other.lower().endswith(_NO_PICTURES)
        for other in names
    )
    # Another picture reads this file, too: what it says goes into a file of this one's own.
    return (path + b".xmp" if is_shared else target), packet


def _replace(target: bytes, data: bytes) -> None:
    """Writes a file whole, or not at all; it keeps its permissions."""
    new = target + b"." + uuid.uuid4().hex.encode() + b".new"
    try:
        with open(new, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):
            os.chmod(new, os.stat(target).st_mode & 0o777)
        os.replace(new, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise
