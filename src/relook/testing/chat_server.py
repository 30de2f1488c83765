"""An OpenAI-compatible chat service on this machine that does what a test tells it. Layer: testing.

    with chat_server(say("Bulgaria [1]."), busy(0)) as server:
        ...  # server.url, server.requests

Each request takes the next behaviour; the last one stays. Every behaviour serves streaming and
whole requests alike.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Handler", dict[str, Any]], None]
KEY = "sk-test-of-a-secret-key"
_USAGE = {"prompt_tokens": 321, "completion_tokens": 12, "total_tokens": 333}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: ChatServer

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        behave = self.server.next(self.path, self._headers(), body)
        behave(self, body)

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def send(self, status: int, body: object, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, values: object) -> None:
        self.wfile.write(f"data: {json.dumps(values)}\n\n".encode())
        self.wfile.flush()

    def piece(self, finish: str | None = None, **delta: Any) -> None:
        self.event(
            {
                "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "tiny-1",
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
            }
        )  # fmt: skip

    def end_stream(self) -> None:
        self.event({"id": "c1", "object": "chat.completion.chunk", "created": 1,
                    "model": "tiny-1", "choices": [], "usage": _USAGE})  # fmt: skip
        self.wfile.write(b"data: [DONE]\n\n")


class ChatServer(ThreadingHTTPServer):
    """What runs; `requests` has the bodies in order, `headers` the headers, in lower case."""

    daemon_threads = True

    def __init__(self, behaviours: tuple[Behaviour, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours = list(behaviours)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.ended = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def next(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Behaviour:
        with self._lock:
            self.paths.append(path)
            self.headers.append(headers)
            self.requests.append(body)
            return self.behaviours[0] if len(self.behaviours) == 1 else self.behaviours.pop(0)

    def texts(self, number: int = -1) -> str:
        """All text of a request's messages."""
        parts = []
        for message in self.requests[number]["messages"]:
            content = message["content"]
            parts += [content] if isinstance(content, str) else [
                part["text"] for part in content if part["type"] == "text"
            ]  # fmt: skip
        return "\n".join(parts)

    def pictures(self, number: int = -1) -> list[str]:
        """Addresses of a request's pictures."""
        return [
            part["image_url"]["url"]
            for message in self.requests[number]["messages"]
            if not isinstance(message["content"], str)
            for part in message["content"]
            if part["type"] == "image_url"
        ]


@contextmanager
def chat_server(*behaviours: Behaviour) -> Iterator[ChatServer]:
    server = ChatServer(behaviours)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def say(text: str, finish: str = "stop", **more: Any) -> Behaviour:
    """Answers with the text; streamed word by word."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        if not body.get("stream"):
            message = {"role": "assistant", "content": text, **more}
            handler.send(200, whole_reply(message, finish))
            return
        handler.begin_stream()
        handler.piece(role="assistant", content="")
        for word in text.split(" "):
            handler.piece(content=word + " ")
        handler.piece(finish=finish)
        handler.end_stream()

    return behave


def answer_by(decide: Callable[[dict[str, Any]], str]) -> Behaviour:
    """Answers with what a function makes of the request."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        say(decide(body))(handler, body)

    return behave


def refuse(text: str = "I cannot help with that.") -> Behaviour:
    """Declines in the field that is for it."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        if not body.get("stream"):
            message = {"role": "assistant", "content": None, "refusal": text}
            handler.send(200, whole_reply(message, "stop"))
            return
        handler.begin_stream()
        handler.piece(refusal=text)
        handler.piece(finish="stop")
        handler.end_stream()

    return behave


def cut_off(text: str, how: str = "silent") -> Behaviour:
    """Streams the text and then goes away: `silent`, or `broken` in the middle of a chunk."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        if how == "silent":
            handler.begin_stream()
            handler.piece(content=text)
            return
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "choices": [choice]}
        data = f"data: {json.dumps(chunk)}\n\n".encode()
        handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\nff\r\ndata: {")
        handler.wfile.flush()
        handler.close_connection = True

    return behave


def fail(status: int, message: str = "no", code: str | None = None, **headers: str) -> Behaviour:
    """An error in the documented shape."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        error = {"message": message, "type": "x", "param": None, "code": code}
        handler.send(status, {"error": error}, **headers)

    return behave


def redirect(address: str, status: int = 307) -> Behaviour:
    """The picture is wanted at another address."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        handler.send(status, {}, location=address)

    return behave


def busy(retry_after: object) -> Behaviour:
    """Too many requests."""
    return fail(429, "slow down", "rate_limit_exceeded", retry_after=str(retry_after))


def without(*keys: str) -> Behaviour:
    """Rejects requests with these keys by their names, and answers others."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        for key in keys:
            if key in body:
                hint = "; use 'max_completion_tokens'" if key == "max_tokens" else ""
                fail(400, f"Unsupported parameter: '{key}'{hint}")(handler, body)
                return
        say("Fine.")(handler, body)

    return behave


def raw(body: bytes, content_type: str = "text/html", status: int = 200) -> Behaviour:
    """Any bytes."""

    def behave(handler: Handler, _: dict[str, Any]) -> None:
        handler.send(status, body, content_type=content_type)

    return behave


def trickle(pause_s: float, n: int = 1000) -> Behaviour:
    """Streams forever, slowly."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin_stream()
        try:
            for _ in range(n):
                handler.piece(content="la ")
                time.sleep(pause_s)
        except OSError:
            pass  # the other side had enough

    return behave


def sleep(seconds: float) -> Behaviour:
    """Says nothing for so long, then answers; the end of the server ends it."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        handler.server.ended.wait(seconds)
        with suppress(OSError):  # the other side did not wait
            say("Late.")(handler, body)

    return behave


def whole_reply(message: dict[str, Any], finish: str | None) -> dict[str, Any]:
    """The body of a reply in one piece."""
    return {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "tiny-1", "usage": _USAGE,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }  # fmt: skip
