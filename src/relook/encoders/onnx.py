"""CLIP, SigLIP, SigLIP 2 and their kin from ONNX files, without torch. Layer: encoders.

Reads the layouts of Immich, of transformers.js and of optimum; the model's own files say how
pictures and words are prepared. Nothing is downloaded here.

Source: ONNX Runtime's Python API; the names of inputs and outputs as optimum and Immich export
them; ONNX's DynamicQuantizeLinear for why such a graph takes one input at a time.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import InputError, ModelError, RelookError
from relook.core.vectors import Floats
from relook.encoders.devices import BatchSize, Place, choose_device, is_out_of_memory, open_session
from relook.encoders.onnx_folder import OnnxFolder, find
from relook.encoders.onnx_words import Words
from relook.encoders.towers import TwoTowers

if TYPE_CHECKING:
    import onnxruntime
    from PIL import Image

T = TypeVar("T")
_VECTORS = ("image_embeds", "text_embeds", "embedding", "pooler_output")
_PROJECTED = ("clip", "metaclip_2", "chinese_clip")  # a pooled output is no vector there
_IMAGE_INPUTS = ("pixel_values", "image", "input")
_ID_INPUTS = ("input_ids", "text", "input")
_MASK, _TYPES = "attention_mask", "token_type_ids"
_DTYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32,
}  # fmt: skip
# These scale by the largest number of a whole batch, whose members then change each other.
_BY_BATCH = (b"DynamicQuantizeLinear", b"DynamicQuantizeMatMul", b"MatMulIntegerToFloat")


class OnnxEncoder(TwoTowers):
    """A model of ONNX files, in a folder or the hub's cache; see `TwoTowers`.

    Args:
        model: Hub id or folder.
        variant: A quantised or half-precision pair of towers, as `int8`; float32 when empty.
        more: As for `TwoTowers`; `device` as for `choose_device`.

    Raises:
        ModelError: `model_missing`, `model_incomplete` naming what is missing, `no_variant`,
            `unknown_preprocessing` or `model_changed`.
        InputError: `bad_tiles`, `bad_decode` or `bad_variant`.
    """

    kind = "onnx"
    options = ("revision", "tiles", "variant")

    def __init__(self, model: str | os.PathLike[str], *, variant: str = "", **more: Any) -> None:
        self.variant = variant
        self.n_threads = 0
        self._parts: dict[str, Any] = {}
        super().__init__(model, **more)
        self.variant = self.files.layout.variant

    @cached_property
    def files(self) -> OnnxFolder:
        """The model's files.

        Raises:
            ModelError: `model_missing`, `model_incomplete`, `no_variant`.
        """
        return find(self.model, self.revision, self.variant)

    @property
    def _family(self) -> str:
        return f"onnx {self.files.family}"

    @cached_property
    def place(self) -> Place:
        """Where it runs; the precision is that of the files.

        Raises:
            InputError: `bad_device`, or `bad_dtype` when another precision is asked for.
        """
        if self.dtype not in ("auto", "float32"):
            raise InputError(
                "bad_dtype",
                f"an ONNX model has the precision of its files, and {self.dtype!r} was asked for",
                f"leave --dtype out; name a variant: onnx:{self.model}?variant=fp16",
            )
        return Place(choose_device(self.device), self.variant or "float32")

    def _check(self) -> None:
        self.files.check()

    @property
    def _preprocessing(self) -> str:
        return self.files.pixels.digest

    @cached_property
    def dim(self) -> int:
        return self.files.dim or self._image_tower.dim

    @property
    def _side_px(self) -> int:
        return max(self.files.pixels.height_px, self.files.pixels.width_px)

    def _fit(self, crop: Image.Image) -> NDArray[Any]:
        """[height, width, 3] uint8."""
        return self.files.pixels.fit(crop)

    @cached_property
    def _batch(self) -> BatchSize:
        batch = BatchSize(self._image_tower.at_once or self.place.first_batch)
        if self._image_tower.at_once:
            batch.settle()
        return batch

    def _image_rows(self, some: NDArray[Any]) -> Floats:
        pixels = self.files.pixels.normalised(some)  # [n, 3, h, w]
        return self._image_tower.run({self._image_tower.named(_IMAGE_INPUTS): pixels})

    def _text_rows(self, some: Sequence[str]) -> Floats:
        tower = self._text_tower
        n_each = tower.at_once if tower.at_once and not self._words.is_padded else len(some)
        rows = []
        for at in range(0, len(some), n_each):  # a mask, or what fills up, may change numbers
            ids, mask = self._words.encode(some[at : at + n_each])
            feeds = {tower.named(_ID_INPUTS): ids, _MASK: mask, _TYPES: np.zeros_like(ids)}
            if self._words.rules.is_padded and self.files.family != "open_clip":
                feeds[_MASK] = np.ones_like(mask)  # SigLIP's tower reads what fills up, too
            rows.append(tower.run(feeds))
        return np.concatenate(rows)

    def n_tokens_cut(self, text: str) -> int:
        """How many tokens at the end of `text` the tower cannot take."""
        return self._words.n_cut(text)

    @property
    def _words(self) -> Words:
        return self._once("words", self._open_words)

    def _open_words(self) -> Words:
        tower, rules = self._text_tower, self.files.words
        path = self.files.folder / self.files.layout.tokenizer
        length = tower.fixed(tower.named(_ID_INPUTS), 1)
        if length:
            rules = rules.with_length(length)
        # Without a mask the tower sees what fills up, and was trained with inputs of one length.
        is_padded = rules.is_padded or bool(length) or _MASK not in tower.inputs
        try:
            return Words(path, rules, is_padded)
        except ValueError as error:
            raise self.files.damaged(path, error) from error

    @property
    def _image_tower(self) -> Tower:
        return self._once("image", lambda: self._tower(self.files.image_tower, _IMAGE_INPUTS))

    @property
    def _text_tower(self) -> Tower:
        known = (*_ID_INPUTS, _MASK, _TYPES)
        return self._once("text", lambda: self._tower(self.files.text_tower, known))

    def _tower(self, path: Path, known: tuple[str, ...]) -> Tower:
        tower = Tower(path, self.place.device, self.n_threads, self.files)
        tower.check_inputs(known)
        return tower

    def _once(self, name: str, make: Callable[[], T]) -> T:
        """A part that is opened when it is first used, by one thread.

        A search by words does without the image tower.
        """
        with self._lock:
            if name not in self._parts:
                self._parts[name] = make()
            part: T = self._parts[name]
            return part

    @property
    def _more_precise(self) -> str:
        return "take the model in float32, without a variant"

    def close(self) -> None:
        """Frees the towers; closing twice is fine."""
        with self._lock:
            self._parts.clear()


class Tower:
    """One graph, with inputs and outputs in whatever form its exporter chose.

    Args:
        path: Its file.
        device: As `choose_device` returns it.
        n_threads: As for `open_session`.
        files: The model, for messages.

    Raises:
        ModelError: `model_changed` when it cannot be loaded or gives no vectors, `no_projection`,
            `out_of_memory`.
        InputError: `bad_device`.
    """

    def __init__(self, path: Path, device: str, n_threads: int, files: OnnxFolder) -> None:
        self._path, self._files = path, files
        self._session: onnxruntime.InferenceSession = self._guarded(
            lambda: open_session(path, device, n_threads)
        )
        self.inputs = {put.name: put for put in self._session.get_inputs()}
        self._output = self._vectors_of([put.name for put in self._session.get_outputs()])
        first = next(iter(self.inputs))
        self._n_fixed = self.fixed(first, 0)
        self.at_once = 1 if _scales_by_batch(path) else self._n_fixed

    @property
    def dim(self) -> int:
        """Length of a vector, as the graph states it.

        Raises:
            ModelError: `model_changed` when it does not.
        """
        shape = next(p.shape for p in self._session.get_outputs() if p.name == self._output)
        if not isinstance(shape[-1], int):
            raise self._files.damaged(self._path, "neither it nor config.json says how long its"
                                      " vectors are")  # fmt: skip
        return shape[-1]

    def fixed(self, name: str, axis: int) -> int:
        """The length of an input along an axis; 0 when any will do."""
        shape = self.inputs[name].shape
        length = shape[axis] if len(shape) > axis else 0
        return length if isinstance(length, int) else 0

    def named(self, names: Sequence[str]) -> str:
        """The first of some names that an input has."""
        return next((name for name in names if name in self.inputs), next(iter(self.inputs)))

    def check_inputs(self, known: tuple[str, ...]) -> None:
        """Refuses a graph that wants more than is known here.

        Raises:
            ModelError: `unknown_inputs`.
        """
        more = sorted(set(self.inputs) - set(known))
        odd = [p.name for p in self.inputs.values() if p.type not in _DTYPES]
        if odd or (more and len(self.inputs) > 1):
            wanted = ", ".join(odd or more)
            raise ModelError(
                "unknown_inputs",
                f"{self._path.name} of {self._files.model} wants {wanted}, which is not known here",
                "take an export with one graph for pictures and one for words, of fixed resolution",
            )

    def run(self, feeds: dict[str, NDArray[Any]]) -> Floats:
        """Vectors of n inputs, in as many runs as the graph needs.

        Args:
            feeds: Arrays [n, ...] by name; those that the graph does not have are left out.

        Returns:
            [n, d] float32

        Raises:
            ModelError: `model_changed` when ONNX Runtime refuses; `out_of_memory` is a
                MemoryError, which `in_batches` knows.
        """
        given = {
            name: feeds[name].astype(_DTYPES[put.type], copy=False)
            for name, put in self.inputs.items()
        }
        n = len(next(iter(given.values())))
        step = self.at_once or n
        rows = []
        for at in range(0, n, step):
            some = {name: values[at : at + step] for name, values in given.items()}
            n_some = min(step, n - at)
            if self._n_fixed > n_some:
                some = {name: _filled(values, self._n_fixed) for name, values in some.items()}
            output = self._guarded(partial(self._session.run, [self._output], some))[0]
            rows.append(np.asarray(output, np.float32)[:n_some])  # [n_some, d]
        return np.concatenate(rows)

    def _vectors_of(self, names: list[str]) -> str:
        """The output that holds the vectors."""
        output = next((name for name in _VECTORS if name in names), "")
        if output == "pooler_output" and self._files.family in _PROJECTED:
            raise ModelError(
                "no_projection",
                f"{self._path.name} of {self._files.model} was exported without the projection"
                " that puts pictures and words into one space",
                "export the towers with it: relook model export",
            )
        flat = [p.name for p in self._session.get_outputs() if len(p.shape or ()) == 2]
        if not output and len(flat) != 1:
            raise self._files.damaged(
                self._path, f"none of its outputs ({', '.join(names)}) is one vector a picture or"
                " text",
            )  # fmt: skip
        return output or flat[0]

    def _guarded(self, work: Callable[[], Any]) -> Any:
        """Runs something of ONNX Runtime, whose errors have many kinds."""
        try:
            return work()
        except RelookError:
            raise
        except Exception as error:
            message = str(error).lower()
            if (
                is_out_of_memory(error)
                or "allocate memory" in message
                or "out of memory" in message
            ):
                raise MemoryError(str(error)) from error
            raise self._files.damaged(self._path, error) from error


def _filled(values: NDArray[Any], n: int) -> NDArray[Any]:
    """An array with its last row repeated until there are n."""
    return np.concatenate([values, np.repeat(values[-1:], n - len(values), axis=0)])


def _scales_by_batch(path: Path) -> bool:
    """Whether a graph has operators that quantise by the range of a whole batch."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(name) >= 0 for name in _BY_BATCH)
