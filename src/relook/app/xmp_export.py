"""Marks, concepts, albums and captions as keywords in XMP files beside the pictures. Layer: app.

Pictures are never touched. A file that is there keeps all that it says.
"""

import contextlib
import os
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from relook.app.facade import Library
from relook.core.beside import NamesBeside, xmp_beside
from relook.core.converter import JsonValue
from relook.core.errors import InputError
from relook.core.json_form import PATH
from relook.core.picture_paths import is_url, split_member
from relook.core.progress import Progress, ProgressCallback
from relook.exchange.xmp_sidecar import MOST_BYTES, with_keywords
from relook.library.records import ImageRecord

_NO_PICTURES = (b".xmp", b".json", b".txt", b".csv")


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
