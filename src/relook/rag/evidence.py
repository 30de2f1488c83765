"""Evidence: the numbered matches that an answer cites. Layer: rag.

`rag.lookup` looks it up; here it is values and text, in `rag.prompt` it is a picture.

Strangers wrote everything in it. Its text makes each line inert (no brackets, tags, fences) and
caps lengths again. `prompt` puts the text between two marked lines and says that it is data.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

from relook.core.converter import JsonValue
from relook.core.errors import AnswerError, InputError, NotFoundError
from relook.core.json_form import INLINE, SHOWN, Digits, JsonShape, Key, Without
from relook.core.plain_text import inert, plain
from relook.core.settings import EvidenceSettings
from relook.core.verdicts import Verdict
from relook.core.web import host_of
from relook.providers.base import Outcome, ProviderResult, Subject
from relook.providers.match import Match, MatchKind, Sent
from relook.rag.candidates import Candidate, candidates_of, words_of, words_of_own
from relook.rag.own_evidence import OwnEvidence


class LookedUp(enum.StrEnum):
    """How looking a picture up ended, all providers together."""

    FOUND = "found"
    NOTHING = "nothing"
    """At least one provider looked, and none of them knows the picture."""
    BLOCKED = "blocked"
    """Nobody looked: one of the providers took us for a robot, or wants its own consent page."""
    FAILED = "failed"
    """Nobody looked: no provider that was asked answered."""
    NOT_ASKED = "not_asked"
    """Nobody was asked: not wanted, not allowed, too dear, or not possible for this picture."""


_NO_EVIDENCE = {
    LookedUp.NOTHING: "nothing was found",
    LookedUp.BLOCKED: "the picture was not looked up: blocked",
    LookedUp.FAILED: "the picture was not looked up: no provider answered",
    LookedUp.NOT_ASKED: "the picture was not looked up: no provider was asked",
}
_BLOCKED = (Outcome.BLOCKED, Outcome.CONSENT_PAGE)
_NOT_ASKED = (Outcome.NOT_ALLOWED, Outcome.OVER_BUDGET, Outcome.UNSUPPORTED)


def why_no_evidence(evidence: Evidence) -> str:
    """Why there is nothing to answer with, for people."""
    how = _NO_EVIDENCE.get(evidence.outcome) if evidence.results else ""
    return f"there is no evidence to use: {how}" if how else "there is no evidence to use"


def unseen(evidence: Evidence | None) -> tuple[str, ...]:
    """A note on saved files of evidence that was read from JSON, which has no pictures."""
    shown = evidence.shown if evidence is not None else ()
    gone = [
        str(item.number)
        for item in shown
        if item.match.kind is MatchKind.SAVED and item.match.picture is None
    ]
    if not gone:
        return ()
    return (f"evidence {', '.join(gone)} was shown by its name only: name its folder again",)


def check_looked_up(evidence: Evidence) -> Evidence:
    """The evidence, when at least one provider looked at the picture.

    Raises:
        AnswerError: `not_looked_up` with what each provider said.
    """
    results = evidence.results
    if results and not any(result.answered for result in results):
        reasons = "; ".join(f"{r.provider}: {r.message or r.outcome.value}" for r in results)
        message = f"the picture was not looked up: {reasons}"
        raise AnswerError("not_looked_up", message, results[0].hint)
    return evidence


def check_subject(evidence: Evidence, subject: Subject) -> None:
    """Refuses evidence of another picture; what does not say of which it is passes.

    Raises:
        InputError: `other_picture`.
    """
    content = evidence.subject.get("content_hash")
    if content is None or content == subject.content_hash:
        return
    named = plain(str(evidence.subject.get("name") or "another picture"))
    raise InputError(
        "other_picture",
        f"the evidence is of {named}, whose file is another one than that of"
        f" {plain(subject.name) or 'the picture'}",
        "ask about the picture that was looked up, or leave the evidence out to look this one up",
    )


@dataclass(frozen=True, slots=True)
class Item(JsonValue):
    """One numbered piece of evidence.

    Args:
        number: What an answer cites, from 1. It never changes: striking does not renumber.
        match: The best match that stands for it.
        others: Further matches of the same page or picture, merged into it.
        text: Readable text of the page, trimmed; empty when it was not fetched.
        pinned: The person vouches for it, so the model sees it first.
        struck: The person rejected it, so the model never sees it.
    """

    json_shape: ClassVar = JsonShape(ignore_unknown=True, code="bad_evidence")

    number: int
    match: Annotated[Match, INLINE]
    others: tuple[Match, ...] = ()
    text: Annotated[str, Key("page_text")] = ""
    pinned: bool = False
    struck: bool = False

    @property
    def providers(self) -> Annotated[tuple[str, ...], SHOWN]:
        """Names of the providers that found it, the best match's first."""
        return tuple(dict.fromkeys(match.provider for match in (self.match, *self.others)))


@dataclass(frozen=True, slots=True)
class Evidence(JsonValue):
    """What was found about one picture: items, and how each provider's look-up ended.

    Args:
        items: By number, from 1.
        results: One for each provider asked, in the order they were named. Their matches
            are the raw ones, before merging.
        notes: Things the person should know.
        took_s: Wall time of looking it up, in seconds.
        subject: The picture asked about, as `Subject.as_dict` gives it.
        fetched: Pages and small pictures of matches that were read, by host.
        own: What the picture's own file says: item 0; None where that was not read.
        asked_at: When it was looked up, as ISO 8601 with its zone; empty where that is not known.
    """

    json_shape: ClassVar = JsonShape(
        ignore_unknown=True, needs=frozenset({"items", "providers"}), code="bad_evidence"
    )

    items: tuple[Item, ...] = ()
    results: Annotated[tuple[ProviderResult, ...], Key("providers"), Without("matches")] = ()
    notes: tuple[str, ...] = ()
    took_s: Annotated[float, Digits(4)] = field(default=0.0, compare=False)
    subject: Mapping[str, Any] = field(default_factory=dict)
    fetched: tuple[Sent, ...] = ()
    own: OwnEvidence | None = None
    asked_at: str = field(default="", compare=False)

    @property
    def sent(self) -> tuple[tuple[str, Sent], ...]:
        """Everything that left this machine, with the provider it went to ("" for pages)."""
        pairs = ((result.provider, sent) for result in self.results for sent in result.sent)
        return (*pairs, *(("", sent) for sent in self.fetched))

    @property
    def outcome(self) -> Annotated[LookedUp, SHOWN]:
        """How looking it up ended, all providers together."""
        outcomes = {result.outcome for result in self.results}
        if self.items:
            return LookedUp.FOUND
        if any(result.answered for result in self.results):
            return LookedUp.NOTHING
        if outcomes.intersection(_BLOCKED):
            return LookedUp.BLOCKED
        return LookedUp.NOT_ASKED if outcomes.issubset(_NOT_ASKED) else LookedUp.FAILED

    @property
    def candidates(self) -> Annotated[tuple[Candidate, ...], SHOWN]:
        """Names that what is shown of it gives the picture, the most telling first."""
        own = words_of_own(self.own.facts) if self.own is not None else []
        kept = [words_of(item.number, (item.match, *item.others), item.text) for item in self.shown]
        return candidates_of([*own, *itertools.chain.from_iterable(kept)])

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    @property
    def shown(self) -> tuple[Item, ...]:
        """The items a model may see: struck ones left out, pinned ones first."""
        kept = [item for item in self.items if not item.struck]
        return tuple(sorted(kept, key=lambda item: not item.pinned))

    @property
    def screenshot(self) -> bytes | None:
        """A PNG of the first provider's page that kept one, or None."""
        return next((result.screenshot for result in self.results if result.screenshot), None)

    def item(self, number: int) -> Item:
        """The item with this number.

        Raises:
            NotFoundError: `no_evidence`.
        """
        for item in self.items:
            if item.number == number:
                return item
        raise NotFoundError(
            "no_evidence",
            f"there is no evidence number {number}",
            f"there are {len(self.items)}, from 1" if self.items else "nothing was found",
        )

    def strike(self, *numbers: int) -> Evidence:
        """The same evidence with these items hidden from the model; their pins are taken off.

        Raises:
            NotFoundError: `no_evidence`.
        """
        return self._marked(numbers, pinned=False, struck=True)

    def pin(self, *numbers: int) -> Evidence:
        """The same evidence with these items first; their strikes are taken back.

        Raises:
            NotFoundError: `no_evidence`.
        """
        return self._marked(numbers, pinned=True, struck=False)

    def clear(self, *numbers: int) -> Evidence:
        """The same evidence with neither pin nor strike on these items.

        Raises:
            NotFoundError: `no_evidence`.
        """
        return self._marked(numbers, pinned=False, struck=False)

    def _marked(self, numbers: Iterable[int], *, pinned: bool, struck: bool) -> Evidence:
        chosen = {self.item(number).number for number in numbers}
        marked = (
            replace(item, pinned=pinned, struck=struck) if item.number in chosen else item
            for item in self.items
        )
        return replace(self, items=tuple(marked))


KIND_WORDS = {
    MatchKind.SAME: "same picture",
    MatchKind.PAGE: "page with this picture",
    MatchKind.SIMILAR: "looks similar",
    MatchKind.ENTITY: "name suggested",
    MatchKind.SAVED: "saved file",
}
"""How a kind of match is called for people and models."""


def kind_words(match: Match) -> str:
    """How a match relates to the picture, with what comparing them showed."""
    verified = match.verified
    if verified is None or not verified.is_same_picture or verified.verdict is Verdict.SAME:
        return KIND_WORDS[match.kind]
    return f"{KIND_WORDS[match.kind]}, {verified.words.removeprefix('the same picture, ')}"


_N_ALSO, _N_FACTS = 3, 12


def evidence_text(evidence: Evidence, settings: EvidenceSettings | None = None) -> str:
    """What a model may see: item 0, then the items, pinned ones first, blank lines between them.

    Args:
        evidence: What was found; struck items are left out.
        settings: How long text may be.

    Returns:
        Lines as `[3] looks similar: title`; empty when there is nothing to show.
    """
    settings = settings or EvidenceSettings()
    own = [evidence.own.text] if evidence.own is not None and evidence.own.says_something else []
    return "\n\n".join([*own, *(item_text(item, settings) for item in evidence.shown)])


def item_text(item: Item, settings: EvidenceSettings | None = None) -> str:
    """One item: its number and kind, then what is known, a line each."""
    settings = settings or EvidenceSettings()
    match = item.match
    title = _line(match.title, settings.title_chars)
    rows = [f"[{item.number}] {kind_words(match)}: {title or '(no title)'}"]
    source = _line(match.source, 80) or _line(host_of(match.page_url), 80)
    if source:
        rows.append(f"    from: {source}")
    if match.date:
        rows.append(f"    date: {_line(match.date, 40)}")
    if match.similarity is not None:
        rows.append(f"    similarity: {match.similarity:.2f}")
    if match.text and match.text != match.title:
        rows.append(f"    says: {_line(match.text, settings.text_chars)}")
    facts = list(match.metadata.items())[:_N_FACTS]
    rows += [f"    {_line(k, 40)}: {_line(v, 200)}" for k, v in facts]
    rows += [f"    also: {line}" for line in _also(item, title, settings)]
    if item.text:
        rows.append(f"    page: {_line(item.text, settings.page_chars)}")
    return "\n".join(rows)


def _also(item: Item, title: str, settings: EvidenceSettings) -> list[str]:
    """Other titles and captions that were merged into an item, each once."""
    texts = (match.title or match.text for match in item.others)
    lines = dict.fromkeys(_line(text, settings.title_chars) for text in texts if text)
    shown = {title, _line(item.match.text, settings.title_chars)}
    return [line for line in lines if line not in shown][:_N_ALSO]


def _line(text: str, limit: int) -> str:
    return inert(plain(text, limit))
