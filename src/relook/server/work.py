"""Bounded thread pools: synchronous work for an asynchronous edge. Layer: server.

A request either gets a worker in time or is told to come back; nothing waits forever.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from relook.core.errors import OverloadError

__all__ = ["Pool", "busy"]

_LOG = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


def _log_error(future: Future[object]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        _LOG.warning("work in the background failed: %s", error)


def busy(what: str) -> OverloadError:
    """The error for a request that has to come back later."""
    return OverloadError("too_busy", f"too much to do just now: {what}", "try again in a moment")


class Pool:
    """Some threads, and a bound on what may wait for them.

    Args:
        name: For messages and thread names.
        n_workers: Threads.
        n_waiting: Calls that may wait.
        timeout_s: How long a call may take with its wait.
    """

    def __init__(self, name: str, n_workers: int, n_waiting: int, timeout_s: float) -> None:
        self.name, self.timeout_s = name, timeout_s
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix=f"relook-{name}")
        self._free = threading.Semaphore(n_workers + n_waiting)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, from a thread.

        Raises:
            OverloadError: `too_busy` when too many wait, `too_slow` when it takes too long.
        """
        if not self._free.acquire(blocking=False):
            raise busy(f"{self.name} requests are queued up")
        try:
            future = self._threads.submit(function, *args, **kwargs)
        except RuntimeError:
            self._free.release()
            raise busy("the server is stopping") from None
        future.add_done_callback(lambda _: self._free.release())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.timeout_s)
        except TimeoutError:
            raise OverloadError(
                "too_slow",
                f"no answer within {self.timeout_s:g} s",
                "try again, or ask for less at once",
            ) from None

    def begin(self, function: Callable[[], object]) -> None:
        """Has the function run some time soon; nobody hears of its errors but the log."""
        self._threads.submit(function).add_done_callback(_log_error)

    def close(self) -> None:
        """Waits for what runs and drops what waits; closing twice is fine."""
        self._threads.shutdown(wait=True, cancel_futures=True)
