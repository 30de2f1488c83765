"""What a model's answer says about itself: which evidence it cites, and whether it hedges.

Layer: rag. Pure text: this module asks no model and holds no evidence.

Models write citations in several ways; all become `[2]` here. A number that the model was not
shown is taken out of the text and reported, so that a reader never follows it to nothing.

`--when auto` asks the model without evidence first and looks the picture up only when that
answer hedges. This saves look-ups; it does not make answers better than always looking up.
`docs/ask.md` has what it saves and costs; `relook bench answers LOG --against LOG` measures it.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

_LABEL = (
    r"(?:\^|evidences?|items?|sources?|results?|ref(?:erence)?s?|match(?:es)?|quellen?|fuentes?|"
    r"\u8bc1\u636e|\u8a3c\u62e0|\u6765\u6e90|\u0438\u0441\u0442\u043e\u0447\u043d\u0438\u043a)"
)
_ONE = rf"(?:{_LABEL}\s*)?[#\uff03]?\d{{1,3}}"
# Behind the first, more digits than a year has are no evidence, and nothing else either.
_NEXT = rf"(?:{_LABEL}\s*)?[#\uff03]?(?:\d{{1,3}}|\d{{5,12}})(?!\d)"
_AND = r"[,;/&\u3001\uff0c\uff1b-]|[\u2012-\u2015~\uff5e]|and|to|und|et|y"
_LIST = rf"{_ONE}(?:\s*(?:,\s*and|{_AND})\s*{_NEXT})*"
# A link behind the number is the model's own and no evidence: it is removed.
_CITATION = re.compile(
    rf"(?P<space>[ \t]*)[\[\u3010\u3014\uff3b]\s*(?P<list>{_LIST})[\s,.]*"
    r"(?:\u2020[^\]\u3011\u3015\uff3d]*)?[\]\u3011\u3015\uff3d](?:\([^()\s]*\))?",
    re.IGNORECASE,
)
_RANGE = re.compile(r"(\d+)\s*(?:[-\u2012-\u2015~\uff5e]|\bto\b)\s*#?(\d+)")
_LONGEST_RANGE = 20


@dataclass(frozen=True, slots=True)
class Cited:
    """A text whose citations all exist.

    Args:
        text: With citations as `[2]`, each number in brackets of its own.
        numbers: Evidence cited, in the order of first mention.
        invented: Cited numbers of evidence that was not shown; they are taken out of the text.
    """

    text: str
    numbers: tuple[int, ...] = ()
    invented: tuple[int, ...] = ()


def cite(text: str, known: Collection[int]) -> Cited:
    """Reads and cleans the citations of an answer.

    Args:
        text: What a model wrote.
        known: The numbers of the evidence that it was shown.
    """
    used: dict[int, None] = {}
    invented: dict[int, None] = {}

    def cleaned(citation: re.Match[str]) -> str:
        numbers = _numbers(citation["list"])
        for number in numbers:
            (used if number in known else invented)[number] = None
        kept = "".join(f"[{number}]" for number in numbers if number in known)
        return citation["space"] + kept if kept else ""

    return Cited(_CITATION.sub(cleaned, text).strip(), tuple(used), tuple(invented))


def _numbers(listed: str) -> list[int]:
    """`1, 3-5` as [1, 3, 4, 5]."""
    spelled = _RANGE.sub(lambda m: ",".join(map(str, _between(int(m[1]), int(m[2])))), listed)
    return list(dict.fromkeys(int(number) for number in re.findall(r"\d+", spelled)))


def _between(first: int, last: int) -> list[int]:
    if first < last <= first + _LONGEST_RANGE:
        return list(range(first, last + 1))
    return [first, last]


# Ordinary English for guessing and for declining. A shorter list without "might be" and the
# like was tried too: it looks up a third less and keeps less of the gain.
_HEDGES = re.compile(
    r"\b(?:sorry|apologi[sz]e|cannot|can ?not|can't|could not|couldn't|unable|unclear|unknown|"
    r"not (?:possible|clear|certain|sure|provided|identifiable|enough)|impossible|difficult to|"
    r"hard to (?:say|tell)|without (?:more|additional|further|specific|a)|"
    r"do(?:es)?(?: not|n't) (?:know|provide|contain|show|have|appear)|"
    r"appears? to be|seems? to be|might be|may be|could be|possibly|perhaps|"
    r"if you (?:can|could|have|provide))\b",
    re.IGNORECASE,
)


def hedge_of(text: str) -> str:
    """The first words by which an answer shows that it is unsure; empty when it does not.

    An answer without any text counts as unsure.
    """
    if not text.strip():
        return "no answer"
    hedge = _HEDGES.search(text.replace("\u2019", "'"))
    return hedge.group().lower() if hedge else ""


_DECISION = re.compile(r"\b(?:(search)|answer)\b", re.IGNORECASE)


def decision_of(text: str) -> bool | None:
    """Whether a model that was asked for SEARCH or ANSWER wants to search; None for neither."""
    decision = _DECISION.search(text)
    return decision.group(1) is not None if decision else None
