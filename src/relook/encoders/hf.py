"""CLIP, SigLIP, SigLIP 2 and their kin, through transformers. Layer: encoders.

The checkpoint's own files say how pictures and words are prepared. Nothing is downloaded
here, no pickle is opened, no code of a checkpoint is run, and a weight that the files do
not hold is an error: random numbers never stand in for it.

Source: Hugging Face transformers 5, `AutoModel` with `get_image_features` and
`get_text_features`; Radford et al. (arXiv 2103.00020) for 77 tokens; Zhai et al. (arXiv
2303.15343) and Tschannen et al. (arXiv 2502.14786) for lower case and padding to 64.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from relook.core.errors import ModelError
from relook.encoders.checkpoint import Checkpoint
from relook.encoders.pixels import Pixels
from relook.encoders.torch_models import TorchTowers, load_config, load_model, load_tokenizer

if TYPE_CHECKING:
    from PIL import Image

# Families whose text tower was trained on lower-case words padded to one length, and which
# therefore has no mask.
_PADDED = ("siglip", "siglip2")
_FOR_EXAMPLE = "use a model of pictures and words, for example openai/clip-vit-base-patch32"


class HfEncoder(TorchTowers):
    """A CLIP-like checkpoint of a folder or of the hub's cache; see `TwoTowers`."""

    kind = "hf"

    def _check(self) -> None:
        self._config = load_config(self.checkpoint)
        # Before the files: a model without a text tower has no tokenizer either, and what the
        # person has to hear is that this is another kind of model.
        _check_towers(self.checkpoint, self._config)
        self.checkpoint.check()
        side = int(self._config.vision_config.image_size)
        self._pixels = Pixels.read(self.checkpoint.image_processor, side)

    def _load(self) -> Any:
        return load_model(self.checkpoint, self.place)

    @property
    def _preprocessing(self) -> str:
        return self._pixels.digest

    @property
    def dim(self) -> int:
        dim = getattr(self._config, "projection_dim", None)
        return int(dim or self._config.vision_config.hidden_size)

    @property
    def _side_px(self) -> int:
        return max(self._pixels.height_px, self._pixels.width_px)

    def _fit(self, crop: Image.Image) -> NDArray[Any]:
        """[height, width, 3] uint8."""
        return self._pixels.fit(crop)

    def _image_features(self, some: NDArray[Any]) -> Any:
        import torch

        pixels = torch.from_numpy(some).to(self.place.device)  # [n, h, w, 3]
        values = self._pixels.normalise(pixels, self.place.torch_dtype)  # [n, 3, h, w]
        return _pooled(self._model.get_image_features(pixel_values=values))

    def _text_features(self, some: Sequence[str]) -> Any:
        tokens = self.tokens(some, padding="max_length" if self._is_padded else True)
        on_device = {name: value.to(self.place.device) for name, value in tokens.items()}
        return _pooled(self._model.get_text_features(**on_device))

    def tokens(self, texts: Sequence[str], padding: str | bool) -> dict[str, Any]:
        """What the text tower is given: tensors [n, l] by name.

        Args:
            texts: Cleaned.
            padding: As transformers' tokenizers take it.
        """
        with self._lock:  # a tokenizer keeps its padding: two threads trip over each other
            tokens = self._tokenizer(
                list(texts), padding=padding, truncation=True, max_length=self._max_tokens,
                return_tensors="pt",
            )  # fmt: skip
        return dict(tokens)

    def n_tokens_cut(self, text: str) -> int:
        with self._lock:
            tokens = self._tokenizer(self._clean(text), truncation=False, verbose=False)
        return max(len(tokens["input_ids"]) - self._max_tokens, 0)

    def _clean(self, text: str) -> str:
        """In lower case where the tower was trained so, whatever the tokenizer does."""
        text = super()._clean(text)
        return text.lower() if self._is_padded else text

    @property
    def _is_padded(self) -> bool:
        return self.checkpoint.family in _PADDED

    @cached_property
    def _max_tokens(self) -> int:
        longest = int(self._config.text_config.max_position_embeddings)
        return min(longest, int(self._tokenizer.model_max_length))

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self.checkpoint)


def _pooled(output: Any) -> Any:
    """[n, d] of what a tower gives, which differs between families."""
    return getattr(output, "pooler_output", output)


def _check_towers(checkpoint: Checkpoint, config: Any) -> None:
    has_words = hasattr(config, "text_config") or hasattr(config, "vocab_size")
    for tower, there in (("text", has_words), ("image", hasattr(config, "vision_config"))):
        if not there:
            raise ModelError(
                f"no_{tower}_tower",
                f"{checkpoint.model} ({checkpoint.family}) has no {tower} tower, and a library"
                " needs both",
                _FOR_EXAMPLE,
            )
