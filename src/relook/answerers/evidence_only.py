"""Answers without a model: what the matches agree on, with counts. Layer: answerers.

It claims nothing that the evidence does not say, and says that no model was asked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence

from relook.answerers.agreement import Shared, shared_phrases, years
from relook.answerers.base import Finish, Prompt, Reply, Tell
from relook.core.plain_text import inert
from relook.providers.base import Match, MatchKind

__all__ = ["EvidenceOnlyAnswerer"]

Numbered = Sequence[tuple[int, Match]]
_N_NAMES = 5
_KINDS = (
    (MatchKind.SAME, "The same picture"),
    (MatchKind.PAGE, "Pages that show it"),
    (MatchKind.SIMILAR, "Looks similar"),
)


class EvidenceOnlyAnswerer:
    """Reports entities, shared words of titles and captions, dates, and how matches relate."""

    name = "evidence-only"
    model = ""
    host = ""
    third_party = False

    def reply(self, prompt: Prompt, tell: Tell | None = None) -> Reply:
        """See `Answerer.reply`; it looks at the prompt's `matches` only."""
        began = time.perf_counter()
        text = _report(prompt.matches)
        if tell:
            tell("text", text)
        took = time.perf_counter() - began
        return Reply(text, Finish.DONE, took_s=took, first_s=took)

    def close(self) -> None:
        """Nothing to free."""


def _report(matches: Numbered) -> str:
    """A few lines, each with the numbers of the evidence that it rests on."""
    if not matches:
        return "No model was asked, and there is no evidence to report."
    counted = "1 match says" if len(matches) == 1 else f"{len(matches)} matches say"
    lines = [f"No model was asked. This is what {counted}:"]
    entities = [(n, inert(match.title)) for n, match in matches if match.kind is MatchKind.ENTITY]
    if entities:
        named = "; ".join(f"{name} [{number}]" for number, name in entities[:_N_NAMES])
        lines.append(f"Names for what it shows: {named}.")
    words = {number: _words(match) for number, match in matches}
    shared = shared_phrases(words, _N_NAMES)
    if shared:
        lines.append(f"They agree on: {_told(shared, len(matches))}.")
    else:
        lines += _without_agreement(matches)
    dated = years({number: f"{match.date} . {words[number]}" for number, match in matches})
    if dated:
        lines.append(f"Years named: {_told(dated, len(matches))}.")
    for kind, label in _KINDS:
        if numbers := [number for number, match in matches if match.kind is kind]:
            lines.append(f"{label}: {_cited(numbers)}.")
    return "\n".join(lines)


def _without_agreement(matches: Numbered) -> list[str]:
    said = ((number, match.title or match.text or _words(match)) for number, match in matches)
    titled = [(number, inert(text)) for number, text in said if text]
    if not titled:
        return ["None of them has a title, a caption, or a file name in words."]
    first = "They share no words." if len(titled) > 1 else "Only one has words."
    listed = "; ".join(f"{text} [{number}]" for number, text in titled[:_N_NAMES])
    return [first, f"Titles: {listed}."]


def _words(match: Match) -> str:
    """Title and caption; of a picture without either the words of its file's name."""
    if match.title or match.text:
        return inert(f"{match.title} . {match.text}")
    stem = match.metadata.get("file", "").rpartition(".")[0]
    return " ".join(part for part in re.split(r"[\W_]+", stem) if part.isalpha())


def _told(shared: Iterable[Shared], n: int) -> str:
    return "; ".join(
        f"{one.text} ({len(one.numbers)} of {n}) {_cited(one.numbers)}" for one in shared
    )


def _cited(numbers: Iterable[int]) -> str:
    return " ".join(f"[{number}]" for number in numbers)
