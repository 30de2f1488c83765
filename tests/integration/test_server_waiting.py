"""Who waits for whom: pools by kind, clients that leave, and the end of the server.

Each test holds work at an event of its own and waits for events; nothing depends on time.
"""

import asyncio
import errno
import importlib
import io
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from process_parts import PATIENCE_S
from server_parts import Running, error_of, serving, small_library, wait_for
from starlette.routing import BaseRoute, Match
from starlette.testclient import TestClient
from starlette.types import Scope

from relook.core.progress import Cancellation, CancelledWork, when_cancelled
from relook.core.types import Part, Query
from relook.search.explain import heat_map
from relook.search.transfer import export_session
from relook.server import ServerSettings, create_app
from relook.serving.pictures import results_zip
from relook.serving.pools import Pool
from relook.testing import noise


class Held:
    """Work that stands still until it is cancelled, which it notes; queries of words go on."""

    def __init__(self, target: str) -> None:
        module, _, name = target.rpartition(".")
        self.real = getattr(importlib.import_module(module), name)
        self.release, self.cancelled = threading.Event(), threading.Event()
        self.n_began = 0
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **how: Any) -> Any:
        if args and isinstance(args[0], str):
            return self.real(*args, **how)
        with self._lock:
            self.n_began += 1
        try:
            with when_cancelled(self.release.set):
                assert self.release.wait(PATIENCE_S)
        except CancelledWork:
            self.cancelled.set()
            raise
        raise AssertionError("nobody left, and still it was released")


class Looked(BaseRoute):
    """The last route of an app; it notes that routes were looked through as far as here."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        self.event.set()
        return Match.NONE, {}


def test_routes_are_worked_out_before_anybody_asks(tmp_path: Path) -> None:
    app = create_app(
        [small_library(tmp_path)], ServerSettings(port=0, cache=tmp_path / "thumbnails")
    )
    last = Looked()
    app.router.routes.append(last)
    with TestClient(app):
        assert last.event.wait(PATIENCE_S)


def png() -> bytes:
    data = io.BytesIO()
    noise(1).save(data, "PNG")
    return data.getvalue()


FILES = {"file": ("a.png", png())}
# Where each kind of slow work is done, and a request that asks for it.
KINDS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "heat map": ("relook.server.routes_files._heat_map", "GET", "/images/1/heatmap?text=a", {}),
    "influence": (
        "relook.server.routes_sessions._influence", "GET", "/sessions/SESSION/influence/1", {},
    ),
    "export": ("relook.server.routes_files._export", "GET", "/sessions/SESSION/export", {}),
    "import": (
        "relook.serving.libraries.add_session", "POST", "/sessions/import", {"json": {"a": 1}},
    ),
    "query picture": (
        "relook.server.routes_libraries._add_picture", "POST", "/pictures", {"files": FILES},
    ),
    "search by picture": (
        "relook.server.routes_libraries._search_picture", "POST", "/search/picture",
        {"files": FILES},
    ),
    "search with a picture": (
        "relook.server.routes_libraries.to_query", "POST", "/search",
        {"json": {"query": {"parts": [{"picture": "f" * 32}]}}},
    ),
    "upload": (
        "relook.server.routes_libraries.store_uploads", "POST", "/uploads",
        {"files": {"files": ("a.png", png())}},
    ),
    "thumbnail": ("relook.server.routes_files.thumbnail_of", "GET", "/images/1/thumbnail", {}),
    "picture thumbnail": (
        "relook.server.routes_files._picture_thumbnail", "GET",
        f"/pictures/{'f' * 32}/thumbnail", {},
    ),
    "file": ("relook.server.routes_files.browser_picture", "GET", "/images/1/file", {}),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("waiting")
    library = small_library(folder)
    with serving(library, cache=folder / "cache", n_workers=2, n_waiting=2) as running:
        yield running


@pytest.fixture(scope="module")
def session_id(server: Running) -> str:
    return str(server.client.begin("library", "red")["session_id"])


@contextmanager
def asking(server: Running, kind: str, session_id: str, n: int = 1) -> Iterator[list[Any]]:
    """Clients that ask for slow work; at the end they leave, whatever they have heard."""
    _, method, path, how = KINDS[kind]
    answers: list[Any] = []

    async def ask(client: httpx.AsyncClient) -> None:
        answers.append(await client.request(method, path.replace("SESSION", session_id), **how))

    async def all_ask() -> None:
        base = server.address + server.base
        async with httpx.AsyncClient(base_url=base, timeout=PATIENCE_S, trust_env=False) as client:
            tasks = [asyncio.ensure_future(ask(client)) for _ in range(n)]
            ready.set()
            await leave.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    loop, ready = asyncio.new_event_loop(), threading.Event()
    leave = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(all_ask()))
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield answers
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join(PATIENCE_S)
        loop.close()


@pytest.mark.parametrize("kind", KINDS)
def test_searches_go_on_beside_it_and_it_ends_when_its_client_leaves(
    server: Running, session_id: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of it is asked for than any pool has threads; the searches are many, too."""
    held = Held(KINDS[kind][0])
    monkeypatch.setattr(KINDS[kind][0], held)
    with asking(server, kind, session_id, n=4):
        wait_for(lambda: held.n_began)
        for number in range(5):
            assert server.post("/search", {"query": f"red {number}"}).status_code == 200
        assert not held.cancelled.is_set()
    assert held.cancelled.wait(PATIENCE_S)
    wait_for(lambda: not any(pool._open for pool in pools(server)))


def pools(server: Running) -> list[Pool]:
    return [one for one in vars(server.state).values() if isinstance(one, Pool)]


def test_every_pool_is_bounded_and_says_when_to_come_back(server: Running) -> None:
    assert len(pools(server)) >= 6

    async def full(pool: Pool) -> str:
        with pytest.raises(Exception, match="queued up") as raised:
            await pool.run(lambda: None)
        return str(raised.value.code)  # type: ignore[attr-defined]

    for pool in pools(server):
        taken = 0
        while pool._free.acquire(blocking=False):
            taken += 1
        assert asyncio.run(full(pool)) == "too_busy"
        with pytest.raises(Exception, match="queued up"):
            pool.begin(lambda: None)
        for _ in range(taken):
            pool._free.release()


def test_a_full_pool_is_a_503_with_a_time(
    server: Running, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = server.state.explaining
    taken = 0
    while pool._free.acquire(blocking=False):
        taken += 1
    try:
        answer = server.get("/images/1/heatmap?text=a")
        assert error_of(answer) == (503, "too_busy")
        assert int(answer.headers["Retry-After"]) > 0
        assert server.post("/search", {"query": "red"}).status_code == 200
    finally:
        for _ in range(taken):
            pool._free.release()


def test_what_a_person_did_is_done_though_they_left(
    server: Running, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark that was sent is not taken back by closing the page."""
    from relook.server import routes_sessions

    began, go_on = threading.Event(), threading.Event()
    real = routes_sessions._judge

    def slow(*args: Any) -> Any:
        began.set()
        assert go_on.wait(PATIENCE_S)
        return real(*args)

    monkeypatch.setattr(routes_sessions, "_judge", slow)
    mark = {"image_id": 2, "relevant": True}
    monkeypatch.setitem(KINDS, "mark", ("", "POST", "/sessions/SESSION/judgements", {"json": mark}))
    with asking(server, "mark", session_id):
        assert began.wait(PATIENCE_S)
    go_on.set()
    wait_for(lambda: 2 in marked(server, session_id))


def marked(server: Running, session_id: str) -> list[int]:
    shown = server.client.session("library", session_id)
    return [one["image_id"] for one in shown["judgements"]]


@pytest.mark.parametrize(
    "kind", ["heat map", "export", "import", "query picture", "upload", "search with a picture"]
)
def test_a_server_that_stops_waits_for_no_slow_work(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(KINDS[kind][0])
    monkeypatch.setattr(KINDS[kind][0], held)
    with serving(small_library(tmp_path), cache=tmp_path / "cache") as running:
        session_id = str(running.client.begin("library", "red")["session_id"])
        with asking(running, kind, session_id) as answers:
            wait_for(lambda: held.n_began)
            running.server.should_exit = True
            assert held.cancelled.wait(PATIENCE_S)
            wait_for(lambda: answers)
        assert error_of(answers[0]) == (503, "too_busy")
        assert "stopping" in answers[0].text


def cancelled_after(n: int) -> tuple[Cancellation, Callable[[], None]]:
    """A cancellation, and what cancels it when it is called for the nth time."""
    cancellation, calls = Cancellation(), [0]

    def step() -> None:
        calls[0] += 1
        if calls[0] == n:
            cancellation.cancel()
        assert calls[0] <= n, "it went on"

    return cancellation, step


def test_real_work_ends_at_its_next_step(
    server: Running, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heat map between its batches, a zip between its pictures."""
    volume = server.state.libraries.get("library")
    encoder, files = volume.encoder, volume.files
    record = volume.image(1)
    vector = encoder.encode_texts(["red"])[0]
    cancellation, step = cancelled_after(2)
    real = encoder.encode_prepared
    monkeypatch.setattr(encoder, "encode_prepared", lambda some: (step(), real(some))[1])
    with pytest.raises(CancelledWork):
        cancellation.run(heat_map, volume.engine, record.path, vector, 12)
    cancellation, step = cancelled_after(2)
    looked = volume.library.image
    monkeypatch.setattr(volume.library, "image", lambda number: (step(), looked(number))[1])
    page = volume.search(Query((Part(text="red"),)), 3)
    with pytest.raises(CancelledWork):
        cancellation.run(results_zip, volume.library, page)
    assert files.catalog.count("images") == 3


def test_an_import_that_is_given_up_leaves_nothing(server: Running) -> None:
    """Its boxes are cut out and encoded one by one; the session would come at the end."""
    session_id = server.client.begin("library", "green")["session_id"]
    for at in range(3):
        server.client.judge("library", session_id, 2, True, box=[0, 0, 0.5, 0.3 + at / 10])
    volume = server.state.libraries.get("library")
    with volume.reading(session_id) as session:
        data = json.dumps(export_session(session)).encode()
    before = len(volume.library.sessions())
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(CancelledWork):
        cancellation.run(volume.add_session, data, lambda query: None)
    assert len(volume.library.sessions()) == before


def test_an_upload_that_the_disk_refuses_leaves_nothing(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("relook.core.leftovers.os.replace", full)
    answer = server.http.post(f"{server.base}/uploads", files={"files": ("a.png", png())})
    assert error_of(answer) == (507, "disk_refused")
    folder = server.state.libraries.get("library").library.folder / "uploads"
    assert [name for name in os.listdir(folder) if not name.startswith(".")] == []


def test_words_of_requests_that_wait_for_a_thread_are_read_with_those_before(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two search while no thread is free; then come a search and a session that wait for them."""
    encoder: Any = server.state.libraries.get("library").encoder
    read_at_once: list[set[str]] = []
    encode_texts = encoder.inner.encode_texts

    def noting(texts: Sequence[str]) -> Any:
        read_at_once.append(set(texts))
        return encode_texts(texts)

    monkeypatch.setattr(encoder.inner, "encode_texts", noting)
    pool, hold = server.state.core, threading.Event()
    for _ in range(2):
        pool._threads.submit(hold.wait, PATIENCE_S)
    parts = {"parts": [{"text": "red or so", "weight": 1}]}
    asked = [
        ("/search", {"query": "green or so"}), ("/search", {"query": "blue or so"}),
        ("/search", {"query": "grey or so"}), ("/sessions", {"query": parts}),
    ]  # fmt: skip
    with ThreadPoolExecutor(len(asked)) as people:
        answers = []
        for n_before, (path, body) in enumerate(asked):
            answers.append(people.submit(server.post, path, body))
            wait_for(lambda n=n_before: len(pool._open) == n + 1)
        hold.set()
        assert [answer.result(PATIENCE_S).status_code for answer in answers] == [200, 200, 200, 201]
    assert read_at_once[0] >= {"grey or so", "red or so"}
