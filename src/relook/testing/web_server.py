"""A web server on this machine that answers as a test tells it. Layer: testing.

with serving() as site:
    site.replies["/search"] = Reply({"results": []})
    ...                        # ask a client of yours at site.address
    site.asked[0].query        # what it sent
"""

import io
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from relook.testing.fakes import noise


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """One answer.

    Args:
        body: Bytes, or an object that becomes JSON.
        status, headers: Of the answer.
        delay_s: Seconds before anything is sent; the end of the server ends them.
        drip_s: Seconds between one byte of the body and the next.
        n_bytes_claimed: The Content-Length, when it is to be a lie.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    n_bytes_claimed: int | None = None

    @property
    def data(self) -> bytes:
        """The body as it is sent."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class WebServer:
    """A running server: what it answers by path, and what it was asked."""

    address: str
    replies: dict[str, Reply | Callable[[Asked], Reply]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [request.path for request in self.asked]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: WebServer
    ended: threading.Event

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients of these tests hang up early on purpose."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: Any) -> None:
        """No log."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        n_bytes = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(n_bytes)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
        self.server.site.asked.append(request)
        reply = self.server.site.replies.get(parts.path, Reply(b"no such path", 404))
        reply = reply(request) if callable(reply) else reply
        if reply.delay_s:
            self.server.ended.wait(reply.delay_s)
        data = reply.data
        self.close_connection = True
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        claimed = len(data) if reply.n_bytes_claimed is None else reply.n_bytes_claimed
        self.send_header("Content-Length", str(claimed))
        self.send_header("Connection", "close")
        self.end_headers()
        if not reply.drip_s:
            self.wfile.write(data)
            return
        for at in range(len(data)):
            self.wfile.write(data[at : at + 1])
            self.wfile.flush()
            time.sleep(reply.drip_s)


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """A server on a port of its own; over TLS with a context."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.ended = threading.Event()
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    server.site = WebServer(f"{scheme}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="web-server")
    thread.start()
    try:
        yield server.site
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def picture_bytes(seed: int = 1, width: int = 64, height: int = 48, kind: str = "PNG") -> bytes:
    """The file of a picture."""
    out = io.BytesIO()
    noise(seed, width, height).save(out, kind)
    return out.getvalue()
