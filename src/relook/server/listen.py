"""Listening for requests: the socket, impatient connections, uvicorn's settings. Layer: server.

Knows no application, so that `relook mcp` listens by the same rules.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from relook.core.errors import InputError
from relook.server.settings import ServerSettings

__all__ = ["bind", "uvicorn_config"]

_GRACE_S = 10


class _Impatient(H11Protocol):
    """A connection that must send the head of a request within a time once it has begun.

    The guard times bodies; before the head is whole there is no request that it could time.
    """

    def __init__(self, *args: Any, head_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_s = head_s
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._head_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if str(self.conn.their_state) != "IDLE":  # the head is here
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(self._head_s, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._stop_timer()  # between requests uvicorn has a timer of its own
        super().on_response_complete()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def uvicorn_config(app: ASGIApp, settings: ServerSettings) -> uvicorn.Config:
    """How uvicorn runs an application: no access log, no proxy headers, bounded heads."""
    config = uvicorn.Config(
        app,
        http=functools.partial(_Impatient, head_s=settings.timeout_s),  # type: ignore[arg-type]
        access_log=False,  # it would write the token of an opened link
        log_config=None,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=1000,
        h11_max_incomplete_event_size=64 * 1024,
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
