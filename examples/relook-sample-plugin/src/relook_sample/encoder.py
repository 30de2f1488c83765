"""An encoder that sees nine patches of colour, and knows the names of colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from relook.core.settings import EncoderSettings
from relook.core.types import WHOLE, Box
from relook.core.vectors import Floats, unit
from relook.encoders import Fingerprint
from relook.encoders.spec import ModelSpec

_SIDE = 3
_CONSTANT = 0.1  # grey has a direction, too


class PaletteEncoder:
    """A picture is the mean colours of a 3x3 grid; words are the colours that they name."""

    dim = 3 * _SIDE * _SIDE + 1
    input_px = 32
    tile_weight = 1.0
    means = None
    batch = 64
    remote = False
    needs = ()

    @classmethod
    def open(cls, spec: ModelSpec, settings: EncoderSettings) -> PaletteEncoder:
        """What `--encoder palette` opens; it has no options."""
        spec.check_options(())
        return cls()

    @property
    def fingerprint(self) -> Fingerprint:
        """Another grid or another scale would make other vectors: then change the revision."""
        return Fingerprint("palette", "1", "none", f"box {_SIDE}x{_SIDE}", self.dim, "float32")

    def tiles_for(self, width_px: int, height_px: int) -> tuple[Box, ...]:
        """Only the whole picture."""
        return (WHOLE,)

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """[3, 3, 3] mean colours, -1..1."""
        small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX)
        return np.asarray(small, np.float32) / 127.5 - 1.0

    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        """A [1, d] array of unit rows for each picture."""
        rows = [np.append(one.ravel(), _CONSTANT).astype(np.float32) for one in prepared]
        return [unit(row[None]) for row in rows]

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """[n, d] unit rows; words that name no colour are grey."""
        rows = np.full((len(texts), self.dim), _CONSTANT, np.float32)
        for row, text in zip(rows, texts, strict=True):
            named = [word for word in text.lower().split() if word in ImageColor.colormap]
            colours = [np.array(ImageColor.getrgb(word)[:3]) / 127.5 - 1.0 for word in named]
            mean = np.mean(colours, axis=0) if colours else np.zeros(3)
            row[:-1] = np.tile(mean, _SIDE * _SIDE)
        return unit(rows)

    def n_tokens_cut(self, text: str) -> int:
        """It reads everything."""
        return 0

    def close(self) -> None:
        """It holds nothing."""
