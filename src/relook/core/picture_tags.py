"""What a picture file says of itself: EXIF, IPTC, XMP and the texts of a PNG, as it stands there.

A damaged block counts as none, since the pixels are still good. Layer: core.

Source: EXIF 2.32 (CIPA DC-008), 4.6.6 for the tags of the place.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import ExifTags, Image, ImageFile, IptcImagePlugin

_LOG = logging.getLogger(__name__)
_MOST_XMP = 256 * 1024  # of bytes; Lightroom keeps the history of an edit there, too
_MOST_TEXT = 4096


def exif_of(image: Image.Image) -> dict[int, object]:
    """EXIF tags by number, the main directory and the Exif one merged.

    The tag of the place (`GPSInfo`) has latitude and longitude, in degrees, as a list.
    """
    try:
        return _tags(image.getexif())
    except Exception as error:  # Pillow raises whatever a damaged block makes it trip over
        _LOG.info("a damaged EXIF block is left out: %r", error)
        return {}


def exif_in(data: bytes) -> dict[int, object]:
    """As `exif_of`, of a file whose layout is that of a TIFF; none where it is another."""
    try:
        exif = Image.Exif()
        exif.load(data)
        return _tags(exif)
    except Exception as error:  # as above
        _LOG.info("a damaged EXIF block is left out: %r", error)
        return {}


def _tags(exif: Image.Exif) -> dict[int, object]:
    tags: dict[int, object] = {**dict(exif), **exif.get_ifd(ExifTags.IFD.Exif)}
    if ExifTags.Base.GPSInfo in tags:
        place = _place(exif.get_ifd(ExifTags.IFD.GPSInfo))
        del tags[ExifTags.Base.GPSInfo]
        if place is not None:
            tags[ExifTags.Base.GPSInfo] = place
    return tags


def _place(gps: Mapping[int, Any]) -> list[float] | None:
    """Latitude and longitude; None where a camera had no fix."""
    try:
        latitude = _degrees(gps[ExifTags.GPS.GPSLatitude])
        longitude = _degrees(gps[ExifTags.GPS.GPSLongitude])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if str(gps.get(ExifTags.GPS.GPSLatitudeRef, "N")).strip("\0 ").upper() == "S":
        latitude = -latitude
    if str(gps.get(ExifTags.GPS.GPSLongitudeRef, "E")).strip("\0 ").upper() == "W":
        longitude = -longitude
    is_place = abs(latitude) <= 90 and abs(longitude) <= 180 and (latitude or longitude)
    return [round(latitude, 7), round(longitude, 7)] if is_place else None


def _degrees(parts: Sequence[Any]) -> float:
    """Degrees, minutes and seconds as degrees.

    Raises:
        TypeError, ValueError, ZeroDivisionError: when they are none.
    """
    degrees = float(sum(float(part) / 60**power for power, part in enumerate(parts)))
    if not math.isfinite(degrees):
        raise ValueError("no number")
    return degrees


def iptc_of(image: ImageFile.ImageFile) -> dict[tuple[int, int], object]:
    """IPTC fields by (record, field)."""
    if "photoshop" not in image.info and image.format != "TIFF":
        return {}
    try:
        return dict(IptcImagePlugin.getiptcinfo(image) or {})
    except Exception as error:
        _LOG.info("a damaged IPTC block is left out: %r", error)
        return {}


def xmp_of(image: Image.Image) -> bytes:
    """The XMP packet; empty where there is none, or one too long."""
    xmp = image.info.get("xmp", b"")
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    return xmp if isinstance(xmp, bytes) and len(xmp) <= _MOST_XMP else b""


def texts_of(image: Image.Image) -> dict[str, str]:
    """The short texts of a PNG by keyword ("Title", "Description")."""
    if image.format != "PNG":
        return {}
    texts = getattr(image, "text", {})
    return {
        str(key): str(text) for key, text in texts.items()
        if len(text) <= _MOST_TEXT and key != "XML:com.adobe.xmp"
    }  # fmt: skip
