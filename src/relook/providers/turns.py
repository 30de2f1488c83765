"""Cutting several lists of matches to one, fairly. Layer: providers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, zip_longest

from relook.providers.base import Match

__all__ = ["take_turns"]


def take_turns(lists: Sequence[Sequence[Match]], limit: int) -> tuple[Match, ...]:
    """The best of each list in turn, so that no kind of match crowds the others out.

    Args:
        lists: Each best first; the first list has the first turn.
        limit: At most so many.

    Returns:
        Matches with their rank set to their place.
    """
    turns = chain.from_iterable(zip_longest(*lists))
    kept = [match for match in turns if match is not None][:limit]
    return tuple(replace(match, rank=place) for place, match in enumerate(kept))
