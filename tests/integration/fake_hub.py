"""A hub of models on 127.0.0.1 that cuts the line where it is told to."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

COMMIT = "c" * 40


@dataclass
class Hub:
    """What the hub has, and does.

    Args:
        model: Its one model's id.
        files: Content by path.
        in_lfs: Files of more bytes than this are in LFS.
        breaks_at: Byte counts after which a file's connection ends, one a request; by path.
        lies: Sent in place of a file's content, by path.
        refused: Ranges of a file that are refused as beyond its end (416), by path.
        n_sent: Bytes sent of each file.
        asked: Paths that were asked for.
    """

    model: str
    files: dict[str, bytes]
    in_lfs: int = 1000
    breaks_at: dict[str, list[int]] = field(default_factory=dict)
    lies: dict[str, bytes] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    n_sent: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""

    @classmethod
    def of(cls, model: str, folder: Path) -> "Hub":
        """A hub whose model has the files of a folder."""
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        return cls(model, files)

    def facts(self) -> dict:
        """What the hub's API says of the model."""
        return {"id": self.model, "sha": COMMIT, "siblings": [*map(self._sibling, self.files)]}

    def _sibling(self, name: str) -> dict:
        data = self.files[name]
        blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False)
        entry = {"rfilename": name, "size": len(data), "blobId": blob.hexdigest()}
        if len(data) > self.in_lfs:
            sha = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"sha256": sha, "size": len(data), "pointerSize": 130}
        return entry


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        hub = self.hub
        path = self.path.partition("?")[0]
        hub.asked.append(path)
        if path.startswith(f"/api/models/{hub.model}"):
            return self._send(200, json.dumps(hub.facts()).encode(), {})
        name = path.removeprefix(f"/{hub.model}/resolve/{COMMIT}/")
        if name not in hub.files:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        data = hub.lies.get(name, hub.files[name])
        asked = re.match(r"bytes=(\d+)-\Z", self.headers.get("Range", ""))
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        if self.headers.get("If-Range", etag) != etag:
            asked = None  # of another version: all of it (RFC 9110, 13.1.5)
        start = int(asked[1]) if asked else 0
        if asked and hub.refused.get(name):
            hub.refused[name] -= 1
            return self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        headers = {"ETag": etag}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        breaks = hub.breaks_at.get(name)
        n = breaks.pop(0) if breaks else len(data)
        hub.n_sent[name] = hub.n_sent.get(name, 0) + len(data[start:][:n])
        return self._send(206 if asked else 200, data[start:], headers, n)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], n: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:n])
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what some tests are about."""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The server, for as long as the block runs; its address is in `hub`."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
