"""Small pictures inside a document. Layer: notebook."""

from __future__ import annotations

import base64
from pathlib import Path

from relook.core.images import load, reencoded

__all__ = ["thumbnail_uri"]


def thumbnail_uri(path: Path, size_px: int) -> str:
    """A picture file as a `data:` address of a JPEG whose longer side is at most `size_px`.

    Raises:
        ImageError: when the file is gone or is no picture.
    """
    small = reencoded(load(path, size_px).image, size_px, quality=78)
    return "data:image/jpeg;base64," + base64.b64encode(small).decode("ascii")
