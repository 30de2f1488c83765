"""Evidence: the numbered matches that an answer cites. Layer: rag.

Values only. `rag.evidence_text` and `rag.contact_sheet` show it, `rag.lookup` looks it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

from relook.core.converter import JsonValue
from relook.core.errors import NotFoundError
from relook.core.json_form import INLINE, SHOWN, Digits, JsonShape, Key, Without
from relook.providers.base import Match, ProviderResult, Sent

__all__ = ["Evidence", "Item"]


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

    @property
    def sent(self) -> tuple[tuple[str, Sent], ...]:
        """Everything that left this machine, with the provider it went to ("" for pages)."""
        pairs = ((result.provider, sent) for result in self.results for sent in result.sent)
        return (*pairs, *(("", sent) for sent in self.fetched))

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
