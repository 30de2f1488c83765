"""Decoding picture files that nobody vouches for, and encoding them for others. Layer: core.

`decode` reads a file once, refuses what is too large before decoding it, uses a JPEG's reduced
scales, and returns an upright picture in sRGB with nothing but its pixels. It reads only the
formats of `core.picture_paths` and `core.decoders`. `reencoded` is the only place that writes a
person's picture as a file: whatever is shown or sent to somebody goes through it.
"""

import hashlib
import io
import os
from typing import Literal

import numpy as np
from PIL import Image

from relook.core import sources
from relook.core.camera_raw import decode_raw
from relook.core.decoders import kind_of
from relook.core.deep_tiff import decode_deep_tiff
from relook.core.errors import ImageError
from relook.core.isolation import decode_isolated
from relook.core.picture import Picture, decode_plain, in_srgb, pixels_alone, to_rgb
from relook.core.progress import check_cancelled
from relook.core.settings import ImageLimits
from relook.core.untrusted import limits_at


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


def reencoded(
    image: Image.Image,
    longest_px: int = 0,
    form: Literal["JPEG", "PNG"] = "JPEG",
    quality: int = 85,
) -> bytes:
    """A picture as a new file for others to see, which holds its pixels and nothing else.

    No comment, tag, profile, text, thumbnail or further frame of the file that it comes from
    is in it: encoders write only what the picture carries, and the copy carries nothing.

    Args:
        image: As `decode` returns it, or drawn here; it stays as it is.
        longest_px: The longer side is at most this; 0 keeps the size.
        form: The format of the file.
        quality: Of a JPEG.
    """
    if longest_px and max(image.size) > longest_px:
        image = image.copy()
        image.thumbnail((longest_px, longest_px))
    bare = pixels_alone(to_rgb(in_srgb(image)))
    buffer = io.BytesIO()
    if form == "PNG":
        bare.save(buffer, "PNG")
    else:
        bare.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


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
