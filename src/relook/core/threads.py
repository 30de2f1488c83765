"""How many threads the processor's arithmetic takes. Layer: core."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

_held = threading.Lock()


@contextmanager
def in_one_thread() -> Iterator[None]:
    """Matrix products in the thread that asks for them: a context, and a decorator of functions.

    Those of a search are small, or bound by memory: sharing them out gains nothing, and BLAS's
    threads wait for the next by spinning, which takes the core from what comes then. The number is
    the whole process's. So it is whoever comes first that sets it, and puts it back on leaving;
    whoever comes meanwhile leaves it alone.
    """
    if not _held.acquire(blocking=False):
        yield
        return
    try:
        with _blas().limit(limits=1):
            yield
    finally:
        _held.release()


@cache
def _blas() -> ThreadpoolController:
    """The BLAS of numpy, and others that are there by the first search: looking takes time."""
    return ThreadpoolController().select(user_api="blas")
