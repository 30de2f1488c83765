"""The server's smaller parts, without a server."""

import asyncio
import gc
import threading
import weakref
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from relook import Library
from relook.core.errors import NotFoundError, OverloadError, QueryError
from relook.core.settings import ImageLimits
from relook.core.types import Part, Query
from relook.encoders.builtin import BuiltinEncoder
from relook.gateway.admission import API
from relook.gateway.server_settings import ServerSettings, is_loopback
from relook.server import create_app
from relook.server.api_answers import QueryAnswer
from relook.server.state import ThumbnailCache
from relook.serving.libraries import ServedLibraries, _slug
from relook.serving.pictures import QueryPictures, _cell, safe_stem
from relook.serving.pools import Pool
from relook.serving.requests import no_files
from relook.serving.served_values import served
from relook.testing import solid


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("dog.jpg", "dog"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\my dog (1).JPG", "my-dog-1"),
        (".htaccess", "htaccess"),
        ("..", ""),
        ("\0\n", ""),
        ("Übung.png", "bung"),
        ("a" * 200 + ".png", "a" * 60),
    ],
)
def test_safe_stem(name: str, stem: str) -> None:
    assert safe_stem(name) == stem


def test_slug() -> None:
    assert _slug(Path("/x/My Photos 2026.relook"), {}) == "my-photos-2026-relook"
    assert _slug(Path("/x/photos"), {"photos": 1, "photos-2": 1}) == "photos-3"
    assert _slug(Path("/x/写真"), {}) == "library"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True), ("[::1]", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("localhost.evil", False),
     ("", False)],
)  # fmt: skip
def test_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_thumbnails_are_made_once_and_the_cache_stays_small(tmp_path: Path) -> None:
    cache = ThumbnailCache(tmp_path / "cache", max_bytes=1000)
    made = []

    def make() -> bytes:
        made.append(1)
        return b"x" * 300

    for _ in range(3):
        assert cache.get(b"\x01" * 16, 160, make) == b"x" * 300
    assert len(made) == 1
    for number in range(2, 6):
        cache.get(bytes([number]) * 16, 160, make)
    kept = sorted(file.name[:2] for file in (tmp_path / "cache").rglob("*.jpg"))
    assert len(kept) == 3
    assert "01" not in kept
    assert not list((tmp_path / "cache").rglob("*.new"))


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = ThumbnailCache(tmp_path / "file" / "cache", max_bytes=1000)
    assert cache.get(b"\x01" * 16, 160, lambda: b"x") == b"x"
    assert "a thumbnail is not kept" in caplog.text


def test_cells_are_no_formulas() -> None:
    assert [_cell(text) for text in ("=1+1", "@x", "-1", "+1", "dog", "")] == [
        "'=1+1", "'@x", "'-1", "'+1", "dog", "",
    ]  # fmt: skip


def test_query_pictures_make_room_and_are_found_by_id_only(tmp_path: Path) -> None:
    pictures = QueryPictures(tmp_path / "kept", ImageLimits(), n_most=2)
    try:
        png = _png()
        stored = [pictures.add(png) for _ in range(3)]
        with pytest.raises(NotFoundError, match="no uploaded picture"):
            pictures.path(stored[0].picture_id)
        path = pictures.path(stored[2].picture_id)
        assert path.read_bytes() == png
        kept = pictures.keep(path)
        assert kept.parent == tmp_path / "kept"
        assert pictures.keep(kept) == kept
        assert pictures.picture_id(kept) == stored[2].picture_id
        for odd in ("", "*", "../x", stored[2].picture_id.upper(), "0" * 31):
            with pytest.raises(NotFoundError):
                pictures.path(odd)
        query = Query((Part(image=kept), Part(image=Path("/home/me/dog.jpg"))))
        assert served(QueryAnswer.of(query, pictures))["parts"] == [
            {"weight": 1.0, "picture": stored[2].picture_id},
            {"weight": 1.0, "picture": None, "name": "dog.jpg"},
        ]
        with pytest.raises(QueryError, match="read a file of the server"):
            no_files(query, pictures)
        assert no_files(Query((Part(image=kept),)), pictures)
    finally:
        pictures.close()
        pictures.close()


def _png() -> bytes:
    import io

    from relook.testing import solid

    data = io.BytesIO()
    solid("red").save(data, "PNG")
    return data.getvalue()


def test_a_pool_bounds_what_waits_and_how_long() -> None:
    async def scenario() -> list[str]:
        pool, hold = Pool("test", 1, 1, 0.2), threading.Event()
        codes = []
        first = asyncio.create_task(pool.run(hold.wait, 10))
        second = asyncio.create_task(pool.run(lambda: 2))
        await asyncio.sleep(0)
        for waiting in (pool.run(lambda: 3), first, second):
            try:
                await waiting
            except OverloadError as error:
                codes.append(error.code)
        hold.set()
        await asyncio.to_thread(pool.close)
        try:
            await pool.run(lambda: 4)
        except OverloadError as error:
            codes.append(error.code)
        return codes

    assert asyncio.run(scenario()) == ["too_busy", "too_slow", "too_slow", "too_busy"]


def test_settings_have_one_default_each() -> None:
    settings = ServerSettings()
    assert (settings.host, settings.port, settings.token) == ("127.0.0.1", 8765, None)
    assert settings.is_our_host("localhost")
    assert not settings.is_our_host("example.org")


def test_an_application_that_has_ended_is_let_go(tmp_path: Path) -> None:
    """The routes are shared by all of a process, so none of them may hold an application."""
    app = create_app([], ServerSettings(cache=tmp_path))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert client.get(f"{API}/docs").status_code == 200
        assert client.get("/").status_code == 200
    state = weakref.ref(app.state.relook)
    del app, client
    gc.collect()
    assert state() is None


def test_what_reads_many_texts_is_open_before_the_first_person_asks(tmp_path: Path) -> None:
    solid("red").save(tmp_path / "red.png")
    encoder = BuiltinEncoder()
    with Library(tmp_path / "library", encoder=encoder) as library:
        library.add(tmp_path / "red.png")
        encoder.close()
        ServedLibraries([library]).get("library").warm_up()
        assert {"_text_tower", "_image_tower"} <= set(vars(encoder))
