"""`relook serve`: it begins, names its libraries, and ends; what is said where none runs."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from process_parts import PATIENCE_S, RELOOK, started
from server_parts import TOKEN, serving, wait_for

import relook
from relook.core.errors import RelookError
from relook.testing import ColourEncoder, solid


@pytest.mark.parametrize("token", [None, TOKEN])
def test_the_command_serves_until_it_is_told_to_stop(
    tmp_path: Path, pictures: Path, token: str | None
) -> None:
    folder = tmp_path / "library"
    command = [*RELOOK, "-v", "serve", "--library", str(folder), "--port", "0", "--no-open"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    environment |= {"RELOOK_TOKEN": token} if token else {}
    process = started(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        line = process.stdout.readline()
        address = line.removeprefix("Relook is at ").strip()
        assert address.startswith("http://127.0.0.1:")
        assert process.stdout.readline() == "Press Ctrl-C to stop.\n"
        assert ("token=" in address) is (token is not None)
        base = address.partition("/?")[0].rstrip("/")
        wait_for(lambda: _answers(base))
        with relook.Client(base, token=token) as client:
            (library,) = client.libraries()
            assert (library["library_id"], library["n_images"]) == ("library", 0)
            assert client.search("library", "red")["hits"] == []
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert TOKEN not in err


def _answers(base: str) -> bool:
    try:
        return (
            httpx.get(f"{base}/api/v1/health", trust_env=False, timeout=PATIENCE_S).status_code
            == 200
        )
    except httpx.TransportError:
        return False


def test_no_server_is_an_error_with_a_hint() -> None:
    with relook.Client("http://127.0.0.1:9") as client, pytest.raises(RelookError) as raised:
        client.libraries()
    assert (raised.value.code, raised.value.hint) == ("no_server", "is relook serve running there?")


def test_searching_does_not_load_the_server() -> None:
    program = (
        "import sys; from relook.cli.main import command_line; command_line('search');"
        "print([name for name in ('fastapi', 'uvicorn', 'httpx', 'relook.server', 'relook.bench',"
        " 'relook.rag', 'relook.cli.ask') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_two_libraries_have_names_of_their_own(
    open_library: Callable[..., relook.Library], tmp_path: Path
) -> None:
    solid("red").save(tmp_path / "red.png")
    other = relook.Library(tmp_path / "other" / "Library", encoder=ColourEncoder())
    other.add(tmp_path / "red.png")
    with serving(open_library(), other, cache=tmp_path / "cache") as server:
        told = [(one["library_id"], one["n_images"]) for one in server.client.libraries()]
        assert told == [("library", 0), ("library-2", 1)]
        answer = server.http.get("/api/v1/libraries/nope")
        assert (answer.status_code, answer.json()["error"]["hint"]) == (
            404,
            "it has: library, library-2",
        )
