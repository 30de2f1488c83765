"""What captioners are asked, and the phrase in what they reply. Layer: captioners. It asks nobody.

Questions are data. Three ship in `prompts.toml`; a person's own is a file of the same form, or the
words. A language model's reply becomes a short phrase, or it is said why it is none.
"""

import difflib
import os
import re
import tomllib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from relook.answerers.thinking import parted
from relook.captioners.base import About
from relook.core.errors import AnswerError, InputError, NotFoundError
from relook.core.settings import CaptionerSettings
from relook.core.words import SMALL_WORDS, is_foreign

DEFAULT = "short"
OWN_WORDS, OWN_TOKENS = 20, 64
"""Limits of a question in a person's own words, unless the settings say others."""
_FILE = Path(__file__).with_name("prompts.toml")
_PLACES = re.compile(r"\{(query|label)\}")
_MAX_CHARS = 300  # of a person's own words
_ROLE = re.compile(
    r"(?:^|\s|#)assistant\s*(?::|\n)|(?:^|\n)\s*(?:model|user|human|system)\s*(?::|\n)",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?:sure|okay|ok|certainly)?[,!.:\s]*(?:here(?:'s| is)[^:]*:|(?:short |brief )?"
    r"(?:caption|answer|description|label|output|response|text)\s*:)\s*",
    re.IGNORECASE,
)
_PREAMBLE = re.compile(
    r"^(?:(?:in )?(?:the|this|an?) )?(?:cropped )?(?:image|picture|photo(?:graph)?|crop|region)"
    r"(?: (?:here|above))?,? (?:clearly )?(?:shows?|depicts?|contains?|features?|displays?|is of|of"
    r"|there (?:is|are)|we (?:can )?see|you (?:can )?see)\s+",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^(?:[-*•]|\d{1,2}[.)])\s+")
_CLAUSE = re.compile(r"[.;:!?,](?=\s|$)|\s[-\u2013\u2014]\s|\n")
_QUOTES = "\"'`*_\u201c\u201d\u2018\u2019\u201e\u00ab\u00bb"
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable|not able)|i (?:can(?:'t|not)|do not|don't|won't) \w+"
    r"|as an ai)\b",
    re.IGNORECASE,
)
# Words that no phrase ends with.
_DANGLING = SMALL_WORDS | {"that", "which"}


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


def clean(reply: str, max_words: int) -> str:
    """The phrase in a model's reply.

    Role marks, quotes, bullets, "the image shows" and the final dot go; of more than
    `max_words` words the first clause is kept, and at most so many words of it.

    Args:
        reply: What the model wrote, whatever it is.
        max_words: Longest phrase.

    Returns:
        Lower case, at least one word.

    Raises:
        AnswerError: `no_caption` for nothing or a refusal, `other_language` for words that
            are not English.
    """
    parts = parted(reply)
    if parts.thinking and not parts.text:
        raise _failed("no_caption", "the model thought and wrote no words", parts.thinking)
    text = _last_turn(parts.text)
    if _REFUSAL.search(text[:200]):
        raise _failed("no_caption", "the model declines", reply)
    text = _bare(_LABEL.sub("", _first_line(text)))
    text = _bare(_PREAMBLE.sub("", _bare(_LABEL.sub("", text))))
    words = all_words = " ".join(text.split()).lower().split()
    if len(words) > max_words:
        words = _shortened(" ".join(words), max_words)
    if not any(char.isalnum() for word in words for char in word):
        raise _failed("no_caption", "the model's answer holds no words", reply)
    if is_foreign(all_words):  # the words that were cut away show the language, too
        raise _failed("other_language", "the model's answer is not in English", reply)
    return " ".join(words)


def _last_turn(text: str) -> str:
    """The text behind the last role mark, or before the first where all marks are a user's."""
    parts = [part for part in _ROLE.split(text) if part.strip()]
    if not parts:
        return ""
    marks = list(_ROLE.finditer(text))
    users = [m for m in marks if re.search(r"user|human|system", m.group(), re.IGNORECASE)]
    if users and len(users) == len(marks):  # the model goes on with a question of its own
        return parts[0]
    return parts[-1]


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    rest = _LABEL.sub("", lines[0]).strip()
    return lines[1] if not rest and len(lines) > 1 else lines[0]


def _bare(text: str) -> str:
    """Without bullets, quotes and dots around it."""
    text = _BULLET.sub("", text.strip())
    return text.strip(_QUOTES + " ").rstrip(".!… ").strip(_QUOTES + " ")


def _shortened(text: str, max_words: int) -> list[str]:
    clauses = [clause for clause in _CLAUSE.split(text) if clause.strip()]
    words = (clauses or [text])[0].split()[:max_words]
    while len(words) > 1 and words[-1] in _DANGLING:
        words.pop()
    return words


def _failed(code: str, why: str, reply: str) -> AnswerError:
    shown = " ".join(reply.split())[:80]
    return AnswerError(
        code,
        f"no caption: {why} ({shown!r})" if shown else f"no caption: {why}",
        "write the words yourself, or try another captioner or prompt",
    )
