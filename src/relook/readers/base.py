"""The reader seam: pictures to lines of words with places. Layer: readers. Values and a protocol.

A class that `READERS` or an entry point names opens itself: `open(spec)`, where `spec` is what
stands behind its name in `index.reader`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from relook.core.types import WrittenWord

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line that stands in a picture.

    Args:
        words: In the order in which they are read, at least one.
    """

    words: tuple[WrittenWord, ...]


class TextReader(Protocol):
    """Reads the words in pictures. Threads may call `read` at once."""

    @property
    def name(self) -> str:
        """What made a reading, with its version: "rapidocr 3.10.0"."""
        ...

    def read(self, image: Image.Image) -> list[TextLine]:
        """The lines that stand in an upright RGB picture, from top to bottom; [] without any.

        Args:
            image: At most 2,000 pixels long.

        Raises:
            ModelError: when the model itself cannot be used.
        """
        ...

    def close(self) -> None:
        """Frees the model; closing twice is fine."""
        ...
