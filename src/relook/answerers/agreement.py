"""What several titles agree on: phrases, and years. Pure text. Layer: answerers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Shared", "shared_phrases", "years"]

_WORD = re.compile(r"[^\W_]+(?:['\u2019.-][^\W_]+)*")
_BREAK = re.compile(r"\s+[-\u2013\u2014|\u00b7:]\s+|[|\u00b7\u2022,;:()/?!]|\s{2,}|\.\s")
_YEAR = re.compile(r"(?<![\w.,-])(1[0-9]{3}|20[0-9]{2})(?![\w-]|[.,]\d)")
_LONGEST = 6
# Words that say nothing alone and do not stand at a phrase's edge.
_EMPTY_WORDS = """
a an and are as at be by de der die das des du el en et for from has he her his how i if
in into is it its la le les los my no not of off on or our s she so that the their them
they this to up was we were what when where which who will with you your photo photos
photograph picture pictures image images stock free download hd wallpaper file jpg jpeg
png gif webp com www org net html wikipedia wikimedia commons flickr pinterest youtube
facebook instagram getty shutterstock alamy istock tripadvisor reddit amazon ebay
"""
_EMPTY = frozenset(_EMPTY_WORDS.split())


@dataclass(frozen=True, slots=True)
class Shared:
    """Something that several pieces of evidence say.

    Args:
        text: As the first of them writes it.
        numbers: Of the evidence that says it, ascending.
    """

    text: str
    numbers: tuple[int, ...]


def shared_phrases(texts: Mapping[int, str], limit: int = 5) -> list[Shared]:
    """Phrases of up to six words that at least two texts have in common.

    A phrase inside a longer one that the same texts share is left out.

    Args:
        texts: Text by evidence number.
        limit: At most so many.

    Returns:
        The most shared first; of equally shared ones the longest.
    """
    said: dict[tuple[str, ...], dict[int, str]] = {}
    for number, text in texts.items():
        for phrase, written in _phrases(text):
            said.setdefault(phrase, {}).setdefault(number, written)
    several = {phrase: by for phrase, by in said.items() if len(by) > 1}
    kept = [phrase for phrase in several if not _is_inside_another(phrase, several)]
    kept.sort(key=lambda phrase: (-len(several[phrase]), -len(phrase), phrase))
    chosen = kept[:limit]
    return [Shared(_written(several[one]), tuple(sorted(several[one]))) for one in chosen]


def years(texts: Mapping[int, str], limit: int = 5) -> list[Shared]:
    """Years from 1000 to 2099 that the texts name, the most named first."""
    said: dict[str, list[int]] = {}
    for number, text in texts.items():
        for year in dict.fromkeys(_YEAR.findall(text)):
            said.setdefault(year, []).append(number)
    ordered = sorted(said, key=lambda year: (-len(said[year]), year))
    return [Shared(year, tuple(sorted(said[year]))) for year in ordered[:limit]]


def _phrases(text: str) -> list[tuple[tuple[str, ...], str]]:
    """Every phrase of a text: its words in lower case, and how it is written."""
    found = []
    for piece in _BREAK.split(text):
        words = [(m.group(), m.start(), m.end()) for m in _WORD.finditer(piece)]
        for first in range(len(words)):
            for last in range(first, min(first + _LONGEST, len(words))):
                span = tuple(word.lower() for word, _, _ in words[first : last + 1])
                if _says_something(span):
                    found.append((span, piece[words[first][1] : words[last][2]]))
    return found


def _says_something(span: Sequence[str]) -> bool:
    edges_say = span[0] not in _EMPTY and span[-1] not in _EMPTY
    return edges_say and any(len(word) > 2 and not word.isdigit() for word in span)


def _is_inside_another(
    phrase: tuple[str, ...], several: Mapping[tuple[str, ...], Mapping[int, str]]
) -> bool:
    """Whether a longer phrase of the same texts contains this one."""
    n = len(phrase)
    return any(
        len(other) > n
        and several[other].keys() >= several[phrase].keys()
        and any(other[at : at + n] == phrase for at in range(len(other) - n + 1))
        for other in several
    )


def _written(by_number: Mapping[int, str]) -> str:
    """The form of the first text."""
    return by_number[min(by_number)]
