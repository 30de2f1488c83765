"""Every default in one place. Layer: core.

CLI flags, configuration keys and the docs table derive from these dataclasses; no other
module repeats a default. Each field's `help` is the text a person reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ImageLimits", "IndexSettings", "SearchSettings", "help_of"]


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def help_of(settings: type[Any], name: str) -> str:
    """The one-line description of a setting."""
    return str(settings.__dataclass_fields__[name].metadata["help"])


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a picture file may cost before it is refused."""

    max_pixels: int = _setting(178_956_970, "largest picture, in pixels, that is opened at all")
    max_decoded_pixels: int = _setting(
        128_000_000, "largest picture, in pixels, after a JPEG's reduced scale is used"
    )
    max_file_bytes: int = _setting(512 * 1024**2, "largest picture file, in bytes")


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How pictures get into a library."""

    batch: int = _setting(16, "pictures encoded at once")
    commit_every: int = _setting(256, "pictures written in one transaction")
    workers: int = _setting(0, "decoding threads; 0 means one a core, at most 8")
    hidden: bool = _setting(False, "also index hidden files and folders")
    retry_skipped: bool = _setting(False, "try files again that were skipped before")


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How a library is searched."""

    limit: int = _setting(20, "how many images a page has")
    fold: bool = _setting(True, "show near-duplicates as one hit")
    fold_cosine: float = _setting(0.94, "whole-picture cosine from which two may be duplicates")
    fold_bits: int = _setting(6, "largest difference of two duplicates' 64-bit picture hashes")
    exact_rows: int = _setting(60_000, "tiles up to which a search is exact, without an index")
    shortlist: int = _setting(800, "tiles that are scored again exactly after an index search")
