"""What a box shows, cut from the original pixels. Layer: search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relook.core.settings import ImageLimits
from relook.core.types import Box
from relook.core.vectors import Floats
from relook.encoders.base import encode_images
from relook.search.engine import Engine
from relook.search.vectorise import crop_image

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["region", "region_crop"]

# Share of a box that is added on each side before it is cut out: people draw tightly.
_PADDING = 0.05


def region(path: Path, box: Box, limits: ImageLimits | None = None) -> Image.Image:
    """What a box shows, cut a little wider from the original pixels.

    Raises:
        ImageError: when the picture file cannot be decoded.
    """
    return crop_image(path, box.padded(_PADDING), 0, limits)


def region_crop(engine: Engine, path: Path, box: Box) -> tuple[Image.Image, Floats]:
    """What a box shows, cut a little wider from the original pixels, and its vector [d].

    Raises:
        ImageError: when the picture file cannot be decoded.
    """
    image = region(path, box, engine.files.limits)
    return image, encode_images(engine.encoder, [image])[0]
