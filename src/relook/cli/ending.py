"""How a command ends when it is told to. Layer: cli.

SIGTERM ends a command in as good an order as Ctrl-C does, and within `STOP_S` in any case: what is
on disk is whole whenever a process ends.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_S = 5.0
"""How long a command may take to end after SIGTERM."""
TERMINATED = 128 + signal.SIGTERM


@contextmanager
def ending_on_sigterm() -> Iterator[list[int]]:
    """SIGTERM raises KeyboardInterrupt in the block; yields the signals that were received.

    A SIGINT that is ignored stays so: it is for what runs in the foreground of a shell. A SIGTERM
    that is ignored, or that whoever calls `main` sees to, is left alone, too.
    """
    received: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield received
        return
    with _bounded():
        signal.signal(signal.SIGTERM, end)
        try:
            yield received
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _bounded() -> Iterator[None]:
    """Ends the process `STOP_S` after a SIGTERM that comes in the block, at the latest.

    Python runs a handler between two of its own steps only. A model, an index in training or
    whatever else takes long in one step would make it wait; the pipe that tells of signals is
    written to at once, and a thread reads it. Threads that the interpreter waits for after the
    block are in the bound.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def watch() -> None:
        while (number := os.read(reader, 1)) and number[0] != signal.SIGTERM:
            pass
        if number:
            time.sleep(STOP_S)
            os._exit(TERMINATED)
        os.close(reader)  # only now: a signal is never written to a pipe that nobody reads

    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=watch, name="relook-end", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)
