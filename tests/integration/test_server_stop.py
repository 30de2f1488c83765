"""The end of a real server: the first signal finishes or hands back work, the second ends it."""

import json
import signal
import socket
import threading
from pathlib import Path

import pytest
from process_parts import PATIENCE_S, Served, served, tiny_library, tiny_pictures
from server_parts import wait_for

import relook
from relook.testing import ColourEncoder

N_BEFORE, N = 20, 300


def begin_search(server: Served) -> "tuple[object, bytes]":
    """A search that the server works on and whose body is not there yet, and the body."""
    body = json.dumps({"query": "red", "limit": 3}).encode()
    raw = server.raw()
    raw.sendall(
        f"POST {server.base}/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    said = b""
    while not said.endswith(b"\r\n\r\n"):  # it asks for the body: the request is under way
        said += raw.recv(1)
    assert said.startswith(b"HTTP/1.1 100")
    return raw, body


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_work_is_finished_or_handed_back(tmp_path: Path, told: signal.Signals) -> None:
    tiny_library(tmp_path, N_BEFORE)
    tiny_pictures(tmp_path / "pictures", N)
    heard: list[str] = []
    here, there = socket.socketpair()
    with here, there, served(tmp_path, gate=there) as server:
        job_id = server.http.post(f"{server.base}/index").json()["job_id"]

        def listen() -> None:
            with server.http.stream("GET", f"/api/v1/jobs/{job_id}/events") as stream:
                heard.extend(stream.iter_lines())

        listener = threading.Thread(target=listen)
        listener.start()
        assert here.recv(4) == b"held"  # in the midst of a batch
        raw, rest = begin_search(server)
        wait_for(lambda: heard)
        server.process.send_signal(told)
        raw.sendall(rest)  # type: ignore[attr-defined]
        answer = b""
        while part := raw.recv(65536):  # type: ignore[attr-defined]
            answer += part
        raw.close()  # type: ignore[attr-defined]
        assert answer.startswith(b"HTTP/1.1 200")
        listener.join(PATIENCE_S)
        assert not listener.is_alive()
        here.sendall(b"!")  # it is stopping: this batch is its last
        assert server.process.wait(PATIENCE_S) == 0
        assert any(line.startswith("event: progress") for line in heard)
    assert "Traceback" not in (tmp_path / "serve.log").read_text()
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        n_kept = len(library)
        report = library.add()
        assert N_BEFORE < n_kept < N
        assert (report.n_added, len(library), report.n_duplicates) == (N - n_kept, N, 0)


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    tiny_library(tmp_path, 3)
    with served(tmp_path) as server:
        raw, _ = begin_search(server)  # never whole: the first signal waits for it
        server.process.send_signal(signal.SIGTERM)
        refused = threading.Event()

        def knock() -> None:
            try:
                server.raw().close()
            except OSError:
                refused.set()

        wait_for(lambda: (knock(), refused.is_set())[1])
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 128 + signal.SIGTERM
        raw.close()  # type: ignore[attr-defined]
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        assert len(library) == 3


def test_ctrl_c_is_not_for_a_server_that_a_script_started_in_the_background(
    tmp_path: Path,
) -> None:
    tiny_library(tmp_path, 3)
    with served(tmp_path, ctrl_c=signal.SIG_IGN) as server:
        server.process.send_signal(signal.SIGINT)
        for _ in range(3):
            assert server.http.get("/api/v1/health").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0  # a second signal would end it with 143
