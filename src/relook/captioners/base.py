"""The captioner seam. Layer: captioners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Captioner", "Phrase"]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A few words about a crop.

    Args:
        text: Lower case, without a final dot.
        score: How well it fits; comparable between phrases of one captioner only.
    """

    text: str
    score: float


class Captioner(Protocol):
    """Puts words to crops."""

    @property
    def name(self) -> str: ...

    def caption(self, images: Sequence[Image.Image], limit: int = 1) -> list[list[Phrase]]:
        """Short phrases for each RGB crop.

        Args:
            images: Crops of any size.
            limit: How many phrases a crop gets at most.

        Returns:
            For each crop its phrases, best first; never empty.
        """
        ...

    def close(self) -> None:
        """Frees the model; closing twice is fine."""
        ...
