"""Files below the roots that are no pictures that can be read, counted by suffix. Layer: library.

Nothing vanishes without a word: what looks like a picture or a film comes with what to do.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from relook.core.converter import JsonValue

__all__ = [
    "OTHER_FILES", "OtherFiles", "other_files", "others_note", "others_of", "put_others",
    "suffix_of",
]  # fmt: skip

OTHER_FILES = """
CREATE TABLE IF NOT EXISTS other_files (
    root BLOB NOT NULL,
    suffix TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (root, suffix)
);
"""
"""The table, as the catalog makes it: what the last listing of each root met."""

_LONGEST = 12
_EXPORT = "export them as PNG or JPEG"
_UNPACK = "unpack them, or make them zip or tar"
# Suffixes of what a person may miss -> what it is, and what to do.
_MISSED = {
    suffix: facts
    for suffixes, *facts in (
        ("mp4 mov m4v avi mkv webm mpg mpeg mts m2ts 3gp wmv flv ogv insv", "films",
         "pictures taken from them are read"),
        ("psd psb xcf kra clip afphoto procreate sketch", "pictures in layers", _EXPORT),
        ("svg svgz eps ai cdr wmf emf", "drawings", _EXPORT),
        ("pdf djvu", "documents", "export their pages as PNG or JPEG"),
        ("exr hdr dds pcx sgi rgb fits fit dcm nii jxr wdp hdp flif qoi bpg pict pct icns cur xbm"
         " xpm raw insp lrv", "pictures", _EXPORT),
        ("rar 7z gz bz2 xz zst cbz cbr iso dmg", "archives", _UNPACK),
    )
    for suffix in suffixes.split()
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OtherFiles(JsonValue):
    """Files with one suffix that are not indexed.

    Args:
        suffix: In lower case, with its dot; empty for names without one.
        n: How many.
        what: What they are, where a person may miss them; else empty.
        advice: What to do then.
    """

    suffix: str
    n: int
    what: str = ""
    advice: str = ""


def suffix_of(name: bytes) -> str:
    """The suffix that a file is counted under."""
    suffix = os.path.splitext(name)[1].lower()
    text = suffix.decode("utf-8", "replace")
    return text if 1 < len(text) <= _LONGEST and text.isprintable() else ""


def put_others(db: sqlite3.Connection, root: bytes, counts: Mapping[str, int]) -> None:
    """Keeps what a listing of a root has met, in place of what an earlier one had.

    Inside a transaction.
    """
    db.execute("DELETE FROM other_files WHERE root = ?", (root,))
    rows = [(root, suffix, n) for suffix, n in counts.items()]
    db.executemany("INSERT INTO other_files VALUES (?, ?, ?)", rows)


def others_of(ask: Callable[[str], list[tuple[Any, ...]]]) -> list[OtherFiles]:
    """What the last listing of every root met; nothing in a catalog of an older version.

    Args:
        ask: `Catalog.ask`.
    """
    if not ask("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'other_files'"):
        return []
    return other_files(dict(ask("SELECT suffix, sum(n) FROM other_files GROUP BY suffix")))


def other_files(counts: Mapping[str, int]) -> list[OtherFiles]:
    """Counts by suffix as values: what a person may miss first, then the most."""
    listed = [OtherFiles(suffix, n, *_MISSED.get(suffix[1:], ())) for suffix, n in counts.items()]
    return sorted(listed, key=lambda files: (not files.what, -files.n, files.suffix))


def others_note(listed: list[OtherFiles]) -> str:
    """One sentence on what is not read; empty when nothing is that a person may miss."""
    missed = [files for files in listed if files.what]
    if not missed:
        return ""
    n_others = sum(files.n for files in listed if not files.what)
    others = f"; and {n_others:,} other files" if n_others else ""
    counts = (f"{files.n:,} {files.suffix} ({files.what}: {files.advice})" for files in missed)
    return f"not read: {', '.join(counts)}{others}"
