"""Videos of this machine as archives of the scenes in them. Layer: core.

A video is known by a digest of its size and of parts of it, so that a film of hours is recognised
in milliseconds; a scene by that digest and its time. Decoding is done by
`core.video_scenes` in a process with bounds.

A phone's Live Photo is a still with a short video of the same name: that video has no scenes of its
own, as long as the still is there.
"""

import functools
import hashlib
import os
import stat
from dataclasses import dataclass

from relook.core.archives import Archive, Member
from relook.core.beside import likeness, stems_alike
from relook.core.decoders import has_decoder, no_decoder
from relook.core.errors import ImageError
from relook.core.isolation import scene_isolated, scenes_isolated
from relook.core.picture import Picture
from relook.core.picture_paths import scene_name
from relook.core.settings import ImageLimits

_PART, _N_PARTS = 64 * 1024, 64
_END = 1024**2
_KEPT = 4096
_LIVE_S = 6.0  # longest moving part of a Live Photo
_LIVE = (b".mov", b".mp4")
_STILLS = (b".heic", b".jpg", b".jpeg", b".heif")


@dataclass(frozen=True, slots=True)
class Scenes:
    """What a video shows.

    Args:
        times_s: When scenes begin to be seen, rising.
        duration_s: Of the video; 0 where it does not say.
    """

    times_s: tuple[float, ...]
    duration_s: float


@dataclass(frozen=True, slots=True)
class Video:
    """A video file as it is now.

    Args:
        path: Of the file.
        n_bytes: Its size.
        digest: Of 16 bytes.
    """

    path: bytes
    n_bytes: int
    digest: bytes

    def content(self, name: bytes) -> bytes:
        """A digest of 16 bytes that stands for one scene of it."""
        return hashlib.blake2b(self.digest + name, digest_size=16).digest()


def video_at(path: bytes) -> Video:
    """The video at a path.

    Raises:
        ImageError: `vanished`, `unreadable`, `not_a_file` or `empty_file`.
    """
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            raise ImageError("not_a_file", "it is not a regular file")
        if not facts.st_size:
            raise ImageError("empty_file", "the file is empty (0 bytes)")
        return Video(path, facts.st_size, _digest(path, facts.st_size, facts.st_mtime_ns))
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError("vanished", "the file is not there any more") from None
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError("unreadable", f"cannot read it: {reason}") from error


@functools.lru_cache(maxsize=_KEPT)
def _digest(path: bytes, n_bytes: int, _stamp: int) -> bytes:
    """Of the size, both ends, and parts at even distances."""
    digest = hashlib.blake2b(n_bytes.to_bytes(8, "big"), digest_size=16)
    with open(path, "rb") as file:
        if n_bytes <= 2 * _END + _N_PARTS * _PART:
            digest.update(file.read())
        else:
            digest.update(file.read(_END))
            for part in range(1, _N_PARTS):
                file.seek(part * n_bytes // _N_PARTS)
                digest.update(file.read(_PART))
            file.seek(n_bytes - _END)
            digest.update(file.read(_END))
    return digest.digest()


def scenes_of(video: Video, limits: ImageLimits | None = None) -> Scenes:
    """The scenes of a video, as they are found by decoding it.

    Raises:
        ImageError: `no_decoder`, or a reason why it cannot be used.
    """
    if not has_decoder("video"):
        raise no_decoder("video")
    return Scenes(*scenes_isolated(video.path, limits or ImageLimits()))


def as_archive(video: Video, scenes: Scenes) -> Archive:
    """A video as an archive of its scenes."""
    return Archive({scene_name(time_s): Member(0, video.n_bytes) for time_s in scenes.times_s})


def is_live(video: Video, scenes: Scenes) -> bool:
    """Whether a video is the moving part of a Live Photo whose still is there."""
    return scenes.duration_s <= _LIVE_S and still_beside(video.path) is not None


def scene_picture(path: bytes, time_s: float, limits: ImageLimits | None = None) -> Picture:
    """What a video shows at a time.

    Raises:
        ImageError: `vanished`, `no_decoder`, or a reason why it cannot be decoded.
    """
    if not os.path.exists(path):
        raise ImageError("vanished", "the video is not there any more")
    if not has_decoder("video"):
        raise no_decoder("video")
    return scene_isolated(path, time_s, limits or ImageLimits())


def still_beside(path: bytes) -> bytes | None:
    """The still of whose Live Photo a video may be the moving part; None without one."""
    stem, suffix = os.path.splitext(path)
    return _beside(stem, _STILLS) if suffix.lower() in _LIVE else None


def moving_beside(path: bytes) -> bytes | None:
    """The video that may be the moving part of a still's Live Photo; None without one."""
    stem, suffix = os.path.splitext(path)
    return _beside(stem, _LIVE) if suffix.lower() in _STILLS else None


def _beside(stem: bytes, suffixes: tuple[bytes, ...]) -> bytes | None:
    """The file of that stem with one of the suffixes; else one whose stem differs in case only."""
    for suffix in suffixes:
        for spelled in (suffix.upper(), suffix):
            if os.path.isfile(stem + spelled):
                return stem + spelled
    folder, name = os.path.split(stem)
    alike = stems_alike(folder, suffixes).get(likeness(name), frozenset())
    return os.path.join(folder, next(iter(alike))) if len(alike) == 1 else None
