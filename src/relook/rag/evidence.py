"""Evidence: the numbered matches that an answer cites. Layer: rag.

Values only. How it is rendered is in `rag.evidence_text` and `rag.contact_sheet`; how it is
gathered is in `rag.gather`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from relook.core.errors import InputError, NotFoundError
from relook.providers.base import Match, ProviderResult, Sent

__all__ = ["Evidence", "Item"]


@dataclass(frozen=True, slots=True)
class Item:
    """One numbered piece of evidence.

    Args:
        number: What an answer cites, from 1. It never changes: striking does not renumber.
        match: The best match that stands for it.
        others: Further matches of the same page or picture, merged into it.
        text: Readable text of the page, trimmed; empty when it was not fetched.
        pinned: The person vouches for it: shown to the model first.
        struck: The person rejected it: never shown to the model.
    """

    number: int
    match: Match
    others: tuple[Match, ...] = ()
    text: str = ""
    pinned: bool = False
    struck: bool = False

    @property
    def providers(self) -> tuple[str, ...]:
        """Names of the providers that found it, the best match's first."""
        return tuple(dict.fromkeys(match.provider for match in (self.match, *self.others)))

    def as_dict(self, *, pictures: bool = False) -> dict[str, Any]:
        """A JSON form: the match's fields plus the item's own."""
        return {
            "number": self.number,
            **self.match.as_dict(pictures=pictures),
            "providers": list(self.providers),
            "others": [match.as_dict(pictures=pictures) for match in self.others],
            "page_text": self.text,
            "pinned": self.pinned,
            "struck": self.struck,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Item:
        """The inverse of `as_dict`.

        Raises:
            InputError: `bad_evidence` or `bad_match` when it is no item.
        """
        try:
            return cls(
                number=int(values["number"]),
                match=Match.from_dict(values),
                others=tuple(Match.from_dict(match) for match in values.get("others", ())),
                text=str(values.get("page_text", "")),
                pinned=bool(values.get("pinned", False)),
                struck=bool(values.get("struck", False)),
            )
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("bad_evidence", f"not an item of evidence: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found about one picture: items, and what came of each provider.

    Args:
        items: By number, from 1.
        results: One for each provider asked, in the order they were named. Their matches
            are the raw ones, before merging.
        notes: Things the person should know.
        took_s: Wall time of gathering in seconds.
        subject: The picture asked about, as `Subject.as_dict` gives it.
        fetched: Pages and small pictures of matches that were read, by host.
    """

    items: tuple[Item, ...] = ()
    results: tuple[ProviderResult, ...] = ()
    notes: tuple[str, ...] = ()
    took_s: float = field(default=0.0, compare=False)
    subject: Mapping[str, Any] = field(default_factory=dict)
    fetched: tuple[Sent, ...] = ()

    @property
    def sent(self) -> tuple[tuple[str, Sent], ...]:
        """Everything that left this machine, with the provider it went to ("" for pages)."""
        told = ((one.provider, sent) for one in self.results for sent in one.sent)
        return (*told, *(("", sent) for sent in self.fetched))

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
        return next((one.screenshot for one in self.results if one.screenshot), None)

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
        """The same evidence without these items before a model's eyes; a pin is taken off.

        Raises:
            NotFoundError: `no_evidence`.
        """
        return self._marked(numbers, pinned=False, struck=True)

    def pin(self, *numbers: int) -> Evidence:
        """The same evidence with these items first; a strike is taken back.

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

    def as_dict(self, *, pictures: bool = False) -> dict[str, Any]:
        """A JSON form.

        Args:
            pictures: Whether thumbnails and screenshots come with it, as base64.
        """
        return {
            "subject": dict(self.subject),
            "items": [item.as_dict(pictures=pictures) for item in self.items],
            "providers": [one.as_dict(pictures=pictures, matches=False) for one in self.results],
            "notes": list(self.notes),
            "fetched": [one.as_dict() for one in self.fetched],
            "took_s": round(self.took_s, 4),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evidence:
        """The inverse of `as_dict`; the providers' raw matches are not in it.

        Raises:
            InputError: `bad_evidence`, `bad_result` or `bad_match` when it is no evidence.
        """
        try:
            return cls(
                items=tuple(Item.from_dict(item) for item in values["items"]),
                results=tuple(ProviderResult.from_dict(one) for one in values["providers"]),
                notes=tuple(str(note) for note in values.get("notes", ())),
                took_s=float(values.get("took_s", 0.0)),
                subject=dict(values.get("subject", {})),
                fetched=tuple(Sent(**one) for one in values.get("fetched", ())),
            )
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("bad_evidence", f"not evidence: {error!r}") from error
