"""Questions for captioners, as data. Layer: captioners. It asks nobody.

Three ship in `prompts.toml`; a person's own is a file of the same form, or the words.
"""

import difflib
import os
import re
import tomllib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from relook.captioners.base import About
from relook.core.errors import InputError, NotFoundError
from relook.core.settings import CaptionerSettings

DEFAULT = "short"
OWN_WORDS, OWN_TOKENS = 20, 64
"""Limits of a question in a person's own words, unless the settings say others."""
_FILE = Path(__file__).with_name("prompts.toml")
_PLACES = re.compile(r"\{(query|label)\}")
_MAX_CHARS = 300  # of a person's own words


@dataclass(frozen=True, slots=True)
class Prompt:
    """One way to ask.

    Args:
        name: What it is called.
        text: The question; {query} and {label} in it are the words of the search, and relevant
            or irrelevant.
        query: The question when the words of the search are known; holds `{query}`.
        relevant, irrelevant: Added for a crop with that mark.
        max_words: Longest caption.
        max_tokens: How much a model may write.
    """

    name: str
    text: str
    query: str = ""
    relevant: str = ""
    irrelevant: str = ""
    max_words: int = 4
    max_tokens: int = 24

    def ask(self, about: About) -> str:
        """The words that a model gets."""
        query = _line(about.query)
        parts = [(self.query or self.text) if query else self.text]
        if about.relevant is not None:
            parts.append(self.relevant if about.relevant else self.irrelevant)
        parts.append(_line(about.instruction))
        label = {None: "", True: "relevant", False: "irrelevant"}[about.relevant]
        question = " ".join(part for part in parts if part)
        return _PLACES.sub(lambda place: {"query": query, "label": label}[place[1]], question)


def shipped_prompts() -> dict[str, Prompt]:
    """The prompts of the package, by name."""
    return dict(_read(_FILE))


def sized_prompt(named: str, settings: CaptionerSettings) -> Prompt:
    """A prompt as `find_prompt` has it, with the limits that are set.

    Raises:
        NotFoundError, InputError: as `find_prompt`.
    """
    prompt = find_prompt(named)
    return replace(
        prompt,
        max_words=settings.max_words or prompt.max_words,
        max_tokens=settings.max_tokens or prompt.max_tokens,
    )


def find_prompt(named: str) -> Prompt:
    """A prompt by name, by file, or in its own words.

    Args:
        named: Name of a shipped prompt; a `.toml` file with one prompt, or `FILE.toml#NAME`;
            or the question itself (see `is_question`). Empty: the default.

    Raises:
        NotFoundError: `unknown_prompt`.
        InputError: `bad_prompt` for a file that is none.
    """
    named = named.strip() or DEFAULT
    if (ours := shipped_prompts().get(named)) is not None:
        return ours
    file, _, name = named.partition("#")
    if file.endswith(".toml"):
        return _from_file(Path(os.path.expanduser(file)), name)
    if is_question(named):
        return Prompt("your own", named, max_words=OWN_WORDS, max_tokens=OWN_TOKENS)
    near = difflib.get_close_matches(named, shipped_prompts(), n=1)
    there = ", ".join(shipped_prompts())
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {there}; or give a FILE.toml"
    raise NotFoundError("unknown_prompt", f"no prompt is called {named!r}", hint)


def is_question(words: str) -> bool:
    """Whether words are a question of their own: several, with a place, or with a full stop."""
    stops = (".", "?", "!")
    return len(words.split()) > 1 or words.endswith(stops) or bool(_PLACES.search(words))


def _from_file(file: Path, name: str) -> Prompt:
    prompts = _read(file)
    if not name and len(prompts) == 1:
        return next(iter(prompts.values()))
    if name not in prompts:
        what = f"{file} has no prompt {name!r}" if name else f"{file} has {len(prompts)} prompts"
        hint = f"it has: {', '.join(prompts)}; write {file.name}#NAME"
        raise NotFoundError("unknown_prompt", what, hint)
    return prompts[name]


@lru_cache(maxsize=8)
def _read(file: Path) -> dict[str, Prompt]:
    try:
        values = tomllib.loads(file.read_text("utf-8"))
        return {name: _prompt(name, fields) for name, fields in values.items()}
    except FileNotFoundError:
        raise NotFoundError(
            "unknown_prompt",
            f"there is no prompt file {file}",
            "check the path; it is relative to the folder where the command runs",
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            "bad_prompt",
            f"{file} is no prompt file: {error}",
            "a prompt is a [name] with a text; see relook/captioners/prompts.toml",
        ) from error


def _prompt(name: str, fields: Any) -> Prompt:
    if not isinstance(fields, dict):
        raise TypeError(f"{name} is not a table")
    for key, value in fields.items():
        is_count = key.startswith("max_")
        fits = type(value) is int and value > 0 if is_count else isinstance(value, str)
        if not fits:
            raise ValueError(f"{name}.{key} = {value!r}")
    return Prompt(name, **fields)  # an unknown key is a TypeError that names it


def _line(text: str) -> str:
    return " ".join(text.split())[:_MAX_CHARS]
