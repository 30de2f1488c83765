"""What the words of a query say that vectors do not: negation and mistyping.

Encoders do not hear "without people" (they find people) and read a mistyped word as some other
one. Nothing here changes words silently: what is not
read is told, with what to type instead. Layer: search.
"""

import json
import re
import string
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files as resources

_NEGATOR = re.compile(
    r"\b(?:without|no|not|except|excluding|minus|\w+n['\u2019]t(?:\s+(?:have|show|contain|wear))?)\b"
    r"(?:\s+(?:for|any|have|having|wearing))*",
    re.IGNORECASE,
)
_NOBODY = re.compile(r"\b(?:no\s+one|nobody|no-one)\b", re.IGNORECASE)
_LEAD = re.compile(
    r"(?:[\s,;]|\b(?:but|and|with|has|have|having|is|are|there|that|which|who|does|do)\b)+$", re.I
)
_END = re.compile(
    r"[,;.]|\b(?:on|in|at|near|with|under|over|beside|behind|by|from|but|while|during|for|of)\b",
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
        return " - ".join([self.wanted or "WHAT TO LOOK FOR", *self.unwanted])


def negation_of(text: str) -> Negation | None:
    """The negated part of some words; None when there is none.

    A "no smoking sign" is a thing, "no. 7" and "no 7" are names.
    """
    plain = _NOBODY.sub("no people", text)
    wanted, unwanted = plain, []
    while negated := _negated(wanted):
        start, stop, terms = negated
        unwanted += terms
        before = _LEAD.sub("", wanted[:start])
        wanted = " ".join(f"{before} {wanted[stop:]}".split()).strip(" ,;.")
    return Negation(wanted, tuple(dict.fromkeys(unwanted))) if unwanted else None


def _negated(text: str) -> tuple[int, int, list[str]] | None:
    """Where a negated phrase begins and ends, and its terms."""
    for match in _NEGATOR.finditer(text):
        rest = text[match.end() :]
        if not rest.strip() or _SIGNS.search(rest) or re.match(r"\.?\s*\d|\.", rest):
            continue
        end = _END.search(rest)
        phrase = rest[: end.start()] if end else rest
        terms = [_ARTICLE.sub("", term.strip()) for term in _LIST.split(phrase)]
        terms = [term.strip("\"'“”") for term in terms if term]
        if terms:
            return match.start(), match.end() + len(phrase), terms
    return None


_SOUNDS = (("f", "ph"), ("ph", "f"), ("k", "c"), ("c", "k"), ("y", "i"), ("i", "y"), ("z", "s"))
_SHORTEST, _TWICE = 4, 7  # letters of a word that may be mistyped, and be so in two places


def suggestion(text: str, known: Callable[[], Collection[str]]) -> str | None:
    """The words with mistyped ones put right; None when each word is known or nothing is near.

    Args:
        text: Words.
        known: Gives further words that are right, as those of the library; asked when needed.
    """
    changed = False
    pieces = re.split(r"([A-Za-z]+)", text)
    for at in range(1, len(pieces), 2):
        word = pieces[at]
        if not (word.islower() or word.istitle()) or _touches_more(pieces, at):
            continue
        better = _better(word.lower(), known)
        if better:
            pieces[at], changed = better, True
    return "".join(pieces) if changed else None


def _touches_more(pieces: list[str], at: int) -> bool:
    """Whether the letters are part of something else: a number, an accent, an address."""
    before, after = pieces[at - 1][-1:], pieces[at + 1][:1]
    odd = string.whitespace + string.punctuation.replace("@", "").replace("_", "")
    return bool(before and before not in odd) or bool(after and after not in odd)


def _better(word: str, more: Callable[[], Collection[str]]) -> str | None:
    usual, seen = _vocabulary()
    forms = {word, word.removesuffix("s"), word.removesuffix("es")}
    if len(word) < _SHORTEST or any(form in usual or form in seen for form in forms):
        return None
    known = more()
    if any(form in known for form in forms):
        return None
    for near in _edits_in_turn(word):
        right = [
            candidate
            for candidate in near
            if candidate in seen or candidate in known or candidate in usual
        ]
        if right:
            return min(
                right, key=lambda word: (word not in seen, usual.get(word, len(usual)), word)
            )
    return None


def _edits_in_turn(word: str) -> Iterator[set[str]]:
    """Words that sound alike, words one step away, and for long ones words of pictures two away."""
    yield {
        word[:at] + sound + word[at + len(written) :]
        for written, sound in _SOUNDS
        for at in range(len(word))
        if word.startswith(written, at)
    }
    once = _edits(word)
    yield once
    if len(word) >= _TWICE:
        _, seen = _vocabulary()
        alike = (
            candidate
            for candidate in seen
            if candidate[0] == word[0] and abs(len(candidate) - len(word)) <= 2
        )
        yield {candidate for candidate in alike if not once.isdisjoint(_edits(candidate))}


def _edits(word: str) -> set[str]:
    """All words one letter away: left out, swapped, replaced, put in.

    Source: Damerau, "A technique for computer detection and correction of spelling errors" (1964).
    """
    halves = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    out = {head + tail[1:] for head, tail in halves if tail}
    out |= {head + tail[1] + tail[0] + tail[2:] for head, tail in halves if len(tail) > 1}
    for letter in string.ascii_lowercase:
        out |= {head + letter + tail[1:] for head, tail in halves if tail}
        out |= {head + letter + tail for head, tail in halves}
    return out


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[dict[str, int], frozenset[str]]:
    """The tokenizer's whole words, with their place (the usual first), and words of pictures."""
    tokenizer = resources("relook.encoders") / "builtin_model" / "tokenizer.json"
    tokens: dict[str, int] = json.loads(tokenizer.read_text("utf-8"))["model"]["vocab"]
    usual = {token: at for token, at in tokens.items() if len(token) > 2 and token.isalpha()}
    bank = resources("relook.captioners") / "phrase_bank" / "phrases.json"
    phrases: list[str] = json.loads(bank.read_text("utf-8"))["phrases"]
    return usual, frozenset(word for phrase in phrases for word in phrase.split())
