"""Configurations of VisualReF, told in the words of this package. Layer: compat.

Every key ends up in one of three lists: settings, notes about what replaces it, or keys
that nobody here knows. None is dropped without a word.

Source: the configuration files and README of VisualReF (github.com/bulatkh/retrieval_demo).
"""

import json
import os
import re
import shlex
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from relook.captioners.wording import is_question
from relook.core.errors import InputError, MissingExtraError

_MAX_BYTES = 1024**2
_TURN = re.compile(r"\A\s*(?:USER|HUMAN)\s*:|<image>|ASSISTANT\s*:\s*\Z", re.IGNORECASE)
_PLACES = ("query", "label")
_TOP_K = 5
_LONGEST = 100  # tokens that VisualReF lets LLaVA write, so no caption has more words
_NEEDLESS = {
    "IMG_SIZE": "the model's own files say how large a picture it takes",
    "PATCH_SIZE": "the model's own files say it",
    "SHOW_IMAGE_GALLERY": "the page always shows the hits",
    "SHOW_ANNOTATORS": "boxes can be drawn on every hit",
    "RETRIEVAL_LOGS_PATH": "the library keeps every session: relook session list, relook session"
    " export",
    "CONFIG_PATH": "read that file too: relook config import FILE",
    "CAPTIONING_CONFIG_PATH": "read that file too: relook config import FILE",
}
_SUMMARIZER = (
    "pooler_config", "global_embeddings_vision", "global_embeddings_text", "no_caption_loss",
    "text_dim", "text_dim_local", "text_dim_global", "vision_dim", "learning_rate",
    "weight_decay", "batch_size", "max_epochs",
)  # fmt: skip
_FAMILIES = ("clip", "siglip", "siglip2", "llava")


@dataclass(slots=True)
class Translation:
    """What old configurations say.

    Args:
        settings: `section.name` -> value.
        notes: What became of keys that are no setting here, and what to do.
        unknown: Keys that nobody knows.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def toml(self) -> str:
        """The settings as a configuration file."""
        lines: list[str] = []
        section = ""
        for key, value in sorted(self.settings.items()):
            begun, _, name = key.partition(".")
            if begun != section:
                lines += ["", f"[{begun}]"]
                section = begun
            # JSON's texts, numbers and lists of texts are TOML's as well.
            lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}")
        return "\n".join(lines).lstrip("\n") + "\n"


def read_old(file: Path) -> dict[str, Any]:
    """The keys of a YAML file, or of a `.env` file of lines KEY=VALUE.

    Raises:
        InputError: `bad_config` when it cannot be read; MissingExtraError for YAML.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise InputError("bad_config", f"{file} is larger than 1 MiB", "name a settings file")
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("bad_config", f"cannot read {file}: {error}", "check the path") from error
    return _of_env(file, text) if _is_env(file) else _of_yaml(file, text)


def translate(*olds: Mapping[str, Any]) -> Translation:
    """One configuration of several old ones; later ones win."""
    translation = Translation()
    old = _without_empty({key: value for values in olds for key, value in values.items()})
    for key, value in old.items():
        if key in _SETTINGS:
            for name, text in _SETTINGS[key](value):
                translation.settings[name] = text
        elif key in _NEEDLESS:
            translation.notes.append(f"{key}: {_NEEDLESS[key]}")
        elif key not in (*_HANDLED, *_SUMMARIZER):
            translation.unknown.append(key)
    if summarizer := [key for key in _SUMMARIZER if key in old]:
        translation.notes.append(
            f"{', '.join(summarizer)}: a summarizer (AFS) that VisualReF trained cannot be read, as"
            " its file is a pickle; relook train afs trains one for this library, and"
            " feedback.strategy = 'afs' uses it"
        )
    _families(old, translation)
    _way(old, translation)
    _captions(old, translation)
    _index(old, translation)
    return translation


def _without_empty(old: Mapping[str, Any]) -> dict[str, Any]:
    """Without the keys that say nothing, which are as if they were not there.

    Not so `FUSE_INITIAL_QUERY`: an empty one is false in VisualReF, a missing one true.
    """
    return {
        key: value
        for key, value in old.items()
        if key == "FUSE_INITIAL_QUERY" or key not in (*_SETTINGS, *_HANDLED)
        or str("" if value is None else value).strip()
    }  # fmt: skip


def _count(value: object) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not int(text):
        raise InputError("bad_config", f"TOP_K is {value!r}", "it must be a whole number from 1")
    return int(str(value))


def _model(value: object) -> str:
    return f"hf:{value}"


def _paths(value: object) -> list[str]:
    return [str(path) for path in value] if isinstance(value, list) else [str(value)]


def _prompt(value: object) -> list[tuple[str, Any]]:
    """The question inside of LLaVA's turn: here the checkpoint's own files say the turn.

    VisualReF formats it with the query and the label of the box, in this order. A single word
    names a prompt here, so one that is the whole question gets a dot.
    """
    bare = _TURN.sub("", str(value)).strip()
    if not bare:
        return []
    named = _with_names(bare)
    return [("prompts.caption", named if is_question(named) else f"{named}.")]


def _with_names(prompt: str) -> str:
    """A prompt for `str.format` with the query and the label as one of ours."""
    numbers = iter(("0", "1"))
    pieces = []
    try:
        for words, place, _, _ in string.Formatter().parse(prompt):
            pieces.append(words)
            if place is not None:
                number = place or next(numbers, "")
                pieces.append(f"{{{_PLACES[int(number)] if number in ('0', '1') else place}}}")
    except ValueError:  # a brace that is not closed
        return prompt
    return "".join(pieces)


def _odd_places(prompt: str) -> list[str]:
    """What is lost or read otherwise of the places in a prompt for `str.format`."""
    try:
        parsed = list(string.Formatter().parse(prompt))
    except ValueError:
        return ["its braces do not pair; it is kept as it stands, VisualReF fails there"]
    places = [place for _, place, _, _ in parsed if place is not None]
    odd = []
    if places.count("") > len(_PLACES) or {*places} - {"", "0", "1", *_PLACES}:
        odd.append(
            "it has more places than the query and the label; the others are kept as they stand,"
            " VisualReF fails there"
        )
    if any(form or conversion for _, _, form, conversion in parsed):
        odd.append("how its places are to be formatted is left out")
    # A doubled brace ends a piece, too.
    words = "".join(words + ("" if place is None else "\n") for words, place, _, _ in parsed)
    if any(f"{{{name}}}" in words for name in _PLACES):
        odd.append("{query} and {label} are filled in, though its double braces keep them as words")
    if {*places} & {"", "0"}:
        odd.append("the query is filled in as it is typed, there in lower case")
    return odd


_SETTINGS: dict[str, Any] = {
    "VLM_MODEL_NAME": lambda v: [
        ("encoder.model", _model(v)),
        ("encoder.tiles", "none"),
        ("encoder.dtype", "float32"),
    ],
    "IMAGE_CORPUS_PATH": lambda v: [("library.pictures", _paths(v))],
    "TOP_K": lambda v: [("search.limit", _count(v))],
    "MODEL_ID": lambda v: [("captioner.model", _model(v))],
    "USE_8BIT": lambda v: [("captioner.dtype", "int8-or-auto")] if _is_true(v) else [],
    "DEVICE": lambda v: [("captioner.device", str(v))],
    "PROMPT": _prompt,
}
_HANDLED = ("VLM_MODEL_FAMILY", "MODEL_FAMILY", "FUSE_INITIAL_QUERY", "INDEX_PATH")


def _families(old: Mapping[str, Any], translation: Translation) -> None:
    """The model says its family itself; only one that cannot be right is worth a word."""
    for key in ("VLM_MODEL_FAMILY", "MODEL_FAMILY"):
        if key in old and str(old[key]).lower() not in _FAMILIES:
            translation.notes.append(
                f"{key}: VisualReF has no family {old[key]!r}; check the model"
            )
        elif key in old:
            translation.notes.append(f"{key}: the model's own files say its family")


def _way(old: Mapping[str, Any], translation: Translation) -> None:
    """VisualReF's feedback and its page, which no key of its files names."""
    if not any(key in old for key in ("VLM_MODEL_NAME", "INDEX_PATH", "FUSE_INITIAL_QUERY")):
        return
    fused = _is_true(old.get("FUSE_INITIAL_QUERY", True))
    rounds = "fused" if fused else "chained"
    translation.settings |= {
        "feedback.strategy": "caption-rocchio",
        "feedback.rounds": rounds,
        "feedback.split_captions": True,
        "feedback.lengths": True,
        "feedback.keep_shown": True,
        "feedback.keep_fitting": False,
        "feedback.keep_judged": True,
        "search.fold": False,
        "search.grammar": False,
        "search.index_kind": "exact",  # its index is a flat one
    }
    translation.settings.setdefault("search.limit", _TOP_K)
    given = "as you have it" if "FUSE_INITIAL_QUERY" in old else "VisualReF's default"
    translation.notes += [
        f"FUSE_INITIAL_QUERY: feedback.rounds is {rounds}, {given}; strategy caption-rocchio with"
        " its weights .6/.2/.2 is VisualReF's own way, auto is measured to find more",
        "a page may show again what was shown or marked, and near-duplicates, as VisualReF's;"
        " feedback.keep_shown, feedback.keep_judged and search.fold change that",
        "words weigh by the lengths of the model's vectors, as VisualReF's, so that those of a"
        " second round outweigh the first; feedback.lengths = false weighs all alike",
        "pictures are encoded in float32 and every vector is read in each search, as there;"
        " encoder.dtype and search.index_kind = 'auto' are faster on a GPU and in large libraries",
        "boxes are cut from the original picture, not from one squeezed to 224 pixels",
        "pictures are seen upright and in sRGB, there as their files store them; relook import"
        " faiss keeps the vectors that you have",
        "an empty field of words is nothing, as for its server; its demo/app.py takes .2 of the"
        " vector of the empty text away in a round without irrelevant words",
        "a search takes its line as it stands, as there; search.grammar = true reads '- snow', 'no"
        " people', text: and @ in it, and slips of spelling",
    ]


def _captions(old: Mapping[str, Any], translation: Translation) -> None:
    """Captions as long as VisualReF's; its own question where no file has one."""
    if "MODEL_ID" not in old and "PROMPT" not in old:
        return
    translation.settings |= {"captioner.max_words": _LONGEST, "captioner.max_tokens": _LONGEST}
    translation.settings.setdefault("prompts.caption", "short")
    question = _TURN.sub("", str(old.get("PROMPT", ""))).strip()
    if not question:
        translation.notes.append(
            "PROMPT: there is none; VisualReF then asks for fewer than 5 words, as short does"
        )
    elif translation.settings["prompts.caption"] == f"{question}.":
        translation.notes.append(
            f"PROMPT: {question!r} gets a dot, since one word alone names a prompt here"
        )
    translation.notes += [f"PROMPT: {odd}" for odd in _odd_places(question)]
    translation.notes.append(
        "captions are lower case here, and lose lead-ins such as 'The image shows'"
    )


def _index(old: Mapping[str, Any], translation: Translation) -> None:
    if "INDEX_PATH" in old:
        folder = PurePosixPath(str(old["INDEX_PATH"])).parent
        library = folder / "library.relook"
        translation.settings["library.folder"] = str(library)
        encoder = translation.settings.get("encoder.model", "SPEC")
        translation.notes.append(
            "INDEX_PATH: make a library of that index, without computing it again:"
            f" relook import faiss {shlex.quote(str(folder))} {shlex.quote(str(library))}"
            f" --encoder {encoder}"
        )


def _is_true(value: object) -> bool:
    return str(value).strip().lower() in ("true", "1", "yes", "on")


def _is_env(file: Path) -> bool:
    return file.suffix == ".env" or file.name.startswith(".env")


def _of_env(file: Path, text: str) -> dict[str, Any]:
    pairs = {}
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip().removeprefix("export ").strip()
        if not bare or bare.startswith("#"):
            continue
        key, equals, value = bare.partition("=")
        if not equals or not key.strip().replace("_", "").isalnum():
            raise InputError("bad_config", f"{file} line {number} is not KEY=VALUE", "correct it")
        pairs[key.strip()] = _unquoted(value.strip())
    return pairs


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value.split(" #", maxsplit=1)[0].strip()


def _of_yaml(file: Path, text: str) -> dict[str, Any]:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "missing_extra",
            "reading YAML needs the package 'pyyaml'",
            "pip install 'relook[migrate]'",
        ) from error
    try:
        values = yaml.safe_load(text)
    # A date that cannot be or a number without end is a plain ValueError there.
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        first = str(error).replace(os.linesep, " ")
        raise InputError("bad_config", f"{file} is not YAML: {first}", "correct it") from error
    if not isinstance(values, dict):
        raise InputError("bad_config", f"{file} holds no keys", "give VisualReF's own file")
    return {str(key): value for key, value in values.items()}
