"""The person's own library as a provider: nothing is sent anywhere. Layer: providers.

It knows nothing of libraries: whoever composes the program hands it a function that finds
the nearest pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from relook.core.errors import RelookError
from relook.core.plain_text import plain
from relook.providers.base import Lookup, Match, MatchKind, Outcome, ProviderResult, Subject

__all__ = ["Finder", "LibraryProvider", "Near"]


@dataclass(frozen=True, slots=True)
class Near:
    """A picture of the library near the one asked about.

    Args:
        image_id: Its id.
        similarity: Cosine of the two pictures; below zero counts as zero.
        same: Whether it is the same picture (equal bytes, or a near-duplicate).
        title, caption: From its metadata; may be empty.
        file: Name of its file.
        metadata: Further facts, as text.
        picture_hash: 64-bit difference hash.
        thumbnail: Bytes of a small picture, or None.
    """

    image_id: int
    similarity: float
    same: bool = False
    title: str = ""
    caption: str = ""
    file: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    picture_hash: int | None = None
    thumbnail: bytes | None = field(default=None, repr=False)


Finder = Callable[[Subject, int], Sequence[Near]]
"""A picture and a number to the nearest pictures, best first, without the picture itself."""


class LibraryProvider:
    """Nearest pictures of the person's library, with what is said about them.

    Args:
        find: Finds them.
        name: What the provider is called in results.
    """

    remote = False
    takes_files = True
    cost_usd = 0.0
    variant = ""

    def __init__(self, find: Finder, name: str = "library") -> None:
        self.name = name
        self._find = find

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """The nearest pictures; an empty library, or none there, is an outcome with a hint."""
        began = time.perf_counter()
        try:
            found = self._find(subject, lookup.limit)[: lookup.limit]
        except RelookError as error:
            result = ProviderResult(
                self.name, Outcome.FAILED, message=error.message, hint=error.hint
            )
            return result.timed(time.perf_counter() - began)
        matches = tuple(self._match(near, rank) for rank, near in enumerate(found))
        outcome = Outcome.FOUND if matches else Outcome.NOTHING
        return ProviderResult(self.name, outcome, matches, took_s=time.perf_counter() - began)

    def close(self) -> None:
        """Nothing to free: the library belongs to whoever made the function."""

    def _match(self, near: Near, rank: int) -> Match:
        facts = {"file": near.file} if near.file else {}
        return Match(
            provider=self.name,
            kind=MatchKind.SAME if near.same else MatchKind.SIMILAR,
            title=plain(near.title),
            source="your library",
            text=plain(near.caption, 600),
            similarity=round(min(max(near.similarity, 0.0), 1.0), 4),
            rank=rank,
            image_id=near.image_id,
            picture_hash=near.picture_hash,
            metadata={**facts, **{plain(k, 40): plain(v) for k, v in near.metadata.items()}},
            thumbnail=near.thumbnail,
        )
