"""Makes a short phrase of a language model's reply, or says why it is none. Layer: captioners."""

import re

from relook.answerers.thinking import parted
from relook.core.english import SMALL_WORDS, is_foreign
from relook.core.errors import AnswerError

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
