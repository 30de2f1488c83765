"""The page's own files, read once and answered from memory. Layer: server.

A page asks for seventy files at once. Each costs half a millisecond of a core this way; looked up
on the disk in threads, as Starlette's `StaticFiles` does, it costs two and a half, and all of them
together were a quarter of the time until the page could be used (`benchmarks/server.py`).
"""

import mimetypes
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from relook.core.images import content_hash

_INDEX = "index.html"
# A browser asks for the icon again with every address, so with every search.
_KEPT = {"favicon.svg": "max-age=86400"}
# What the tables of some systems lack or name otherwise, and browsers insist on.
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
          ".webmanifest": "application/manifest+json"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _PageFile:
    data: bytes
    kind: str
    headers: dict[str, str]


class PageFiles:
    """ASGI application that answers with the files of one folder.

    Browsers ask each time whether a file is still the one they have, so that an upgrade shows at
    the next start of the server.

    Args:
        folder: Where the files lie; whoever edits one starts the server again.
        prefix: What their addresses begin with, such as `/static`.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder, self._prefix = folder, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request.

        Raises:
            HTTPException: 404 for what is not there, 405 for what only looks like a read.
        """
        await self.answer(Request(scope), scope["path"])(scope, receive, send)

    def index(self, request: Request) -> Response:
        """The page itself."""
        return self.answer(request, f"{self._prefix}/{_INDEX}")

    def answer(self, request: Request, address: str) -> Response:
        """The file at an address, or 304 where the browser has it already.

        Raises:
            HTTPException: as `__call__`.
        """
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        file = self._files.get(address)
        if file is None:
            raise HTTPException(404)
        known = request.headers.get("if-none-match", "")
        if file.headers["ETag"] in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return Response(status_code=304, headers=file.headers)
        return Response(file.data, media_type=file.kind, headers=file.headers)

    @cached_property
    def _files(self) -> dict[str, _PageFile]:
        """By address. Only what is listed here is ever sent, whatever an address says."""
        return {
            f"{self._prefix}/{path.relative_to(self._folder).as_posix()}": _read(path)
            for path in self._folder.rglob("*")
            if path.is_file()
        }


def _read(path: Path) -> _PageFile:
    data = path.read_bytes()
    kind = _KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    tag = f'"{content_hash(data).hex()}"'
    headers = {"ETag": tag, "Cache-Control": _KEPT.get(path.name, "no-cache")}
    return _PageFile(data, kind or "application/octet-stream", headers)
