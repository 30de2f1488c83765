"""CLIP, SigLIP, SigLIP 2 and their kin from ONNX files, without torch. Layer: encoders.

Reads the layouts that `onnx_layout` knows; the model's own files say how pictures and words are
prepared. Nothing is downloaded here.

Source: ONNX Runtime's Python API; the names of inputs and outputs as optimum, Immich and Jina
export them; ONNX's DynamicQuantizeLinear for why such a graph takes one input at a time.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import InputError, ModelError
from relook.core.vectors import Floats
from relook.encoders.devices import BatchSize, Graph, Place, choose_device
from relook.encoders.onnx_folder import OnnxFolder, find
from relook.encoders.onnx_words import Words
from relook.encoders.towers import TwoTowers

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")
_N_AXES_OF_PIXELS = 4
_PROJECTED = ("clip", "metaclip_2", "chinese_clip")  # a pooled output is no vector there
_IMAGE_INPUTS = ("pixel_values", "image", "input")
_ID_INPUTS = ("input_ids", "text", "input")
_MASK, _TYPES = "attention_mask", "token_type_ids"


@dataclass(frozen=True, slots=True)
class _Side:
    """What a tower is called from outside.

    Args:
        inputs: Names that its inputs may have.
        vectors: Names of the output that holds the vectors, the best one first.
    """

    inputs: tuple[str, ...]
    vectors: tuple[str, ...]


_PICTURES = _Side(
    _IMAGE_INPUTS,
    ("image_embeds", "image_embeddings", "image_features", "embedding", "pooler_output"),
)
_TEXTS = _Side(
    (*_ID_INPUTS, _MASK, _TYPES),
    ("text_embeds", "text_embeddings", "text_features", "embedding", "pooler_output"),
)
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
        size: Which of several models in one repository.
        more: As for `TwoTowers`; `device` as for `choose_device`.

    Raises:
        ModelError: `model_missing`, `model_incomplete` naming what is missing, `no_variant`,
            `no_size`, `unknown_preprocessing` or `model_changed`.
        InputError: `bad_tiles`, `bad_decode` or `bad_variant`.
    """

    kind = "onnx"
    options = ("revision", "tiles", "variant", "size")

    def __init__(
        self, model: str | os.PathLike[str], *, variant: str = "", size: str = "", **more: Any
    ) -> None:
        self.variant, self.size = variant, size
        self.n_threads = 0
        self._parts: dict[str, Any] = {}
        super().__init__(model, **more)
        self.variant = self.files.layout.variant

    @cached_property
    def files(self) -> OnnxFolder:
        """The model's files.

        Raises:
            ModelError: `model_missing`, `model_incomplete`, `no_variant`, `no_size`.
        """
        return find(self.model, self.revision, self.variant, self.size)

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
        return self.files.dim or self._text_tower.dim or self._usual_dim()

    def _usual_dim(self) -> int:
        if self.files.usual_dim is None:
            raise self.files.damaged(self.files.text_tower, "neither it nor config.json says how"
                                     " long its vectors are")  # fmt: skip
        return self.files.usual_dim

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
        return self._once("image", lambda: self._tower(self.files.image_tower, _PICTURES))

    @property
    def _text_tower(self) -> Tower:
        return self._once("text", lambda: self._tower(self.files.text_tower, _TEXTS))

    def _tower(self, path: Path, side: _Side) -> Tower:
        if not self.files.layout.is_whole:
            return Tower(Graph(path, self.place.device, self.n_threads, self.files), side)
        graph = self._once(
            "whole", lambda: Graph(path, self.place.device, self.n_threads, self.files)
        )
        return Tower(graph, side)

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
    """One tower, with inputs and outputs in whatever form its exporter chose.

    Args:
        graph: That holds it.
        side: Whether it sees pictures or reads words.

    Raises:
        ModelError: `model_changed` when the graph gives no vectors, `no_projection`,
            `unknown_inputs` when it wants more than is known here.
    """

    def __init__(self, graph: Graph, side: _Side) -> None:
        self._graph, self._side = graph, side
        is_whole = graph.files.layout.is_whole
        own = {n: put for n, put in graph.inputs.items() if not is_whole or n in side.inputs}
        self.inputs = own or dict(graph.inputs)
        self._idle = {n: put for n, put in graph.inputs.items() if n not in self.inputs}
        self._check_inputs(is_whole and not own)
        self._output = self._vectors_of(list(graph.outputs))
        first = next(iter(self.inputs))
        self._n_fixed = self.fixed(first, 0)
        self.at_once = 1 if _scales_by_batch(graph.path) else self._n_fixed

    @property
    def dim(self) -> int:
        """Length of a vector, as the graph states it; 0 where it does not."""
        shape = self._graph.outputs[self._output]
        return shape[-1] if shape and isinstance(shape[-1], int) else 0

    def fixed(self, name: str, axis: int) -> int:
        """The length of an input along an axis; 0 when any will do."""
        shape = self.inputs[name].shape
        length = shape[axis] if len(shape) > axis else 0
        return length if isinstance(length, int) else 0

    def named(self, names: Sequence[str]) -> str:
        """The first of some names that an input has."""
        return next((name for name in names if name in self.inputs), next(iter(self.inputs)))

    def _check_inputs(self, lacks_side: bool) -> None:
        """Refuses a graph that wants more than is known here, or lacks this side.

        Raises:
            ModelError: `unknown_inputs`.
        """
        known = (*_PICTURES.inputs, *_TEXTS.inputs) if self._idle else self._side.inputs
        more = sorted(set(self._graph.inputs) - set(known))
        odd = [p.name for p in self._graph.inputs.values() if p.type not in _DTYPES]
        if not odd and not lacks_side and (not more or len(self._graph.inputs) == 1):
            return
        wanted = ", ".join(odd or more or self._graph.inputs)
        name, model = self._graph.path.name, self._graph.files.model
        raise ModelError(
            "unknown_inputs",
            f"{name} of {model} takes {wanted}: of both towers in one graph, one is missing"
            if lacks_side
            else f"{name} of {model} wants {wanted}, which is not known here",
            "take an export with a graph for pictures and one for words, or one for both, of fixed"
            " resolution",
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
        idle = {name: self._nothing(put) for name, put in self._idle.items()}
        n = len(next(iter(given.values())))
        step = self.at_once or n
        rows = []
        for at in range(0, n, step):
            some = {name: values[at : at + step] for name, values in given.items()}
            n_some = min(step, n - at)
            if self._n_fixed > n_some:
                some = {name: _filled(values, self._n_fixed) for name, values in some.items()}
            vectors = self._graph.run(self._output, {**some, **idle})
            rows.append(np.asarray(vectors, np.float32)[:n_some])  # [n_some, d]
        return np.concatenate(rows)

    def _nothing(self, put: Any) -> NDArray[Any]:
        """The smallest input of the other tower, which the graph wants as well."""
        usual: tuple[int, ...] = (1, 1)
        if len(put.shape) == _N_AXES_OF_PIXELS:
            pixels = self._graph.files.pixels
            usual = (1, 3, pixels.height_px, pixels.width_px)
        shape = [stated if isinstance(stated, int) else n
                 for stated, n in zip(put.shape, usual, strict=True)]  # fmt: skip
        return np.ones(shape, _DTYPES[put.type])

    def _vectors_of(self, names: list[str]) -> str:
        """The output that holds the vectors."""
        graph = self._graph
        output = next((name for name in self._side.vectors if name in names), "")
        if output == "pooler_output" and graph.files.family in _PROJECTED:
            raise ModelError(
                "no_projection",
                f"{graph.path.name} of {graph.files.model} was exported without the projection"
                " that puts pictures and words into one space",
                "export the towers with it: relook model export",
            )
        flat = [name for name, shape in graph.outputs.items() if len(shape) == 2]
        if not output and (len(flat) != 1 or self._idle):
            raise graph.files.damaged(
                graph.path, f"none of its outputs ({', '.join(names)}) is one vector a picture or"
                " text",
            )  # fmt: skip
        return output or flat[0]


def _filled(values: NDArray[Any], n: int) -> NDArray[Any]:
    """An array with its last row repeated until there are n."""
    return np.concatenate([values, np.repeat(values[-1:], n - len(values), axis=0)])


def _scales_by_batch(path: Path) -> bool:
    """Whether a graph has operators that quantise by the range of a whole batch."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(name) >= 0 for name in _BY_BATCH)
