"""What strangers must not get out of the server, or do to it."""

import http.client
import io
import json
import logging
import os
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from server_parts import TOKEN, Running, serving

import relook
from relook.core.errors import InputError, TokenError
from relook.server import ServerSettings
from relook.testing import ColourEncoder, noise, solid

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
GREEN, RED, BLUE = 1, 2, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("safety")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    """One server for the tests that leave the library as it is."""
    library = _library(folder)
    with serving(library, cache=folder / "cache", picture_bytes=200_000) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Running]:
    """A server of the test's own."""
    with serving(_library(tmp_path), cache=tmp_path / "cache") as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a token."""
    folder = tmp_path_factory.mktemp("guarded")
    with serving(_library(folder), cache=folder / "cache", token=TOKEN) as running:
        yield running


def _library(folder: Path) -> relook.Library:
    pictures = folder / "pictures"
    pictures.mkdir()
    for name in ("blue", "green", "red"):
        solid(name).save(pictures / f"{name}.png")
    library = relook.Library(folder / "library", encoder=ColourEncoder())
    library.add(pictures)
    return library


def _error(answer: object) -> tuple[int, str]:
    return (answer.status_code, answer.json()["error"]["code"])


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/..%5capp.py",
        "/static//etc/passwd",
        "/api/v1/libraries/..%2f..%2fetc/images/1",
        "/api/v1/libraries/library/images/..%2f..%2fetc%2fpasswd/file",
        "/api/v1/libraries/library/pictures/..%2f..%2fetc%2fpasswd/thumbnail",
        "/api/v1/libraries/library/pictures/%2a/thumbnail",
        "/api/v1/libraries/library/sessions/..%2fx/export",
    ],
)
def test_no_path_leads_out(server: Running, path: str) -> None:
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"))
    connection.request("GET", path)  # as it stands, which httpx would tidy up
    answer = connection.getresponse()
    assert answer.status in (404, 422)
    assert set(json.loads(answer.read())) == {"error"}
    connection.close()


@pytest.mark.parametrize(
    "query",
    ["image:/etc/passwd", "image:~/x.jpg", "dog - image:/etc/passwd@0.1,0.1,0.5,0.5"],
)
def test_a_query_reads_no_file_of_the_server(server: Running, query: str) -> None:
    assert _error(server.post("/search", {"query": query})) == (400, "no_server_files")
    assert _error(server.post("/sessions", {"query": query})) == (400, "no_server_files")
    picture = {"file": ("x.png", _png(solid("red")))}
    answer = server.http.post(f"{server.base}/search/picture", files=picture, data={"query": query})
    assert _error(answer) == (400, "no_server_files")


def test_query_parts_have_no_files(server: Running) -> None:
    parts = {"parts": [{"image": "/etc/passwd"}]}
    assert _error(server.post("/search", {"query": parts})) == (422, "bad_request")
    parts = {"parts": [{"picture": "../../etc/passwd"}]}
    assert _error(server.post("/search", {"query": parts})) == (404, "no_picture")


def test_an_imported_session_reads_no_file_of_the_server(server: Running) -> None:
    session = server.client.begin("library", "red", limit=1)
    exported = json.loads(server.client.export("library", session["session_id"]))
    exported["query"] = {"parts": [{"image": "/etc/passwd"}]}
    answer = server.post("/sessions/import", exported)
    assert _error(answer) == (400, "no_server_files")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rounds", 0, "hits"), [[2, 1.0, -1]]),
        (("rounds", 0, "number"), 2**70),
        (("rounds", 0, "hits"), [[2, 1e999, 0]]),
        (("name",), "\ud800"),
        (("current_round",), 7),
    ],
)
def test_an_imported_session_cannot_break_what_is_shown(
    server: Running, path: tuple[object, ...], value: object
) -> None:
    session = server.client.begin("library", "red", limit=1)
    exported = json.loads(server.client.export("library", session["session_id"]))
    place = exported
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    answer = server.http.post(f"{server.base}/sessions/import", content=json.dumps(exported))
    assert _error(answer) == (400, "bad_session_file")


def test_only_the_file_that_was_indexed_is_sent(own: Running, tmp_path: Path) -> None:
    """Another file, or a link, at a catalogued path is not."""
    secret = tmp_path / "secret.png"
    noise(1).save(secret)
    places = [Path(own.client.image("library", one)["path"]) for one in (1, 2, 3)]
    places[0].unlink()
    places[0].symlink_to(secret)
    places[1].write_bytes(b"changed")
    places[2].unlink()
    os.mkfifo(places[2])
    codes = ["picture_changed", "picture_changed", "picture_gone"]
    for image_id, code in zip((1, 2, 3), codes, strict=True):
        for kind in ("file", "thumbnail", "heatmap?text=red"):
            assert _error(own.get(f"/images/{image_id}/{kind}")) == (404, code)
    session_id = own.client.begin("library", "red")["session_id"]
    pack = own.client.export("library", session_id, "zip", "results")
    assert secret.read_bytes() not in pack


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def _bomb() -> bytes:
    """A PNG of a few hundred bytes whose header says 100,000 x 100,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (SVG, 422, "not_an_image"),
        (b"", 422, "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 422, "not_an_image"),
        (b"<html><script>", 422, "not_an_image"),
        (_bomb(), 422, "too_many_pixels"),
        (b"\0" * 300_000, 413, "body_too_large"),
    ],
)
def test_query_pictures_are_checked_by_content(
    server: Running, data: bytes, status: int, code: str
) -> None:
    for path in ("pictures", "search/picture"):
        answer = server.http.post(
            f"{server.base}/{path}", files={"file": ("innocent.png", data, "image/png")}
        )
        assert _error(answer) == (status, code)


def test_uploads_get_names_of_ours_and_only_pictures_stay(own: Running, tmp_path: Path) -> None:
    files = [
        ("files", ("../../../evil.sh", _png(noise(1)))),
        ("files", ("..\\..\\b.svg", SVG)),
        ("files", ("c.html", _png(noise(2)))),
        ("files", ("\0/.hidden", _png(noise(3)))),
    ]
    answer = own.http.post(f"{own.base}/uploads", files=files)
    assert answer.status_code == 202
    assert [(one["path"], one["code"]) for one in answer.json()["refused"]] == [
        ("b", "not_an_image")
    ]
    *_, job = own.client.progress(answer.json()["job_id"])
    assert (job["state"], job["report"]["n_added"]) == ("done", 3)
    stored = sorted((tmp_path / "library" / "uploads").iterdir())
    assert len(stored) == 3
    assert all(file.suffix == ".png" for file in stored)
    assert {file.name.rsplit("-", 1)[0] for file in stored} <= {"evil", "c", "hidden", "picture"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["library", "pictures"]


def test_no_upload_is_an_answer_too(server: Running) -> None:
    answer = server.http.post(f"{server.base}/uploads", files=[("files", ("a.svg", SVG))])
    assert _error(answer) == (422, "not_an_image")


def test_a_format_that_browsers_may_run_is_never_served_as_such(own: Running) -> None:
    """A TIFF or BMP arrives as JPEG; a PNG that is named .svg arrives as PNG."""
    path = Path(own.client.image("library", 1)["path"])
    noise(5).save(path.with_suffix(".bmp"))
    (path.parent / "named.svg.png").write_bytes(_png(noise(6)))
    *_, job = own.client.progress(own.client.index("library")["job_id"])
    assert job["report"]["n_added"] == 2
    types = {}
    for hit in own.client.search("library", "red")["hits"]:
        answer = own.http.get(hit["file"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        types[Path(hit["path"]).name] = answer.headers["content-type"]
    assert types["blue.bmp"] == "image/jpeg"
    assert types["named.svg.png"] == "image/png"


@pytest.mark.parametrize("path", ["/etc", "/", "~", "{pictures}/../library", "{pictures}/../x"])
def test_only_folders_it_was_started_with_are_indexed(
    server: Running, folder: Path, path: str
) -> None:
    path = path.format(pictures=folder / "pictures")
    answer = server.post("/index", {"paths": [path]})
    assert _error(answer) == (403, "outside_folders")


def test_a_link_out_of_an_allowed_folder_is_not_indexed(own: Running, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "pictures" / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert _error(own.post("/index", {"paths": [str(link)]})) == (403, "outside_folders")
    missing = str(tmp_path / "pictures" / "missing")
    assert _error(own.post("/index", {"paths": [missing]})) == (404, "no_path")


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
    assert _error(server.get("/images/1/thumbnail", headers=foreign)) == (403, "bad_origin")
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


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 422, "bad_request"),
        (b'{"query": "red", "limit": NaN}', 422, "bad_request"),
        (b'{"query": "red", "limit": 1001}', 422, "bad_request"),
        (b'{"query": "red", "unknown": 1}', 422, "bad_request"),
        (b'{"query": "red", "fold": 0}', 422, "bad_request"),
        (b'{"query": "\\ud800"}', 422, "bad_request"),
        (b'{"query": ""}', 400, "empty_query"),
        (b'{"query": {"parts": [{"text": "red", "weight": Infinity}]}}', 422, "bad_request"),
        (b'{"query": {"parts": [{"text": "a", "image_id": 1}]}}', 422, "bad_request"),
        (b'{"query": {"parts": [{"image_id": 9223372036854775808}]}}', 422, "bad_request"),
        (b'{"query": "red", "path": "*a*a*a*a*a*a*a*"}', 422, "bad_request"),
        (b'{"query": "red", "where": {"a\\"b": "c"}}', 400, "bad_filter"),
        (b"[" * 200_000, 400, "bad_request"),
        (b'{"query": "' + b"x" * 1_100_000 + b'"}', 413, "body_too_large"),
    ],
)
def test_odd_bodies_are_refused_in_one_shape(
    server: Running, body: bytes, status: int, code: str
) -> None:
    answer = server.http.post(
        f"{server.base}/search", content=body, headers={"Content-Type": "application/json"}
    )
    assert _error(answer) == (status, code)


def test_a_body_without_a_length_is_counted(server: Running) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    answer = server.http.post(f"{server.base}/search", content=endless())
    assert _error(answer) == (413, "body_too_large")


def test_a_body_that_trickles_is_cut_off(tmp_path: Path) -> None:
    with serving(_library(tmp_path), cache=tmp_path / "cache", timeout_s=0.3) as server:
        host, port = server.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            raw.sendall(
                b"POST /api/v1/libraries/library/search HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )
            assert raw.recv(4096).startswith(b"HTTP/1.1 503")


def test_a_wrong_method_is_told_all_right_ones(server: Running) -> None:
    answer = server.http.put(f"{server.base}/sessions")
    assert _error(answer) == (405, "bad_method")
    assert answer.headers["allow"] == "GET, POST"
    assert _error(server.http.get("/api/v2/health")) == (404, "no_route")
