"""Pictures as agents see them: small, upright, bounded in bytes. Layer: mcp."""

from __future__ import annotations

import base64

from mcp.types import ImageContent
from PIL import Image

from relook.core.errors import InputError
from relook.core.images import decode, reencoded
from relook.core.settings import ImageLimits
from relook.core.types import Box
from relook.library.records import ImageRecord
from relook.serving.originals import original

__all__ = ["MIME", "content_of", "small_jpeg"]

MIME = "image/jpeg"
_QUALITIES = (82, 60, 40)
_LEAST_PX = 32


def small_jpeg(
    record: ImageRecord, limits: ImageLimits, size_px: int, max_bytes: int, box: Box | None = None
) -> bytes:
    """A JPEG of an image, or of a region of it, that is small enough both ways.

    Args:
        record: An image of a library; its file is sent only while it is the one indexed.
        limits: What decoding may cost.
        size_px: Longest side at most; a region is not blown up.
        max_bytes: Size of the JPEG at most; quality goes first, then pixels.
        box: The region; the whole when None.

    Raises:
        NotFoundError: `picture_gone` or `picture_changed`; ImageError: when it cannot be decoded.
    """
    data = original(record, limits)
    # A region needs pixels of the original; the whole is decoded at a reduced scale.
    picture = decode(data, 0 if box else size_px, limits)
    image = picture.crop(box) if box else picture.image
    while True:
        image.thumbnail((size_px, size_px), Image.Resampling.BICUBIC, reducing_gap=2.0)
        for quality in _QUALITIES:
            made = reencoded(image, quality=quality)
            if len(made) <= max_bytes:
                return made
        size_px = max(image.size) * 3 // 4
        if size_px < _LEAST_PX:
            raise InputError("too_small", f"no picture fits into {max_bytes:,} bytes")


def content_of(jpeg: bytes) -> ImageContent:
    """A JPEG as the content of a tool's answer."""
    return ImageContent(type="image", data=base64.b64encode(jpeg).decode("ascii"), mime_type=MIME)
