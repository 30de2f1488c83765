"""How far long work has come, and giving it up when nobody waits for it any more. Layer: core.

    cancellation = Cancellation()
    cancellation.run(work)        # in a thread
    cancellation.cancel()         # from any other: its client left, or the program stops

What takes long asks `check_cancelled()` between its steps, wherever it is called from; outside
of `run` that never raises. What waits for something else registers how to wake it up.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, ParamSpec, TypeVar

from relook.core.converter import JsonValue
from relook.core.json_form import HIDDEN, SHOWN, Digits, Key

P = ParamSpec("P")
T = TypeVar("T")


class CancelledWork(BaseException):
    """Ends work that nobody waits for.

    No `Exception`, so that nothing on its way takes it for the failure of one item and goes on.
    """


class Cancellation:
    """Whether one piece of work is still wanted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._wakers: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants it any more."""
        return self._cancelled

    def cancel(self) -> None:
        """Says that nobody wants it any more; a second time is fine."""
        with self._lock:
            self._cancelled, wakers, self._wakers = True, self._wakers, []
        for wake in wakers:
            wake()

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result; inside it, `check_cancelled` speaks of this.

        Raises:
            CancelledWork: when it was cancelled before it was done.
        """
        token = _CURRENT.set(self)
        try:
            check_cancelled()
            return function(*args, **kwargs)
        finally:
            _CURRENT.reset(token)

    def add(self, wake: Callable[[], None]) -> None:
        """Has `wake` called once it is cancelled; at once when it is already."""
        with self._lock:
            if not self._cancelled:
                self._wakers.append(wake)
                return
        wake()

    def drop(self, wake: Callable[[], None]) -> None:
        """Takes back what `add` was given."""
        with self._lock:
            if wake in self._wakers:
                self._wakers.remove(wake)


_CURRENT: ContextVar[Cancellation | None] = ContextVar("relook_cancellation", default=None)


def check_cancelled() -> None:
    """Raises `CancelledWork` when nobody wants the work that this is part of."""
    current = _CURRENT.get()
    if current is not None and current.cancelled:
        raise CancelledWork


@contextmanager
def when_cancelled(wake: Callable[[], None]) -> Iterator[None]:
    """Has `wake` called, from another thread, when the work is cancelled inside the block.

    Raises:
        CancelledWork: when it was cancelled before the block or in it.
    """
    current = _CURRENT.get()
    if current is None:
        yield
        return
    check_cancelled()
    current.add(wake)
    try:
        yield
    except Exception:
        check_cancelled()  # what was woken up may well fail: that is not what happened
        raise
    finally:
        current.drop(wake)
    check_cancelled()


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
        stage: `listing`, `indexing`, `reading words`; `training`, `filling`,
            `writing` and `measuring the index`; `freeing space`.
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


READING_TEXT = "reading words"
"""The stage in which the words that stand in pictures are read."""
ProgressCallback = Callable[[Progress], None]
