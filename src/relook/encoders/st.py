"""Image-text models of sentence-transformers, where that is their loader. Layer: encoders.

For models whose modules.json puts layers behind a tower. A plain CLIP or SigLIP inside one
is faster as `hf:`: its pictures are prepared by Pillow alone.

Source: sentence-transformers 6, `SentenceTransformer.preprocess` and `forward`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import ModelError
from relook.encoders.torch_models import TorchTowers, quiet, reporting, set_precision

if TYPE_CHECKING:
    from PIL import Image

_SIDE_PX = 224  # of most towers; it only says how far a large JPEG may be decoded reduced


class StEncoder(TorchTowers):
    """A sentence-transformers model of pictures and words; see `TwoTowers`."""

    kind = "st"

    def _check(self) -> None:
        folder = self.checkpoint.folder
        if not (folder / "modules.json").is_file():
            raise ModelError(
                "model_incomplete",
                f"{self.model} has no modules.json (in {folder}): it is no model of"
                " sentence-transformers",
                f"for a CLIP or SigLIP checkpoint write hf:{self.model}",
            )
        self.checkpoint.weight_files()

    def _load(self) -> Any:
        import torch
        from sentence_transformers import SentenceTransformer

        heard = _Heard()
        logger = logging.getLogger("transformers")
        with reporting(self.checkpoint, self.place), quiet():
            logger.addHandler(heard)
            logger.setLevel(logging.WARNING)
            try:
                model = SentenceTransformer(
                    str(self.checkpoint.folder), device=self.place.device,
                    local_files_only=True, trust_remote_code=False,
                    model_kwargs={"use_safetensors": True, "dtype": torch.float32},
                )  # fmt: skip
            finally:
                logger.removeHandler(heard)
        if heard.missing:
            raise ModelError(
                "weights_missing",
                f"weights of {self.model} are not in its files; they would be random numbers",
                "use a checkpoint that belongs to its config.json",
            )
        for wanted in ("image", "text"):
            if wanted not in model.modalities:
                raise ModelError(
                    f"no_{wanted}_tower",
                    f"{self.model} has no {wanted} tower, and a library needs both",
                    "use a model of pictures and words",
                )
        set_precision(model, self.checkpoint, self.place)
        for layer in model:
            layer.register_forward_hook(_in_float32)
        return model.eval()

    @property
    def _family(self) -> str:
        return "sentence-transformers"

    @cached_property
    def _preprocessing(self) -> str:
        folder = self.checkpoint.folder
        names = [module.get("type", "") for module in json.loads(_text(folder / "modules.json"))]
        return "sentence-transformers " + " ".join(name.rpartition(".")[2] for name in names)

    @cached_property
    def dim(self) -> int:
        return int(self._model.get_embedding_dimension())

    @property
    def _side_px(self) -> int:
        return _SIDE_PX

    def _fit(self, crop: Image.Image) -> NDArray[Any]:
        """[3, height, width] float32, as the model's own processor makes it."""
        prepared = self._model.preprocess([crop])
        if "pixel_values" not in prepared or prepared["pixel_values"].dim() != 4:
            raise ModelError(
                "unknown_preprocessing",
                f"{self.model} turns a picture into {', '.join(sorted(prepared))}, which Relook"
                " cannot put into batches",
                "use a model whose pictures become squares of one size",
            )
        pixels: NDArray[Any] = prepared["pixel_values"][0].numpy()
        return pixels.astype(np.float32, copy=False)

    def _image_features(self, some: NDArray[Any]) -> Any:
        import torch

        values = torch.from_numpy(some).to(self.place.device, self.place.torch_dtype)
        return self._model({"pixel_values": values, "modality": "image"})["sentence_embedding"]

    def _text_features(self, some: Sequence[str]) -> Any:
        with self._lock:  # a tokenizer keeps its padding: two threads trip over each other
            features = self._model.preprocess(list(some))
        on_device = {
            name: value.to(self.place.device) if hasattr(value, "to") else value
            for name, value in features.items()
        }
        return self._model(on_device)["sentence_embedding"]

    def n_tokens_cut(self, text: str) -> int:
        tokenizer, longest = self._model.tokenizer, self._model.max_seq_length
        with self._lock:
            tokens = tokenizer(self._clean(text), truncation=False, verbose=False)["input_ids"]
        return max(len(tokens) - int(longest), 0) if longest else 0


def _in_float32(_layer: Any, _given: Any, features: dict[str, Any]) -> dict[str, Any]:
    """What a layer gives, as the layer behind it takes it, whose weights are float32."""
    return {
        name: value.float() if hasattr(value, "is_floating_point") and value.is_floating_point()
        else value
        for name, value in features.items()
    }  # fmt: skip


class _Heard(logging.Handler):
    """Listens for transformers' report of weights that it had to make up."""

    missing = False

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self.missing = self.missing or "MISSING" in message or "newly initialized" in message


def _text(path: Any) -> str:
    text: str = path.read_text("utf-8")
    return text
