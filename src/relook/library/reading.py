"""From a picture file to what the encoder takes and what the catalog keeps. Layer: library."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from relook.core.errors import ImageError
from relook.core.images import content_hash, decode, dhash, read_bytes
from relook.core.settings import ImageLimits
from relook.encoders.base import Encoder
from relook.library.embedded import embedded_words
from relook.library.records import FileFacts, ImageRecord, SkippedFile

__all__ = ["Read", "read_picture"]


@dataclass(frozen=True, slots=True)
class Read:
    """A file that was read: its input for the encoder, unless its content is known."""

    facts: FileFacts
    content: bytes
    prepared: NDArray[Any] | None = None
    record: ImageRecord | None = None


def read_picture(
    facts: FileFacts, encoder: Encoder, limits: ImageLimits, known: Set[bytes] = frozenset()
) -> Read | SkippedFile:
    """Reads one picture file. Safe to call from several threads.

    Args:
        facts: The file.
        encoder: Whose input is made of it.
        limits: What it may cost.
        known: Digests of contents that need not be decoded.
    """
    try:
        data = read_bytes(facts.path, limits)
        content = content_hash(data)
        if content in known:
            return Read(facts, content)
        picture = decode(data, encoder.input_px, limits)
    except ImageError as error:
        return SkippedFile(facts, error.code, error.message)
    words = embedded_words(picture)
    record = ImageRecord(
        facts, content, picture.width_px, picture.height_px, picture.format,
        dhash(picture.image), title=words.title, caption=words.caption,
        metadata=words.metadata,
    )  # fmt: skip
    return Read(facts, content, encoder.prepare(picture.image), record)
