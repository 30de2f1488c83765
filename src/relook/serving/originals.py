"""Picture files of a library as answers: only what was catalogued is ever sent. Layer: serving.

A path may lead elsewhere than when it was indexed (another file, a link). So a file is
read once, and sent only while its content is that of the catalog.
"""

from __future__ import annotations

import re

from relook.core.errors import ImageError, NotFoundError
from relook.core.images import content_hash, decode, reencoded
from relook.core.settings import ImageLimits
from relook.core.sources import read_bytes
from relook.core.untrusted import limits_at
from relook.library.records import ImageRecord, printable

__all__ = ["SAFE_TYPES", "browser_picture", "original", "safe_stem", "shrunk"]

SAFE_TYPES = {
    "JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp",
    "GIF": "image/gif", "AVIF": "image/avif",
}  # fmt: skip


def original(record: ImageRecord, limits: ImageLimits) -> bytes:
    """The bytes of an image's file.

    Raises:
        NotFoundError: `picture_gone` or `picture_changed`.
        ImageError: when it cannot be read.
    """
    path = record.facts.path
    try:
        data = read_bytes(path, limits)
    except ImageError as error:
        raise NotFoundError(
            "picture_gone",
            f"{printable(path)}: {error.message}",
            "put it back, or bring the library up to date",
        ) from error
    if content_hash(data) != record.content:
        raise NotFoundError(
            "picture_changed",
            f"{printable(path)} is not the file that was indexed",
            "bring the library up to date, and ask again",
        )
    return data


def browser_picture(record: ImageRecord, limits: ImageLimits) -> tuple[bytes, str]:
    """An image as browsers show it: its own file, tags and all, or a JPEG of it; and its type.

    Raises:
        NotFoundError, ImageError: as `original`.
    """
    data = original(record, limits)
    if record.format in SAFE_TYPES:
        return data, SAFE_TYPES[record.format]
    image = decode(data, 0, limits_at(record.facts.path, limits)).image
    return reencoded(image, quality=90), "image/jpeg"


def shrunk(data: bytes, size_px: int, limits: ImageLimits) -> bytes:
    """A JPEG of a picture whose longer side is at most `size_px`.

    Raises:
        ImageError: when it cannot be decoded.
    """
    # `decode` keeps the shorter side at `min_px`; a panorama then is larger than need be.
    return reencoded(decode(data, size_px // 2, limits).image, size_px, quality=82)


def safe_stem(name: str) -> str:
    """What may stay of a stranger's file name: letters, digits, dashes; no path, no dots."""
    last = re.split(r"[\\/]", name)[-1]
    stem = last.rpartition(".")[0] or last
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:60]
