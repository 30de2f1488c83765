"""Work that is given up when nobody waits for it any more. Layer: core.

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
from typing import ParamSpec, TypeVar

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
