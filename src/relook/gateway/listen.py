"""Listening for requests: the socket, impatient connections, uvicorn's settings. Layer: gateway.

Knows no application, so that `relook mcp` listens by the same rules.
"""

import asyncio
import functools
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from relook.core.errors import InputError
from relook.gateway.error_answers import answer
from relook.gateway.server_settings import ServerSettings
from relook.serving.pools import busy

_GRACE_S = 3  # for requests under way
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
        if self._is_lingering:
            if str(self.conn.their_state) == "SEND_BODY":
                return
            self._is_lingering = False  # the refused body has ended: the next request may come
            self._stop_timer()
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
            self.handle_events()  # perhaps all of the body is here, and nobody has read it
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


def uvicorn_config(
    app: ASGIApp, settings: ServerSettings, is_stopping: Callable[[], bool] = lambda: False
) -> uvicorn.Config:
    """How uvicorn runs an application: no access log, no proxy headers, bounded heads.

    Args:
        app: The application, behind its guard.
        settings: Of the server.
        is_stopping: Whether the server was told to stop; new connections are then hurried.
    """
    config = uvicorn.Config(
        app,
        http=functools.partial(  # type: ignore[arg-type]
            _Impatient,
            head_s=settings.timeout_s,
            n_connections=settings.n_connections,
            is_stopping=is_stopping,
        ),
        access_log=False,  # it would write the token of an opened link
        log_config=None,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE_S,
        h11_max_incomplete_event_size=64 * 1024,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    # Whoever gives this logger a handler would switch it on again.
    logging.getLogger("uvicorn.access").disabled = True
    return config


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
