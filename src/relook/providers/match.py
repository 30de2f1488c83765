"""One thing a provider returned, and what was sent for it. Layer: providers. Values only."""

from __future__ import annotations

import enum
import math
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain, zip_longest
from typing import Any

from relook.core.errors import InputError

__all__ = ["Match", "MatchKind", "Sent", "interleave", "picture_bytes", "picture_text"]


class MatchKind(enum.StrEnum):
    """How a match relates to the picture asked about."""

    SAME = "same"
    """The same picture, or a crop or an edit of it."""
    PAGE = "page"
    """A page that shows the same picture."""
    SIMILAR = "similar"
    """Another picture that looks like it."""
    ENTITY = "entity"
    """A name for what it shows."""


@dataclass(frozen=True, slots=True)
class Match:
    """One thing a provider returned. All text is plain and short: no HTML, no control characters.

    Args:
        provider: Name of the provider that returned it.
        kind: How it relates to the picture.
        title: What it is called; may be empty.
        source: Where it is from, for people: a site's name, "your library".
        page_url: Page that shows it; empty when there is none.
        image_url: The full picture; empty when unknown. Never a page's address.
        thumbnail_url: A small picture of it; empty when unknown.
        text: A caption or a snippet.
        date: As the provider writes it; empty when unknown.
        similarity: 0..1 by the provider's own measure, or None when it gives none. Not
            comparable across providers.
        rank: Place in the provider's own order, from 0.
        image_id: Its id in the person's library, or None.
        picture_hash: 64-bit difference hash of its picture, or None when not looked at.
        metadata: Further facts, as text.
        thumbnail: Bytes of a small picture, when they are at hand.
    """

    provider: str
    kind: MatchKind
    title: str = ""
    source: str = ""
    page_url: str = ""
    image_url: str = ""
    thumbnail_url: str = ""
    text: str = ""
    date: str = ""
    similarity: float | None = None
    rank: int = 0
    image_id: int | None = None
    picture_hash: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    thumbnail: bytes | None = field(default=None, repr=False)

    def as_dict(self, *, pictures: bool = False) -> dict[str, Any]:
        """A JSON form.

        Args:
            pictures: Whether the thumbnail comes with it, as base64.
        """
        values = {name: getattr(self, name) for name in _MATCH_FIELDS}
        values["kind"] = self.kind.value
        values["metadata"] = dict(self.metadata)
        values["thumbnail"] = picture_text(self.thumbnail) if pictures else None
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Match:
        """The inverse of `as_dict`; fields of newer versions are ignored.

        Raises:
            InputError: `bad_match` when a field is missing or of the wrong kind.
        """
        try:
            known = {name: values[name] for name in _MATCH_FIELDS if name in values}
            known["kind"] = MatchKind(known["kind"])
            known["metadata"] = {str(k): str(v) for k, v in dict(known["metadata"]).items()}
            known["thumbnail"] = picture_bytes(known.get("thumbnail"))
            _check_types(known)
            return cls(**known)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("bad_match", f"not a recorded match: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Sent:
    """What left this machine.

    Args:
        host: Where to.
        n_bytes: How many bytes of a request body.
        what: "the picture", "the picture's address", ...
    """

    host: str
    n_bytes: int
    what: str

    def as_dict(self) -> dict[str, Any]:
        """A JSON form."""
        return {"host": self.host, "n_bytes": self.n_bytes, "what": self.what}


_MATCH_FIELDS = tuple(each.name for each in fields(Match))
_NUMBERS = ("rank", "image_id", "picture_hash")
_OTHERS = ("kind", "metadata", "thumbnail", "similarity")


def _check_types(values: Mapping[str, Any]) -> None:
    """Raises unless texts are texts and numbers are numbers: anybody may write a recording."""
    for name, value in values.items():
        if name in _NUMBERS:
            whole = isinstance(value, int) and not isinstance(value, bool)
            good = whole or (value is None and name != "rank")
        elif name == "similarity":
            good = value is None or (isinstance(value, int | float) and math.isfinite(value))
        else:
            good = name in _OTHERS or isinstance(value, str)
        if not good:
            raise TypeError(f"{name} is {value!r}")


def picture_text(data: bytes | None) -> str | None:
    """The bytes of a picture as text for JSON."""
    return None if data is None else b64encode(data).decode("ascii")


def picture_bytes(text: str | None) -> bytes | None:
    """The inverse of `picture_text`."""
    return None if text is None else b64decode(text, validate=True)


def interleave(lists: Sequence[Sequence[Match]], limit: int) -> tuple[Match, ...]:
    """Takes the best of each list in turn, so that no kind of match crowds the others out.

    Args:
        lists: Each best first; the first list has the first turn.
        limit: At most so many.

    Returns:
        Matches with their rank set to their place.
    """
    turns = chain.from_iterable(zip_longest(*lists))
    kept = [match for match in turns if match is not None][:limit]
    return tuple(replace(match, rank=place) for place, match in enumerate(kept))
