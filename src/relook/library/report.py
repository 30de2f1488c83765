"""What indexing reports while it runs and when it is done: counts, notes, speed. Layer: library."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from relook.core.progress import StageRate
from relook.library.left_out import OtherFiles
from relook.library.records import SkippedFile, printable
from relook.library.whereabouts import Absence

STAGES = ("list", "read", "decode", "encode", "write")


class Clock:
    """Counts the work of a stage, in any number of threads.

    Args:
        name: One of `STAGES`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._n_items, self._n_active = 0, 0
        self._busy_s, self._since_s = 0.0, 0.0
        self._lock = threading.Lock()

    @contextmanager
    def work(self, n_items: int = 1) -> Iterator[None]:
        """Counts the block as work on some files."""
        with self._lock:
            if self._n_active == 0:
                self._since_s = time.perf_counter()
            self._n_active += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_active -= 1
                self._n_items += n_items
                if self._n_active == 0:
                    self._busy_s += time.perf_counter() - self._since_s

    def rate(self) -> StageRate:
        """The work so far."""
        with self._lock:
            since = time.perf_counter() - self._since_s if self._n_active else 0.0
            return StageRate(self.name, self._n_items, self._busy_s + since)


class Stop(Exception):  # noqa: N818 - a request, not an error
    """Raised by a progress callback to end a run early; what is done is kept, as at Ctrl-C."""


@dataclass(slots=True)
class IndexReport:
    """What a run of indexing did. Counts are files.

    Args:
        n_added: New images.
        n_updated: Images whose file changed.
        n_unchanged: Files that cost a stat.
        n_moved: Images whose file got another path.
        n_removed: Images whose file was deleted.
        n_away: Images of the library that are away: their files cannot be reached now.
        n_back: Images that were away and are not any more.
        n_duplicates: Added images whose content the library had already.
        n_metadata: Unchanged images whose title, caption or metadata changed.
        away: Why images are away, by place.
        unlisted: Folders and archives that are there and could not be read, with the reason.
        skipped: Files that could not be used, with reasons.
        others: Files below the roots that are no pictures that can be read, by suffix.
        left_out: How many files were passed over, by rule.
        notes: Things the person should know.
        seconds: Wall time.
        interrupted: Stopped before the end; what was done is kept.
        stages: What each stage did, and for how long.
        n_left: Images that were there before this run, and are away now.
        links: Folders met that are links.
    """

    n_added: int = 0
    n_updated: int = 0
    n_unchanged: int = 0
    n_moved: int = 0
    n_removed: int = 0
    n_away: int = 0
    n_back: int = 0
    n_duplicates: int = 0
    n_metadata: int = 0
    n_images: int = 0
    away: list[Absence] = field(default_factory=list)
    unlisted: dict[bytes, str] = field(default_factory=dict)
    skipped: list[SkippedFile] = field(default_factory=list)
    others: list[OtherFiles] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False
    stages: tuple[StageRate, ...] = ()
    n_left: int = 0
    links: list[bytes] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "n_added": self.n_added,
            "n_updated": self.n_updated,
            "n_unchanged": self.n_unchanged,
            "n_moved": self.n_moved,
            "n_removed": self.n_removed,
            "n_away": self.n_away,
            "n_back": self.n_back,
            "n_duplicates": self.n_duplicates,
            "n_metadata": self.n_metadata,
            "n_skipped": len(self.skipped),
            "n_images": self.n_images,
            "away": [absence.as_dict() for absence in self.away],
            "unlisted": [
                {"path": printable(path), "message": reason}
                for path, reason in self.unlisted.items()
            ],
            "skipped": [file.as_dict() for file in self.skipped],
            "others": [files.as_dict() for files in self.others],
            "left_out": self.left_out,
            "notes": self.notes,
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "stages": {stage.name: stage.as_dict() for stage in self.stages},
        }
