"""What a person should know of the picture before its evidence is read. Layer: rag. It asks nobody.

Look-alikes of a plain colour, or of a few pixels, are chance; of a moving picture one frame is
looked up. Files are told by their bytes alone, so that a stranger's is not decoded for this.
"""

import re

import numpy as np

from relook.core.errors import ImageError
from relook.providers.base import Subject

_LEAST_PX = 32
_LOOKED_AT_PX = 64
_LEAST_SPREAD = 8  # levels of 256: what saving as a JPEG adds to one colour
# A graphic control extension, and what may follow it: one stands before each frame of a GIF.
_GIF_FRAME = re.compile(rb"\x21\xf9\x04[\x00-\xff]{4}\x00[\x2c\x21]")


def picture_notes(subject: Subject) -> tuple[str, ...]:
    """Sentences for people; none for a usual picture."""
    notes = []
    width, height = subject.width_px, subject.height_px
    if min(width, height) < _LEAST_PX:
        notes.append(f"the picture is {width} x {height} pixels: too few to tell what is like it")
    elif _is_of_one_colour(subject):
        notes.append("the picture is of one colour: that something looks like it means nothing")
    if is_moving(subject.data):
        notes.append("the picture moves: its first frame is what was looked up")
    return tuple(notes)


def _is_of_one_colour(subject: Subject) -> bool:
    try:
        image = subject.image(_LOOKED_AT_PX)
    except ImageError:
        return False
    levels = np.asarray(image.convert("RGB"))  # [h, w, 3]
    return int(np.ptp(levels, axis=(0, 1)).max()) <= _LEAST_SPREAD


def is_moving(data: bytes) -> bool:
    """Whether a file holds several frames: GIF, PNG, WebP, AVIF and HEIF sequences.

    Sources: GIF89a, 23; PNG (third edition), 11.3.6.1; WebP container, VP8X; ISO/IEC 23008-12, 7.
    """
    if data.startswith(b"GIF8"):
        return len(_GIF_FRAME.findall(data)) > 1
    if data.startswith(b"\x89PNG"):
        return data.find(b"acTL", 0, max(data.find(b"IDAT"), 0)) >= 0
    if data[8:16] == b"WEBPVP8X":
        return len(data) > 20 and bool(data[20] & 2)
    return data[4:8] == b"ftyp" and data[8:12] in (b"avis", b"msf1", b"hevc")
