"""Who may ask, and how fast: hosts, sites, tokens, slow and endless requests."""

import http.client
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from patient_relook import PATIENCE_S
from server_parts import TOKEN, Running, error_of, serving, small_library

import relook
from relook.core.errors import InputError, TokenError
from relook.server import ServerSettings


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("guard")
    with serving(small_library(folder), cache=folder / "cache") as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a token."""
    folder = tmp_path_factory.mktemp("guarded")
    with serving(small_library(folder), cache=folder / "cache", token=TOKEN) as running:
        yield running


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("localhost:9999", 200), ("[::1]:80", 200), ("LOCALHOST.", 200),
        ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("", 403), ("10.0.0.1", 403),
        ("localhost@evil.example", 403), ("[::1", 403),
    ],
)  # fmt: skip
def test_only_our_own_names_are_answered(server: Running, host: str, status: int) -> None:
    answer = server.http.get("/api/v1/health", headers={"Host": host})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"]["code"] == "bad_host"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "{own}"}, 200),
        ({"Origin": "{own}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
    ],
)
def test_other_sites_change_nothing(server: Running, headers: dict[str, str], status: int) -> None:
    headers = {name: value.format(own=server.address) for name, value in headers.items()}
    answer = server.post("/search", {"query": "red"}, headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"]["code"] == "bad_origin"


def test_other_sites_read_nothing_but_may_link_to_the_page(server: Running) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert error_of(server.get("/images/1/thumbnail", headers=foreign)) == (403, "bad_origin")
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert server.http.get("/?library=library", headers=link).status_code in (200, 404)


@pytest.mark.parametrize("path", ["/api/v1/health", "/", "/api/v1/nope", "/static/nope.js"])
def test_every_answer_has_the_safe_headers(server: Running, path: str) -> None:
    headers = server.http.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize(
    ("headers", "ok"),
    [
        ({}, False),
        ({"Authorization": f"Bearer {TOKEN}"}, True),
        ({"Authorization": f"bearer  {TOKEN}"}, True),
        ({"Authorization": f"Basic {TOKEN}"}, False),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, False),
        ({"Authorization": "Bearer"}, False),
        ({"Cookie": f"relook={TOKEN}"}, False),
        ({"Cookie": "\xff=;;;="}, False),
    ],
)
def test_a_token_is_wanted(guarded: Running, headers: dict[str, str], ok: bool) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    for path in ("/api/v1/version", "/", "/openapi.json"):
        answer = guarded.http.get(path, headers=encoded)
        assert (answer.status_code != 401) is ok
        if not ok:
            assert answer.json()["error"]["code"] == "bad_token"
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert guarded.http.get("/api/v1/health").status_code == 200


def test_a_link_with_the_token_becomes_a_cookie_once(
    guarded: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = guarded.http.get("/", params={"library": "library", "token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?library=library")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    shown = {"Cookie": cookie.partition(";")[0]}
    guarded.http.cookies.clear()
    head = guarded.http.head("/", params={"library": "library", "token": TOKEN})
    assert (head.status_code, head.content) == (303, b"")
    assert (head.headers["location"], head.headers["set-cookie"]) == ("/?library=library", cookie)
    guarded.http.cookies.clear()
    assert guarded.http.get("/api/v1/version", headers=shown).status_code == 200
    connection = http.client.HTTPConnection(guarded.address.removeprefix("http://"))
    connection.request("GET", f"//evil.example/?token={TOKEN}", headers=shown)
    assert connection.getresponse().headers["location"] == "/evil.example/"
    connection.close()
    guarded.http.cookies.clear()
    wrong = guarded.http.get("/", params={"token": TOKEN[:-1] + "?"})
    assert wrong.status_code == 401
    assert guarded.http.post("/api/v1/libraries", params={"token": TOKEN}).status_code == 401
    with pytest.raises(TokenError, match="wants its token"):
        guarded.client.libraries()
    with relook.Client(guarded.address, token=TOKEN) as client:
        assert len(client.libraries()) == 1
    ours = [one for one in caplog.records if not one.name.startswith("http")]
    assert "GET / -> 303" in " ".join(one.getMessage() for one in ours)
    assert [one for one in ours if TOKEN in one.getMessage()] == []


def test_beyond_this_machine_a_token_is_needed() -> None:
    for host in ("0.0.0.0", "::", "192.168.0.7", "example.org"):
        with pytest.raises(InputError, match="there is no token"):
            ServerSettings(host=host)
        with pytest.raises(InputError, match="has 5 characters"):
            ServerSettings(host=host, token="short")
        settings = ServerSettings(host=host, token=TOKEN)
        assert TOKEN not in repr(settings)
    open_to_all = ServerSettings(host="0.0.0.0", token=TOKEN, allowed_hosts=("photos.example",))
    assert open_to_all.is_our_host("192.168.0.7")
    assert open_to_all.is_our_host("photos.example")
    assert not open_to_all.is_our_host("evil.example")


def test_a_body_without_a_length_is_counted(server: Running) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    answer = server.http.post(f"{server.base}/search", content=endless())
    assert error_of(answer) == (413, "body_too_large")


def test_a_body_that_trickles_is_cut_off(tmp_path: Path) -> None:
    with serving(small_library(tmp_path), cache=tmp_path / "cache", timeout_s=0.3) as server:
        host, port = server.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as raw:
            raw.sendall(
                b"POST /api/v1/libraries/library/search HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )
            assert raw.recv(4096).startswith(b"HTTP/1.1 503")


def _raw(server: Running) -> socket.socket:
    host, port = server.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def _until_the_end(raw: socket.socket) -> bytes:
    """What comes until the connection ends; a TimeoutError when it does not."""
    told = b""
    while part := raw.recv(4096):
        told += part
    return told


@pytest.mark.parametrize("begun", [b"", b"GET /api/v1/health HTTP/1.1\r\nHost: local"])
def test_a_head_that_never_ends_is_cut_off(tmp_path: Path, begun: bytes) -> None:
    request = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(small_library(tmp_path), cache=tmp_path / "cache", timeout_s=1.5) as server:
        with _raw(server) as raw:
            raw.sendall(begun)
            assert _until_the_end(raw) == b""
        with _raw(server) as raw:  # the same after a whole request on the same connection
            raw.sendall(request)
            assert raw.recv(10) == b"HTTP/1.1 2"
            raw.sendall(b"GET /")
            assert b'"ok"' in _until_the_end(raw)


def test_a_head_that_comes_in_pieces_is_answered(server: Running) -> None:
    with _raw(server) as raw:
        for piece in (b"GET /api/v1/hea", b"lth HTTP/1.1\r\nHost: loc", b"alhost\r\n\r\n"):
            raw.sendall(piece)
        assert raw.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_head_without_end_is_refused(server: Running) -> None:
    with _raw(server) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        try:
            for _ in range(20):
                raw.sendall(b"a" * 16_384)
            told = raw.recv(4096)
        except (ConnectionResetError, BrokenPipeError):
            return
        assert told.startswith(b"HTTP/1.1 4")
