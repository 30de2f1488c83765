"""Rows of the catalog as values. Layer: library."""

from __future__ import annotations

import operator
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from relook.core.converter import JsonValue
from relook.core.errors import InputError, is_no
from relook.core.json_form import HIDDEN, INLINE, PATH
from relook.core.picture_paths import as_path

_MOST_NS = 2**63 - 1  # of a 64-bit integer


def checked_id(value: object) -> int:
    """The id of an image.

    Raises:
        InputError: `bad_image_id` for what is no whole number.
    """
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        hint = "an id is a whole number, as hit.image_id has it"
        raise InputError("bad_image_id", is_no(value, "image id"), hint) from None


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a directory listing tells of a file: enough to see that it did not change."""

    path: Annotated[bytes, PATH]
    size_bytes: Annotated[int, HIDDEN]
    mtime_ns: Annotated[int, HIDDEN]

    @classmethod
    def of(cls, path: bytes, facts: os.stat_result) -> FileFacts:
        """The facts as the catalog can hold them: a year beyond 2262 becomes 2262."""
        mtime_ns = max(-_MOST_NS, min(facts.st_mtime_ns, _MOST_NS))
        return cls(path, facts.st_size, mtime_ns)


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of the catalog.

    Args:
        facts: Path, size and time of its file when it was indexed.
        content: Digest of the file's bytes.
        width_px, height_px: Of the upright original.
        format: Container, recognised by content.
        dhash: Perceptual hash of 64 bits.
        first_row, n_tiles: Where its vectors are.
        tiling_id: Which list of boxes its tiles have.
        title, caption, metadata: From sidecars and the file itself.
        image_id: Identity; 0 until the catalog has given one.
    """

    facts: FileFacts
    content: bytes
    width_px: int
    height_px: int
    format: str
    dhash: int
    first_row: int = -1
    n_tiles: int = 0
    tiling_id: int = 0
    title: str = ""
    caption: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    image_id: int = 0

    @property
    def path(self) -> Path:
        """The file, as this system names it; an `Address` for a remote one."""
        return as_path(self.facts.path)


@dataclass(frozen=True, slots=True)
class SkippedFile(JsonValue):
    """A file that could not be indexed, with the reason."""

    facts: Annotated[FileFacts, INLINE]
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Words:
    """Words about an image: a title, a caption, and further facts by name."""

    title: str = ""
    caption: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    def over(self, other: Words) -> Words:
        """These words, and the other's where these are empty."""
        return Words(
            self.title or other.title,
            self.caption or other.caption,
            {**other.metadata, **self.metadata},
        )


def words_of(record: ImageRecord) -> Words:
    """The words of a record."""
    return Words(record.title, record.caption, record.metadata)


def set_words(record: ImageRecord, words: Words) -> ImageRecord:
    """The record with these words in place of its own."""
    return replace(record, title=words.title, caption=words.caption, metadata=words.metadata)


def with_words(record: ImageRecord, words: Words | None) -> ImageRecord:
    """The record with these words, and its own where these are empty."""
    return record if words is None else set_words(record, words.over(words_of(record)))
