"""The page's own files, read once and answered from memory. Layer: server.

A page has some sixty modules and ten style sheets. They are put together when the server
starts, so that a browser asks for one of each: seventy requests were more than half of the time
until the page could be used (docs/decisions/0017-one-script.md). The modules can be had, too: tools
of browsers show them by the map of the script.
"""

import json
import mimetypes
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from relook.core.images import content_hash
from relook.serving.one_script import OneScript

_INDEX = "index.html"
# A browser asks for the icon again with every address, so with every search.
_KEPT = {"favicon.svg": "max-age=86400"}
# What the tables of some systems lack or name otherwise, and browsers insist on.
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
          ".webmanifest": "application/manifest+json", ".map": "application/json"}  # fmt: skip
_LINK = re.compile(r'<link rel="stylesheet" href="([^"]+)">\s*')
_STYLES = re.compile(f"(?:{_LINK.pattern.replace('(', '(?:')})+")
_LINKED = '<link rel="stylesheet" href="{}">\n  '
_MODULE = re.compile(r'<script type="module" src="([^"]+)"></script>')


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

    def prepare(self) -> None:
        """Reads and puts together, so that the first person does not wait."""
        _ = self._files

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
        paths = [
            PurePosixPath(path.relative_to(self._folder).as_posix())
            for path in self._folder.rglob("*")
            if path.is_file()
        ]
        files = {path: (self._folder / path).read_bytes() for path in paths}
        for path in paths:
            if path.suffix == ".html":
                files.update(self._put_together(path))
        return {self._address(path): _page_file(path, data) for path, data in files.items()}

    def _put_together(self, page: PurePosixPath) -> dict[PurePosixPath, bytes]:
        """A page that asks for one style sheet and one script, and these.

        Raises:
            ValueError: for a page or a module that this cannot be done with.
        """
        html = self._text(page)
        links, module = _STYLES.search(html), _MODULE.search(html)
        if links is None or module is None:
            raise ValueError(f"{page} has no style sheets or no module")
        style, code, code_map = (page.with_suffix(end) for end in (".css", ".js", ".js.map"))
        script = OneScript(self._path(module[1]), read=self._text)
        texts = {
            page: html.replace(links[0], _LINKED.format(self._address(style))).replace(
                module[1], self._address(code)
            ),
            style: "".join(self._text(self._path(link)) for link in _LINK.findall(links[0])),
            code: f"{script.text}{script.exports}//# sourceMappingURL={code_map.name}\n",
            code_map: json.dumps(script.source_map(self._address)),
        }
        return {path: text.encode() for path, text in texts.items()}

    def _text(self, path: PurePosixPath) -> str:
        return (self._folder / path).read_text("utf-8")

    def _address(self, path: PurePosixPath) -> str:
        return f"{self._prefix}/{path}"

    def _path(self, address: str) -> PurePosixPath:
        return PurePosixPath(address).relative_to(self._prefix)


def _page_file(path: PurePosixPath, data: bytes) -> _PageFile:
    kind = _KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    tag = f'"{content_hash(data).hex()}"'
    headers = {"ETag": tag, "Cache-Control": _KEPT.get(path.name, "no-cache")}
    return _PageFile(data, kind or "application/octet-stream", headers)
