"""How public ONNX exports of image-text models lie in a folder. Layer: encoders.

Names only: the same rules say what a folder holds, what of a hub's repository is to be fetched,
and what is missing.

Source: Immich's machine learning (`visual/model.onnx`, `textual/model.onnx`); transformers.js
and Hugging Face optimum (`onnx/vision_model.onnx`, `onnx/text_model.onnx`; optimum alone writes
them without the folder). The endings of quantised variants are transformers.js's `dtypes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from relook.core.errors import InputError, ModelError

VARIANTS = ("fp16", "int8", "uint8", "quantized", "q4", "q4f16", "bnb4")
"""Endings of a tower's name; a tower without one is in float32."""
_FLOAT32 = "float32"
_OF_A_TOWER = ("visual", "textual")
_NO_WEIGHTS = (".onnx", ".json", ".txt", ".model", ".md", ".armnn", ".rknn")


@dataclass(frozen=True, slots=True)
class _Kind:
    """One layout.

    Args:
        name: As people know it.
        image, text: The towers' names, without variant and `.onnx`.
        configs: Files it needs, each with the places where it may be, the usual one first.
        extras: Files that are read where they are there.
    """

    name: str
    image: str
    text: str
    configs: tuple[tuple[str, ...], ...]
    extras: tuple[str, ...]

    def variants(self, names: set[str]) -> dict[str, set[str]]:
        """The variants that are there, each with its towers."""
        there: dict[str, set[str]] = {}
        for tower in (self.image, self.text):
            for name in names:
                match = re.fullmatch(re.escape(tower) + r"(?:_(\w+))?\.onnx", name)
                if match and (match[1] is None or match[1] in VARIANTS):
                    there.setdefault(match[1] or _FLOAT32, set()).add(tower)
        return there


_PICTURES = ("preprocessor_config.json", "processor_config.json")
_TRANSFORMERS_JS = (("config.json",), _PICTURES, ("tokenizer.json",))
_WORDS = ("tokenizer_config.json", "special_tokens_map.json")
_KINDS = (
    _Kind(
        "immich", "visual/model", "textual/model",
        (
            ("config.json", "open_clip_config.json"),
            ("visual/preprocess_cfg.json", "preprocess_cfg.json"),
            ("textual/tokenizer.json", "tokenizer.json"),
        ),
        tuple(place + name for place in ("textual/", "") for name in _WORDS),
    ),
    _Kind(
        "transformers.js", "onnx/vision_model", "onnx/text_model", _TRANSFORMERS_JS, _WORDS,
    ),
    _Kind("optimum", "vision_model", "text_model", _TRANSFORMERS_JS, _WORDS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """Which files of a model are read. Paths are relative, with slashes.

    Args:
        name: `immich`, `transformers.js` or `optimum`.
        variant: Of both towers; empty for float32.
        image_tower, text_tower: The graphs.
        config, pixels, tokenizer: The files that say how they are used.
        extras: More that is read: about the tokenizer, and weights beside the graphs.
    """

    name: str
    variant: str
    image_tower: str
    text_tower: str
    config: str
    pixels: str
    tokenizer: str
    extras: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """All of them."""
        main = (self.image_tower, self.text_tower, self.config, self.pixels, self.tokenizer)
        return (*main, *self.extras)


def layout_of(names: Iterable[str], model: str, variant: str, again: str) -> Layout:
    """Finds a model among the files of a folder or a repository.

    Args:
        names: Their relative paths.
        model: What the person called it, for messages.
        variant: One of `VARIANTS`, `float32`, or empty for float32 where it is there, and else
            for the only other one.
        again: What to do when something is missing.

    Raises:
        ModelError: `model_incomplete` naming what is missing; `no_variant`.
        InputError: `bad_variant`.
    """
    if variant and variant not in (*VARIANTS, _FLOAT32):
        raise InputError(
            "bad_variant", f"no variant is called {variant!r}",
            f"there are: {', '.join((_FLOAT32, *VARIANTS))}",
        )  # fmt: skip
    there = set(names)
    kind = _kind_of(there, model, again)
    variant = _chosen(kind, there, model, variant)
    ending = "" if variant == _FLOAT32 else f"_{variant}"
    image, text = (f"{tower}{ending}.onnx" for tower in (kind.image, kind.text))
    towers = (image, text)
    configs = [next((n for n in places if n in there), "") for places in kind.configs]
    missing = [tower for tower in towers if tower not in there]
    missing += [kind.configs[at][0] for at, name in enumerate(configs) if not name]
    if missing:
        raise ModelError("model_incomplete", f"{model} has no {' and no '.join(missing)}", again)
    extras = [name for name in kind.extras if name in there]
    extras += sorted(name for tower in towers for name in there if _is_beside(name, tower))
    config, pixels, tokenizer = configs
    shown = "" if variant == _FLOAT32 else variant
    return Layout(kind.name, shown, image, text, config, pixels, tokenizer, tuple(extras))


def has_towers(names: Iterable[str]) -> bool:
    """Whether a tower of any layout is among some relative paths."""
    there = set(names)
    return any(kind.variants(there) for kind in _KINDS)


def _kind_of(there: set[str], model: str, again: str) -> _Kind:
    """The layout of which there is at least one tower."""
    for kind in _KINDS:
        if kind.variants(there):
            return kind
    if any(name.endswith(".safetensors") for name in there):
        hint = f"it is a checkpoint for transformers: write hf:{model}, or make ONNX files of it:"
        again = f"{hint} relook model export {model}"
    whole = " (a graph of both towers in one, which is there, cannot be used)"
    raise ModelError(
        "model_incomplete",
        f"{model} has no towers in ONNX: neither visual/model.onnx and textual/model.onnx"
        " (Immich's layout) nor onnx/vision_model.onnx and onnx/text_model.onnx"
        f" (transformers.js's){whole if there & {'onnx/model.onnx', 'model.onnx'} else ''}",
        again,
    )


def _chosen(kind: _Kind, there: set[str], model: str, variant: str) -> str:
    """The variant that is meant; float32 where nothing says otherwise."""
    variants = kind.variants(there)
    whole = sorted(name for name, towers in variants.items() if len(towers) == 2)
    if variant and variant not in variants and whole:
        raise ModelError(
            "no_variant", f"{model} has no variant {variant!r}",
            f"there are: {', '.join(whole)}; write onnx:{model}?variant={whole[0]}",
        )  # fmt: skip
    if variant or _FLOAT32 in whole or not whole:
        return variant or _FLOAT32
    if len(whole) > 1:
        raise ModelError(
            "no_variant", f"{model} is not there in float32, and has several variants",
            f"choose {', '.join(whole)}: onnx:{model}?variant={whole[0]}",
        )  # fmt: skip
    return whole[0]


def _is_beside(name: str, tower: str) -> bool:
    """Whether a file holds weights of a graph (`model.onnx_data`, `model.onnx.data`).

    Immich's large models have a file for each weight in the tower's folder, under any name.
    """
    if name.startswith((f"{tower}_data", f"{tower}.data")):
        return True
    home = tower.rpartition("/")[0]
    in_home = name.rpartition("/")[0] == home
    return home in _OF_A_TOWER and in_home and not name.endswith(_NO_WEIGHTS)
