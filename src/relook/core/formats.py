"""Which picture files are read. Layer: core.

Raster formats only; none whose decoder runs another program (EPS, for one) is among them.
"""

from __future__ import annotations

__all__ = ["FORMATS", "SUFFIXES"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
_NAMES = (
    "jpg jpeg jpe jfif mpo png apng webp gif bmp dib tif tiff avif avifs jp2 j2k jpf jpx"
    " ppm pgm pbm pnm ico"
)
SUFFIXES = frozenset(f".{name}" for name in _NAMES.split())
