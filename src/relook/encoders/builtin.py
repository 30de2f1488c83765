"""The built-in encoder: two small towers on ONNX Runtime. Layer: encoders.

The towers ship inside the package (`training/` makes them, `docs/model-card.md` describes
them); `builtin:FOLDER` is another pair of the same form, which `training/train.py --quick` makes of
a person's own pictures. Nothing here downloads, and nothing in its path knows a network. Each
tower is loaded when it is first used, so a search by words never loads the image tower.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import InputError, ModelError
from relook.core.settings import EncoderSettings
from relook.core.subject import subject_of
from relook.core.types import Box
from relook.core.vectors import Floats
from relook.encoders.base import Fingerprint, FitMap, Means, Unread
from relook.encoders.devices import open_session
from relook.encoders.spec import ModelSpec, kind_of_folder
from relook.encoders.wordpiece import WordPiece

if TYPE_CHECKING:
    import onnxruntime
    from PIL import Image

_LOG = logging.getLogger(__name__)
# Texts that are read by a tower as it lies in its file: it opens in a third of the time, and reads
# at a third of the speed. A command that looks for words once needs no more.
FEW_TEXTS = 4
_FOLDER = Path(__file__).with_name("builtin_model")
_CARD = "model.json"
_SHIPPED_NAME = "relook-builtin"


class BuiltinEncoder:
    """Two towers of our own: an EfficientNet-Lite image tower and a MiniLM text tower.

    Args:
        folder: Where the model files are; the package's own when None.
        n_threads: Threads of one tower; 0 means one a core.

    Raises:
        ModelError: `model_missing` when the folder or its card is not there, `model_changed` for
            a card that cannot be used.
    """

    batch = 16
    remote = False
    needs = ()

    @classmethod
    def open(cls, spec: ModelSpec, settings: EncoderSettings) -> BuiltinEncoder:
        """Opens the package's own model, or that of `builtin:FOLDER`.

        It runs on the processor, whatever the settings say.

        Raises:
            InputError: `bad_model` for an option: there is none.
            ModelError: as the class.
        """
        spec.check_options(())
        if (settings.device, settings.dtype) != (EncoderSettings().device, EncoderSettings().dtype):
            _LOG.warning(
                "device and precision are for hf: and st: encoders; %s has its own", spec.kind
            )
        return cls(Path(spec.model).expanduser().absolute() if spec.model else None)

    def __init__(self, folder: str | os.PathLike[str] | None = None, n_threads: int = 0) -> None:
        self.is_shipped = folder is None
        self.folder = _FOLDER if folder is None else Path(folder)
        self.n_threads, self._n_texts_read = n_threads, 0
        try:
            self._card = json.loads((self.folder / _CARD).read_text("utf-8"))
            self._boxes = tuple(Box(*edges) for edges in self._card["tiles"])
        except OSError as error:
            raise self._no_card() from error
        except (ValueError, KeyError, TypeError, InputError) as error:
            raise self._changed(_CARD) from error

    @property
    def spec(self) -> str:
        """What a library's manifest keeps."""
        return "builtin" if self.is_shipped else f"builtin:{self.folder}"

    def load(self) -> None:
        """Compares the files of a folder with its card, and tries both towers.

        The package's own model is not looked at: `relook doctor` does that.

        Raises:
            ModelError: `model_changed` or `model_missing`, naming the file.
        """
        if self.is_shipped:
            return
        from PIL import Image

        self.verify()
        [tiles] = self.encode_prepared([self.prepare(Image.new("RGB", (64, 64)))])
        if tiles.shape != (len(self._boxes), self.dim):
            raise self._changed("image.onnx")
        if self.encode_texts(["a"]).shape[1] != self.dim:
            raise self._changed("text.onnx")

    @cached_property
    def fingerprint(self) -> Fingerprint:
        sums = self._card["sha256"]
        weights = "".join(sums[name] for name in sorted(sums))
        size, name = self.input_px, str(self._card.get("name", _SHIPPED_NAME))
        return Fingerprint(
            name="builtin" if name == _SHIPPED_NAME else name,
            revision=str(self._card["revision"]),
            weights=hashlib.sha256(weights.encode()).hexdigest()[:16],
            preprocessing=f"squash {size}x{size} reducing-bilinear",
            dim=self.dim,
            dtype="float32",
        )

    @property
    def dim(self) -> int:
        return int(self._card["dim"])

    @property
    def input_px(self) -> int:
        return int(self._card["image_size"])

    @property
    def tile_weight(self) -> float:
        return float(self._card.get("tile_weight", 1.0))

    @cached_property
    def means(self) -> Means | None:
        means = self._card.get("means")
        if means is None:
            return None
        image, text = (np.array(means[side], np.float32) for side in ("image", "text"))
        spelling = float(self._card.get("spelling", 0.0))
        return Means(image, text, self._phrasings(), self._fit(), spelling)

    def _phrasings(self) -> Floats | None:
        """[p, d] of the model folder; None for a model without them."""
        made = self._card.get("phrasings")
        if made is None:
            return None
        try:
            vectors = np.load(self.folder / "phrasings.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise self._changed("phrasings.npy") from error
        of_this_tower = made["text_tower"] == self._card["sha256"]["text.onnx"]
        if not of_this_tower or vectors.shape != (made["n"], self.dim):
            raise self._changed("phrasings.npy")
        return np.asarray(vectors, np.float32)

    def _fit(self) -> FitMap | None:
        """What scores are worth; None for a model that nobody learnt it for."""
        made = self._card.get("fit")
        if made is None:
            return None
        sums = self._card["sha256"]
        if made["towers"] != [sums["image.onnx"], sums["text.onnx"]]:
            raise self._changed("fit in model.json")
        line, line_bias = made.get("line"), made.get("line_bias", 0.0)
        if line is None:  # of an older revision, which has one fit for all words
            line = made["weights"]
            line_bias = made["bias"] - float(np.log(made["nothing"] / (1 - made["nothing"])))
        return FitMap(
            np.array(made["weights"], np.float32),
            float(made["bias"]),
            np.array(made["expected"], np.float32),
            float(made["expected_bias"]),
            (float(made["usual"][0]), float(made["usual"][1])),
            np.array(line, np.float32),
            float(line_bias),
            float(made.get("line_size", 0.0)),
        )

    def tiles_for(self, width_px: int, height_px: int) -> tuple[Box, ...]:
        return self._boxes

    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        """[size, size, 3] uint8: the whole picture squashed to a square."""
        from PIL import Image  # a search by words does without

        size = (self.input_px, self.input_px)
        if image.size != size:
            image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        return np.asarray(image, dtype=np.uint8)

    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        if not prepared:
            return []
        pixels = np.stack(prepared)  # [n, size, size, 3]
        return list(self._image_tower.run(None, {"pixels": pixels})[0])  # [n, t, d]

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        tower = self._tower_for(len(texts))
        # Sorted by length, so that padding to the longest of a batch costs little.
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        vectors = np.empty((len(texts), self.dim), np.float32)
        for start in range(0, len(order), 64):
            at = order[start : start + 64]
            tokens = [self._tokenizer.encode(_read(texts[i]))[0] for i in at]
            ids = np.full((len(at), max(map(len, tokens))), self._card["pad_id"], np.int64)
            mask = np.zeros_like(ids)  # [b, l]
            for row, some in enumerate(tokens):
                ids[row, : len(some)] = some
                mask[row, : len(some)] = 1
            inputs = {"input_ids": ids, "attention_mask": mask}
            vectors[at] = tower.run(None, inputs)[0]  # [b, d]
        return vectors

    def n_tokens_cut(self, text: str) -> int:
        return self._tokenizer.encode(_read(text))[1]

    def unread(self, text: str) -> Unread:
        """Words without a token, as emoji and runs of more than 100 letters are."""
        return Unread(*self._tokenizer.unread(_read(text)))

    def verify(self) -> None:
        """Compares every model file with its recorded sum.

        Raises:
            ModelError: `model_changed` or `model_missing`, naming the file.
        """
        for name, expected in self._card["sha256"].items():
            try:
                data = (self.folder / name).read_bytes()
            except OSError as error:
                raise self._missing(name, error) from error
            if hashlib.sha256(data).hexdigest() != expected:
                raise self._changed(name)

    def close(self) -> None:
        for name in ("_image_tower", "_text_tower", "_plain_text_tower", "_tokenizer"):
            self.__dict__.pop(name, None)

    def _tower_for(self, n_texts: int) -> onnxruntime.InferenceSession:
        """What reads the next texts; their vectors are the same within 1e-5."""
        self._n_texts_read += n_texts
        if self._n_texts_read <= FEW_TEXTS and "_text_tower" not in vars(self):
            return self._plain_text_tower
        self.__dict__.pop("_plain_text_tower", None)
        return self._text_tower

    @cached_property
    def _image_tower(self) -> onnxruntime.InferenceSession:
        return self._session("image.onnx")

    @cached_property
    def _text_tower(self) -> onnxruntime.InferenceSession:
        return self._session("text.onnx")

    @cached_property
    def _plain_text_tower(self) -> onnxruntime.InferenceSession:
        return self._session("text.onnx", optimised=False)

    @cached_property
    def _tokenizer(self) -> WordPiece:
        name = "tokenizer.json"
        try:
            return WordPiece(self.folder / name, int(self._card["max_tokens"]))
        except OSError as error:
            raise self._missing(name, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise self._changed(name) from error

    def _session(self, name: str, *, optimised: bool = True) -> onnxruntime.InferenceSession:
        try:
            return open_session(self.folder / name, n_threads=self.n_threads, optimised=optimised)
        except Exception as error:
            raise self._missing(name, error) from error

    @property
    def _named(self) -> str:
        return "the built-in encoder" if self.is_shipped else f"the model in {self.folder}"

    @property
    def _again(self) -> str:
        """What to do about a file that is not what it was."""
        if self.is_shipped:
            return "install relook again: the wheel carries the model"
        return f"copy the whole folder again, or train it anew; {_CARD} has the sums of its files"

    def _missing(self, name: str, error: Exception) -> ModelError:
        text = f"cannot load {name} of {self._named}: {error}"
        return ModelError("model_missing", text, self._again)

    def _changed(self, name: str) -> ModelError:
        how = "shipped" if self.is_shipped else "recorded"
        text = f"{name} of {self._named} is not the file that was {how}"
        return ModelError("model_changed", text, self._again)

    def _no_card(self) -> ModelError:
        """The error for a folder that is none of ours."""
        if self.is_shipped:
            text = f"the built-in encoder's files are not in {self.folder}"
            return ModelError("model_missing", text, self._again)
        if not self.folder.is_dir():
            return ModelError(
                "model_missing", f"there is no folder {self.folder}",
                "check the path; if a library's model was moved, name its new place:"
                " relook index --encoder builtin:FOLDER",
            )  # fmt: skip
        hint = "name the folder that training/train.py --quick wrote (its --target)"
        if other := kind_of_folder(self.folder):
            hint = f"it is a model of another kind: write {other}:{self.folder}"
        return ModelError(
            "model_missing",
            f"{self.folder} is no model of this kind: it has no {_CARD} beside image.onnx,"
            " text.onnx and tokenizer.json",
            hint,
        )


def _read(text: str) -> str:
    """What the tower reads of a text: its subject, in the plain forms of its letters.

    Letters of full width, in circles, and ligatures have such forms.
    """
    return subject_of(text if text.isascii() else unicodedata.normalize("NFKC", text))
