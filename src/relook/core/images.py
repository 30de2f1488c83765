"""Decoding picture files that nobody vouches for. Layer: core.

`decode` reads a file once, refuses what is too large before decoding it, uses a JPEG's reduced
scales, and returns an upright picture in sRGB with nothing but its pixels. It reads only the
formats of `core.picture_paths` and `core.decoders`.
"""

import hashlib
import os

import numpy as np
from PIL import Image

from relook.core import sources
from relook.core.camera_raw import decode_raw
from relook.core.decoders import kind_of
from relook.core.deep_tiff import decode_deep_tiff
from relook.core.errors import ImageError
from relook.core.isolation import decode_isolated
from relook.core.picture import Picture, decode_plain
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
