"""Where a long piece of work is. Layer: core."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from relook.core.converter import JsonValue
from relook.core.json_form import HIDDEN, SHOWN, Digits, Key


@dataclass(frozen=True, slots=True)
class StageRate(JsonValue):
    """What one stage has done.

    Args:
        name: One of `STAGES`.
        n_items: Files so far.
        busy_s: Seconds in which at least one thread was at it.
    """

    name: Annotated[str, HIDDEN]
    n_items: Annotated[int, Key("n")]
    busy_s: Annotated[float, Digits(3)]

    @property
    def rate_per_s(self) -> Annotated[float, SHOWN, Digits(1)]:
        """Files a second while it was busy; 0 before the first."""
        return self.n_items / self.busy_s if self.busy_s > 0 else 0.0


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


def duration(seconds: float) -> str:
    """A time in the largest unit that it fills, for people: "2 minutes"."""
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            n = int(seconds // size)
            return f"{n:,} {name}{'s' if n > 1 else ''}"
    return "seconds"


ProgressCallback = Callable[[Progress], None]
