"""What every torch encoder of crops shares: tiles, batches, devices, unit rows. Layer: encoders.

A subclass opens its checkpoint and says how a crop and a text go through it.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import ModelError
from relook.core.settings import EncoderSettings
from relook.core.types import Box
from relook.core.vectors import Floats
from relook.encoders import crops
from relook.encoders.base import Fingerprint, Means
from relook.encoders.checkpoint import Checkpoint, find
from relook.encoders.devices import BatchSize, Place, in_batches, place
from relook.encoders.spec import ModelSpec

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["TwoTowers"]

_TEXTS_AT_ONCE = 64  # words are short, and their number is seldom large


class TwoTowers(ABC):
    """An encoder on torch that sees the whole picture and crops of it.

    Args:
        model: Hub id (`openai/clip-vit-base-patch32`) or folder.
        revision: Of the hub; its main branch when empty.
        tiles: `none`, `grid` or `pyramid`.
        device: As for `place`; it does not change what the library stores.
        dtype: As for `place`, of what sees pictures; words are encoded in float32.

    Raises:
        ModelError: `model_missing`, `model_incomplete`, `no_safetensors`, `no_text_tower`,
            `unknown_family` or `unknown_preprocessing`.
        InputError: `bad_tiles`.
    """

    kind = ""
    tile_weight = crops.WEIGHT
    remote = False
    needs = ("model",)
    means: Means | None = None

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        revision: str = "",
        tiles: str = crops.DEFAULT,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        self.model, self.revision, self.tiles = os.fspath(model), revision, tiles
        self.device, self.dtype = device, dtype
        self._boxes = crops.tiling(tiles)
        self._lock = threading.RLock()
        self._opened: Any = None
        self.checkpoint: Checkpoint = find(self.model, revision)
        self._check()

    @classmethod
    def open(cls, spec: ModelSpec, settings: EncoderSettings) -> Self:
        """Opens a checkpoint; the options are `revision` and `tiles`.

        Raises:
            InputError: `bad_model` for another option.
        """
        spec.check_options(("revision", "tiles"))
        return cls(spec.model, **spec.options, device=settings.device, dtype=settings.dtype)

    # What a subclass says.

    @abstractmethod
    def _check(self) -> None:
        """Looks for what loading needs, without loading."""

    @abstractmethod
    def _load(self) -> Any:
        """Loads the model onto `place`."""

    @property
    def _family(self) -> str:
        return self.checkpoint.family

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
    def _image_features(self, some: NDArray[Any]) -> Any:
        """From the inputs of n crops to a tensor [n, d]."""

    @abstractmethod
    def _text_features(self, some: Sequence[str]) -> Any:
        """From n texts to a tensor [n, d]."""

    @abstractmethod
    def n_tokens_cut(self, text: str) -> int:
        """How many tokens at the end of `text` the tower cannot take."""

    # What they share.

    @property
    def spec(self) -> str:
        """What a library's manifest keeps: the same folder or commit, and the same tiles."""
        here = self.checkpoint
        model = here.model if here.revision else str(here.folder)
        return str(ModelSpec(self.kind, model, {"revision": here.revision, "tiles": self.tiles}))

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """The weights count, not where they are: a moved or copied folder has the same."""
        weights = self.checkpoint.weights
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
        """Twice the tower's input where there are crops, so that few of them are blown up."""
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
    def place(self) -> Place:
        """Where it runs.

        Raises:
            InputError: `bad_device` or `bad_dtype`.
        """
        return place(self.device, self.dtype)

    @cached_property
    def _batch(self) -> BatchSize:
        return BatchSize(self.place.first_batch)

    @property
    def _model(self) -> Any:
        with self._lock:  # threads that begin together load it once
            if self._opened is None:
                self._opened = self._load()
            return self._opened

    def tiles_for(self, width_px: int, height_px: int) -> tuple[Box, ...]:
        """The same rectangles for every picture."""
        return self._boxes

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """[t, ...]: the picture and its crops as the tower takes them."""
        return np.stack([self._fit(crop) for crop in crops.cut(image, self._boxes)])

    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        """See `Encoder.encode_prepared`."""
        flat = [crop for picture in prepared for crop in picture]
        vectors = in_batches(flat, self._encode_crops, self._batch, self.place)
        found, at = [], 0
        for picture in prepared:
            found.append(np.stack(vectors[at : at + len(picture)]))  # [t, d]
            at += len(picture)
        return found

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """See `Encoder.encode_texts`."""
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
        import torch

        with torch.inference_mode():
            return self._unit(self._image_features(np.stack(some)))

    def _encode_words(self, some: Sequence[str]) -> list[Floats]:
        import torch

        with torch.inference_mode():
            return self._unit(self._text_features(list(some)))

    def _unit(self, features: Any) -> list[Floats]:
        """Unit rows in float32 of what a tower gives.

        Raises:
            ModelError: `not_finite` when half precision was not enough for it;
                `model_changed` when it gives another number of dimensions than it said.
        """
        import torch

        found = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()  # [n, d]
        if not np.isfinite(found).all():
            raise ModelError(
                "not_finite",
                f"{self.model} gives numbers that are not finite in {self.place.dtype}",
                "use --dtype float32",
            )
        if found.shape[1] != self.dim:
            raise ModelError(
                "model_changed",
                f"{self.model} gives {found.shape[1]} numbers; its config says {self.dim}",
                "use the config.json that belongs to these weights",
            )
        return list(found)

    def load(self) -> None:
        """Loads the model and tries both towers, where a failure should come before any work.

        Raises:
            ModelError: `weights_missing`, `out_of_memory` and what else loading may raise.
        """
        from PIL import Image

        self.encode_texts(["a"])
        self._encode_crops([self._fit(Image.new("RGB", (64, 64)))])

    def close(self) -> None:
        """Frees the model; closing twice is fine."""
        with self._lock:
            self._opened = None
