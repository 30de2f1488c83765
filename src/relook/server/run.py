"""Running the application under uvicorn. Layer: server."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import HANDLED_SIGNALS

from relook.core.errors import InputError
from relook.server.errors import answer
from relook.server.settings import ServerSettings
from relook.server.state import ServerState
from relook.server.work import busy

__all__ = ["Server", "bind"]

_LOG = logging.getLogger(__name__)
_GRACE_S = 10  # for requests under way
_STOP_S = 40.0  # for everything: requests, the batch of a job, libraries
_REFUSED_S = 2.0  # for who was told to come back, or that a body is refused


class _Impatient(H11Protocol):
    """A connection that neither sends the head of a request nor reads an answer too slowly.

    The guard times bodies; before the head is whole there is no request that it could time.
    """

    def __init__(
        self,
        *args: Any,
        head_s: float,
        n_connections: int,
        is_stopping: Callable[[], bool],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._is_stopping = is_stopping
        self._head_s, self._n_connections = head_s, n_connections
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._is_lingering = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        n_over = len(self.connections) - self._n_connections
        if n_over > self._n_connections // 5 + 8:  # even a refusal takes a handle
            transport.abort()
            return
        if n_over > 0:
            self.app = _turn_away
        hurry = n_over > 0 or self._is_stopping()
        head_s = min(self._head_s, _REFUSED_S) if hurry else self._head_s
        self._timer = self.loop.call_later(head_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_lingering and str(self.conn.their_state) == "SEND_BODY":
            return
        self._is_lingering = False
        if str(self.conn.their_state) != "IDLE":  # the head is here
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(self._head_s, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self._head_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_unread()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_unread()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._stop_timer()  # between requests uvicorn has a timer of its own
        super().on_response_complete()
        if str(self.conn.their_state) == "SEND_BODY":
            # Refused before its end: what still comes is read for a while, so that the client
            # gets to read the answer, and not for ever.
            self._is_lingering = True
            linger_s = min(self._head_s, _REFUSED_S)
            self._timer = self.loop.call_later(linger_s, self.transport.abort)
        # Streams that had begun, and connections that came in the moment of the signal.
        ends = self._is_stopping() or not self.cycle.keep_alive
        if ends and not self.transport.is_closing():
            self.transport.close()

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer on a connection too many."""
    response = answer(busy("too many connections are open"))
    response.headers["Connection"] = "close"
    await response(scope, receive, send)


class Server(uvicorn.Server):
    """A server that ends its work in good order when it is told to stop.

    The first SIGTERM or Ctrl-C: no new connections, event streams end, requests under way are
    answered, runs of indexing end at their next batch and can be taken up again, libraries
    close. The second one ends the process at once, and so does a time in which all that is
    not done; what is on disk is whole either way.

    Args:
        app: From `create_app`.
    """

    def __init__(self, app: FastAPI) -> None:
        self._state: ServerState = app.state.relook
        self._told_to_stop = False
        config = uvicorn.Config(
            app,
            http=functools.partial(  # type: ignore[arg-type]
                _Impatient,
                head_s=self._state.settings.timeout_s,
                n_connections=self._state.settings.n_connections,
                is_stopping=lambda: self.should_exit,
            ),
            access_log=False,  # it would write the token of an opened link
            log_config=None,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_GRACE_S,
            h11_max_incomplete_event_size=64 * 1024,
        )
        # Whoever gives this logger a handler would switch it on again.
        logging.getLogger("uvicorn.access").disabled = True
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hears the signals to stop; they are not raised again, since they were obeyed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.signal(one, self.handle_exit) for one in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What a signal does."""
        if self._told_to_stop:
            os._exit(128 + sig)
        self._told_to_stop = self.should_exit = True
        last = threading.Timer(_STOP_S, _give_up)
        last.daemon = True
        last.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the streams first: uvicorn waits for every answer to end."""
        self._state.hub.close()
        await super().shutdown(sockets)


def _give_up() -> None:
    """The end of a process that does not come to one."""
    _LOG.error("not everything ended within %g s of the signal; the rest is dropped", _STOP_S)
    os._exit(1)


def bind(settings: ServerSettings) -> socket.socket:
    """The listening socket.

    Raises:
        InputError: `port_taken` when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sends small answers at once only on sockets that say they are TCP.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # the kernel drops who takes no answer at all
        patience_ms = int(settings.timeout_s * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience_ms)
    try:
        sock.bind((settings.host, settings.port))
        sock.listen(2048)  # a browser that is opened at once waits, and is not refused
    except OSError as error:
        sock.close()
        raise InputError(
            "port_taken",
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}",
            "another server may be running there; choose another with --port",
        ) from error
    return sock
