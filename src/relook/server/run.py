"""Running the application under uvicorn. Layer: server."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.server import HANDLED_SIGNALS

from relook.gateway.listen import bind, uvicorn_config
from relook.server.state import ServerState

__all__ = ["Server", "bind"]

_LOG = logging.getLogger(__name__)
_STOP_S = 5.0  # for everything: requests, the batch of a job, libraries


class Server(uvicorn.Server):
    """A server that ends its work in good order when it is told to stop.

    The first SIGTERM or Ctrl-C: no new connections, event streams end, requests under way are
    answered, runs of indexing end at their next batch and can be taken up again, libraries
    close. The second one ends the process at once, and so does a time in which all that is
    not done; what is on disk is whole either way. A Ctrl-C that was ignored when the process
    began (in the background of a script) stays ignored; SIGTERM always counts.

    Args:
        app: From `create_app`.
    """

    def __init__(self, app: FastAPI) -> None:
        self._state: ServerState = app.state.relook
        self._is_stopping = False
        super().__init__(uvicorn_config(app, self._state.settings, lambda: self.should_exit))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles the signals to stop; they are not raised again at the end, as uvicorn would."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = [number for number in HANDLED_SIGNALS if not _is_for_others(number)]
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What a signal does."""
        if self._is_stopping:
            os._exit(128 + sig)
        self._is_stopping = self.should_exit = True
        last = threading.Timer(_STOP_S, _give_up)
        last.daemon = True
        last.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends streams and long work first: uvicorn waits for every answer to end."""
        self._state.stop()
        await super().shutdown(sockets)


def _is_for_others(number: int) -> bool:
    """Whether a Ctrl-C is meant for what runs in the foreground, not for this process."""
    return number == signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN


def _give_up() -> None:
    """The end of a process that does not come to one."""
    _LOG.error("not everything ended within %g s of the signal; the rest is dropped", _STOP_S)
    os._exit(1)
