"""What indexing reports while it runs and when it is done: counts, notes, speed. Layer: library."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

from relook.core.converter import JsonValue
from relook.core.json_form import HIDDEN, PATH, SHOWN, Digits, Key
from relook.core.progress import StageRate
from relook.library.left_out import OtherFiles
from relook.library.records import SkippedFile
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


@dataclass(frozen=True, slots=True)
class Unlisted(JsonValue):
    """A folder or an archive that is there and could not be read, with the reason."""

    path: Annotated[bytes, PATH]
    message: str


@dataclass(slots=True)
class IndexReport(JsonValue):
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
        n_text_read: Pictures whose words were read.
        n_text_found: Those in which some stand.
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
    unlisted: Annotated[dict[bytes, str], HIDDEN] = field(default_factory=dict)
    skipped: list[SkippedFile] = field(default_factory=list)
    others: list[OtherFiles] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: Annotated[float, Digits(3)] = 0.0
    interrupted: bool = False
    stages: Annotated[tuple[StageRate, ...], HIDDEN] = ()
    n_left: Annotated[int, HIDDEN] = 0
    links: Annotated[list[bytes], HIDDEN] = field(default_factory=list)
    n_text_read: int = 0
    n_text_found: int = 0

    @property
    def n_skipped(self) -> Annotated[int, SHOWN]:
        """How many files could not be used."""
        return len(self.skipped)

    @property
    def places_unlisted(self) -> Annotated[tuple[Unlisted, ...], SHOWN, Key("unlisted")]:
        """Folders and archives that are there and could not be read."""
        return tuple(Unlisted(path, reason) for path, reason in self.unlisted.items())

    @property
    def stages_by_name(self) -> Annotated[Mapping[str, StageRate], SHOWN, Key("stages")]:
        """What each stage did."""
        return {stage.name: stage for stage in self.stages}
