"""Bounded thread pools: synchronous work for an asynchronous edge. Layer: serving.

A request either gets a worker in time or is told to come back; nothing waits forever, and
nothing goes on for somebody who left.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from relook.core.errors import OverloadError
from relook.core.progress import Cancellation, CancelledWork

_LOG = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


def busy(what: str) -> OverloadError:
    """The error for a request that has to come back later."""
    return OverloadError("too_busy", f"too much to do just now: {what}", "try again in a moment")


class Pool:
    """Some threads for one kind of work, and a bound on what may wait for them.

    Args:
        name: For messages and thread names.
        n_workers: Threads.
        n_waiting: Calls that may wait.
        timeout_s: How long a call may take with its wait.
    """

    def __init__(self, name: str, n_workers: int, n_waiting: int, timeout_s: float) -> None:
        self.name, self._n_workers, self.timeout_s = name, n_workers, timeout_s
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix=f"relook-{name}")
        self._free = threading.Semaphore(n_workers + n_waiting)
        self._lock = threading.Lock()
        self._open: set[Cancellation] = set()
        self._stopped = False

    @property
    def is_busy(self) -> bool:
        """Whether the next call has to wait for a thread."""
        return len(self._open) >= self._n_workers

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, from a thread; cancelled when nobody waits for it any more.

        Raises:
            OverloadError: `too_busy` when too many wait, `too_slow` when it takes too long.
        """
        cancellation = Cancellation()
        future = self._submit(cancellation, function, *args, **kwargs)
        try:
            return await self._result(asyncio.wrap_future(future))
        finally:
            cancellation.cancel()

    async def run_to_end(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, for what a person did: it is done even when nobody waits for the answer.

        Raises:
            OverloadError: as `run`; what takes too long and has begun is still done.
        """
        future = self._submit(Cancellation(), function, *args, **kwargs)
        wrapped = asyncio.wrap_future(future)
        wrapped.add_done_callback(_retrieved)
        try:
            return await self._result(asyncio.shield(wrapped))
        except OverloadError:
            wrapped.cancel()
            raise

    def begin(self, function: Callable[[], object]) -> None:
        """Has the function run some time soon; its errors go to the log.

        Raises:
            OverloadError: `too_busy` when too many wait.
        """
        self._submit(Cancellation(), function).add_done_callback(_log_error)

    def stop(self) -> None:
        """Cancels what runs and what waits, and takes no more; a second time is fine."""
        with self._lock:
            self._stopped, several = True, list(self._open)
        for cancellation in several:
            cancellation.cancel()

    def close(self) -> None:
        """Cancels what can be, waits for the rest and drops what waits; twice is fine."""
        self.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _result(self, wrapped: asyncio.Future[T]) -> T:
        try:
            return await asyncio.wait_for(wrapped, self.timeout_s)
        except TimeoutError:
            raise OverloadError(
                "too_slow",
                f"no answer within {self.timeout_s:g} s",
                "try again, or ask for less at once",
            ) from None
        except CancelledWork:
            raise busy("the server is stopping") from None

    def _submit(
        self,
        cancellation: Cancellation,
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]:
        if not self._free.acquire(blocking=False):
            raise busy(f"{self.name} requests are queued up")
        with self._lock:
            if self._stopped:
                self._free.release()
                raise busy("the server is stopping")
            self._open.add(cancellation)
            future = self._threads.submit(cancellation.run, partial(function, *args, **kwargs))
        future.add_done_callback(lambda _: self._forget(cancellation))
        return future

    def _forget(self, cancellation: Cancellation) -> None:
        with self._lock:
            self._open.discard(cancellation)
        self._free.release()


def _retrieved(future: asyncio.Future[T]) -> None:
    """Looks at an error that nobody may be left to hear, or asyncio would complain."""
    if not future.cancelled():
        future.exception()


def _log_error(future: Future[object]) -> None:
    error = None if future.cancelled() else future.exception()
    if isinstance(error, Exception):
        _LOG.warning("work in the background failed: %s", error)
