"""An encoder that ends its process, or fails, on some pictures. Imported on Ray's workers."""

import os
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from relook.testing import ColourEncoder

KILLS, FAILS, KILLS_ONCE = (1, 2, 3), (4, 5, 6), (7, 8, 9)
"""Colours of such pictures."""


class Fragile(ColourEncoder):
    """The colour encoder; a picture of one colour may be the end of it.

    Args:
        marker: A file that is made by the first picture that kills once.
    """

    def __init__(self, marker: Path) -> None:
        super().__init__()
        self.marker = marker

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        colour = image.getpixel((0, 0))
        if colour == KILLS or (colour == KILLS_ONCE and not self.marker.exists()):
            self.marker.touch()
            os._exit(9)
        if colour == FAILS:
            raise RuntimeError("four, five, six")
        return super().prepare(image)
