"""The one string that names a model: `builtin`, `hf:org/name?revision=...`. Layer: encoders.

A library keeps it in its manifest, a configuration file in a key, a person types it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from relook.core.errors import InputError

_KIND = re.compile(r"[a-z][a-z0-9_-]*\Z")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*\Z", re.ASCII)
_ONNX = ("visual/*.onnx", "onnx/*.onnx", "*.onnx")
_OURS_BY_NAME = "builtin"  # libraries keep it: a folder of that name never means it
_OURS = ("model.json", "image.onnx", "text.onnx")
_OPTION = re.compile(r"[a-z]+=[^&?]*(&[a-z]+=[^&?]*)*\Z")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model by kind, place and options: `KIND:MODEL?OPTION=VALUE&...`.

    Args:
        kind: Name in the registry of the family (`builtin`, `hf`, `st`, `openai`).
        model: Hub id, folder, or what else the kind understands; empty when it needs none.
        options: What makes other vectors or other words of the same model (`revision`, `tiles`).
    """

    kind: str
    model: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Reads a spec. A folder means the kind of model that it holds (see `kind_of_folder`),
        `org/name` means `hf:`.

        Raises:
            InputError: `bad_model` when nothing can be made of it.
        """
        text = text.strip()
        options: dict[str, str] = {}
        head, mark, tail = text.rpartition("?")
        if mark and _OPTION.match(tail):
            text = head
            options = {k: unquote(v) for k, _, v in (o.partition("=") for o in tail.split("&"))}
        kind, colon, model = text.partition(":")
        if colon and len(kind) > 1 and _KIND.match(kind):
            if not model:
                raise _bad(text, f"no model behind {kind + ':'!r}")
            return cls(kind, model, options)
        of_folder = kind_of_folder(Path(text).expanduser()) if text != _OURS_BY_NAME else ""
        if of_folder or _HUB_ID.match(text):
            return cls(of_folder or "hf", text, options)
        if not _KIND.match(text):
            raise _bad(text, "neither a name, a hub id (org/name) nor a folder with a model")
        return cls(text, "", options)

    def __str__(self) -> str:
        name = f"{self.kind}:{self.model}" if self.model else self.kind
        options = "&".join(
            f"{k}={quote(v, safe='/')}" for k, v in sorted(self.options.items()) if v
        )
        return f"{name}?{options}" if options else name

    def __hash__(self) -> int:
        return hash(str(self))

    def with_options(self, **options: str | None) -> ModelSpec:
        """The same model with some options set; None leaves one as it is."""
        given = {name: value for name, value in options.items() if value is not None}
        return ModelSpec(self.kind, self.model, {**self.options, **given})

    def check_options(self, known: Iterable[str]) -> None:
        """Refuses options that this kind of model does not have.

        Raises:
            InputError: `bad_model` naming one.
        """
        known = sorted(known)
        for name in self.options:
            if name not in known:
                advice = f"it has: {', '.join(known)}" if known else "leave it out: it has none"
                raise InputError(
                    "bad_model", f"{self.kind!r} has no option {name!r} (in {str(self)!r})", advice
                )


def has_only_onnx(folder: Path) -> bool:
    """Whether a folder has towers in ONNX, and no weights for transformers."""
    towers = (path for place in _ONNX for path in folder.glob(place))
    return any(towers) and not any(folder.glob("*.safetensors"))


def kind_of_folder(folder: Path) -> str:
    """The kind of model that a folder holds: `builtin`, `onnx` or `hf`; empty where it holds none.

    Args:
        folder: Need not be there.
    """
    if (folder / "config.json").is_file():
        return "onnx" if has_only_onnx(folder) else "hf"
    is_ours = all((folder / name).is_file() for name in _OURS)
    return _OURS_BY_NAME if is_ours else ""


def _bad(text: str, reason: str) -> InputError:
    return InputError(
        "bad_model",
        f"{text!r} names no model: {reason}",
        "write builtin, a name of relook model list, or hf:, onnx: or st: and ORG/NAME or a folder",
    )
