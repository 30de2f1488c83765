"""How public ONNX exports of image-text models lie in a folder. Layer: encoders.

Names only: the same rules say what a folder holds, what of a hub's repository is to be fetched,
and what is missing.

Source: Immich's machine learning (`visual/model.onnx`, `textual/model.onnx`); transformers.js
(`onnx/vision_model.onnx`, `onnx/text_model.onnx`; its endings of quantised variants are the
`dtypes`); Hugging Face optimum, which writes the same without the folder, or one graph for both
towers, `model.onnx` (its export bot: `onnx/model.onnx`, with the configurations beside it);
`open_clip_inference` (`visual.onnx`, `text.onnx`, `open_clip_config.json`). Several sizes of one
model in folders below `onnx`: the hub's plhery/mobileclip2-onnx.
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
        image, text: The towers' names, without variant and `.onnx`; the same for one graph of both.
        configs: Files it needs, each with the places where it may be, the usual one first.
        extras: Files that are read where they are there.
    """

    name: str
    image: str
    text: str
    configs: tuple[tuple[str, ...], ...]
    extras: tuple[str, ...]

    @property
    def towers(self) -> tuple[str, ...]:
        """Names of the graphs, without variant and `.onnx`."""
        return tuple(dict.fromkeys((self.image, self.text)))

    def variants(self, names: set[str]) -> dict[str, set[str]]:
        """The variants that are there, each with its towers."""
        there: dict[str, set[str]] = {}
        for tower in self.towers:
            for name in names:
                match = re.fullmatch(re.escape(tower) + r"(?:_(\w+))?\.onnx", name)
                if match and (match[1] is None or match[1] in VARIANTS):
                    there.setdefault(match[1] or _FLOAT32, set()).add(tower)
        return there

    def of_size(self, size: str) -> _Kind:
        """The same in a folder of its own below the towers'; its own files come first."""
        home = f"{self.image.rpartition('/')[0]}/{size}/"
        image, text = (home + tower.rpartition("/")[2] for tower in (self.image, self.text))
        configs = tuple((home + places[0], *places) for places in self.configs)
        extras = (*(home + name for name in self.extras), *self.extras)
        return _Kind(self.name, image, text, configs, extras)


def _beside(*names: str) -> tuple[tuple[str, ...], ...]:
    """Places of one configuration: by these names at the top, or beside the towers in `onnx`."""
    return ((*names, *(f"onnx/{name}" for name in names)),)


_WORDS = ("tokenizer_config.json", "special_tokens_map.json")
_TRANSFORMERS = (
    *_beside("config.json"),
    *_beside("preprocessor_config.json", "processor_config.json"),
    *_beside("tokenizer.json"),
)
_WORDS_BESIDE = (*_WORDS, *(f"onnx/{name}" for name in _WORDS))
_OPEN_CLIP = (
    ("open_clip_config.json", "config.json"),
    ("open_clip_config.json", "preprocess_cfg.json"),
    ("tokenizer.json",),
)
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
        "transformers.js", "onnx/vision_model", "onnx/text_model", _TRANSFORMERS, _WORDS_BESIDE,
    ),
    _Kind("optimum", "vision_model", "text_model", _TRANSFORMERS, _WORDS),
    _Kind("open_clip", "visual", "text", _OPEN_CLIP, (*_WORDS, "model_config.json")),
    _Kind("open_clip", "visual", "textual", _OPEN_CLIP, (*_WORDS, "model_config.json")),
    _Kind("whole", "onnx/model", "onnx/model", _TRANSFORMERS, _WORDS_BESIDE),
    _Kind("whole", "model", "model", _TRANSFORMERS, _WORDS),
)  # fmt: skip
_OURS = {"model.json", "image.onnx", "text.onnx"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which files of a model are read. Paths are relative, with slashes.

    Args:
        name: `immich`, `transformers.js`, `optimum`, `open_clip`, or `whole` for one graph.
        variant: Of both towers; empty for float32.
        image_tower, text_tower: The graphs; the same for one graph of both.
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
        return tuple(dict.fromkeys((*main, *self.extras)))

    @property
    def is_whole(self) -> bool:
        """Whether one graph holds both towers."""
        return self.image_tower == self.text_tower


def layout_of(names: Iterable[str], model: str, variant: str, again: str, size: str = "") -> Layout:
    """Finds a model among the files of a folder or a repository.

    Args:
        names: Their relative paths.
        model: What the person called it, for messages.
        variant: One of `VARIANTS`, `float32`, or empty for float32 where it is there, and else
            for the only other one.
        again: What to do when something is missing.
        size: The folder below `onnx` that holds the towers, where a repository has several.

    Raises:
        ModelError: `model_incomplete` naming what is missing; `no_variant`, `no_size`.
        InputError: `bad_variant`.
    """
    if variant and variant not in (*VARIANTS, _FLOAT32):
        raise InputError(
            "bad_variant", f"no variant is called {variant!r}",
            f"there are: {', '.join((_FLOAT32, *VARIANTS))}",
        )  # fmt: skip
    there = set(names)
    kind = _sized(there, model, size) or _kind_of(there, model, again)
    variant = _chosen(kind, there, model, variant)
    ending = "" if variant == _FLOAT32 else f"_{variant}"
    image, text = (f"{tower}{ending}.onnx" for tower in (kind.image, kind.text))
    towers = tuple(dict.fromkeys((image, text)))
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
    return bool(_sizes(there)) or any(kind.variants(there) for kind in _KINDS)


def _sizes(there: set[str]) -> list[str]:
    """Folders below `onnx` that hold a pair of towers."""
    kind = _KINDS[1]
    names = {name.split("/")[1] for name in there if name.count("/") == 2}
    return sorted(
        name
        for name in names
        if any(len(t) == 2 for t in kind.of_size(name).variants(there).values())
    )


def _sized(there: set[str], model: str, size: str) -> _Kind | None:
    """The layout of one size; None where none is asked for and there is a pair without one."""
    sizes = _sizes(there)
    if size in sizes:
        return _KINDS[1].of_size(size)
    if size and not sizes:
        raise ModelError(
            "no_size", f"{model} has no sizes to choose from, and {size!r} is asked for",
            "leave ?size= out",
        )  # fmt: skip
    if size or (sizes and not any(kind.variants(there) for kind in _KINDS)):
        problem = f"has no size {size!r}" if size else "is there in several sizes"
        raise ModelError(
            "no_size", f"{model} {problem}",
            f"there are: {', '.join(sizes)}; write {_written(model)}?size={sizes[0]}",
        )  # fmt: skip
    return None


def _kind_of(there: set[str], model: str, again: str) -> _Kind:
    """The layout whose towers are all there; else one of which there is at least one."""
    if there >= _OURS:
        hint = f"it is a model of the built-in kind: write builtin:{model}"
        raise ModelError("model_incomplete", f"{model} has no towers of a known layout", hint)
    kinds = [kind for kind in _KINDS if kind.variants(there)]
    for kind in kinds:
        if any(len(towers) == len(kind.towers) for towers in kind.variants(there).values()):
            return kind
    if kinds:
        return kinds[0]
    if any(name.endswith(".safetensors") for name in there):
        hint = f"it is a checkpoint for transformers: write hf:{model}, or make ONNX files of it:"
        again = f"{hint} relook model export {model}"
    raise ModelError(
        "model_incomplete",
        f"{model} has no towers in ONNX: neither visual/model.onnx and textual/model.onnx"
        " (Immich's layout), nor onnx/vision_model.onnx and onnx/text_model.onnx"
        " (transformers.js's), nor visual.onnx and text.onnx (OpenCLIP's), nor model.onnx (both)",
        again,
    )


def _written(model: str) -> str:
    """How a model is named to a command: without the folder that messages add."""
    return f"onnx:{model.partition(' (in ')[0]}"


def _chosen(kind: _Kind, there: set[str], model: str, variant: str) -> str:
    """The variant that is meant; float32 where nothing says otherwise."""
    variants = kind.variants(there)
    n_towers = len(kind.towers)
    whole = sorted(name for name, towers in variants.items() if len(towers) == n_towers)
    if variant and variant not in variants and whole:
        raise ModelError(
            "no_variant", f"{model} has no variant {variant!r}",
            f"there are: {', '.join(whole)}; write {_written(model)}?variant={whole[0]}",
        )  # fmt: skip
    if variant or _FLOAT32 in whole or not whole:
        return variant or _FLOAT32
    if len(whole) > 1:
        raise ModelError(
            "no_variant", f"{model} is not there in float32, and has several variants",
            f"choose {', '.join(whole)}: {_written(model)}?variant={whole[0]}",
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
