"""Running the application under uvicorn. Layer: server."""

from __future__ import annotations

import logging
import socket

import uvicorn
from fastapi import FastAPI

from relook.core.errors import InputError
from relook.server.settings import ServerSettings
from relook.server.state import ServerState

__all__ = ["Server", "bind"]

_GRACE_S = 10


class Server(uvicorn.Server):
    """A server whose event streams end when it is told to stop.

    Args:
        app: From `create_app`.
    """

    def __init__(self, app: FastAPI) -> None:
        self._state: ServerState = app.state.relook
        config = uvicorn.Config(
            app,
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
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the streams first: uvicorn waits for every answer to end."""
        self._state.hub.close()
        await super().shutdown(sockets)


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
