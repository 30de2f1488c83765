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
        min_similarity: What is less alike is left out, unless it is the same picture.
    """

    remote = False
    takes_files = True
    cost_usd = 0.0
    variant = ""

    def __init__(self, find: Finder, name: str = "library", *, min_similarity: float = 0.0) -> None:
        self.name = name
        self._find, self._min_similarity = find, min_similarity

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """The nearest pictures. None there, or none close, is `NOTHING`, and it says which."""
        began = time.perf_counter()
        try:
            found = self._find(subject, lookup.limit)[: lookup.limit]
        except RelookError as error:
            result = ProviderResult(
                self.name, Outcome.FAILED, message=error.message, hint=error.hint
            )
            return result.timed(time.perf_counter() - began)
        close = [near for near in found if near.same or near.similarity >= self._min_similarity]
        matches = tuple(self._match(near, rank) for rank, near in enumerate(close))
        if matches or not found:
            outcome = Outcome.FOUND if matches else Outcome.NOTHING
            result = ProviderResult(self.name, outcome, matches)
        else:
            result = self._nothing_close(found)
        return result.timed(time.perf_counter() - began)

    def close(self) -> None:
        """Nothing to free: the library belongs to whoever made the function."""

    def _nothing_close(self, found: Sequence[Near]) -> ProviderResult:
        best = max(near.similarity for near in found)
        least = self._min_similarity
        return ProviderResult(
            self.name,
            Outcome.NOTHING,
            message=f"nothing close: the nearest picture is {best:.3f} alike, less than {least:g}",
            hint="set evidence.min_similarity to 0 to see such pictures all the same",
        )

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
