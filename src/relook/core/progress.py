"""Where a long piece of work is. Layer: core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a long run is.

    Args:
        stage: `listing`, `indexing`; `training`, `filling` and `measuring the index`;
            `freeing space`.
        done, total: Files (rows, of an index) so far and in all; total 0: not known yet.
        rate_per_s: Files a second since the start of the stage.
        n_skipped: Files that could not be used so far.
        stages: What each stage has done, while indexing.
    """

    stage: str
    done: int = 0
    total: int = 0
    rate_per_s: float = 0.0
    n_skipped: int = 0
    stages: tuple[StageRate, ...] = ()

    @property
    def left_s(self) -> float | None:
        """Seconds left at this rate, or None while the total is not known."""
        if self.rate_per_s <= 0 or not self.total:
            return None
        return (self.total - self.done) / self.rate_per_s


ProgressCallback = Callable[[Progress], None]
