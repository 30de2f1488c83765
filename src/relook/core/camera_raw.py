"""Pictures as camera sensors saw them, by LibRaw. Layer: core.

A RAW file holds a preview that the camera developed; that is what is shown and encoded, as
people know the picture by it. Where there is none of use, or `images.develop_raw` says so,
LibRaw develops the sensor's values.
"""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from relook.core.decoders import decoder, kind_of
from relook.core.errors import ImageError
from relook.core.picture import Picture, decode_plain, too_many
from relook.core.picture_tags import exif_in
from relook.core.settings import ImageLimits

_USEFUL_PX = 512  # the longer side of a preview that stands for the picture
# What undoes each of LibRaw's flips (libraw_image_sizes_t.flip).
_FLIPS = {
    3: Image.Transpose.ROTATE_180, 5: Image.Transpose.ROTATE_90, 6: Image.Transpose.ROTATE_270,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Preview:
    """What the camera developed, upright, with the tags that it carries."""

    image: Image.Image
    exif: dict[int, object]


def decode_raw(data: bytes, min_px: int, limits: ImageLimits) -> Picture:
    """Decodes a RAW file.

    Args:
        data: The whole file.
        min_px: As for `core.images.load`.
        limits: What it may cost, and whether it is developed in any case.

    Raises:
        ImageError: `no_decoder`, `too_many_pixels` or `undecodable`.
    """
    rawpy = decoder("raw")
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            sizes = raw.sizes
            width, height = sizes.width, sizes.height
            width, height = (height, width) if sizes.flip in (5, 6) else (width, height)
            if width * height > limits.max_pixels:
                raise too_many(width * height, "max_pixels", limits)
            preview = None if limits.develop_raw else _preview(rawpy, raw, min_px, limits)
            useful = min(_USEFUL_PX, max(width, height))
            if preview is None or max(preview.image.size) < useful:
                image, exif = _developed(raw, min(width, height), min_px, limits), {}
            else:
                image, exif = preview.image, preview.exif
    except rawpy.LibRawError as error:
        reason = error.args[0] if error.args else type(error).__name__
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ImageError("undecodable", f"the RAW file cannot be decoded: {text}") from error
    return Picture(image, width, height, exif_in(data) or exif, {}, "RAW")


def _preview(rawpy: Any, raw: Any, min_px: int, limits: ImageLimits) -> _Preview | None:
    """The largest preview that can be read; None without one."""
    try:
        thumbnail = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    turn = _FLIPS.get(raw.sizes.flip)
    if thumbnail.format != rawpy.ThumbFormat.JPEG:
        image = Image.fromarray(np.asarray(thumbnail.data)).convert("RGB")
        return _Preview(image if turn is None else image.transpose(turn), {})
    try:
        picture = decode_plain(thumbnail.data, kind_of(thumbnail.data), min_px, limits)
    except ImageError:
        return None
    image = picture.image
    if turn is not None and picture.exif.get(_ORIENTATION, 1) == 1:
        image = image.transpose(turn)
    return _Preview(image, picture.exif)


_ORIENTATION = 0x0112


def _developed(raw: Any, shorter_px: int, min_px: int, limits: ImageLimits) -> Image.Image:
    """The sensor's values as the camera's white balance shows them, upright."""
    half = bool(min_px) and shorter_px // 2 >= min_px
    n_pixels = raw.sizes.width * raw.sizes.height // (4 if half else 1)
    if n_pixels > limits.max_decoded_pixels:
        raise too_many(n_pixels, "max_decoded_pixels", limits)
    return Image.fromarray(raw.postprocess(use_camera_wb=True, half_size=half, output_bps=8))
