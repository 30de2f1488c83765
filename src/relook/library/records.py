"""Rows of the catalog as values. Layer: library."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relook.core.picture_paths import as_path, original_path

# Halves of characters that no byte of a file name is decoded to (PEP 383).
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_MOST_NS = 2**63 - 1  # of a 64-bit integer


def printable(path: bytes | str) -> str:
    """A path, or any text, that any terminal and JSON reader takes; odd bytes become U+FFFD.

    It works in every locale: in some `os.fsencode` refuses letters.
    """
    if isinstance(path, str):
        path = _NO_BYTE.sub("\ufffd", path).encode("utf-8", "surrogateescape")
    return original_path(path).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a directory listing tells of a file: enough to see that it did not change."""

    path: bytes
    size_bytes: int
    mtime_ns: int

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
class SkippedFile:
    """A file that could not be indexed, with the reason."""

    facts: FileFacts
    code: str
    message: str

    def as_dict(self) -> dict[str, str]:
        """A JSON form."""
        path = printable(self.facts.path)
        return {"path": path, "code": self.code, "message": self.message}


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
