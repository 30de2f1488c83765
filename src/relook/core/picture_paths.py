"""Where a picture is, as bytes: a file, a member of an archive, an address. Layer: core.

    /photos/cats/1.jpg                  a file
    /photos/shard-0001.tar!/cats/1.jpg  the member cats/1.jpg of an archive
    s3://bucket/cats/1.jpg              an object of a remote store
    s3://bucket/shard.zip!/cats/1.jpg   a member of an archive there
    /photos/clip.mp4#t=12.5             what a video shows after 12.5 seconds

A video counts as an archive of its scenes: whatever is said of archives and members here holds
for it.

The only module that puts such paths together or takes them apart. A local path is absolute,
so none looks like an address. A folder that is called `shard.tar!` stays a folder: where one
stands beside `shard.tar`, that archive is not read.

Which files are pictures is said here too: raster formats only, and none whose decoder runs another
program (EPS, for one).
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path, PosixPath
from typing import Literal

from relook.core.errors import InputError, is_no

_SEP = os.sep.encode()
_INSIDE = b"!/"
_DISPLACED = b"/.relook-away-"
_MARK = _DISPLACED.decode()
_ARCHIVES = (b".tar", b".zip", b".tgz", b".tar.gz")
_VIDEOS = (b".mp4", b".m4v", b".mov", b".mkv", b".webm", b".avi")
_AT = b"#t="
VIDEO_EXTRA = 'install it with: pip install "relook[video]"'
"""What to do about videos that are not read."""
_SECONDS = re.compile(rb"\d{1,7}(\.\d{1,3})?")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://")
# Halves of characters that no byte of a file name is decoded to (PEP 383).
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


class Address(PosixPath):
    """The address of a remote picture where a `Path` is wanted; as text it keeps its `//`."""

    _text: str

    def __new__(cls, text: str, *more: str) -> Address:
        self = super().__new__(cls, text, *more)
        if not more:
            self._text = text
        return self

    def __str__(self) -> str:
        # What is made from it (a parent, for one) has no text of its own.
        plain = super().__str__()
        return getattr(self, "_text", plain) or plain

    def __fspath__(self) -> str:
        return str(self)

    def __reduce__(self) -> tuple[type[Address], tuple[str]]:
        return (Address, (str(self),))


def is_url(path: bytes) -> bool:
    """Whether it is an address and not a path of this machine."""
    return _SCHEME.match(path) is not None


def is_archive(path: bytes) -> bool:
    """Whether its name is that of an archive whose members are read, or of a video."""
    return path.lower().endswith(_ARCHIVES + _VIDEOS)


def is_video(path: bytes) -> bool:
    """Whether its name is that of a video whose scenes are read."""
    return path.lower().endswith(_VIDEOS)


def member_path(archive: bytes, name: bytes) -> bytes:
    """The path of a member of an archive, or of a video's scene: its name is the time."""
    return archive + (_AT if is_video(archive) else _INSIDE) + name


def scene_name(time_s: float) -> bytes:
    """The name of a scene in its video: seconds, in thousandths at most."""
    return f"{time_s:.3f}".rstrip("0").rstrip(".").encode()


def split_scene(path: bytes) -> tuple[bytes, float] | None:
    """The video that a scene is of, and the time of it in seconds; None for any other path."""
    video, mark, name = path.rpartition(_AT)
    if not (mark and is_video(video) and _SECONDS.fullmatch(name)):
        return None
    return video, float(name)


def split_member(path: bytes) -> tuple[bytes, bytes] | None:
    """The archive and the name in it; None for a file that only looks like a member."""
    if (scene := split_scene(path)) is not None:
        return scene[0], path[len(scene[0]) + len(_AT) :]
    at = path.find(_INSIDE)
    while at >= 0:
        if is_archive(path[:at]):
            return None if has_rival(path[:at]) else (path[:at], path[at + len(_INSIDE) :])
        at = path.find(_INSIDE, at + 1)
    return None


def has_rival(archive: bytes) -> bool:
    """Whether a folder of this machine has the name that its members' paths begin with."""
    return not (is_url(archive) or is_video(archive)) and os.path.isdir(archive + _INSIDE[:1])


def is_below(path: bytes, folder: bytes) -> bool:
    """Whether a path is a folder (or an archive) or anything in it."""
    if path == folder:
        return True
    return path.startswith(inside(folder))


def inside(folder: bytes) -> tuple[bytes, ...]:
    """What the paths of everything in a folder or an archive begin with."""
    below = folder.rstrip(_SEP) + _SEP
    return (below, member_path(folder, b"")) if is_archive(folder) else (below,)


def displaced_path(path: bytes, image_id: int) -> bytes:
    """What the catalog has for the path of an away image when another one has taken that path.

    No file can be there: the folder would have the name of a picture.
    """
    return original_path(path) + _DISPLACED + str(image_id).encode()


def original_path(path: bytes) -> bytes:
    """The inverse of `displaced_path`; any other path as it is."""
    before, mark, number = path.rpartition(_DISPLACED)
    return before if mark and number.isdigit() else path


def same_name(path: bytes, other: bytes) -> bool:
    """Whether two pictures have one name, in whatever folders or archives they are."""
    first, second = (os.path.basename(original_path(each)) for each in (path, other))
    return first == second


def given_path(path: str | os.PathLike[str]) -> str:
    """A path that a person gave, with `~` resolved where there is such a user.

    Raises:
        InputError: `bad_path` for an empty one, as of a script's variable that is not set: to the
            system it is the current folder, with all that is in it; and for what is no path.
    """
    if not isinstance(path, str | os.PathLike):
        is_several = isinstance(path, list | tuple | set)
        hint = "several are given apart: add(*paths)" if is_several else "name a file or folder"
        raise InputError("bad_path", is_no(path, "path"), hint)
    if not os.fspath(path):
        raise InputError(
            "bad_path", "a path is empty", "name a file or folder; . is the current folder"
        )
    return os.path.expanduser(path)


def path_bytes(path: str) -> bytes:
    """A path's bytes, in UTF-8 where the locale has no such letters: names on disk are in it."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogateescape")


def spellings(path: str) -> list[str]:
    """A path in the Unicode form in which it is given, then in the others."""
    forms: list[Literal["NFC", "NFD"]] = ["NFC", "NFD"]
    others = [] if path.isascii() else [unicodedata.normalize(form, path) for form in forms]
    return list(dict.fromkeys((path, *others)))


def as_path(path: bytes) -> Path:
    """The path as this system names it; an `Address` for a remote one."""
    path = original_path(path)
    return Address(os.fsdecode(path)) if is_url(path) else Path(os.fsdecode(path))


# TGA has no signature, so that it comes last.
FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO", "TGA",
)  # fmt: skip
"""Formats that Pillow reads; `core.decoders` has the others."""
_NAMES_OF = {
    "JPEG": "jpg jpeg jpe jfif mpo",
    "PNG": "png apng",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp dib",
    "TIFF": "tif tiff",
    "AVIF": "avif avifs",
    "JPEG2000": "jp2 j2k jpf jpx",
    "PPM": "ppm pgm pbm pnm",
    "ICO": "ico",
    "TGA": "tga",
    "HEIF": "heic heif hif heics heifs",
    "JXL": "jxl",
    "RAW": "3fr arw cr2 cr3 crw dcr dng erf fff iiq kdc mef mos mrw nef nrw orf pef raf rw2 rwl"
    " sr2 srf srw x3f",
}
_FORMAT_OF = {f".{name}": form for form, names in _NAMES_OF.items() for name in names.split()}
SUFFIXES = frozenset(_FORMAT_OF)
_SAME = {"MPO": "JPEG"}  # formats that have another's names
_EITHER = ({"HEIF", "AVIF"}, {"RAW", "TIFF"})  # which share their names now and then


def is_misnamed(path: bytes, form: str) -> bool:
    """Whether a picture's suffix is that of another format.

    Args:
        path: Of the picture.
        form: What its content is, as `core.images.Picture.format`.
    """
    name = _FORMAT_OF.get(os.fsdecode(os.path.splitext(path)[1]).lower())
    form = _SAME.get(form, form)
    return name is not None and name != form and {name, form} not in _EITHER


def printable(path: bytes | str) -> str:
    """A path, or any text, that any terminal and JSON reader takes; odd bytes become U+FFFD.

    It works in every locale: in some `os.fsencode` refuses letters.
    """
    if isinstance(path, str):
        if path.isascii() and _MARK not in path:  # as nearly every text of an answer is
            return path
        path = _NO_BYTE.sub("\ufffd", path).encode("utf-8", "surrogateescape")
    return original_path(path).decode("utf-8", "replace")
