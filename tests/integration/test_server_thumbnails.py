"""What a browser keeps of a server: thumbnails, the page and its icon."""

from pathlib import Path

import pytest
from api_parts import server  # noqa: F401 -- a fixture
from server_parts import Running
from starlette.routing import Match

from relook.server.routes_files import PlainThumbnails


def test_thumbnails_are_kept_by_content_and_revalidated(
    server: Running, tmp_path: Path, pictures: Path
) -> None:
    (hit,) = server.client.search("library", "red", limit=1)["hits"]
    first = server.http.get(hit["thumbnail"])
    assert first.headers["cache-control"] == "private, max-age=31536000, immutable"
    tag = first.headers["etag"]
    (pictures / "red.png").unlink()  # the cache does without the file
    assert server.http.get(hit["thumbnail"]).content == first.content
    plain = f"{server.base}/images/{hit['image_id']}/thumbnail"
    assert server.http.get(plain).headers["cache-control"] == "private, no-cache"
    same = server.http.get(plain, headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")
    assert server.http.get(plain, params={"size": 100}).status_code == 422
    assert server.http.get(plain, params={"size": 640}).status_code == 404
    assert len(list((tmp_path / "cache").rglob("*.jpg"))) == 1


def _is_plain(address: str, method: str = "GET") -> bool:
    path, _, query = address.partition("?")
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode()}
    return PlainThumbnails().matches(scope)[0] is Match.FULL


def test_a_thumbnail_is_the_same_whichever_route_answers(server: Running) -> None:
    (hit,) = server.client.search("library", "red", limit=1)["hits"]
    assert hit["thumbnail"].startswith(f"/api/v1/libraries/library/images/{hit['image_id']}/")
    path, _, query = hit["thumbnail"].partition("?")
    tag = server.http.get(hit["thumbnail"]).headers["etag"]
    for here, known in (
        (path, None), (path, tag), (path, '"other"'),
        (path.replace("/images/", "/images/99"), None),
        (path.replace("/libraries/library/", "/libraries/other/"), None),
    ):  # fmt: skip
        by_page, by_others = f"{here}?{query}", f"{here}?{'&'.join(query.split('&')[::-1])}"
        assert (_is_plain(by_page), _is_plain(by_others)) == (True, False)
        headers = {"If-None-Match": known} if known else {}
        one, other = (server.http.get(address, headers=headers) for address in (by_page, by_others))
        assert one.status_code == other.status_code
        assert one.content == other.content
        assert {**one.headers, "date": ""} == {**other.headers, "date": ""}


@pytest.mark.parametrize(
    "address",
    [
        "/images/1/thumbnail", "/images/1/thumbnail?size=320", "/images/1/thumbnail?v=ab&size=100",
        "/images/1/thumbnail?v=xy&size=320", "/images/1/thumbnail?v=ab&size=320&size=640",
        "/images/-1/thumbnail?v=ab&size=320", f"/images/{10**19}/thumbnail?v=ab&size=320",
        "/images/1/file?v=ab&size=320", "/images/1/2/thumbnail?v=ab&size=320",
    ],
)  # fmt: skip
def test_what_a_page_does_not_ask_for_is_looked_at_by_fastapi(address: str) -> None:
    assert _is_plain("/api/v1/libraries/library/images/1/thumbnail?v=ab&size=320")
    assert not _is_plain("/api/v1/libraries/library/images/1/thumbnail?v=ab&size=320", "HEAD")
    assert not _is_plain(f"/api/v1/libraries/library{address}")


def test_the_page_is_revalidated_but_its_icon_is_kept(server: Running) -> None:
    kept = [
        server.http.get(path).headers["cache-control"]
        for path in ("/", "/static/js/main.js", "/static/favicon.svg")
    ]
    assert kept == ["no-cache", "no-cache", "max-age=86400"]
