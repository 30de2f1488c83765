"""What encoders of crops share: tiles, batches, decoding, unit rows. Layer: encoders.

A subclass opens its model's files and says how a crop and a text go through them.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import InputError, ModelError
from relook.core.settings import EncoderSettings
from relook.core.types import Box
from relook.core.vectors import Floats, unit
from relook.encoders import pixels
from relook.encoders.base import Fingerprint, Means
from relook.encoders.devices import BatchSize, Place, in_batches
from relook.encoders.spec import ModelSpec

if TYPE_CHECKING:
    from PIL import Image

_TEXTS_AT_ONCE = 64  # words are short, and their number is seldom large
_FULL_PX = 4096
"""Pictures of up to twice this on their shorter side keep every pixel; larger ones keep at least
this, which is far above what any tower sees, and fit into memory."""

_DECODINGS: tuple[str, ...] = EncoderSettings.__dataclass_fields__["decode"].metadata["choices"]


class ModelFiles(Protocol):
    """The files that an encoder's model is made of, as found on this machine.

    Attributes:
        folder: Where they are.
        model: What the person called the model.
        revision: The hub's commit; empty for a folder.
        weights: Sixteen hexadecimal digits that stand for what the files hold.
    """

    folder: Path
    model: str
    revision: str

    @property
    def weights(self) -> str: ...


class TwoTowers(ABC):
    """An encoder that sees the whole picture and crops of it.

    Args:
        model: Hub id (`openai/clip-vit-base-patch32`) or folder.
        revision: Of the hub; its main branch when empty.
        tiles: `none`, `grid` or `pyramid`.
        device: Where it runs; it does not change what the library stores.
        dtype: Precision of what sees pictures.
        decode: `full` for every pixel of a file, or `reduced` for a JPEG's reduced scales,
            which is faster and gives slightly other vectors.

    Raises:
        ModelError: `model_missing`, `model_incomplete`, `no_safetensors`, `no_text_tower`,
            `unknown_family` or `unknown_preprocessing`.
        InputError: `bad_tiles` or `bad_decode`.
    """

    kind = ""
    options: tuple[str, ...] = ("revision", "tiles")
    tile_weight = pixels.WEIGHT
    remote = False
    needs = ("model",)
    means: Means | None = None

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        revision: str = "",
        tiles: str = pixels.DEFAULT,
        device: str = "auto",
        dtype: str = "auto",
        decode: str = _DECODINGS[0],
    ) -> None:
        self.model, self.revision, self.tiles = os.fspath(model), revision, tiles
        self.device, self.dtype, self.decode = device, dtype, decode
        self._boxes = pixels.tiling(tiles)
        if decode not in _DECODINGS:
            raise InputError(
                "bad_decode",
                f"pictures cannot be decoded {decode!r}",
                f"use {' or '.join(_DECODINGS)}",
            )
        self._lock = threading.RLock()
        self._check()

    @classmethod
    def open(cls, spec: ModelSpec, settings: EncoderSettings) -> Self:
        """Opens a model; its class says which options there are.

        Raises:
            InputError: `bad_model` for another option.
        """
        spec.check_options(cls.options)
        return cls(
            spec.model, **spec.options, device=settings.device, dtype=settings.dtype,
            decode=settings.decode,
        )  # fmt: skip

    # What a subclass says.

    @property
    @abstractmethod
    def files(self) -> ModelFiles:
        """What the model is made of."""

    @abstractmethod
    def _check(self) -> None:
        """Looks for what loading needs, without loading."""

    @property
    @abstractmethod
    def place(self) -> Place:
        """Where it runs.

        Raises:
            InputError: `bad_device` or `bad_dtype`.
        """

    @property
    @abstractmethod
    def _family(self) -> str:
        """Name of the kind of model, for the fingerprint."""

    @property
    @abstractmethod
    def _preprocessing(self) -> str:
        """How a crop becomes the tower's input, for the fingerprint."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of a vector."""

    @property
    @abstractmethod
    def _side_px(self) -> int:
        """Longer side of the tower's input."""

    @abstractmethod
    def _fit(self, crop: Image.Image) -> NDArray[Any]:
        """The input of one crop, without the batch dimension."""

    @abstractmethod
    def _image_rows(self, some: NDArray[Any]) -> Floats:
        """From the inputs of n crops to [n, d]."""

    @abstractmethod
    def _text_rows(self, some: Sequence[str]) -> Floats:
        """From n texts to [n, d]."""

    @abstractmethod
    def n_tokens_cut(self, text: str) -> int:
        """How many tokens at the end of `text` the tower cannot take."""

    # What they share.

    @property
    def spec(self) -> str:
        """What a library's manifest keeps: the same folder or commit, and the same tiles."""
        here = self.files
        model = here.model if here.revision else str(here.folder)
        options = {name: str(getattr(self, name)) for name in self.options}
        return str(ModelSpec(self.kind, model, {**options, "revision": here.revision}))

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """The weights count, not where they are: a moved or copied folder has the same."""
        weights = self.files.weights
        return Fingerprint(
            name=self._family,
            revision=weights[:8],
            weights=weights,
            preprocessing=self._preprocessing,
            dim=self.dim,
            dtype="float32",
        )

    @property
    def input_px(self) -> int:
        """As good as every pixel, or, reduced, twice the tower's input where there are crops."""
        if self.decode == "full":
            return _FULL_PX
        return self._side_px if len(self._boxes) == 1 else 2 * self._side_px

    @property
    def n_passes(self) -> int:
        """Forward passes that a picture costs."""
        return len(self._boxes)

    @property
    def batch(self) -> int:
        """Pictures to give at once; it changes while the first ones are encoded."""
        return max(self._batch.size // self.n_passes, 1)

    @cached_property
    def _batch(self) -> BatchSize:
        return BatchSize(self.place.first_batch)

    def tiles_for(self, width_px: int, height_px: int) -> tuple[Box, ...]:
        """The same rectangles for every picture."""
        return self._boxes

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """[t, ...]: the picture and its crops as the tower takes them."""
        return np.stack([self._fit(crop) for crop in pixels.cut(image, self._boxes)])

    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        """See `Encoder.encode_prepared`."""
        flat = [crop for picture in prepared for crop in picture]
        vectors = in_batches(flat, self._encode_crops, self._batch, self.place)
        groups, at = [], 0
        for picture in prepared:
            groups.append(np.stack(vectors[at : at + len(picture)]))  # [t, d]
            at += len(picture)
        return groups

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """See `Encoder.encode_texts`."""
        return unit(self.text_features(texts))

    def text_features(self, texts: Sequence[str]) -> Floats:
        """See `relook.encoders.base.text_features`."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        batch = BatchSize(_TEXTS_AT_ONCE)
        batch.settle()
        cleaned = [self._clean(text) for text in texts]
        rows: list[Floats] = in_batches(cleaned, self._encode_words, batch, self.place)
        return np.stack(rows)

    def _clean(self, text: str) -> str:
        """Without odd bytes, which no tokenizer takes."""
        return text.encode("utf-8", "ignore").decode("utf-8")

    def _encode_crops(self, some: Sequence[NDArray[Any]]) -> list[Floats]:
        return list(unit(self._checked(self._image_rows(np.stack(some)))))

    def _encode_words(self, some: Sequence[str]) -> list[Floats]:
        return list(self._checked(self._text_rows(list(some))))

    def _checked(self, rows: Floats) -> Floats:
        """What a tower gives, [n, d].

        Raises:
            ModelError: `not_finite` when half precision was not enough for it;
                `model_changed` when it gives another number of dimensions than it said.
        """
        if not np.isfinite(rows).all():
            raise ModelError(
                "not_finite",
                f"{self.model} gives numbers that are not finite in {self.place.dtype}",
                self._more_precise,
            )
        if rows.shape[1] != self.dim:
            raise ModelError(
                "model_changed",
                f"{self.model} gives {rows.shape[1]} numbers; its config says {self.dim}",
                "use the config.json that belongs to these weights",
            )
        return rows

    @property
    def _more_precise(self) -> str:
        """What to do where the precision is not enough."""
        return "use --dtype float32"

    def load(self) -> None:
        """Loads the model and tries both towers, where a failure should come before any work.

        Raises:
            ModelError: `weights_missing`, `out_of_memory` and what else loading may raise.
        """
        from PIL import Image

        self.encode_texts(["a"])
        self._encode_crops([self._fit(Image.new("RGB", (64, 64)))])

    @abstractmethod
    def close(self) -> None:
        """Frees the model; closing twice is fine."""
