"""What a server bounds: requests that wait, how long each may take, streams."""

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from api_parts import server  # noqa: F401 -- a fixture
from process_parts import PATIENCE_S
from server_parts import Running, serving, wait_for

import relook
from relook.core.errors import OverloadError


def test_too_many_requests_are_told_to_come_back(
    open_library: Callable[..., relook.Library], pictures: Path, tmp_path: Path
) -> None:
    library = open_library()
    library.add(pictures)
    with serving(library, cache=tmp_path / "cache", n_workers=1, n_waiting=1) as server:
        hold = threading.Event()
        pool = server.state.core
        pool._threads.submit(hold.wait, PATIENCE_S)
        pool._free.acquire()
        slow: list[httpx.Response] = []
        waits = threading.Thread(target=lambda: slow.append(server.post("/search", {"query": "a"})))
        waits.start()
        wait_for(lambda: pool._free._value == 0)
        answer = server.post("/search", {"query": "red"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "too_busy")
        assert answer.headers["retry-after"] == "2"
        with pytest.raises(OverloadError, match="queued up"):
            server.client.search("library", "red")
        hold.set()
        pool._free.release()
        waits.join(600)
        assert slow[0].status_code == 200
        wait_for(lambda: pool._free._value == 2)
        assert server.post("/search", {"query": "red"}).status_code == 200


def test_a_request_that_waits_too_long_is_told_to_come_back(
    open_library: Callable[..., relook.Library], pictures: Path, tmp_path: Path
) -> None:
    library = open_library()
    library.add(pictures)
    with serving(library, cache=tmp_path / "cache", n_workers=1, timeout_s=0.2) as server:
        hold = threading.Event()
        server.state.core._threads.submit(hold.wait, PATIENCE_S)
        slow = server.post("/search", {"query": "a"})
        hold.set()
        assert (slow.status_code, slow.json()["error"]["code"]) == (503, "too_slow")


def test_streams_are_bounded_and_end_with_the_server(
    open_library: Callable[..., relook.Library], pictures: Path, tmp_path: Path
) -> None:
    library = open_library()
    library.add(pictures)
    with serving(library, cache=tmp_path / "cache", n_events=1, keep_alive_s=0.05) as server:
        session_id = server.client.begin("library", "red")["session_id"]
        path = f"{server.base}/sessions/{session_id}/events"
        with server.http.stream("GET", path) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            assert [next(lines) for _ in range(3)] == ["retry: 2000", "", ": still here"]
            assert server.http.get(path).status_code == 503
            server.server.should_exit = True
            list(lines)  # to their end


def test_a_missing_session_has_no_stream(server: Running) -> None:
    answer = server.get("/sessions/nope/events")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_session")
