"""The bytes of a picture wherever it is: a file, an archive's member, an address. Layer: core.

For paths that a catalog or a listing holds. What a person or a request names goes through
`read_file`, which reads files of this machine only.

Gzip knows no places in a packed tar; indexed_gzip (in the extra `formats`) keeps some while it
unpacks the file once, from which any member is reached.

What strangers sent lies in folders that the server marks. Whoever reads a picture from such a
folder, in this process or another, today or next year, decodes it in a process with bounds
(`core.isolation`); pictures in a person's own folders are decoded at full speed.
"""

from __future__ import annotations

import functools
import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relook.core.archives import ArchiveError
from relook.core.beside import names_beside, takeout_beside, xmp_beside
from relook.core.decoders import decoder
from relook.core.errors import ImageError
from relook.core.picture_paths import Address, is_url, split_member, split_scene
from relook.core.settings import ImageLimits

if TYPE_CHECKING:
    from relook.core.archives import Archive

_KEPT = 16  # lists of archives: what a page of thumbnails comes from
_FRESH_S = 60  # for which the list of a remote archive is not checked
_MOST_WORDS = 1024**2
_O_BINARY = getattr(os, "O_BINARY", 0)
# Threads that ask for the same list make it once; a slow one holds up few others.
_listing_locks = tuple(threading.Lock() for _ in range(16))
MARK = ".relook-untrusted"
TEMPORARY = "relook-pictures-"
"""What the names of a server's temporary folders begin with; one holds what people search with."""
STRANGERS = ("uploads", "query-pictures")
"""Folders of a library that hold what strangers sent."""
_TEXT = "Strangers sent the pictures in this folder: Relook decodes them apart. Leave this file.\n"


def read_bytes(path: str | os.PathLike[str] | bytes, limits: ImageLimits | None = None) -> bytes:
    """Reads a picture whole.

    Args:
        path: A file, a member (`a.tar!/b.jpg`) or an address (`s3://bucket/b.jpg`); a remote
            place only as bytes or an `Address`, as catalogs give them, and never as typed text.
        limits: What it may cost.

    Raises:
        ImageError: as `read_file`, and `bad_member` or `bad_archive`.
    """
    limits = limits or ImageLimits()
    place = os.fsencode(path)
    if is_url(place) and not isinstance(path, bytes | Address):
        return read_file(path, limits)
    if (scene := split_scene(place)) is not None:
        from relook.core.picture import reencoded
        from relook.core.videos import scene_picture

        return reencoded(scene_picture(*scene, limits).image, quality=95)
    member = split_member(place)
    if member is not None:
        archive, name = member
        return archive_at(archive).read(name, _reader(archive), limits.max_file_bytes)
    if is_url(place):
        from relook.core.remote import read_whole

        return read_whole(place, limits.max_file_bytes)
    return read_file(path, limits)


def scene_content(path: bytes) -> bytes | None:
    """The digest of a video's scene, which is known without decoding it; None for other pictures.

    Raises:
        ImageError: when the video cannot be read.
    """
    if split_scene(path) is None:
        return None
    from relook.core.videos import video_at

    member = split_member(path)
    assert member is not None
    return video_at(member[0]).content(member[1])


def read_file(path: str | os.PathLike[str] | bytes, limits: ImageLimits | None = None) -> bytes:
    """Reads a regular file of this machine whole: what a person or a request names.

    Raises:
        ImageError: `vanished`, `unreadable`, `not_a_file`, `empty_file` or `file_too_large`.
    """
    limits = limits or ImageLimits()
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _O_BINARY)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise ImageError("not_a_file", "it is not a regular file")
            if facts.st_size > limits.max_file_bytes:
                raise ImageError(
                    "file_too_large",
                    f"the file has {facts.st_size:,} bytes; the limit is {limits.max_file_bytes:,}",
                )
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError("vanished", "the file is not there any more") from None
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # a path with a NUL in it is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise ImageError("unreadable", f"cannot read it: {reason}") from error
    if not data:
        raise ImageError("empty_file", "the file is empty (0 bytes)")
    return data


@dataclass(slots=True)
class FilesBeside:
    """What stands beside a picture under its name.

    Args:
        data: Name of a file -> what is in it.
        unread: Name of one that cannot be read -> why.
    """

    data: dict[bytes, bytes] = field(default_factory=dict)
    unread: dict[bytes, str] = field(default_factory=dict)

    def put(self, name: bytes, n_bytes: int, read: Callable[[], bytes]) -> None:
        """Reads a file of a known size, unless it is larger than any such file is."""
        if n_bytes > _MOST_WORDS:
            self.unread[name] = f"it has more than {_MOST_WORDS:,} bytes"
            return
        try:
            self.data[name] = read() if n_bytes else b""
        except OSError as error:
            self.unread[name] = error.strerror or str(error)
        except ImageError as error:
            if error.code != "bad_member":
                raise
            self.unread[name] = error.message


def read_beside(path: bytes) -> FilesBeside:
    """What stands beside a picture under its name.

    XMP and Google Takeout's JSON in folders of this machine, also texts in archives.

    Raises:
        ImageError: when the archive cannot be read.
    """
    beside = FilesBeside()
    scene = split_scene(path)
    path = path if scene is None else scene[0]
    member = split_member(path)
    if member is None:
        if not is_url(path):
            _read_in_folder(path, beside)
        return beside
    archive, name = member
    listed = archive_at(archive)
    picture = listed.pictures.get(listed.old_names.get(name, name))
    read_at = _reader(archive)
    for word in picture.beside if picture else ():
        n_bytes = listed.words[word].size_bytes
        beside.put(word, n_bytes, functools.partial(listed.read, word, read_at, _MOST_WORDS))
    return beside


def _read_in_folder(path: bytes, beside: FilesBeside) -> None:
    names = names_beside(path)
    if not names.names:
        return
    folder, name = os.path.split(path)
    for word in (xmp_beside(name, names), takeout_beside(name, names)):
        if word is not None:
            file = Path(os.fsdecode(os.path.join(folder, word)))
            try:
                n_bytes = file.stat().st_size
            except OSError as error:
                beside.unread[word] = error.strerror or str(error)
                continue
            beside.put(word, n_bytes, file.read_bytes)


def archive_at(path: bytes) -> Archive:
    """What is in an archive, listed again only when it changed.

    Raises:
        ImageError: `vanished`, `unreadable` or `bad_archive`.
    """
    if is_url(path):
        size, stamp = _remote_version(path, int(time.monotonic() / _FRESH_S))
    else:
        size, stamp = _version(path)
    with _listing_locks[hash(path) % len(_listing_locks)]:
        return _listed(path, size, stamp)


@functools.lru_cache(maxsize=4 * _KEPT)
def _remote_version(path: bytes, _moment: int) -> tuple[int, int]:
    from relook.core.remote import size_and_stamp

    return size_and_stamp(path)


def _version(path: bytes) -> tuple[int, int]:
    """Size and time of an archive."""
    try:
        facts = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError("vanished", "the archive is not there any more") from None
    except OSError as error:
        raise ImageError("unreadable", f"cannot read the archive: {error.strerror}") from error
    return facts.st_size, facts.st_mtime_ns


@functools.lru_cache(maxsize=_KEPT)
def _listed(path: bytes, n_bytes: int, stamp: int) -> Archive:
    from relook.core.archives import ArchiveError, list_archive

    try:
        if is_url(path):
            from relook.core.remote import open_file

            if is_packed(path):
                raise ArchiveError("a packed tar is read from this machine's disks only")
            with open_file(path) as file:
                return list_archive(path, file, n_bytes)
        if is_packed(path):
            return list_archive(path, packed_tar(path, n_bytes, stamp).file, n_bytes)
        with open(path, "rb") as file:
            return list_archive(path, file, n_bytes)
    except ArchiveError as error:
        raise ImageError("bad_archive", f"the archive cannot be listed: {error}") from error
    except OSError as error:
        reason = error.strerror or error
        raise ImageError("unreadable", f"cannot read the archive: {reason}") from error


def _reader(path: bytes) -> Callable[[int, int], bytes]:
    if is_url(path):
        from relook.core.remote import read_range

        return lambda offset, n_bytes: read_range(path, offset, n_bytes)

    if is_packed(path):
        return packed_tar(path, *_version(path)).read_at
    return lambda offset, n_bytes: _read_at(path, offset, n_bytes)


def _read_at(path: bytes, offset: int, n_bytes: int) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), n_bytes, offset)
    except FileNotFoundError:
        raise ImageError("vanished", "the archive is not there any more") from None
    except OSError as error:
        raise ImageError("unreadable", f"cannot read the archive: {error.strerror}") from error


_SUFFIXES = (b".tgz", b".tar.gz")
_KEPT_OPEN = 4  # open files, each with an index of about a hundredth of its size
_PART = 16 * 1024**2
_MOST_TIMES = 200  # its own size that a file may unpack to; a bomb has a thousand times
_ALWAYS = 1024**3


def is_packed(path: bytes) -> bool:
    """Whether the name is that of a tar packed by gzip."""
    return path.lower().endswith(_SUFFIXES)


class PackedTar:
    """An open file, for several threads.

    Args:
        path: The file.
        n_bytes: Its size.

    Raises:
        ImageError: `no_decoder`; ArchiveError: it is damaged, or a bomb; OSError.
    """

    def __init__(self, path: bytes, n_bytes: int) -> None:
        package = decoder("packed_tar")
        self._lock = threading.Lock()
        self.file: Any = package.IndexedGzipFile(filename=os.fsdecode(path))
        try:
            n_unpacked = 0
            while part := self.file.read(_PART):
                n_unpacked += len(part)
                if n_unpacked > _ALWAYS + _MOST_TIMES * n_bytes:
                    raise ArchiveError(f"it unpacks to more than {_MOST_TIMES} times its size")
            self.file.seek(0)
        except ArchiveError:
            raise
        # Readers of hostile bytes fail with nearly any exception: this is the per-archive edge.
        except Exception as error:
            raise ArchiveError(f"it is damaged: {error}") from error

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """Unpacked bytes; fewer only at the end."""
        with self._lock:
            self.file.seek(offset)
            return bytes(self.file.read(n_bytes))


@functools.lru_cache(maxsize=_KEPT_OPEN)
def packed_tar(path: bytes, n_bytes: int, _stamp: int) -> PackedTar:
    """The open file of a path; another one when it has changed."""
    return PackedTar(path, n_bytes)


def mark(folder: Path) -> None:
    """Marks a folder, which must be there; marking twice is fine.

    Raises:
        OSError: when the disk refuses.
    """
    if not (folder / MARK).exists():
        (folder / MARK).write_text(_TEXT)


def limits_at(
    path: str | os.PathLike[str] | bytes, limits: ImageLimits | None = None
) -> ImageLimits:
    """What a picture file may cost where it lies: isolated in a folder that is marked.

    Args:
        path: The file; a link counts where it stands and where it leads.
        limits: What it may cost elsewhere.
    """
    limits = limits or ImageLimits()
    if limits.isolate:
        return limits
    name = os.fsencode(path)
    try:
        places = {os.path.dirname(name), os.path.dirname(os.path.realpath(name))}
        marked = any(os.path.exists(os.path.join(place, MARK.encode())) for place in places)
    except ValueError:  # a path with a NUL in it: reading it says so
        return limits
    return replace(limits, isolate=True) if marked else limits
