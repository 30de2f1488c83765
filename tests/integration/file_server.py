"""A server of one file on 127.0.0.1 that behaves as badly as it is told to."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


@dataclass
class Served:
    """What the server has and does.

    Args:
        data: The file.
        etag: Of its version.
        breaks_at: Byte counts after which the connection ends, one a request.
        statuses: Answered before anything else, one a request.
        ranges: Whether ranges are understood.
        announce: Content-Length instead of the right one.
        range_says: Content-Range instead of the right one.
        extra: Bytes sent behind the file, without a length.
        chunked: No length is told.
        pages: Path -> body of other addresses.
        asked: Headers of the requests so far.
    """

    data: bytes = b""
    etag: str = '"one"'
    breaks_at: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    announce: int | None = None
    range_says: str | None = None
    extra: bytes = b""
    chunked: bool = False
    pages: dict[str, bytes] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    address: str = ""


class _Handler(BaseHTTPRequestHandler):
    served: ClassVar[Served]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        served = self.served
        served.asked.append({"path": self.path, **dict(self.headers)})
        if self.path in served.pages:
            return self._send(200, served.pages[self.path], {})
        if served.statuses:
            return self._send(served.statuses.pop(0), b"no", {"Retry-After": "0"})
        start, status = self._start()
        if start > len(served.data):
            return self._send(416, b"", {})
        headers = {"ETag": served.etag}
        if status == 206:
            whole = f"bytes {start}-{len(served.data) - 1}/{len(served.data)}"
            headers["Content-Range"] = served.range_says or whole
        return self._send(status, served.data[start:] + served.extra, headers, file=True)

    def _start(self) -> tuple[int, int]:
        told = re.match(r"bytes=(\d+)-\Z", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", self.served.etag) == self.served.etag
        return (int(told[1]), 206) if told and self.served.ranges and same else (0, 200)

    def _send(self, status: int, body: bytes, headers: dict[str, str], file: bool = False) -> None:
        served = self.served
        self.send_response(status)
        length = served.announce if file and served.announce is not None else len(body)
        if not (file and (served.chunked or served.extra)):
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        n = served.breaks_at.pop(0) if file and served.breaks_at else len(body)
        self.wfile.write(body[:n])
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what some tests are about."""


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    """The server, for as long as the block runs; its address is in `served`."""
    handler = type("Handler", (_Handler,), {"served": served})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
