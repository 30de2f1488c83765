"""A tiny encoder without weights, and pictures to try it on. Layer: testing.

It sees eight colours and nothing else, so what a search must find can be worked out by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.captioners.base import NOTHING_KNOWN, About, Cancelled, Captioned, Phrase, cancelled
from relook.core.errors import AnswerError
from relook.core.settings import EncoderSettings
from relook.core.types import WHOLE, Box, WrittenWord
from relook.core.vectors import Floats, unit
from relook.encoders.base import Fingerprint, Means
from relook.encoders.spec import ModelSpec
from relook.readers.base import TextLine

COLOURS = ("black", "blue", "green", "cyan", "red", "magenta", "yellow", "white")
_N = len(COLOURS)
_CORNERS = (
    Box(0.0, 0.0, 0.5, 0.5),
    Box(0.5, 0.0, 1.0, 0.5),
    Box(0.0, 0.5, 0.5, 1.0),
    Box(0.5, 0.5, 1.0, 1.0),
)


class ColourEncoder:
    """An encoder that counts pixels of eight colours, in the whole picture and its quarters.

    A picture's vector holds the shares of the colours, scaled to length one; a text's is that
    of the colours it names. Words that name none go into dimensions that pictures do not
    have. The whole `Encoder` protocol, in a few microseconds a picture.

    Args:
        revision: Part of the fingerprint; another one makes "another encoder".
        tile_weight: As in the protocol.
        max_words: Words behind this one are not read.
    """

    dim = 2 * _N
    input_px = 32
    batch = 16
    remote = False
    needs = ()

    @classmethod
    def open(cls, spec: ModelSpec, settings: EncoderSettings) -> ColourEncoder:
        spec.check_options(())
        return cls()

    def __init__(self, revision: str = "1", tile_weight: float = 0.9, max_words: int = 16) -> None:
        self.revision, self.tile_weight, self.max_words = revision, tile_weight, max_words
        self.n_closed = 0

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(
            name="colour",
            revision=self.revision,
            weights="none",
            preprocessing=f"box {self.input_px}x{self.input_px}",
            dim=self.dim,
            dtype="float32",
        )

    @property
    def means(self) -> Means | None:
        shares = np.repeat([1.0, 0.0], _N).astype(np.float32)  # [d]
        mean = unit(shares) * np.float32(0.5)
        return Means(mean, mean)

    def tiles_for(self, width_px: int, height_px: int) -> tuple[Box, ...]:
        return (WHOLE, *_CORNERS)

    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        """[32, 32] uint8: the number of each pixel's colour in `COLOURS`."""
        size = (self.input_px, self.input_px)
        small = np.asarray(image.resize(size, Image.Resampling.BOX))  # [32, 32, 3]
        bright = (small > 127).astype(np.uint8)
        return bright[..., 0] * 4 + bright[..., 1] * 2 + bright[..., 2]

    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        half = self.input_px // 2
        vectors = []
        for colours in prepared:
            top, bottom = colours[:half], colours[half:]
            parts = (
                colours, top[:, :half], top[:, half:], bottom[:, :half], bottom[:, half:],
            )  # fmt: skip
            counts = [np.bincount(part.ravel(), minlength=self.dim) for part in parts]
            vectors.append(unit(np.stack(counts).astype(np.float32)))  # [5, d]
        return vectors

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            words = text.lower().split()[: self.max_words] or [""]
            named = [COLOURS.index(word) for word in words if word in COLOURS]
            for at in named or map(_other, words):
                row[at] += 1.0
        return unit(vectors)

    def n_tokens_cut(self, text: str) -> int:
        return max(len(text.split()) - self.max_words, 0)

    def close(self) -> None:
        self.n_closed += 1


def _other(word: str) -> int:
    """The dimension of a word that names no colour."""
    digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
    return _N + digest[0] % _N


class ColourCaptioner:
    """A captioner that names the colours of a crop, the widest first; a picture of none fails.

    It knows what it was told: a word of the instruction that is a colour is named first.
    """

    name = "colour"

    def __init__(self) -> None:
        self.n_closed = 0

    def caption(
        self,
        images: Sequence[Image.Image],
        limit: int = 1,
        about: About = NOTHING_KNOWN,
        stop: Cancelled | None = None,
    ) -> list[Captioned]:
        captions: list[Captioned] = []
        for image in images:
            if stop is not None and stop():
                captions.append(cancelled())
            else:
                captions.append(self._named(image, limit, about))
        return captions

    def _named(self, image: Image.Image, limit: int, about: About) -> Captioned:
        encoder = ColourEncoder()
        counts = np.bincount(encoder.prepare(image).ravel(), minlength=_N)  # [8]
        shares = counts / counts.sum()
        wanted = [COLOURS.index(w) for w in about.instruction.split() if w in COLOURS]
        shares[wanted] += shares[wanted] > 0
        order = [int(at) for at in np.argsort(-shares, kind="stable") if shares[at] > 0.2]
        if not order:
            return AnswerError("no_caption", "no colour covers a fifth of it")
        return [Phrase(COLOURS[at], float(shares[at])) for at in order[:limit]]

    def close(self) -> None:
        self.n_closed += 1


class ColourReader:
    """A reader that knows what stands in a picture from the colour of most of it.

    Args:
        lines: Colour of `COLOURS` -> the lines that stand in pictures of that colour.
    """

    def __init__(self, lines: Mapping[str, Sequence[str]]) -> None:
        self.lines = lines
        self.n_read, self.n_closed = 0, 0

    @property
    def name(self) -> str:
        return "colour 1"

    def read(self, image: Image.Image) -> list[TextLine]:
        self.n_read += 1
        counts = np.bincount(ColourEncoder().prepare(image).ravel(), minlength=_N)  # [8]
        lines = self.lines.get(COLOURS[int(counts.argmax())], ())
        return [_line(text, at, len(lines)) for at, text in enumerate(lines)]

    def close(self) -> None:
        self.n_closed += 1


def _line(text: str, at: int, n_lines: int) -> TextLine:
    """Words side by side, in one of several rows of a picture."""
    words = text.split()
    edges = np.linspace(0.0, 1.0, len(words) + 1).tolist()
    rows = at / n_lines, (at + 1) / n_lines
    boxes = [Box(x0, rows[0], x1, rows[1]) for x0, x1 in pairwise(edges)]
    return TextLine(tuple(map(WrittenWord, words, boxes)))


def solid(colour: str, width_px: int = 64, height_px: int = 64) -> Image.Image:
    """A picture of one colour of `COLOURS`."""
    return Image.new("RGB", (width_px, height_px), colour_rgb(colour))


def patched(
    ground: str, colour: str, box: Box, width_px: int = 64, height_px: int = 64
) -> Image.Image:
    """A picture of one colour with a rectangle of another."""
    image = solid(ground, width_px, height_px)
    edges = (
        round(box.x0 * width_px), round(box.y0 * height_px),
        round(box.x1 * width_px), round(box.y1 * height_px),
    )  # fmt: skip
    image.paste(colour_rgb(colour), edges)
    return image


def noise(seed: int, width_px: int = 32, height_px: int = 32) -> Image.Image:
    """A picture like no other: blocks of random colours."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    small = Image.fromarray(blocks)
    return small.resize((width_px, height_px), Image.Resampling.NEAREST)


def colour_rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour of `COLOURS`, each 0 or 255."""
    at = COLOURS.index(colour)
    return (255 * (at >> 2 & 1), 255 * (at >> 1 & 1), 255 * (at & 1))
