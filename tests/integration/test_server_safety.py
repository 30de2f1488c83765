"""What strangers must not get out of the server, or do to it."""

import http.client
import io
import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from server_parts import Running, error_of, serving, small_library

import relook
from relook.testing import ColourEncoder, noise, solid

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
GREEN, RED, BLUE = 1, 2, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("safety")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    """One server for the tests that leave the library as it is."""
    library = small_library(folder)
    with serving(library, cache=folder / "cache", picture_bytes=200_000) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Running]:
    """A server of the test's own."""
    with serving(small_library(tmp_path), cache=tmp_path / "cache") as running:
        yield running


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


def test_a_file_of_the_page_is_sent_once(server: Running) -> None:
    address = "/static/js/main.js"
    whole = server.http.get(address)
    tag = whole.headers["etag"]
    assert whole.headers["content-type"] == "text/javascript; charset=utf-8"
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = server.http.get(address, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert server.http.get(address, headers={"If-None-Match": '"other"'}).content == whole.content
    head = server.http.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    assert error_of(server.http.post(address)) == (405, "bad_method")
    assert error_of(server.http.get("/static/js")) == (404, "no_route")


@pytest.mark.parametrize("address", ["/", "/openapi.json", "/api/v1/libraries", "/nowhere"])
def test_whoever_asks_for_the_head_gets_what_get_says(server: Running, address: str) -> None:
    whole, head = server.http.get(address), server.http.head(address)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    for name in ("content-type", "content-length", "content-security-policy"):
        assert head.headers.get(name) == whole.headers.get(name)


def test_the_head_of_a_stream_is_refused(server: Running) -> None:
    """Headers without an end would keep the connection from every request behind it."""
    answer = server.http.head("/api/v1/events", timeout=30)
    assert (answer.status_code, answer.content) == (405, b"")
    assert server.http.get("/api/v1/health").status_code == 200


@pytest.mark.parametrize(
    "query",
    ["image:/etc/passwd", "image:~/x.jpg", "dog - image:/etc/passwd@0.1,0.1,0.5,0.5"],
)
def test_a_query_reads_no_file_of_the_server(server: Running, query: str) -> None:
    assert error_of(server.post("/search", {"query": query})) == (400, "no_server_files")
    assert error_of(server.post("/sessions", {"query": query})) == (400, "no_server_files")
    picture = {"file": ("x.png", _png(solid("red")))}
    answer = server.http.post(f"{server.base}/search/picture", files=picture, data={"query": query})
    assert error_of(answer) == (400, "no_server_files")


def test_query_parts_have_no_files(server: Running) -> None:
    parts = {"parts": [{"image": "/etc/passwd"}]}
    assert error_of(server.post("/search", {"query": parts})) == (422, "bad_request")
    parts = {"parts": [{"picture": "../../etc/passwd"}]}
    assert error_of(server.post("/search", {"query": parts})) == (404, "no_picture")


def test_an_imported_session_reads_no_file_of_the_server(server: Running) -> None:
    session = server.client.begin("library", "red", limit=1)
    exported = json.loads(server.client.export("library", session["session_id"]))
    exported["query"] = {"parts": [{"image": "/etc/passwd"}]}
    answer = server.post("/sessions/import", exported)
    assert error_of(answer) == (400, "no_server_files")


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
    assert error_of(answer) == (400, "bad_session_file")


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
            assert error_of(own.get(f"/images/{image_id}/{kind}")) == (404, code)
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
        assert error_of(answer) == (status, code)


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
    assert (tmp_path / "library" / "uploads" / ".relook-untrusted").exists()
    stored = sorted((tmp_path / "library" / "uploads").glob("[!.]*"))
    assert len(stored) == 3
    assert all(file.suffix == ".png" for file in stored)
    assert {file.name.rsplit("-", 1)[0] for file in stored} <= {"evil", "c", "hidden", "picture"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["library", "pictures"]


def test_no_upload_is_an_answer_too(server: Running) -> None:
    answer = server.http.post(f"{server.base}/uploads", files=[("files", ("a.svg", SVG))])
    assert error_of(answer) == (422, "not_an_image")


def test_an_upload_is_counted_while_it_comes(tmp_path: Path) -> None:
    with serving(small_library(tmp_path), cache=tmp_path / "cache", upload_bytes=100_000) as server:
        files = [("files", (f"{n}.png", b"\0" * 30_000)) for n in range(4)]
        answer = server.http.post(f"{server.base}/uploads", files=files)
        assert error_of(answer) == (413, "body_too_large")
        assert not (tmp_path / "library" / "uploads").exists()


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
    assert error_of(answer) == (403, "outside_folders")


def test_a_link_out_of_an_allowed_folder_is_not_indexed(own: Running, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "pictures" / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert error_of(own.post("/index", {"paths": [str(link)]})) == (403, "outside_folders")
    missing = str(tmp_path / "pictures" / "missing")
    assert error_of(own.post("/index", {"paths": [missing]})) == (404, "no_path")


def test_links_below_an_allowed_folder_lead_nowhere_else(own: Running, tmp_path: Path) -> None:
    """Neither a linked file nor a linked folder brings in what lies outside."""
    (tmp_path / "private").mkdir()
    noise(7).save(tmp_path / "private" / "letter.png")
    pictures = tmp_path / "pictures"
    (pictures / "letter.png").symlink_to(tmp_path / "private" / "letter.png")
    (pictures / "all").symlink_to(tmp_path / "private")
    (pictures / "inside.png").symlink_to(pictures / "red.png")
    *_, job = own.client.progress(own.client.index("library", [pictures])["job_id"])
    assert (job["state"], job["report"]["n_added"]) == ("done", 1)
    assert sum("leads out of" in note for note in job["report"]["notes"]) == 2
    paths = [hit["path"] for hit in own.client.search("library", "a", limit=9, fold=False)["hits"]]
    assert sorted(Path(one).name for one in paths) == [
        "blue.png", "green.png", "inside.png", "red.png",
    ]  # fmt: skip


def test_what_was_linked_in_by_hand_stays(own: Running, tmp_path: Path) -> None:
    """A link that the owner indexed from the command line is not lost by a run from the page."""
    (tmp_path / "elsewhere").mkdir()
    noise(8).save(tmp_path / "elsewhere" / "own.png")
    (tmp_path / "pictures" / "nas").symlink_to(tmp_path / "elsewhere")
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        assert library.add().n_added == 1
    *_, job = own.client.progress(own.client.index("library")["job_id"])
    assert (job["report"]["n_removed"], job["report"]["n_images"]) == (0, 4)


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
    assert error_of(answer) == (status, code)


def test_a_wrong_method_is_told_all_right_ones(server: Running) -> None:
    answer = server.http.put(f"{server.base}/sessions")
    assert error_of(answer) == (405, "bad_method")
    assert answer.headers["allow"] == "GET, POST"
    assert error_of(server.http.get("/api/v2/health")) == (404, "no_route")
