"""Running the application under uvicorn. Layer: server."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from relook.server.listen import bind, uvicorn_config
from relook.server.state import ServerState

__all__ = ["Server", "bind"]


class Server(uvicorn.Server):
    """A server whose event streams end when it is told to stop.

    Args:
        app: From `create_app`.
    """

    def __init__(self, app: FastAPI) -> None:
        self._state: ServerState = app.state.relook
        super().__init__(uvicorn_config(app, self._state.settings))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the streams first: uvicorn waits for every answer to end."""
        self._state.hub.close()
        await super().shutdown(sockets)
