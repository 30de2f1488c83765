"""Small pictures inside a document. Layer: notebook."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from relook.core.images import load

__all__ = ["thumbnail_uri"]


def thumbnail_uri(path: Path, size_px: int) -> str:
    """A picture file as a `data:` address of a JPEG whose longer side is at most `size_px`.

    Raises:
        ImageError: when the file is gone or is no picture.
    """
    image = load(path, size_px).image
    image.thumbnail((size_px, size_px), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=78)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
