"""Titles, captions and facts that picture files carry themselves. Layer: library.

Source: EXIF 2.32 (CIPA DC-008) tags and IPTC-IIM 4.2 datasets 2:05, 2:25, 2:80, 2:116, 2:120.
"""

from __future__ import annotations

from typing import Any

from PIL import ExifTags

from relook.core.images import Picture
from relook.library.records import Words

__all__ = ["embedded_words"]

_EXIF_KEYS = {
    "taken_at": ExifTags.Base.DateTimeOriginal,
    "camera_make": ExifTags.Base.Make,
    "camera": ExifTags.Base.Model,
    "artist": ExifTags.Base.Artist,
    "copyright": ExifTags.Base.Copyright,
}
_IPTC_TITLE, _IPTC_CAPTION, _IPTC_KEYWORDS = (2, 5), (2, 120), (2, 25)
_IPTC_KEYS = {"artist": (2, 80), "copyright": (2, 116)}


def embedded_words(picture: Picture) -> Words:
    """Reads IPTC first (people write it), then EXIF (cameras do)."""
    metadata: dict[str, Any] = {}
    for key, tag in _EXIF_KEYS.items():
        if text := _text(picture.exif.get(tag)):
            metadata[key] = text
    for key, dataset in _IPTC_KEYS.items():
        if text := _text(picture.iptc.get(dataset)):
            metadata[key] = text
    if keywords := picture.iptc.get(_IPTC_KEYWORDS):
        several = keywords if isinstance(keywords, list) else [keywords]
        metadata["keywords"] = ", ".join(filter(None, map(_text, several)))
    caption = picture.iptc.get(_IPTC_CAPTION)
    caption = caption or picture.exif.get(ExifTags.Base.ImageDescription)
    return Words(_text(picture.iptc.get(_IPTC_TITLE)), _text(caption), metadata)


def _text(value: object) -> str:
    """Clean text of a field; cameras pad with NULs and write Latin-1 now and then."""
    if isinstance(value, bytes):
        value = _decoded(value)
    if not isinstance(value, str):
        return ""
    return " ".join(value.replace("\0", " ").split())


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
