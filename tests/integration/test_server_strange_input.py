"""What strangers write into headers and texts never becomes a fault of the server."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from patient_relook import PATIENCE_S
from server_parts import Running, serving, small_library

ODD = [
    "\xff", "", "[", "http://[", "http://[::1", "http://[v1.x]", "http://a]b", "http://\xb2:\xb2",
    "bytes=\xb2-", "bytes=-", "bytes=0-,", "bytes=99999999999999999999-", "bytes=1-0", "x" * 5000,
    "Wed, 32 Foo 99999 99:99:99 X", "Thu, 01 Jan 1970 00:00:00 +99999999", "multipart/form-data",
    "multipart/form-data; boundary=", "multipart/form-data; boundary=\xff", "a=\xff; b=\"",
    "multipart/form-data; charset=x; boundary=a", "application/json; charset=foo", '"', 'W/""',
    "utf-\xff", "-1", "1e3", "http://localhost:99999999", "for=[", "0x",
]  # fmt: skip
HEADERS = [
    "Origin", "Range", "If-None-Match", "If-Modified-Since", "If-Range", "Cookie", "Authorization",
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "Accept", "Accept-Encoding",
    "Content-Type", "Content-Length", "Transfer-Encoding", "Sec-Fetch-Site", "Sec-Fetch-Mode",
    "Referer", "Expect", "Upgrade", "Connection", "Host",
]  # fmt: skip
LIBRARY = "/api/v1/libraries/library"
TARGETS = [
    ("GET", "/static/favicon.svg"), ("POST", f"{LIBRARY}/search"),
    ("POST", f"{LIBRARY}/sessions/import"), ("POST", f"{LIBRARY}/uploads"),
    ("GET", f"{LIBRARY}/images/1/thumbnail"), ("GET", f"{LIBRARY}/images/1/file"),
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("strange")
    with serving(small_library(folder), cache=folder / "cache") as running:
        yield running


def status_of(server: Running, method: str, target: str, header: str, value: str) -> int:
    """Status of a request with one header that may be nonsense; 0 when the line is cut."""
    host, port = server.address.removeprefix("http://").split(":")
    body = b'{"query": "red"}' if method == "POST" else b""
    headers = {
        "Host": f"{host}:{port}", "Content-Type": "application/json",
        "Content-Length": str(len(body)), "Connection": "close", header: value,
    }  # fmt: skip
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        if header in ("Content-Length", "Transfer-Encoding", "Expect", "Connection", "Upgrade"):
            connection.shutdown(socket.SHUT_WR)  # the server may wait for more of a body
        try:
            line = connection.recv(100)
        except ConnectionResetError:
            return 0
    return int(line.split(b" ")[1]) if line else 0


@pytest.mark.parametrize("header", HEADERS)
def test_no_header_becomes_a_fault(
    server: Running, header: str, caplog: pytest.LogCaptureFixture
) -> None:
    for method, target in TARGETS:
        for value in ODD:
            status = status_of(server, method, target, header, value)
            assert status != 500, (method, target, value)  # it may be busy
    assert "a request failed" not in caplog.text


@pytest.mark.parametrize(
    "origin", ["http://[", "http://[::1", "http://a]b", "[", "\xff", "null", ""]
)
def test_an_origin_that_cannot_be_read_is_foreign(server: Running, origin: str) -> None:
    assert status_of(server, "POST", f"{LIBRARY}/search", "Origin", origin) == 403


def bodies(text: str) -> Iterator[tuple[str, str, Any]]:
    """Requests with the text wherever a request may have one."""
    for query in (text, f"id:{text}", f"image:{text}", {"parts": [{"text": text}]},
                  {"parts": [{"picture": text}]}):  # fmt: skip
        yield "POST", f"{LIBRARY}/search", {"query": query}
    for only in ({"where": {text: "*"}}, {"where": {"title": text}}, {"path": text}):
        yield "POST", f"{LIBRARY}/search", {"query": "red", **only}
        yield "POST", f"{LIBRARY}/sessions", {"query": "red", **only}
    for more in ({"name": text}, {"instruction": text}):
        yield "POST", f"{LIBRARY}/sessions", {"query": "red", **more}
    session = f"{LIBRARY}/sessions/SESSION"
    yield "PATCH", session, {"name": text}
    yield "POST", f"{session}/rounds", {"strategy": text}
    mark = {"image_id": 1, "relevant": True, "box": [0, 0, 0.5, 0.5]}
    yield "POST", f"{session}/judgements", {**mark, "caption": text}
    yield "PATCH", f"{session}/judgements/MARK", {"caption": text}
    yield "POST", f"{LIBRARY}/index", {"paths": [text]}
    yield "POST", f"{LIBRARY}/embeddings", {"texts": [text]}
    for more in ({"question": text}, {"model": text}, {"providers": [text]}):
        yield "POST", "/api/v1/ask", {"image_id": 1, "stream": False, **more}
    for subject in ({"url": text}, {"picture": text}, {"ask_id": text}, {"library_id": text}):
        yield "POST", "/api/v1/ask", {"stream": False, **subject}


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "a\udc80b", "\ufffe"])
def test_no_text_becomes_a_fault(
    server: Running, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    session_id = server.client.begin("library", "red")["session_id"]
    marked = server.client.judge("library", session_id, 2, True, box=[0, 0, 0.5, 0.5])
    for method, place, body in bodies(text):
        path = place.replace("SESSION", session_id).replace("MARK", str(marked["judgement_id"]))
        answer = server.http.request(
            method, path, content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code < 500, (path, body, answer.text)
    shown = server.client.session("library", session_id)
    assert shown["session_id"] == session_id
    assert "a request failed" not in caplog.text


@pytest.mark.parametrize("where", [{"where": {"\0": "*"}}, {"where": {"k": "\0"}}, {"path": "\0"}])
def test_a_filter_with_a_nul_is_a_bad_filter(server: Running, where: Any) -> None:
    answer = server.post("/search", {"query": "red", **where})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_filter")


@pytest.mark.parametrize("text", ["%00", "a%00b", "%ff", "%ed%a0%80"])
def test_no_address_becomes_a_fault(server: Running, text: str) -> None:
    for path in (
        f"/api/v1/libraries/{text}", f"{LIBRARY}/sessions/{text}", f"/api/v1/jobs/{text}",
        f"{LIBRARY}/sessions/{text}/export", f"{LIBRARY}/pictures/{text}/thumbnail",
        f"/api/v1/jobs/{text}/events", f"/api/v1/ask/screenshots/{text}", f"/static/{text}",
        f"{LIBRARY}/images/1/heatmap?text={text}", f"{LIBRARY}/images/1/heatmap?session={text}",
        f"{LIBRARY}/images/1/thumbnail?v={text}", f"/{text}",
    ):  # fmt: skip
        assert server.http.get(path).status_code < 500, path
    assert server.http.delete(f"{LIBRARY}/sessions/{text}").status_code < 500
