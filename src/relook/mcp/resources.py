"""Resources: libraries, images, sessions, by address. Layer: mcp."""

import json
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from relook.core.errors import InputError, NotFoundError, RelookError
from relook.mcp.mcp_state import McpState
from relook.mcp.replies import MIME, ROOT, ImageReply, SessionReply, SessionsReply, small_jpeg
from relook.serving.served_values import served

_JSON = "application/json"
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
        library = ROOT + "/{library_id}"
        image, session = library + "/images/{image_id}", library + "/sessions/{session_id}"
        self._add(server, ROOT, self.libraries, "libraries", "Every library.")
        self._add(server, library, self.library, "library", "What a library holds.")
        self._add(server, image, self.image, "image", "What is known of an image.")
        self._add(
            server, image + "/picture", self.picture, "picture", "An image, as a small JPEG.", MIME
        )
        self._add(
            server, library + "/sessions", self.sessions, "sessions", "Sessions, newest first."
        )
        self._add(server, session, self.session, "session", "A session's page and judgements.")

    def _add(
        self, server: MCPServer[Any], uri: str, read: Callable[..., Any], name: str, summary: str,
        mime: str = _JSON,
    ) -> None:  # fmt: skip
        server.resource(uri, name=name, description=summary, mime_type=mime)(read)

    async def libraries(self) -> str:
        """Every library."""
        libraries = self._state.libraries
        return await self._read(lambda: {"libraries": [volume.facts() for volume in libraries]})

    async def library(self, library_id: str) -> str:
        """What a library holds."""
        return await self._read(lambda: self._state.libraries.get(library_id).facts())

    async def image(self, library_id: str, image_id: str) -> str:
        """What is known of an image."""

        def read() -> ImageReply:
            volume = self._state.libraries.get(library_id)
            return ImageReply.of(volume, volume.image(_id(image_id)))

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
        return await self._read(lambda: SessionsReply.of(self._state.libraries.get(library_id)))

    async def session(self, library_id: str, session_id: str) -> str:
        """A session's current page and its judgements."""

        def read() -> SessionReply:
            volume = self._state.libraries.get(library_id)
            with volume.reading(session_id) as session:
                return SessionReply.of(volume, session)

        return await self._read(read)

    async def _read(self, read: Callable[[], object]) -> str:
        return json.dumps(served(await self._run(read)), ensure_ascii=False)

    async def _run(self, read: Callable[[], T]) -> T:
        try:
            return await self._state.pool.run(read)
        except NotFoundError as error:
            raise ResourceNotFoundError(_message(error)) from error
        except RelookError as error:
            raise ResourceError(_message(error)) from error


def _message(error: RelookError) -> str:
    return f"error[{error.code}]: {error}"


def _id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise InputError("bad_id", f"{text[:40]!r} is no image id")
    return int(text)
