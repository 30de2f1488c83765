"""Weighs evidence before it is used: is it good enough, and which of its names is it? Layer: rag.

Both are one short question to the model at most, and none where rules can tell. The model sees the
picture beside what is weighed; strangers wrote that, so it stands between marked lines, as in every
prompt, and the reply is read for one word or one name and nothing else.

Sources: Q. Ma et al. (arXiv 2606.23881), whose model chooses among candidate names before it
answers; Y. Zhu et al., "WikiSeeker" (arXiv 2604.05818), whose inspector decides whether what was
retrieved is used, or the model answers by itself.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from relook.answerers.base import Reply
from relook.core.errors import counted
from relook.core.plain_text import inert
from relook.providers.match import MatchKind
from relook.rag.candidates import Candidate, named_in
from relook.rag.evidence import Evidence

Ask = Callable[[str, str], Reply]
"""Asks the model: rules, and what stands between the marked lines; it sees the picture as well."""

_GOOD = re.compile(r"\b(?:(good)|poor)\b", re.IGNORECASE)
_LEAST_AGREE = 2


@dataclass(frozen=True, slots=True)
class Inspected:
    """Whether evidence is good enough to answer with.

    Args:
        is_good: Whether it is.
        why: A few words for people.
        reply: What the model said, where it was asked.
    """

    is_good: bool
    why: str
    reply: Reply | None = None


def inspected(evidence: Evidence, rules: str, body: str, ask: Ask | None = None) -> Inspected:
    """Whether evidence is good enough to answer with.

    Matches of this very picture that have words are; look-alikes that agree on nothing are not.
    Between the two a model is asked once. Without a model, agreement decides.

    Args:
        evidence: What was found; struck items do not count, a pinned one is vouched for.
        rules: The question to the model.
        body: The evidence as the model would see it.
        ask: Asks the model; None for none.
    """
    shown = evidence.shown
    pinned = [item.number for item in shown if item.pinned]
    if pinned:
        return Inspected(True, f"you vouch for {_cited(pinned)}")
    verified = [
        item.number
        for item in shown
        if item.match.verified is not None and item.match.verified.is_same_picture
    ]
    if any(_has_words(evidence, number) for number in verified):
        return Inspected(True, f"compared point by point, this picture is in {_cited(verified)}")
    named = [item.number for item in shown if item.match.kind is MatchKind.ENTITY]
    same = [item.number for item in shown if item.match.kind in (MatchKind.SAME, MatchKind.PAGE)]
    agreed = [name for name in evidence.candidates if name.n >= _LEAST_AGREE]
    if not (verified or named or same or agreed):
        return Inspected(False, "there are only look-alikes, and they agree on nothing")
    if ask is not None:
        reply = ask(rules, body)
        verdict = _GOOD.search(reply.text)
        if verdict is not None:
            is_good = verdict[1] is not None
            calls = "good enough" if is_good else "too poor"
            return Inspected(is_good, f"the model calls the evidence {calls}", reply)
        ruled = _ruled(same or named or verified, agreed)
        return replace(ruled, reply=reply)
    return _ruled(same or named or verified, agreed)


def _ruled(of_this: Sequence[int], agreed: Sequence[Candidate]) -> Inspected:
    if agreed and (of_this or agreed[0].n_same or agreed[0].n > _LEAST_AGREE):
        name = agreed[0]
        return Inspected(True, f"{_cited(name.numbers)} agree on {inert(name.name)}")
    if of_this:
        verb = "is" if len(of_this) == 1 else "are"
        return Inspected(True, f"{_cited(of_this)} {verb} said to show this picture")
    return Inspected(False, "only two look-alikes agree on anything")


def _has_words(evidence: Evidence, number: int) -> bool:
    match = evidence.item(number).match
    return bool(match.title or match.text)


def _cited(numbers: Sequence[int]) -> str:
    return " ".join(f"[{number}]" for number in numbers)


@dataclass(frozen=True, slots=True)
class Picked:
    """Which candidate name a model picked.

    Args:
        evidence: What is left to answer with: items that say the name, and pinned ones.
        name: The name; empty for none.
        note: A sentence for people.
        reply: What the model said.
    """

    evidence: Evidence
    name: str = ""
    note: str = ""
    reply: Reply | None = None


def picked(evidence: Evidence, rules: str, ask: Ask) -> Picked:
    """Asks a model which candidate name fits the picture, and keeps what says that name.

    Args:
        evidence: What was found.
        rules: The question to the model.
        ask: Asks it.
    """
    candidates = evidence.candidates
    if not candidates:
        return Picked(evidence, note="the evidence names nothing to pick from")
    reply = ask(rules, names_text(candidates))
    name = named_in(reply.text, candidates)
    if not name:
        note = f"of {counted(len(candidates), 'candidate name')} the model picked none"
        return Picked(evidence, note=note, reply=reply)
    (candidate,) = (known for known in candidates if known.name == name)
    kept = tuple(
        item
        for item in evidence.items
        if item.struck or item.pinned or item.number in candidate.numbers
    )
    note = f"of {counted(len(candidates), 'candidate name')} the model picked {inert(name)}"
    return Picked(replace(evidence, items=kept), name, note, reply)


def names_text(candidates: Sequence[Candidate]) -> str:
    """Candidate names for a model, one a line, with how many pieces of evidence say each."""
    return "\n".join(f"- {inert(name.name)} ({name.n})" for name in candidates)
