"""Tiles for encoders that see one square at a time: crops of the picture. Layer: encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from relook.core.errors import InputError
from relook.core.types import WHOLE, Box

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["DEFAULT", "TILINGS", "WEIGHT", "cut", "n_crops", "tiling"]


def _grid(n: int, side: float) -> tuple[Box, ...]:
    """N x n squares of the unit square that overlap and reach its edges, row by row."""
    starts = [round(at * (1.0 - side) / (n - 1), 6) for at in range(n)]
    return tuple(
        Box(x, y, min(round(x + side, 6), 1.0), min(round(y + side, 6), 1.0))
        for y in starts
        for x in starts
    )


_QUARTERS = _grid(2, 0.571429)  # neighbours share a seventh, as in the built-in encoder
_NINTHS = _grid(3, 0.4)
TILINGS: Mapping[str, tuple[Box, ...]] = MappingProxyType(
    {"none": (WHOLE,), "grid": (WHOLE, *_QUARTERS), "pyramid": (WHOLE, *_QUARTERS, *_NINTHS)}
)
"""Boxes by the name that `--tiles` takes; 1, 5 and 14 forward passes a picture."""

DEFAULT = "grid"
"""Five passes: small things are found, at a cost that is told before it is paid."""

WEIGHT = 0.95
"""Factor on the score of a crop: the best of several scores is high by chance alone. The
value is the one that was measured for the built-in encoder (docs/model-card.md)."""


def tiling(name: str) -> tuple[Box, ...]:
    """The boxes of a tiling; the whole picture first.

    Raises:
        InputError: `bad_tiles`.
    """
    if name not in TILINGS:
        raise InputError("bad_tiles", f"no tiling is called {name!r}", f"use {', '.join(TILINGS)}")
    return TILINGS[name]


def n_crops(name: str) -> int:
    """Forward passes that a picture costs."""
    return len(tiling(name))


def cut(image: Image.Image, boxes: Sequence[Box]) -> list[Image.Image]:
    """The regions of a picture, at least one pixel wide and high each."""
    width, height = image.size
    return [image if box == WHOLE else image.crop(_edges(box, width, height)) for box in boxes]


def _edges(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    left, upper = min(int(box.x0 * width), width - 1), min(int(box.y0 * height), height - 1)
    return left, upper, max(round(box.x1 * width), left + 1), max(round(box.y1 * height), upper + 1)
