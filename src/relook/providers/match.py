"""One thing a provider returned, and what was sent for it. Layer: providers. Values only."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest
from typing import Annotated, ClassVar

from relook.core.converter import JsonValue
from relook.core.json_form import HIDDEN, JsonShape
from relook.core.verdicts import Verified


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
    SAVED = "saved"
    """A file that somebody saved: a screenshot of what a search found, or a picture."""


@dataclass(frozen=True, slots=True)
class Match(JsonValue):
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
        verified: What comparing its picture point by point with the asked one showed, or None.
        picture: Bytes of a picture that a model is shown whole, for a saved file; never in JSON.
    """

    json_shape: ClassVar = JsonShape(ignore_unknown=True, code="bad_match")

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
    verified: Verified | None = None
    picture: Annotated[bytes | None, HIDDEN] = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Sent(JsonValue):
    """What left this machine.

    Args:
        host: Where to.
        n_bytes: How many bytes of a request body.
        what: "the picture", "the picture's address", ...
    """

    host: str
    n_bytes: int
    what: str


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
