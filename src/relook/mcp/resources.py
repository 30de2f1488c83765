"""Resources: libraries, images, sessions, by address. Layer: mcp."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from relook.core.errors import InputError, NotFoundError, RelookError
from relook.mcp.pictures import MIME, small_jpeg
from relook.mcp.replies import clean, image_values
from relook.mcp.state import McpState
from relook.mcp.tools_sessions import session_values

__all__ = ["Resources"]

_JSON = "application/json"
_ROOT = "relook://libraries"
P = ParamSpec("P")
T = TypeVar("T")


class Resources:
    """What can be read by address.

    Args:
        state: What it is read from.
    """

    def __init__(self, state: McpState) -> None:
        self._state = state

    def add_to(self, server: MCPServer[Any]) -> None:
        """Registers them all."""
        one = _ROOT + "/{library_id}"
        image, session = one + "/images/{image_id}", one + "/sessions/{session_id}"
        self._add(server, _ROOT, self.libraries, "libraries", "Every library.")
        self._add(server, one, self.library, "library", "What a library holds.")
        self._add(server, image, self.image, "image", "What is known of an image.")
        self._add(
            server, image + "/picture", self.picture, "picture", "An image, as a small JPEG.", MIME
        )
        self._add(server, one + "/sessions", self.sessions, "sessions", "Sessions, newest first.")
        self._add(server, session, self.session, "session", "A session's page and judgements.")

    def _add(
        self, server: MCPServer[Any], uri: str, read: Callable[..., Any], name: str, told: str,
        mime: str = _JSON,
    ) -> None:  # fmt: skip
        server.resource(uri, name=name, description=told, mime_type=mime)(read)

    async def libraries(self) -> str:
        """Every library."""
        return await self._read(
            lambda: {"libraries": [one.info() for one in self._state.libraries]}
        )

    async def library(self, library_id: str) -> str:
        """What a library holds."""
        return await self._read(lambda: self._state.libraries.get(library_id).info())

    async def image(self, library_id: str, image_id: str) -> str:
        """What is known of an image."""

        def read() -> dict[str, Any]:
            volume = self._state.libraries.get(library_id)
            return image_values(volume, volume.image(_id(image_id)))

        return await self._read(read)

    async def picture(self, library_id: str, image_id: str) -> bytes:
        """An image, as a small JPEG."""
        settings = self._state.settings

        def read() -> bytes:
            volume = self._state.libraries.get(library_id)
            return small_jpeg(
                volume.image(_id(image_id)), volume.library.limits, settings.picture_px,
                settings.picture_bytes,
            )  # fmt: skip

        return await self._run(read)

    async def sessions(self, library_id: str) -> str:
        """The sessions of a library, newest first."""

        def read() -> dict[str, Any]:
            rows = self._state.libraries.get(library_id).library.sessions()
            uri = f"{_ROOT}/{library_id}/sessions"
            return {
                "sessions": [
                    {"session_id": row.session_id, "name": row.name, "created_s": row.created_s,
                     "uri": f"{uri}/{row.session_id}"}
                    for row in rows
                ]
            }  # fmt: skip

        return await self._read(read)

    async def session(self, library_id: str, session_id: str) -> str:
        """A session's current page and its judgements."""

        def read() -> dict[str, Any]:
            volume = self._state.libraries.get(library_id)
            with volume.reading(session_id) as session:
                return session_values(volume, session)

        return await self._read(read)

    async def _read(self, read: Callable[[], dict[str, Any]]) -> str:
        return json.dumps(clean(await self._run(read)), ensure_ascii=False)

    async def _run(self, read: Callable[[], T]) -> T:
        try:
            return await self._state.pool.run(read)
        except NotFoundError as error:
            raise ResourceNotFoundError(_told(error)) from error
        except RelookError as error:
            raise ResourceError(_told(error)) from error


def _told(error: RelookError) -> str:
    return f"error[{error.code}]: {error}"


def _id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise InputError("bad_id", f"{text[:40]!r} is no image id")
    return int(text)
