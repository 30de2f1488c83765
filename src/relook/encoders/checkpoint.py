"""A checkpoint in a local folder or in the hub's cache: found, checked, named. Layer: encoders.

Nothing here downloads but `fetch`, which runs only when a person asks for it. Weights are
safetensors; a pickle is never opened, and a checkpoint's own code is never run.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from relook.core.errors import ModelError
from relook.core.progress import ProgressCallback
from relook.encoders import hub
from relook.encoders.onnx_layout import has_towers
from relook.encoders.spec import has_only_onnx, kind_of_folder

_PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*/config.json")
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", "spiece.model")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
_WINDOW = 4096


class Checkpoint:
    """The files of one model.

    Args:
        folder: Where they are.
        model: What the person called it.
        revision: The hub's commit; empty for a folder.
    """

    def __init__(self, folder: Path, model: str, revision: str = "") -> None:
        self.folder, self.model, self.revision = folder, model, revision

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Content of `config.json`.

        Raises:
            ModelError: `model_incomplete`.
        """
        return self._json("config.json")

    @property
    def family(self) -> str:
        """What transformers calls the kind of model (`clip`, `siglip`, `llava`)."""
        return str(self.config.get("model_type", ""))

    @cached_property
    def image_processor(self) -> Mapping[str, Any]:
        """How pictures become its input, as its own file says.

        Raises:
            ModelError: `model_incomplete`.
        """
        for name in _PROCESSORS:
            if (self.folder / name).is_file():
                config = self._json(name)
                inner = config.get("image_processor", config)
                if isinstance(inner, dict) and ("image_mean" in inner or "size" in inner):
                    return inner
        raise self._incomplete("preprocessor_config.json")

    @cached_property
    def weights(self) -> str:
        """Sixteen hexadecimal digits that stand for the weights.

        Names, shapes and precision of all tensors, with three windows of 4 KiB of each: a
        full sum of a large model costs seconds in every command, this costs milliseconds.

        Raises:
            ModelError: `model_incomplete`, `no_safetensors` or `model_changed`.
        """
        sums = []
        for path in self.weight_files():
            try:
                sums += _tensor_sums(path)
            except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
                raise ModelError(
                    "model_changed",
                    f"{path.name} of {self.model} cannot be read: {error}",
                    self._again,
                ) from error
        return hashlib.sha256("\n".join(sorted(sums)).encode()).hexdigest()[:16]

    def weight_files(self) -> list[Path]:
        """The safetensors files, each there.

        Raises:
            ModelError: `no_safetensors` when there are only pickles; `model_incomplete`.
        """
        if (self.folder / "modules.json").is_file():
            return self._module_files()
        index = self.folder / "model.safetensors.index.json"
        names = self._indexed(index.name) if index.is_file() else ["model.safetensors"]
        for name in names:
            if not (self.folder / name).is_file():
                raise self._without_weights(name)
        return [self.folder / name for name in names]

    def _indexed(self, name: str) -> list[str]:
        """The files among which an index divides the weights."""
        files = self._json(name).get("weight_map")
        if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
            raise self._damaged(name, "it has no weight_map")
        return sorted(set(files.values()))

    def _module_files(self) -> list[Path]:
        """Those of a sentence-transformers model: some modules have weights in a folder each."""
        modules = self._values("modules.json")
        if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
            raise self._damaged("modules.json", "it is no list of modules")
        weights: list[Path] = []
        for folder in {self.folder / str(module.get("path", "")) for module in modules}:
            files = sorted(folder.glob("*.safetensors"))
            if not files and any(list(folder.glob(pickle)) for pickle in _PICKLES):
                raise Checkpoint(folder, self.model, self.revision)._without_weights("")
            weights += files
        if not weights:
            raise self._incomplete("model.safetensors")
        return sorted(weights)

    @property
    def n_bytes(self) -> int:
        """Size of the weights."""
        return sum(path.stat().st_size for path in self.weight_files())

    def check(self) -> None:
        """Looks for every file that loading needs.

        Raises:
            ModelError: naming the first that is missing.
        """
        assert self.config is not None
        self.weight_files()
        assert self.image_processor is not None
        if not any((self.folder / name).is_file() for name in _TOKENIZERS):
            raise self._incomplete("tokenizer.json")

    def _json(self, name: str) -> Mapping[str, Any]:
        values = self._values(name)
        if not isinstance(values, dict):
            raise self._damaged(name, "it is no object")
        return values

    def _values(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_text("utf-8"))
        except FileNotFoundError:
            raise self._incomplete(name) from None
        except (OSError, ValueError) as error:
            raise self._damaged(name, error) from error

    def _damaged(self, name: str, why: object) -> ModelError:
        return ModelError(
            "model_changed", f"{name} of {self.model} cannot be read: {why}", self._again
        )

    @property
    def _again(self) -> str:
        if not self.revision:
            return f"save the model into {self.folder} again"
        return f"fetch it again: relook model fetch {self.model} --revision {self.revision}"

    def _incomplete(self, name: str) -> ModelError:
        other = kind_of_folder(self.folder)
        again = f"write {other}:{self.folder}" if other not in ("", "hf") else self._again
        return ModelError(
            "model_incomplete", f"{self.model} has no {name} (in {self.folder})", again
        )

    def _without_weights(self, name: str) -> ModelError:
        pickles = sorted(path.name for glob in _PICKLES for path in self.folder.glob(glob))
        if has_only_onnx(self.folder):
            return _only_onnx(self.model, name)
        if not pickles:
            return self._incomplete(name)
        return ModelError(
            "no_safetensors",
            f"{self.model} has its weights only as {pickles[0]}, which can run code when it is"
            " opened; Relook opens safetensors only",
            "take a revision with model.safetensors, or save the model as safetensors yourself",
        )


def find(model: str, revision: str = "") -> Checkpoint:
    """The checkpoint of a folder or of a hub id that was fetched before. Never downloads.

    Args:
        model: Folder, or `org/name`.
        revision: Branch, tag or commit on the hub; its main branch when empty.

    Raises:
        ModelError: `model_missing` with what to run.
        MissingExtraError: when the hub's client is not installed.
    """
    folder = hub.local_folder(model, "hf")
    if folder is not None:
        return Checkpoint(folder, model)
    folder = hub.cached(model, revision)
    return Checkpoint(folder, model, folder.name)


def fetch(model: str, revision: str = "", progress: ProgressCallback | None = None) -> Checkpoint:
    """Downloads a checkpoint from the hub into its cache; what is there already stays.

    Raises:
        ModelError, FetchError, StorageError, MissingExtraError: as `hub.fetch`.
    """

    def choose(names: list[str]) -> list[str]:
        """The files of a repository that loading reads."""
        wanted = [name for name in names if any(fnmatch(name, p) for p in _PATTERNS)]
        if not any(name.endswith(".safetensors") for name in names) and has_towers(names):
            raise _only_onnx(model, "safetensors")
        return wanted

    folder = hub.fetch(model, revision, choose, progress)
    return Checkpoint(folder, model, folder.name)


def _only_onnx(model: str, missing: str) -> ModelError:
    return ModelError(
        "model_incomplete",
        f"{model} has no {missing}, but its towers in ONNX",
        f"write onnx:{model}",
    )


def _tensor_sums(path: Path) -> list[str]:
    """One line a tensor of a safetensors file: its name, type, shape and a sum.

    Source: the safetensors format: 8 bytes of header length, a JSON header with the
    offsets of each tensor behind it, the data.
    """
    sums = []
    with open(path, "rb") as file:
        (n_header,) = struct.unpack("<Q", file.read(8))
        n_file = path.stat().st_size
        if n_header > min(n_file, 100_000_000):
            raise ValueError("its header is longer than the file")
        header = json.loads(file.read(n_header))
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            start, stop = (8 + n_header + int(at) for at in tensor["data_offsets"])
            if stop > n_file:
                raise ValueError(f"it ends before the tensor {name}")
            sha = hashlib.sha256()
            middle = (start + stop - _WINDOW) // 2
            for at in sorted({start, max(middle, start), max(stop - _WINDOW, start)}):
                file.seek(at)
                sha.update(file.read(min(_WINDOW, stop - at)))
            sums.append(f"{name} {tensor['dtype']} {tensor['shape']} {sha.hexdigest()}")
    return sums
