"""What words say that a picture should not show, and which pictures show it. Layer: search.

Encoders do not read "without people": they find people. Nothing here changes words silently: what
is not searched for is told, with what to type instead.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from relook.core.errors import QueryError
from relook.core.subject import names_nothing
from relook.core.types import Part, Query
from relook.core.vectors import Floats
from relook.core.words import AT_LARGE
from relook.encoders.base import Encoder
from relook.library.files import LibraryFiles
from relook.search.fit import fit_scale
from relook.search.grammar import picture_words
from relook.stores.base import Mask

_PLACED = r"on|in|at|near|with|under|over|beside|behind|by|from"
_NEGATOR = re.compile(
    r"\b(?:without|no|not|neither(?=.*\snor\s)|except|excluding|minus|never(?=\s+(?:an?|any|the)\s)"
    r"|lack(?:s|ing)|(?:devoid|bereft|void|empty|lack)\s+of"
    r"|(?<!break\s)(?<!breaks\s)(?<!breaking\s)free\s+(?:of|from)"
    r"|(?:(?<=everything\s)|(?<=anything\s))but"
    r"|(?:other|rather)\s+than|instead\s+of|(?:apart|aside)\s+from"
    r"|\w+n['\u2019]t(?:\s+(?:have|show|contain|wear))?|w/o)(?:(?<=w/o)(?=\s)|\b)"
    rf"(?:\s+(?:for|any|have|having|wearing|{_PLACED})\b)*",
    re.IGNORECASE,
)
# "people-free", "non-red"; only of words that pictures show, so that "toll-free" stays.
_COMPOUND = re.compile(r"\b(?:non[-\u2010\u2011](\w+)|(\w+)[-\u2010\u2011]free)\b(?!-)", re.I)
_NAMES = frozenset(("cage", "hand", "hands", "light", "oil", "range", "stick"))
_SMOKE = frozenset(("smoke",))  # no caption of the phrase bank has it
_NOBODY = re.compile(r"\b(?:no\s+one|nobody|no-one)\b", re.IGNORECASE)
_LEAD = re.compile(
    r"(?:[\s,;]|\b(?:but|and|with|has|have|having|is|are|there|that|which|who|does|do)\b)+$", re.I
)
_END = re.compile(
    rf"[,;.]|\b(?:{_PLACED}|but|while|during|for|of)\b",
    re.IGNORECASE,
)
_AMOUNT = re.compile(  # "without lots of people" leaves out people
    r"(?:[\s,]+(?:"
    r"(?:(?:an?|the|any)\s+)?(?:(?:whole|large|great|big|huge)\s+)*"
    r"(?:lots?|loads|tons|plenty|bunch|dozens|hundreds|thousands|crowds?|groups?|numbers?)\s+of"
    r"|(?:(?:too|so|very|that|as|(?:a\s+)?great)\s+)?(?:many|much)(?:\s+of)?"
    r"|several|some|a\s+few)(?![-\w])(?:\s+the\b)?)+(?=\s*\w)",
    re.IGNORECASE,
)
_LIST = re.compile(r"\s*(?:,|\b(?:and|or|nor)\b)\s*", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:(?:a|an|the|any|of)\s+)+", re.IGNORECASE)
_SIGNS = re.compile(r"\b(?:sign|signs|symbol|poster|sticker)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Negation:
    """Words that say what a picture should not show.

    Args:
        wanted: What is left to look for; empty when nothing is.
        unwanted: What to leave out.
    """

    wanted: str
    unwanted: tuple[str, ...]

    @property
    def line(self) -> str:
        """The query to type instead."""
        return " - ".join([self.wanted or AT_LARGE, *self.unwanted])


def negation_of(text: str) -> Negation | None:
    """The negated part of some words; None when there is none.

    A "no smoking sign" is a thing, "no. 7" and "no 7" are names.
    """
    wanted, unwanted = _without_compounds(_NOBODY.sub("no people", text))
    while negated := _negated(wanted):
        start, stop, terms = negated
        unwanted += terms
        before = _LEAD.sub("", wanted[:start])
        wanted = " ".join(f"{before} {wanted[stop:]}".split()).strip(" ,;.")
    return Negation(wanted, tuple(dict.fromkeys(unwanted))) if unwanted else None


def finds_others(query: Query) -> bool:
    """Whether a query finds all pictures but those that it leaves out: "photos - people"."""
    sought = [part for part in query.parts if part.weight > 0]
    return bool(query.unwanted or query.not_written) and all(
        part.text is not None and not part.literal and names_nothing(part.text) for part in sought
    )


def with_others(query: Query) -> Query:
    """A query whose "photos without people", which names nothing to look for, is "photos - people".

    Other words are searched for without their negated part, and what to type is told.
    """
    parts: list[Part] = []
    for part in query.parts:
        is_read = part.text and part.weight > 0 and not (part.literal or part.place)
        negation = negation_of(part.text or "") if is_read else None
        if negation is None or not names_nothing(negation.wanted):
            parts.append(part)
            continue
        parts.append(replace(part, text=negation.wanted))
        parts += [Part(text=words, weight=-1.0) for words in negation.unwanted]
    return replace(query, parts=tuple(parts)) if len(parts) > len(query.parts) else query


def wanted_words(part: Part) -> str:
    """The words of a part without "no people", which would find people.

    Raises:
        QueryError: `only_negative` when nothing is left.
    """
    text = part.text or ""
    negation = negation_of(text) if part.weight > 0 else None
    if negation is None:
        return text
    if not negation.wanted:
        raise QueryError(
            "only_negative",
            f"{text!r} only says what not to show",
            f"say what to look for, too; for all others type: {negation.line}",
        )
    return negation.wanted


def _without_compounds(text: str) -> tuple[str, list[str]]:
    """A text without its "people-free" and "non-red", and what they name."""
    unwanted = []

    def taken_out(match: re.Match[str]) -> str:
        word = match[1] or match[2]
        known = picture_words() | _SMOKE
        is_shown = bool({word.lower(), word.lower().removesuffix("s")} & known)
        if not is_shown or word.lower() in _NAMES or _SIGNS.search(match.string):
            return match[0]
        unwanted.append(word)
        return ""

    left = _COMPOUND.sub(taken_out, text)
    return (" ".join(left.split()) if unwanted else text), unwanted


def _negated(text: str) -> tuple[int, int, list[str]] | None:
    """Where a negated phrase begins and ends, and its terms."""
    for match in _NEGATOR.finditer(text):
        rest = text[match.end() :]
        if not rest.strip() or _SIGNS.search(rest) or re.match(r"\.?\s*\d|\.", rest):
            continue
        amount = _AMOUNT.match(rest)
        begin = amount.end() if amount else 0
        end = _END.search(rest, begin)
        phrase = rest[begin : end.start() if end else None]
        terms = [_ARTICLE.sub("", term.strip()) for term in _LIST.split(phrase)]
        terms = [term.strip("\"'“”") for term in terms if term]
        if terms:
            return match.start(), match.end() + begin + len(phrase), terms
    return None


_SHOWN = "images that show words"
_REMEMBERED = 8  # words; a byte an image each

# What words to leave out are read as: an encoder hears "people" as a crowd; their own names find
# them. Each list was chosen word by word on training pictures of Flickr8k (docs/concepts.md).
_PEOPLE = (
    "people", "man", "woman", "guy", "guys", "girl", "girls", "kid", "couple", "friends",
    "gentleman", "crowd", "boy", "cyclist", "climber",
)  # fmt: skip
_CHILDREN = ("child", "girl", "girls", "kid")
_ANIMALS = ("animal", "dog", "dogs", "horse", "bird", "cat", "cow", "sheep")
_DOGS = ("dog", "dogs")
_READ_AS = {
    **dict.fromkeys(("people", "person", "persons", "human", "humans", "anybody"), _PEOPLE),
    **dict.fromkeys(("child", "children", "kid", "kids"), _CHILDREN),
    **dict.fromkeys(("animal", "animals"), _ANIMALS),
    **dict.fromkeys(_DOGS, _DOGS),
    "water": ("water", "swim"),
}
_ARTICLES = frozenset(("a", "an", "any", "the"))

ScoreAll = Callable[[Floats], Floats]
"""Vectors [q, d] to scores of every image, [q, n images by row]."""


def shows(text: str, score_all: ScoreAll, files: LibraryFiles, encoder: Encoder) -> Mask:
    """[n images by row] whether a picture shows words to leave out, or one of what they name.

    What kinds of thing words name was learnt with the map of fit, and is read with one only.

    Args:
        text: Words, as to leave out.
        score_all: `Engine.score_all`.
        files: The library.
        encoder: Its encoder.
    """
    known: dict[str, Mask] = files.derived.setdefault(_SHOWN, {})
    if text not in known:
        scale = fit_scale(files, encoder)
        vectors = encoder.encode_texts(_kinds_of(text) if scale.has_map else [text])  # [k, d]
        shown: Mask = np.logical_or.reduce(scale.shown(vectors, score_all(vectors)))
        for old in list(known)[: max(len(known) - _REMEMBERED + 1, 0)]:
            known.pop(old, None)  # another thread may have been faster
        known[text] = shown
    return known[text]


def _kinds_of(text: str) -> tuple[str, ...]:
    """Words of which each shows what a text names; the text itself where it names no such kind."""
    words = text.lower().split()
    while words and words[0] in _ARTICLES:
        words.pop(0)
    return _READ_AS.get(" ".join(words), (text,))
