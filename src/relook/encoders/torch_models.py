"""What models on torch share: a checkpoint opened safely and quietly, a device. Layer: encoders."""

import contextlib
import logging
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from relook.core.errors import MissingExtraError, ModelError
from relook.core.vectors import Floats
from relook.encoders.checkpoint import Checkpoint, find
from relook.encoders.devices import Place, is_out_of_memory, place
from relook.encoders.towers import TwoTowers

_LOG = logging.getLogger(__name__)
_BOTH_TOWERS = ("get_image_features", "get_text_features")
# Numbers 0, 1, 2, ...: made anew by the model, not learnt.
_NOT_LEARNT = ("position_ids", "inv_freq")
# How the parts that see pictures are called, in every family that has two towers.
_SEE_PICTURES = ("vision", "visual", "image")
_OTHER_SHAPES = "ignore_mismatched_sizes"  # in transformers' words for it


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and hints of transformers inside the block; what fails is raised."""
    from transformers.utils import logging

    hf: Any = logging

    level, bars = hf.get_verbosity(), hf.is_progress_bar_enabled()
    hf.set_verbosity_error()
    hf.disable_progress_bar()
    try:
        yield
    finally:
        hf.set_verbosity(level)
        if bars:
            hf.enable_progress_bar()


def load_config(checkpoint: Checkpoint) -> Any:
    """The configuration as transformers reads it, defaults filled in.

    Raises:
        ModelError: `unknown_family` for one that the installed transformers does not know,
            or that brings its own code.
    """
    from transformers import AutoConfig

    own_code = "auto_map" in checkpoint.config
    try:
        with quiet():
            return AutoConfig.from_pretrained(
                checkpoint.folder, local_files_only=True, trust_remote_code=False
            )
    except (ValueError, KeyError, TypeError, OSError, AttributeError) as error:
        raise _unknown_family(checkpoint, own_code, error) from error


def _unknown_family(checkpoint: Checkpoint, own_code: bool, error: Exception) -> ModelError:
    import transformers

    if own_code:
        return ModelError(
            "unknown_family",
            f"{checkpoint.model} brings its own code, which Relook does not run",
            "use a checkpoint that transformers knows by itself",
        )
    first = " ".join(str(error).split()).split(". ")[0][:200]
    return ModelError(
        "unknown_family",
        f"transformers {transformers.__version__} cannot read the model type"
        f" {checkpoint.family!r} of {checkpoint.model}: {first}",
        "check its config.json, or upgrade: pip install -U transformers",
    )


def load_tokenizer(checkpoint: Checkpoint) -> Any:
    """The checkpoint's tokenizer.

    Raises:
        ModelError: `model_incomplete`.
        MissingExtraError: when it needs a package of its own (`sentencepiece`).
    """
    from transformers import AutoTokenizer

    try:
        with quiet():
            return AutoTokenizer.from_pretrained(
                checkpoint.folder, local_files_only=True, trust_remote_code=False
            )
    except ImportError as error:
        raise needs_package(checkpoint, error) from error
    except Exception as error:  # a damaged file fails with nearly any exception
        raise ModelError(
            "model_incomplete",
            f"the tokenizer of {checkpoint.model} cannot be opened: {error}",
            f"see which of its files are missing in {checkpoint.folder}",
        ) from error


def needs_package(checkpoint: Checkpoint, error: ImportError) -> MissingExtraError:
    """What to say when transformers wants a package that is not installed."""
    message = " ".join(str(error).split())[:200]
    return MissingExtraError(
        "missing_extra",
        f"{checkpoint.model} needs a package that is not installed: {message}",
        "pip install 'relook[hf]', or the package that is named",
    )


def load_model(checkpoint: Checkpoint, place: Place) -> Any:
    """The model with both towers, in evaluation mode, on its device.

    Raises:
        ModelError: `weights_missing` when the files do not hold every weight;
            `no_text_tower`; `one_precision`; `out_of_memory`; `model_changed`.
    """
    import torch
    from transformers import AutoModel

    with reporting(checkpoint, place), quiet():
        model, info = AutoModel.from_pretrained(
            checkpoint.folder, dtype=torch.float32, use_safetensors=True,
            local_files_only=True, trust_remote_code=False, output_loading_info=True,
        )  # fmt: skip
        check_loaded(checkpoint, info)
        for name in _BOTH_TOWERS:
            if not hasattr(model, name):
                raise ModelError(
                    "unknown_family",
                    f"{type(model).__name__} of {checkpoint.model} has no {name}: it is no"
                    " model that puts pictures and words into one space",
                    "use a CLIP or SigLIP checkpoint",
                )
        set_precision(model, checkpoint, place)
        return model.eval().to(place.device)


def set_precision(model: Any, checkpoint: Checkpoint, place: Place) -> None:
    """Has what sees pictures run in the precision of a place, and all else in float32.

    Words are few and their tower is small, so float32 costs little there. In half precision a
    text's vector would change with the texts it is encoded with and with the processor.

    Args:
        model: In float32.
        checkpoint: Whose, for the message.
        place: Where it runs.

    Raises:
        ModelError: `one_precision` when the model has no part of its own for pictures.
    """
    if place.dtype == "float32":
        return
    parts = [
        part
        for parent in model.modules()
        for name, part in parent.named_children()
        if name.startswith(_SEE_PICTURES)
    ]
    if not parts:
        raise ModelError(
            "one_precision",
            f"{checkpoint.model} has no part of its own for pictures that could run in"
            f" {place.dtype}",
            "use --dtype float32",
        )
    for part in parts:
        part.to(place.torch_dtype)


@contextlib.contextmanager
def reporting(checkpoint: Checkpoint, place: Place) -> Iterator[None]:
    """Turns what loading may raise into our errors."""
    try:
        yield
    except ModelError:
        raise
    except ImportError as error:
        raise needs_package(checkpoint, error) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise ModelError(
                "out_of_memory",
                f"{checkpoint.model} does not fit into the memory of {place.device}"
                f" ({place.dtype})",
                "end other programs that use it, take a smaller model, or use --device cpu",
            ) from error
        message = " ".join(str(error).split())[:300]
        if _OTHER_SHAPES in message:  # it refers to a report that nobody sees
            message = "its weights have other shapes than its config.json says"
        raise ModelError(
            "model_changed",
            f"{checkpoint.model} cannot be loaded: {message}",
            "its files may not belong together; fetch or save it again",
        ) from error


def check_loaded(checkpoint: Checkpoint, info: dict[str, Any]) -> None:
    """Refuses a model some of whose weights are not in its files.

    Args:
        checkpoint: Whose.
        info: What transformers reports of loading.

    Raises:
        ModelError: `weights_missing` naming some of them.
    """
    missing = sorted(
        name for name in info.get("missing_keys", ()) if not name.endswith(_NOT_LEARNT)
    )
    other_shape = sorted(str(key) for key in info.get("mismatched_keys", ()))
    if missing or other_shape:
        n, some = len(missing) + len(other_shape), ", ".join((missing + other_shape)[:3])
        raise ModelError(
            "weights_missing",
            f"{n} weights of {checkpoint.model} are not in its files ({some}); they would be"
            " random numbers",
            "use a checkpoint that belongs to its config.json",
        )
    if unused := sorted(info.get("unexpected_keys", ())):
        _LOG.info("%d weights of %s are not used: %s", len(unused), checkpoint.model, unused[:3])


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
