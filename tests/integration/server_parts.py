"""A real server on a free port of 127.0.0.1, in a thread of the test."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from process_parts import PATIENCE_S

import relook
from relook.server import Server, ServerSettings, bind, create_app
from relook.server.state import ServerState
from relook.testing import ColourEncoder, solid

TOKEN = "a-token-of-24-characters"


def say_green(crop: object, about: object) -> str:
    """A captioner that needs no model."""
    return "something green"


class Running:
    """A server that runs: `http` speaks to it, `state` is what it holds."""

    def __init__(self, address: str, server: Server, state: ServerState) -> None:
        self.address, self.server, self.state = address, server, state
        self.http = httpx.Client(base_url=address, timeout=PATIENCE_S, trust_env=False)
        self.client = relook.Client(address)
        self.library_id = next(iter(state.libraries)).library_id
        self.base = f"/api/v1/libraries/{self.library_id}"

    def get(self, path: str, **how: Any) -> httpx.Response:
        return self.http.get(self.base + path, **how)

    def post(self, path: str, json: object = None, **how: Any) -> httpx.Response:
        return self.http.post(self.base + path, json=json, **how)


@contextmanager
def serving(
    *libraries: relook.Library, cache: Path, caption: Any = say_green, **options: Any
) -> Iterator[Running]:
    asking = options.pop("asking", None)
    options = {"timeout_s": PATIENCE_S, "home": False, **options}
    settings = ServerSettings(port=0, cache=cache, **options)
    app = create_app(libraries, settings, caption=caption, asking=asking)
    with bind(settings) as sock:
        server = Server(app)
        server.config.timeout_graceful_shutdown = PATIENCE_S  # type: ignore[assignment]
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        wait_for(lambda: server.started)
        address = f"http://127.0.0.1:{sock.getsockname()[1]}"
        running = Running(address, server, app.state.relook)
        try:
            yield running
        finally:
            running.http.close()
            running.client.close()
            server.should_exit = True
            thread.join(600)
            assert not thread.is_alive()


def wait_for(done: Any) -> None:
    """Waits for what only shows itself when looked at; an end after minutes is for a hang."""
    until = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.005)


def small_library(folder: Path) -> relook.Library:
    """A blue, a green and a red picture, numbered in this order."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for name in ("blue", "green", "red"):
        solid(name).save(pictures / f"{name}.png")
    library = relook.Library(folder / "library", encoder=ColourEncoder())
    library.add(pictures)
    return library


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error."""
    return (answer.status_code, answer.json()["error"]["code"])
