"""Attacks on a real server below the routes: framing, floods, readers that do not read, logs."""

import contextlib
import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from patient_relook import PATIENCE_S
from server_parts import TOKEN, Running, error_of, serving, small_library, wait_for

import relook
from relook.testing import ColourEncoder, noise
from relook.testing.web_server import Reply
from relook.testing.web_server import serving as web

SMUGGLED = b"GET /api/v1/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/v1/libraries/library/search HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("attacks")
    with serving(small_library(folder), cache=folder / "cache") as running:
        yield running


def raw(server: Running) -> socket.socket:
    host, port = server.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def all_of(connection: socket.socket) -> bytes:
    told = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            told += part
    return told


@pytest.mark.parametrize(
    ("lengths", "body"),
    [
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
        (b"Content-Length: 0\r\nContent-Length: 51\r\n", b""),
        (b"Content-Length: +0\r\n", b""),
        (b"Content-Length: 0x0\r\n", b""),
        (b"Content-Length: -1\r\n", b""),
        (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"zz\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"-1\r\n\r\n"),
        (b"Content-Length : 0\r\n", b""),
        (b"X: 1\r\n Content-Length: 0\r\n\x00: 1\r\n", b""),
    ],
)
def test_a_request_with_doubtful_bounds_smuggles_nothing(
    server: Running, lengths: bytes, body: bytes
) -> None:
    """It is refused, and what comes behind it on the connection is not taken for a request."""
    with raw(server) as connection:
        connection.sendall(POST + lengths + b"\r\n" + body + SMUGGLED)
        told = all_of(connection)
    assert told.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")), told[:80]
    assert told.count(b"HTTP/1.1 ") == 1
    assert b'"version"' not in told


def test_requests_in_a_row_are_answered_in_turn(server: Running) -> None:
    with raw(server) as connection:
        last = SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        connection.sendall(SMUGGLED * 3 + last)
        assert all_of(connection).count(b"HTTP/1.1 200") == 4


@pytest.mark.parametrize("kind", [b"websocket", b"h2c", b"tls/1.0"])
def test_no_upgrade_is_made(server: Running, kind: bytes) -> None:
    head = SMUGGLED.replace(
        b"\r\n\r\n",
        b"\r\nConnection: Upgrade\r\nUpgrade: " + kind + b"\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    )
    with raw(server) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_http_1_0_and_nonsense_end_the_connection(server: Running) -> None:
    with raw(server) as connection:
        connection.sendall(b"GET /api/v1/health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert all_of(connection).startswith(b"HTTP/1.1 200")
    for nonsense in (b"\x16\x03\x01\x02\0\1", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET\r\n\r\n"):
        with raw(server) as connection:
            connection.sendall(nonsense + b"\r\n\r\n")
            assert all_of(connection).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    "path", ["/%0d%0aSet-Cookie:a=b", "/%0a%0aINFO:root:forged", "/%1b[31m", "/%e2%80%a8x"]
)
def test_nothing_of_an_address_becomes_a_header_or_a_log_line(
    server: Running, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"))
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert (answer.status, answer.getheader("set-cookie")) == (404, None)

    def said() -> list[str]:
        return [one.getMessage() for one in caplog.records if one.name.startswith("relook")]

    wait_for(said)  # the line is written behind the answer
    lines = said()
    assert all(line.isprintable() for line in lines)


def test_an_opened_link_redirects_without_forged_headers(tmp_path: Path) -> None:
    with serving(small_library(tmp_path), cache=tmp_path / "cache", token=TOKEN) as guarded:
        connection = http.client.HTTPConnection(guarded.address.removeprefix("http://"))
        forged = f"/%0d%0aSet-Cookie:%20a=b?token={TOKEN}&x=%0d%0aLocation:%20//evil.example"
        connection.request("GET", forged)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert answer.status == 303
        assert [name for name, _ in answer.getheaders()].count("location") == 1
        assert str(answer.getheader("location")).startswith("/%0D%0A")
        assert "a=b" not in str(answer.getheader("set-cookie"))


def test_connections_beyond_the_bound_are_told_to_come_back(tmp_path: Path) -> None:
    library = small_library(tmp_path)
    with serving(library, cache=tmp_path / "cache", n_connections=4) as server:
        server.http.close()
        with contextlib.ExitStack() as open_ones:
            for _ in range(4):
                open_ones.enter_context(raw(server))
            wait_for(lambda: len(server.server.server_state.connections) == 4)
            with raw(server) as fifth:
                fifth.sendall(SMUGGLED)
                told = all_of(fifth)
            assert told.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 2" in told.lower()
            assert json.loads(told.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_busy"
            with contextlib.ExitStack() as too_many:  # past a margin nobody gets an answer
                for _ in range(12):
                    too_many.enter_context(raw(server))
                wait_for(lambda: len(server.server.server_state.connections) >= 12)
                with raw(server) as last:
                    assert all_of(last) == b""
        wait_for(lambda: not server.server.server_state.connections)
        with raw(server) as again:
            again.sendall(SMUGGLED)
            assert again.recv(100).startswith(b"HTTP/1.1 200")


def test_uploads_beyond_the_bound_are_told_to_come_back(tmp_path: Path) -> None:
    picture = {"file": ("a.png", b"not a picture")}
    with serving(small_library(tmp_path), cache=tmp_path / "cache", n_uploads=1) as server:
        head = (
            f"POST {server.base}/pictures HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        ).encode()
        with raw(server) as slow:
            slow.sendall(head)
            wait_for(
                lambda: (
                    server.http.post(f"{server.base}/pictures", files=picture).status_code == 503
                )
            )
            answer = server.http.post(f"{server.base}/uploads", files={"files": picture["file"]})
            assert error_of(answer) == (503, "too_busy")
            assert answer.headers["retry-after"] == "2"
            assert server.post("/search", {"query": "red"}).status_code == 200
            slow.sendall(b"123456789")
            assert slow.recv(100).startswith(b"HTTP/1.1 4")
        answer = server.http.post(f"{server.base}/pictures", files=picture)
        assert error_of(answer) == (422, "not_an_image")


def test_a_body_that_drips_is_cut_off(tmp_path: Path) -> None:
    """Each byte comes in time, and the whole never would."""
    with serving(small_library(tmp_path), cache=tmp_path / "cache", timeout_s=0.6) as server:
        with raw(server) as connection:
            connection.sendall(POST + b"Content-Length: 100000\r\n\r\n")
            until = time.monotonic() + 600
            stop = threading.Event()

            def drip() -> None:
                with contextlib.suppress(OSError):
                    while time.monotonic() < until and not stop.wait(0.1):
                        connection.sendall(b" ")

            dripping = threading.Thread(target=drip)
            dripping.start()
            told = all_of(connection)
            stop.set()
            dripping.join()
        assert told.startswith(b"HTTP/1.1 503")
        assert b"body_too_slow" in told
        assert b"retry-after" in told.lower()


def test_who_reads_nothing_is_let_go(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    noise(1, 2600, 2600).save(tmp_path / "pictures" / "large.png", compress_level=0)
    library = relook.Library(tmp_path / "library", encoder=ColourEncoder())
    library.add(tmp_path / "pictures")
    with serving(library, cache=tmp_path / "cache", timeout_s=0.6) as server:
        server.http.close()
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            host, port = server.address.removeprefix("http://").split(":")
            deaf.connect((host, int(port)))
            path = f"{server.base}/images/1/file"
            deaf.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            wait_for(lambda: server.server.server_state.total_requests > 0)
            wait_for(lambda: not server.server.server_state.connections)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]",
     "169.254.169.254", "10.0.0.1"],
)  # fmt: skip
def test_ask_fetches_nothing_from_inside(server: Running, host: str) -> None:
    with web() as site:
        site.replies["/a.png"] = Reply(b"secret")
        port = site.address.rpartition(":")[2]
        body = {"url": f"http://{host}:{port}/a.png", "question": "?", "stream": False}
        assert error_of(server.http.post("/api/v1/ask", json=body)) == (403, "private_address")
        assert site.asked == []


@pytest.mark.parametrize(
    ("url", "status"),
    [("file:///etc/passwd", 400), ("gopher://x/", 400), ("http://a:b@example.org/", 400),
     ("http://x\r\nHost: evil/", 400), ("\thttp://127.0.0.1/", 400)],
)  # fmt: skip
def test_ask_takes_only_plain_addresses(server: Running, url: str, status: int) -> None:
    body = {"url": url, "question": "?", "stream": False}
    assert error_of(server.http.post("/api/v1/ask", json=body)) == (status, "bad_url")


def test_a_file_that_is_swapped_for_a_link_all_the_time_leaks_nothing(tmp_path: Path) -> None:
    """Whoever wins the race: the picture that was indexed is sent, or none."""
    library = small_library(tmp_path)
    secret = tmp_path / "secret.png"
    noise(1).save(secret)
    with serving(library, cache=tmp_path / "cache") as server:
        path = Path(server.client.image("library", 1)["path"])
        own = path.read_bytes()
        stop = threading.Event()

        def swap() -> None:
            new = path.with_suffix(".new")
            while not stop.is_set():
                new.symlink_to(secret)
                new.replace(path)
                new.write_bytes(own)
                new.replace(path)

        swapping = threading.Thread(target=swap)
        swapping.start()
        try:
            answers = [server.get(f"/images/1/{kind}") for kind in ("file", "file?v=1") * 40]
        finally:
            stop.set()
            swapping.join()
        assert {one.status_code for one in answers} <= {200, 404}
        assert {one.content for one in answers if one.status_code == 200} <= {own}
