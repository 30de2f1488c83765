"""What a published file sums up to. Layer: core. It knows no network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hashlib import _Hash


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a file's content has to sum up to.

    Args:
        kind: `MD5`, `SHA-256`, or `Git` for the SHA-1 of a Git blob.
        digits: In hexadecimal.
    """

    kind: Literal["MD5", "SHA-256", "Git"]
    digits: str

    def begin(self, n_bytes: int) -> _Hash:
        """A sum of nothing yet, for a file of this size."""
        if self.kind == "SHA-256":
            return hashlib.sha256()
        if self.kind == "MD5":
            return hashlib.md5(usedforsecurity=False)
        return hashlib.sha1(f"blob {n_bytes}\0".encode(), usedforsecurity=False)
