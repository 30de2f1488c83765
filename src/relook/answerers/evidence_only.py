"""Answers without a model: what the matches agree on, with counts. Layer: answerers. Pure text.

Its answers claim nothing that the evidence does not say, and say that no model was asked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from relook.answerers.base import Finish, Prompt, Reply, Tell
from relook.core.plain_text import inert
from relook.core.settings import ModelSettings
from relook.core.verdicts import Verdict
from relook.providers.match import Match, MatchKind

Numbered = Sequence[tuple[int, Match]]
_N_NAMES = 5
_NEAR = 0.9  # as alike as copies and near-duplicates are
_QUESTION_CHARS = 200
_KINDS = (
    (MatchKind.PAGE, "Pages that show it"),
    (MatchKind.SIMILAR, "Looks similar"),
    (MatchKind.SAVED, "Saved files, which only a model can read"),
)


class EvidenceOnlyAnswerer:
    """Reports entities, shared words of titles and captions, dates, and how matches relate."""

    name = "evidence-only"
    model = ""
    host = ""
    third_party = False
    remote = False
    needs = ()

    @classmethod
    def open(cls, spec: str, settings: ModelSettings) -> EvidenceOnlyAnswerer:
        """Nothing is opened: no model is asked."""
        return cls()

    def reply(self, prompt: Prompt, tell: Tell | None = None) -> Reply:
        """See `Answerer.reply`; it looks at the prompt's `matches` only."""
        began = time.perf_counter()
        text = _answer(prompt)
        if tell:
            tell("text", text)
        took = time.perf_counter() - began
        return Reply(text, Finish.DONE, took_s=took, first_s=took)

    def close(self) -> None:
        """Nothing to free."""


def _answer(prompt: Prompt) -> str:
    """What the picture's own file says, what matches say, and what is left to a model."""
    lines = [prompt.own_report] if prompt.own_report else []
    lines.append(_report(prompt.matches) if prompt.matches else _nothing(prompt.looked_up))
    if prompt.question.strip():
        lines.append(f"The question needs a model (--model): {_short(prompt.question)}")
    return "\n".join(lines)


def _short(text: str) -> str:
    words = inert(" ".join(text.split()))
    return words if len(words) <= _QUESTION_CHARS else f"{words[: _QUESTION_CHARS - 1]}…"


def _is_near(match: Match) -> bool:
    """Whether a match is of this picture, or so near that its words may be this picture's."""
    if match.kind is not MatchKind.SIMILAR:
        return True
    return match.similarity is not None and match.similarity >= _NEAR


def _agreement(words: Mapping[int, str], near: Numbered) -> list[str]:
    if shared := shared_phrases(words, _N_NAMES):
        return [f"They agree on: {_counted(shared, len(near))}."]
    return _without_agreement(near) if near else []


def _report(matches: Numbered) -> str:
    """A few lines, each with the numbers of the evidence that it rests on."""
    counted = "1 match says" if len(matches) == 1 else f"{len(matches)} matches say"
    lines = [f"No model was asked. This is what {counted}:"]
    entities = [(n, inert(match.title)) for n, match in matches if match.kind is MatchKind.ENTITY]
    if entities:
        named = "; ".join(f"{name} [{number}]" for number, name in entities[:_N_NAMES])
        lines.append(f"Names for what it shows: {named}.")
    words = {number: _words(match) for number, match in matches}
    near = [(number, match) for number, match in matches if _is_near(match)]
    lines += _agreement({number: words[number] for number, _ in near}, near)
    others = {n: words[n] for n, match in matches if not _is_near(match)}
    if alike := shared_phrases(others, _N_NAMES):
        called = _counted(alike, len(others))
        lines.append(f"What look-alikes are called, which are other pictures: {called}.")
    elif others and not near:
        lines += _without_agreement(matches)
    dated = years({number: f"{match.date} . {words[number]}" for number, match in matches})
    if dated:
        lines.append(f"Years named: {_counted(dated, len(matches))}.")
    lines += _same(matches)
    for kind, label in _KINDS:
        if numbers := [number for number, match in matches if match.kind is kind]:
            lines.append(f"{label}: {_cited(numbers)}.")
    return "\n".join(lines)


def _same(matches: Numbered) -> list[str]:
    """What shows this very picture, a line for each way in which it does."""
    numbers: dict[str, list[int]] = {}
    for number, match in matches:
        if match.kind is MatchKind.SAME:
            verified = match.verified
            plain = verified is None or verified.verdict in (Verdict.SAME, Verdict.SIMILAR)
            how = "" if plain or verified is None else verified.words
            numbers.setdefault(how.removeprefix("the same picture, "), []).append(number)
    ordered = sorted(numbers.items(), key=lambda way: bool(way[0]))
    return [
        f"The same picture{', ' if how else ''}{how}: {_cited(cited)}." for how, cited in ordered
    ]


_NOTHING = {
    "nothing": "nothing was found.",
    "blocked": "the picture was not looked up, since we were taken for a robot.",
    "failed": "the picture was not looked up, since no provider answered.",
    "not_asked": "the picture was not looked up, since no provider was asked.",
}


def _nothing(looked_up: str) -> str:
    why = _NOTHING.get(looked_up)
    what = "No model was asked, and there is no evidence to report"
    return f"{what}: {why}" if why else f"{what}."


def _without_agreement(matches: Numbered) -> list[str]:
    spoken = [match for match in matches if match[1].kind is not MatchKind.SAVED]
    texts = ((number, match.title or match.text or _words(match)) for number, match in spoken)
    titled = [(number, inert(text)) for number, text in texts if text]
    if not titled:
        return ["None of them has a title, a caption, or a file name in words."]
    listed = "; ".join(f"{text} [{number}]" for number, text in titled[:_N_NAMES])
    if len(matches) == 1:
        return [f"Title: {listed}."]
    first = "They share no words." if len(titled) > 1 else "Only one has words."
    return [first, f"Titles: {listed}."]


def _words(match: Match) -> str:
    """Title and caption; of a picture without either the words of its file's name."""
    if match.kind is MatchKind.SAVED:  # a file's name says whose it is, not what it shows
        return ""
    if match.title or match.text:
        return inert(f"{match.title} . {match.text}")
    stem = match.metadata.get("file", "").rpartition(".")[0]
    return " ".join(part for part in re.split(r"[\W_]+", stem) if part.isalpha())


def _counted(shared: Iterable[Shared], n: int) -> str:
    return "; ".join(
        f"{thing.text} ({len(thing.numbers)} of {n}) {_cited(thing.numbers)}" for thing in shared
    )


def _cited(numbers: Iterable[int]) -> str:
    return " ".join(f"[{number}]" for number in numbers)


_WORD = re.compile(r"[^\W_]+(?:['\u2019.-][^\W_]+)*")
_BREAK = re.compile(r"\s+[-\u2013\u2014|\u00b7:]\s+|[|\u00b7\u2022,;:()/?!]|\s{2,}|\.\s")
_YEAR = re.compile(r"(?<![\w.,-])(1[0-9]{3}|20[0-9]{2})(?![\w-]|[.,]\d)")
_LONGEST = 6
_EMPTY_TEXT = """
a an and are as at be by de der die das des du el en et for from has he her his how i if
in into is it its la le les los my no not of off on or our s she so that the their them
they this to up was we were what when where which who will with you your photo photos
photograph picture pictures image images stock free download hd wallpaper file jpg jpeg
png gif webp com www org net html wikipedia wikimedia commons flickr pinterest youtube
facebook instagram getty shutterstock alamy istock tripadvisor reddit amazon ebay
"""
EMPTY_WORDS = frozenset(_EMPTY_TEXT.split())
"""Words that mean nothing alone and do not begin or end a phrase."""


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
    phrases: dict[tuple[str, ...], dict[int, str]] = {}
    for number, text in texts.items():
        for phrase, written in _phrases(text):
            phrases.setdefault(phrase, {}).setdefault(number, written)
    several = {phrase: by for phrase, by in phrases.items() if len(by) > 1}
    kept = [phrase for phrase in several if not _is_inside_another(phrase, several)]
    kept.sort(key=lambda phrase: (-len(several[phrase]), -len(phrase), phrase))
    chosen = kept[:limit]
    return [Shared(_written(several[phrase]), tuple(sorted(several[phrase]))) for phrase in chosen]


def years(texts: Mapping[int, str], limit: int = 5) -> list[Shared]:
    """Years from 1000 to 2099 that the texts name, the most named first."""
    numbers: dict[str, list[int]] = {}
    for number, text in texts.items():
        for year in dict.fromkeys(_YEAR.findall(text)):
            numbers.setdefault(year, []).append(number)
    ordered = sorted(numbers, key=lambda year: (-len(numbers[year]), year))
    return [Shared(year, tuple(sorted(numbers[year]))) for year in ordered[:limit]]


def _phrases(text: str) -> list[tuple[tuple[str, ...], str]]:
    """Every phrase of a text: its words in lower case, and how it is written."""
    phrases = []
    for piece in _BREAK.split(text):
        words = [(m.group(), m.start(), m.end()) for m in _WORD.finditer(piece)]
        for first in range(len(words)):
            for last in range(first, min(first + _LONGEST, len(words))):
                span = tuple(word.lower() for word, _, _ in words[first : last + 1])
                if _says_something(span):
                    phrases.append((span, piece[words[first][1] : words[last][2]]))
    return phrases


def _says_something(span: Sequence[str]) -> bool:
    edges_say = span[0] not in EMPTY_WORDS and span[-1] not in EMPTY_WORDS
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
    """As the text with the lowest number writes it."""
    return by_number[min(by_number)]
