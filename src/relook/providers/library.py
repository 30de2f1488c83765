"""The person's own library as a provider: nothing is sent anywhere. Layer: providers.

It knows nothing of libraries: the composition root gives it a function that finds the nearest
pictures.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from relook.core.errors import InputError, RelookError
from relook.core.plain_text import plain
from relook.providers.base import (
    Finder,
    Lookup,
    Near,
    Outcome,
    ProviderResult,
    ProviderSettings,
    Subject,
)
from relook.providers.match import Match, MatchKind


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
    needs = ("library",)

    def __init__(self, find: Finder, name: str = "library", *, min_similarity: float = 0.0) -> None:
        self.name = name
        self._find, self._min_similarity = find, min_similarity

    @classmethod
    def open(cls, spec: str, settings: ProviderSettings) -> LibraryProvider:
        """Opens the library that the settings bring.

        Raises:
            InputError: `no_library_given` when they bring none.
        """
        if settings.finder is None:
            raise InputError(
                "no_library_given", "the provider 'library' needs a library",
                "name one with --library, or another --provider",
            )  # fmt: skip
        return cls(settings.finder, min_similarity=settings.min_similarity)

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """The nearest pictures. None there, or none close, is `NOTHING`, and it says which."""
        began = time.perf_counter()
        try:
            result = self._result(self._find(subject, lookup.limit)[: lookup.limit])
        except RelookError as error:
            result = ProviderResult(
                self.name, Outcome.FAILED, message=error.message, hint=error.hint
            )
        return result.timed(time.perf_counter() - began)

    def close(self) -> None:
        """Nothing to free: the library belongs to whoever made the function."""

    def _result(self, nearest: Sequence[Near]) -> ProviderResult:
        close = [near for near in nearest if near.same or near.similarity >= self._min_similarity]
        if close:
            matches = tuple(self._match(near, rank) for rank, near in enumerate(close))
            return ProviderResult(self.name, Outcome.FOUND, matches)
        if not nearest:
            return ProviderResult(self.name, Outcome.NOTHING)
        best, least = max(near.similarity for near in nearest), self._min_similarity
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
            verified=near.verified,
        )
