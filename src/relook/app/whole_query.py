"""One query of words, pictures and what is unwanted. Layer: app."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from relook.core.types import Part, Query
from relook.search.grammar import parse_query

__all__ = ["whole_query"]


def whole_query(
    query: str | Query, images: Sequence[str | os.PathLike[str]], without: Sequence[str]
) -> Query:
    """One query of all that was asked for.

    Args:
        query: Words in the one-line language, or a query; may be empty when `images` are given.
        images: Picture files to look like.
        without: Words for what should not be shown.

    Raises:
        QueryError: when that makes no query.
    """
    if isinstance(query, Query):
        parts = query.parts
    elif query.strip() or not images:
        parts = parse_query(query).parts
    else:
        parts = ()
    # Path.expanduser raises for a user that is not there.
    pictures = tuple(Part(image=Path(os.path.expanduser(image))) for image in images)
    unwanted = tuple(Part(text=words, weight=-1.0) for words in without)
    return Query((*parts, *pictures, *unwanted))
