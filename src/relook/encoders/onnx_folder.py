"""A model in ONNX files: found, checked, named. Layer: encoders.

It says how the model takes pictures and words; no graph is loaded here.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from relook.core.errors import ModelError
from relook.core.progress import ProgressCallback
from relook.encoders import hub
from relook.encoders.onnx_layout import Layout, layout_of
from relook.encoders.onnx_words import WordRules
from relook.encoders.pixels import Pixels

_WHOLE_BYTES = 64 * 1024**2
_WINDOW, _STRIDE = 4096, 65_536
_POINTER = b"version https://git-lfs"
# What transformers leaves out of a config.json because it is its own default.
_DIM = {"clip": 512}
_WIDTH = {"siglip": 768, "siglip2": 768}


class OnnxFolder:
    """The files of one model.

    Args:
        folder: Where they are.
        model: What the person called it.
        variant, size: See `layout_of`.
        revision: The hub's commit; empty for a folder.

    Raises:
        ModelError: `model_incomplete`, `no_variant`, `no_size` or `model_changed`.
        InputError: `bad_variant`.
    """

    def __init__(
        self, folder: Path, model: str, variant: str = "", revision: str = "", size: str = ""
    ) -> None:
        self.folder, self.model, self.revision = folder, model, revision
        names = _names(folder)
        self.layout: Layout = layout_of(names, self._named, variant, self._again, size)
        for name in self.layout.files:
            self._check_content(name)

    @property
    def image_tower(self) -> Path:
        """The graph from pictures to vectors."""
        return self.folder / self.layout.image_tower

    @property
    def text_tower(self) -> Path:
        """The graph from token ids to vectors."""
        return self.folder / self.layout.text_tower

    @property
    def is_open_clip(self) -> bool:
        """Whether the configuration is OpenCLIP's, and not transformers'."""
        return self.layout.name in ("immich", "open_clip")

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """OpenCLIP's model configuration, or transformers' `config.json`."""
        config = self._json(self.layout.config)
        inner = config.get("model_cfg", config)
        return inner if isinstance(inner, dict) else config

    @property
    def family(self) -> str:
        """What transformers calls the kind of model; `open_clip` for OpenCLIP's configurations."""
        return "open_clip" if self.is_open_clip else str(self.config.get("model_type", ""))

    @cached_property
    def pixels(self) -> Pixels:
        """How pictures become the image tower's input.

        Raises:
            ModelError: `unknown_preprocessing`.
        """
        config = self._json(self.layout.pixels)
        if self.is_open_clip or config.keys() >= {"resize_mode", "mean", "std"}:
            return Pixels.read_open_clip(config.get("preprocess_cfg", config))
        vision = self.config.get("vision_config")
        side = vision.get("image_size", 224) if isinstance(vision, dict) else 224
        return Pixels.read(config.get("image_processor", config), side)

    @cached_property
    def words(self) -> WordRules:
        """How texts become the text tower's input.

        Raises:
            ModelError: `model_changed` when its files make no sense.
        """
        try:
            return self._words()
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise self._damaged(self.layout.tokenizer, error) from error

    def _words(self) -> WordRules:
        about: dict[str, Any] = {}
        for name in reversed(self.layout.extras):  # tokenizer_config.json has the last word
            if name.endswith(".json"):
                about |= {k: v for k, v in self._json(name).items() if v is not None}
        tokenizer = self._json(self.layout.tokenizer)
        if self.is_open_clip:
            return WordRules.of_open_clip(self.config.get("text_cfg") or {}, about, tokenizer)
        return WordRules.of_transformers(self.config, about, tokenizer)

    @property
    def dim(self) -> int | None:
        """Length of a vector as the configuration says it; None where it does not."""
        vision = self.config.get("vision_config")
        width = vision.get("hidden_size") if isinstance(vision, dict) else None
        if self.family in _WIDTH:  # SigLIP has no projection: its vectors are as wide as the tower
            return int(width) if width else None
        names = ("embed_dim", "projection_dim")
        dim = next((self.config[n] for n in names if self.config.get(n)), None)
        return int(dim) if dim else None

    @property
    def usual_dim(self) -> int | None:
        """The length that transformers takes where neither configuration nor graph says one."""
        return {**_DIM, **_WIDTH}.get(self.family)

    @cached_property
    def weights(self) -> str:
        """Sixteen hexadecimal digits that stand for the content of all files that are read.

        Small files count whole. Of one over 64 MiB a window of 4 KiB of every 64 KiB counts: a
        full sum would cost seconds in every command, and other weights, another precision or
        another export differ in every window.

        Raises:
            ModelError: `model_changed` for a file that cannot be read.
        """
        sha = hashlib.sha256()
        for name in sorted(self.layout.files):
            try:
                sha.update(f"{name.rpartition('/')[2]} {_sum(self.folder / name)}\n".encode())
            except OSError as error:
                raise self._damaged(name, error) from error
        return sha.hexdigest()[:16]

    @property
    def n_bytes(self) -> int:
        """Size of all files that are read."""
        return sum((self.folder / name).stat().st_size for name in self.layout.files)

    def check(self) -> None:
        """Reads every configuration.

        Raises:
            ModelError: when one of them cannot be used.
        """
        assert self.pixels is not None
        assert self.words is not None

    def _check_content(self, name: str) -> None:
        """Refuses a file that stands for another or is empty."""
        path = self.folder / name
        try:
            with open(path, "rb") as file:
                head = file.read(len(_POINTER))
        except OSError as error:
            raise self._damaged(name, error) from error
        if head == _POINTER:
            raise ModelError(
                "model_incomplete",
                f"{name} of {self._named} is a pointer of Git LFS, not the file",
                "git lfs pull" if not self.revision else self._again,
            )
        if not head:
            raise self._damaged(name, "it is empty")

    def _json(self, name: str) -> Mapping[str, Any]:
        try:
            values = json.loads((self.folder / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise self._damaged(name, error) from error
        if not isinstance(values, dict):
            raise self._damaged(name, "it is no object")
        return values

    def damaged(self, path: Path, why: object) -> ModelError:
        """The error for a file that cannot be used."""
        return self._damaged(path.relative_to(self.folder).as_posix(), why)

    def _damaged(self, name: str, why: object) -> ModelError:
        message = " ".join(str(why).split()).replace(f"{self.folder}{os.sep}", "")[:300]
        return ModelError(
            "model_changed", f"{name} of {self._named} cannot be used: {message}", self._again
        )

    @property
    def _named(self) -> str:
        """The model as messages name it."""
        here = str(self.folder)
        return here if self.model == here else f"{self.model} (in {here})"

    @property
    def _again(self) -> str:
        if self.revision:
            return f"fetch it again: relook model fetch onnx:{self.model}"
        return f"copy the whole model into {self.folder}, or export it again"


def find(model: str, revision: str = "", variant: str = "", size: str = "") -> OnnxFolder:
    """The model of a folder or of a hub id that was fetched before. Never downloads.

    Args:
        model: Folder, or `org/name`.
        revision: Branch, tag or commit on the hub; its main branch when empty.
        variant: See `layout_of`.
        size: See `layout_of`.

    Raises:
        ModelError: `model_missing` with what to run, and as `OnnxFolder`.
        InputError: `bad_variant`.
    """
    folder = hub.local_folder(model, "onnx")
    if folder is not None:
        return OnnxFolder(folder, model, variant, size=size)
    folder = hub.cached(model, revision, "onnx")
    return OnnxFolder(folder, model, variant, folder.name, size)


def fetch(
    model: str,
    options: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> OnnxFolder:
    """Downloads what `find` needs from the hub, checked; other variants are left there.

    Args:
        model: Hub id.
        options: `revision`, `variant` and `size`, as for `find`.
        progress: Called with megabytes so far.

    Raises:
        ModelError: as `find`, and `model_missing` when the hub does not give it.
        FetchError: `bad_checksum` when a file is not what the hub says it is.
    """
    chosen = options or {}
    revision, variant, size = (chosen.get(name, "") for name in ("revision", "variant", "size"))

    def choose(names: list[str]) -> list[str]:
        again = "look at its files on the hub; some models have their ONNX files in another place"
        return list(layout_of(names, model, variant, again, size).files)

    folder = hub.fetch(model, revision, choose, progress, "onnx")
    return OnnxFolder(folder, model, variant, folder.name, size)


def _names(folder: Path) -> list[str]:
    """Relative paths of the files in a folder, in the folders of it, and in those of `onnx`."""
    names: list[str] = []
    places = [folder, *(path for path in folder.iterdir() if path.is_dir())]
    if (folder / "onnx").is_dir():
        places += [path for path in (folder / "onnx").iterdir() if path.is_dir()]
    for place in places:
        names += [path.relative_to(folder).as_posix() for path in place.iterdir() if path.is_file()]
    return names


def _sum(path: Path) -> str:
    """A sum of a file's content, or of evenly spread windows of a large one."""
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        sha.update(f"{size} ".encode())
        if size <= _WHOLE_BYTES:
            sha.update(file.read())
            return sha.hexdigest()
        for at in range(0, size, _STRIDE):
            file.seek(at)
            sha.update(file.read(_WINDOW))
    return sha.hexdigest()
