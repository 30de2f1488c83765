"""What encoders on torch share: a checkpoint, a device, numbers out of tensors. Layer: encoders."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from relook.core.vectors import Floats
from relook.encoders.checkpoint import Checkpoint, find
from relook.encoders.devices import Place, place
from relook.encoders.towers import TwoTowers


class TorchTowers(TwoTowers):
    """Two towers on torch; words are encoded in float32 whatever `dtype` says. See `TwoTowers`."""

    _opened: Any = None

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The model's files.

        Raises:
            ModelError: `model_missing`.
        """
        return find(self.model, self.revision)

    @property
    def files(self) -> Checkpoint:
        """The model's files."""
        return self.checkpoint

    @property
    def _family(self) -> str:
        return self.checkpoint.family

    @cached_property
    def place(self) -> Place:
        """See `relook.encoders.devices.place`."""
        return place(self.device, self.dtype)

    @abstractmethod
    def _load(self) -> Any:
        """Loads the model onto `place`."""

    @property
    def _model(self) -> Any:
        with self._lock:  # threads that begin together load it once
            if self._opened is None:
                self._opened = self._load()
            return self._opened

    def close(self) -> None:
        """Frees the model; closing twice is fine."""
        with self._lock:
            self._opened = None

    @abstractmethod
    def _image_features(self, some: NDArray[Any]) -> Any:
        """From the inputs of n crops to a tensor [n, d]."""

    @abstractmethod
    def _text_features(self, some: Sequence[str]) -> Any:
        """From n texts to a tensor [n, d]."""

    def _image_rows(self, some: NDArray[Any]) -> Floats:
        import torch

        with torch.inference_mode():
            return _numbers(self._image_features(some))

    def _text_rows(self, some: Sequence[str]) -> Floats:
        import torch

        with torch.inference_mode():
            return _numbers(self._text_features(some))


def _numbers(features: Any) -> Floats:
    """[n, d] of a tensor."""
    numbers: Floats = features.float().cpu().numpy()
    return numbers
