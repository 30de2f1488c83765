"""What a session tells a captioner about a box. Layer: search."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from relook.captioners.base import About
from relook.core.types import Query
from relook.library.session_table import RoundRow

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["INSTRUCTION", "Captioning", "about"]

Captioning = Callable[["Image.Image", About], str]
"""Puts words to a crop, knowing what the person looks for."""

INSTRUCTION = "instruction"
"""Key of the first round's record under which a session keeps its instruction."""


def about(query: Query, first: RoundRow, relevant: bool) -> About:
    """What is known about a box of a session.

    Args:
        query: The first query.
        first: The first round, whose record may hold an instruction.
        relevant: How the box is marked.
    """
    return About(query.text, str(first.record.get(INSTRUCTION, "")), relevant)
