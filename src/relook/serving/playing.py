"""What a page plays: the video of a scene, and the moving part of a phone's photograph.

With the same rights as pictures: only a video that was catalogued is sent, as long as it is the one
that was; of a photograph only what stands beside it, or in it, under its name. Layer: serving.

Sources: RFC 9110, 14 (ranges); Google's Motion Photo format 1.0 and Samsung's `MotionPhoto_Data`
(an MP4 behind the picture); Apple's Live Photos (a QuickTime file of the same name).
"""

import io
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from relook.core.errors import ImageError, NotFoundError
from relook.core.picture_paths import is_url, printable, split_member, split_scene
from relook.core.settings import ImageLimits
from relook.core.videos import moving_beside, video_at
from relook.library.records import ImageRecord
from relook.serving.pictures import original

_TYPES = {".webm": "video/webm", ".mkv": "video/webm", ".avi": "video/x-msvideo"}
_MP4 = "video/mp4"  # browsers play QuickTime's files by this name, too
_MOST_AT_ONCE = 8 * 1024**2
_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_BEGINS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_STILLS = ("JPEG", "MPO", "HEIF")
_HEAD = 64 * 1024
_SAYS_MOTION = re.compile(rb"(?:MotionPhoto|MicroVideo)(?:=[\"']|>)1|MotionPhoto_Data")
_BRANDS = (b"mp42", b"isom", b"mp41", b"qt  ", b"iso2", b"iso5", b"iso6", b"avc1")


@dataclass(frozen=True, slots=True)
class Playable:
    """An open video.

    Args:
        file: Of its bytes; whoever has this closes it.
        n_bytes: How many.
        media_type: For browsers.
        tag: Another one for another video.
    """

    file: IO[bytes]
    n_bytes: int
    media_type: str
    tag: str

    def part(self, wanted: str | None) -> range | None:
        """The bytes that a Range header asks for, at most some megabytes; all without one.

        Returns:
            None where none of them is there.
        """
        match = _RANGE.fullmatch(wanted or "")
        if match is None or not is_range(wanted):
            return range(self.n_bytes)
        if not match[1]:  # the last ones
            first, last = max(self.n_bytes - int(match[2][:15]), 0), self.n_bytes - 1
        else:
            first = int(match[1][:15])
            last = min(int(match[2][:15]) if match[2] else self.n_bytes - 1, self.n_bytes - 1)
        if first > last:
            return None
        return range(first, min(last + 1, first + _MOST_AT_ONCE))

    def chunks(self, part: range) -> Iterator[bytes]:
        """The bytes of a part; closes the file at the end."""
        with self.file as file:
            file.seek(part.start)
            left = len(part)
            while left and (data := file.read(min(_CHUNK, left))):
                left -= len(data)
                yield data


def is_range(wanted: str | None) -> bool:
    """Whether a Range header asks for one range of bytes; any other counts as none."""
    match = _RANGE.fullmatch(wanted or "")
    return match is not None and bool(match[1] or match[2])


def has_video(record: ImageRecord) -> bool:
    """Whether there is something to play for an image."""
    path = record.facts.path
    if split_scene(path) is not None:
        return True
    if is_url(path) or record.format not in _STILLS:
        return False
    return (not split_member(path) and moving_beside(path) is not None) or _says_motion(path)


def playable(record: ImageRecord, limits: ImageLimits) -> Playable:
    """Opens what there is to play for an image.

    Raises:
        NotFoundError: `no_video`, `picture_gone` or `picture_changed`.
    """
    path = record.facts.path
    scene = split_scene(path)
    if scene is not None:
        return _video_of(record, scene[0])
    if record.format in _STILLS and not is_url(path):
        if not split_member(path) and (moving := moving_beside(path)) is not None:
            original(record, limits)  # the still is what was catalogued
            return _beside(moving)
        if (inner := _inside(original(record, limits))) is not None:
            return Playable(io.BytesIO(inner), len(inner), _MP4, f"{record.content.hex()}-motion")
    raise NotFoundError(
        "no_video", f"{printable(path)} has no video", "scenes of videos and Live Photos have one"
    )


def _video_of(record: ImageRecord, path: bytes) -> Playable:
    name = split_member(record.facts.path)
    assert name is not None
    try:
        file = _opened(path, links=True)
        video = video_at(path)
    except (OSError, ImageError) as error:
        reason = getattr(error, "message", None) or getattr(error, "strerror", None) or error
        raise NotFoundError(
            "picture_gone", f"{printable(path)}: {reason}",
            "put it back, or bring the library up to date",
        ) from error  # fmt: skip
    is_same = os.fstat(file.fileno()).st_ino == os.stat(path).st_ino
    if not is_same or video.content(name[1]) != record.content:
        file.close()
        raise NotFoundError(
            "picture_changed", f"{printable(path)} is not the file that was indexed",
            "bring the library up to date, and ask again",
        )  # fmt: skip
    kind = _TYPES.get(os.path.splitext(os.fsdecode(path))[1].lower(), _MP4)
    return Playable(file, video.n_bytes, kind, video.digest.hex())


def _beside(path: bytes) -> Playable:
    try:
        file = _opened(path, links=False)
    except OSError as error:
        raise NotFoundError("no_video", f"{printable(path)}: {error.strerror}") from error
    if file.read(8)[4:] not in _BEGINS:
        file.close()
        raise NotFoundError("no_video", f"{printable(path)} is no video")
    facts = os.fstat(file.fileno())
    return Playable(file, facts.st_size, _MP4, f"{facts.st_size:x}-{facts.st_mtime_ns:x}")


def _opened(path: bytes, *, links: bool) -> IO[bytes]:
    """An open regular file.

    Raises:
        OSError: when it cannot be opened, or is none.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    flags |= 0 if links else getattr(os, "O_NOFOLLOW", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(0, "it is not a regular file")
    return file


def _says_motion(path: bytes) -> bool:
    """Whether a photograph says of itself that a video is behind it."""
    if split_member(path) is not None:
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
            file.seek(max(os.fstat(file.fileno()).st_size - _HEAD, 0))
            return _SAYS_MOTION.search(head + b"\0" + file.read(_HEAD)) is not None
    except (OSError, ValueError):
        return False


def _inside(data: bytes) -> bytes | None:
    """The MP4 behind a photograph; None without one."""
    at = data.find(b"ftyp", 64)
    while at >= 0:
        if data[at + 4 : at + 8] in _BRANDS and 8 <= int.from_bytes(data[at - 4 : at], "big") < 256:
            return data[at - 4 :]
        at = data.find(b"ftyp", at + 4)
    return None
