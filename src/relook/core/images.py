"""Decoding picture files that nobody vouches for. Layer: core.

`decode` reads a file once, refuses what is too large before decoding it, uses a JPEG's reduced
scales, and returns an upright picture in sRGB with nothing but its pixels. It reads only the
formats of `core.picture_paths` and `core.decoders`.

What Pillow reads is `core.picture`'s business; what it cannot hold is decoded here: RAW files, by
LibRaw, and TIFFs with several samples of more than 8 bits. A RAW file holds a preview that the
camera developed; that is what is shown and encoded, as people know the picture by it. Where there
is none of use, or `images.develop_raw` says so, LibRaw develops the sensor's values.

Source: TIFF 6.0, PlanarConfiguration and SampleFormat.
"""

import hashlib
import io
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from relook.core import sources
from relook.core.decoders import decoder, kind_of
from relook.core.errors import ImageError
from relook.core.isolation import decode_isolated
from relook.core.picture import Picture, decode_plain, eight_bits, in_srgb, too_many, turned
from relook.core.picture_tags import exif_in
from relook.core.progress import check_cancelled
from relook.core.settings import ImageLimits
from relook.core.sources import limits_at

_USEFUL_PX = 512  # the longer side of a preview that stands for the picture
# What undoes each of LibRaw's flips (libraw_image_sizes_t.flip).
_FLIPS = {
    3: Image.Transpose.ROTATE_180, 5: Image.Transpose.ROTATE_90, 6: Image.Transpose.ROTATE_270,
}  # fmt: skip
_WHITE_IS_ZERO, _INKS = 0, 5  # photometric interpretations (TIFF 6.0, tag 262)
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_ORIENTATION = 0x0112


def load(
    path: str | os.PathLike[str], min_px: int = 0, limits: ImageLimits | None = None
) -> Picture:
    """Reads and decodes one picture.

    Args:
        path: A file, an archive's member, or the `Address` of a remote picture.
        min_px: Neither side need be larger than this; a JPEG is then decoded at a reduced
            scale. 0 keeps every pixel.
        limits: What it may cost.

    Raises:
        ImageError: with a code that says why it cannot be used, and the path.
    """
    try:
        return decode(sources.read_bytes(path, limits), min_px, limits_at(path, limits))
    except ImageError as error:
        raise ImageError(error.code, f"{os.fspath(path)}: {error.message}", error.hint) from error


def decode(data: bytes, min_px: int = 0, limits: ImageLimits | None = None) -> Picture:
    """Decodes a picture from the bytes of its file; the first frame of an animated one.

    Args:
        data: The whole file.
        min_px: As for `load`.
        limits: As for `load`.

    Raises:
        ImageError: `not_an_image`, `truncated`, `too_many_pixels`, `undecodable` or
            `no_decoder`; with `limits.isolate` also what `core.isolation` adds.
        CancelledWork: when this is part of work that is not wanted any more.
    """
    check_cancelled()
    limits = limits or ImageLimits()
    if limits.isolate:
        return decode_isolated(data, min_px, limits)
    kind = kind_of(data)
    if kind == "raw":
        return decode_raw(data, min_px, limits)
    if kind == "deep_tiff":
        return decode_deep_tiff(data, limits)
    return decode_plain(data, kind, min_px, limits)


def dhash(image: Image.Image) -> int:
    """A 64-bit difference hash: near-duplicates differ in a few bits.

    Source: N. Krawetz, "Kind of Like That" (2013): each bit says whether a pixel of the
    9x8 grey thumbnail is brighter than its right neighbour.
    """
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX))  # [8, 9]
    bits = np.packbits(grey[:, :-1] > grey[:, 1:])
    # SQLite integers are signed: the hash is kept in that range.
    return int.from_bytes(bits.tobytes(), "big", signed=True)


def content_of(path: bytes, data: bytes) -> bytes:
    """The digest of a picture's content, where it lies.

    Args:
        path: As catalogs have it.
        data: As `core.sources.read_bytes` gives it.
    """
    return sources.scene_content(path) or content_hash(data)


def content_hash(data: bytes) -> bytes:
    """A 16-byte BLAKE2b digest of a file: what "the same file" means."""
    return hashlib.blake2b(data, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class _Preview:
    """What the camera developed, upright, with the tags that it carries."""

    image: Image.Image
    exif: dict[int, object]


def decode_raw(data: bytes, min_px: int, limits: ImageLimits) -> Picture:
    """Decodes a RAW file.

    Args:
        data: The whole file.
        min_px: As for `load`.
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


def _developed(raw: Any, shorter_px: int, min_px: int, limits: ImageLimits) -> Image.Image:
    """The sensor's values as the camera's white balance shows them, upright."""
    half = bool(min_px) and shorter_px // 2 >= min_px
    n_pixels = raw.sizes.width * raw.sizes.height // (4 if half else 1)
    if n_pixels > limits.max_decoded_pixels:
        raise too_many(n_pixels, "max_decoded_pixels", limits)
    return Image.fromarray(raw.postprocess(use_camera_wb=True, half_size=half, output_bps=8))


def decode_deep_tiff(data: bytes, limits: ImageLimits) -> Picture:
    """Decodes the first page of a TIFF with several samples of more than 8 bits.

    Args:
        data: The whole file.
        limits: What it may cost. Its values take up to five times the memory of 8-bit ones.

    Raises:
        ImageError: `no_decoder`, `too_many_pixels` or `undecodable`.
    """
    package = decoder("deep_tiff")
    try:
        with package.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            n_pixels = page.imagewidth * page.imagelength
            if n_pixels > limits.max_pixels:
                raise too_many(n_pixels, "max_pixels", limits)
            if 5 * n_pixels > limits.max_decoded_pixels:
                raise too_many(5 * n_pixels, "max_decoded_pixels", limits)
            values = page.asarray()
            values = np.moveaxis(values, 0, -1) if page.axes == "SYX" else values
            values = values[..., None] if page.axes == "YX" else values
            if values.ndim != 3:
                raise ValueError(f"its axes are {page.axes}")
            inks = page.photometric == _INKS
            inverted = page.photometric == _WHITE_IS_ZERO
    except ImageError:
        raise
    # Like Pillow's, this decoder fails on hostile bytes with nearly any exception.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ImageError("undecodable", f"the TIFF cannot be decoded: {reason}") from error
    exif = exif_in(data)
    n_bands = 4 if inks and values.shape[-1] >= 4 else 3 if values.shape[-1] >= 3 else 1
    shown = np.ascontiguousarray(eight_bits(values[..., :n_bands], inverted=inverted))
    image = Image.fromarray(shown[..., 0] if n_bands == 1 else shown, _MODES[n_bands])
    profile = exif.get(ExifTags.Base.InterColorProfile)
    if isinstance(profile, bytes):
        image.info["icc_profile"] = profile
    image = turned(in_srgb(image).convert("RGB"), exif.get(ExifTags.Base.Orientation))
    image.info.clear()
    return Picture(image, *image.size, exif, {}, "TIFF")
