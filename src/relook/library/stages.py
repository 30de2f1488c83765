"""How fast each stage of a run is. Layer: library."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["STAGES", "Clock", "StageRate"]

STAGES = ("list", "read", "decode", "encode", "write")


@dataclass(frozen=True, slots=True)
class StageRate:
    """What one stage has done.

    Args:
        name: One of `STAGES`.
        n_items: Files so far.
        busy_s: Seconds in which at least one thread was at it.
    """

    name: str
    n_items: int
    busy_s: float

    @property
    def rate_per_s(self) -> float:
        """Files a second while it was busy; 0 before the first."""
        return self.n_items / self.busy_s if self.busy_s > 0 else 0.0

    def as_dict(self) -> dict[str, float]:
        """A JSON form."""
        return {
            "n": self.n_items,
            "busy_s": round(self.busy_s, 3),
            "rate_per_s": round(self.rate_per_s, 1),
        }


class Clock:
    """Counts what a stage does, in however many threads.

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
        """What it has done so far."""
        with self._lock:
            since = time.perf_counter() - self._since_s if self._n_active else 0.0
            return StageRate(self.name, self._n_items, self._busy_s + since)
