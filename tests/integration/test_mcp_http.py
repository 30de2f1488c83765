"""`relook mcp --http` on a free port: the SDK's client, and who is turned away."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS
from mcp_parts import code, ids, make_library, pictures, serving
from patient_relook import PATIENCE_S
from server_parts import TOKEN, wait_for

from relook.core.errors import InputError
from relook.mcp import McpSettings, http_server
from relook.server import bind

HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {},
               "clientInfo": {"name": "a test", "version": "1"}},
}  # fmt: skip
ACCEPT = {"Accept": "application/json, text/event-stream"}

post = partial(httpx.post, trust_env=False, timeout=PATIENCE_S)


@contextmanager
def listening(folder: Path, **options: Any) -> Iterator[str]:
    """The address of a server over a library."""
    with serving(folder, port=0, **options) as server:
        settings = server.state.settings
        with bind(settings.server()) as sock:
            running = http_server(server, settings)
            thread = threading.Thread(target=running.run, args=([sock],))
            thread.start()
            wait_for(lambda: running.started)
            try:
                yield f"http://127.0.0.1:{sock.getsockname()[1]}/mcp"
            finally:
                running.should_exit = True
                thread.join(600)
                assert not thread.is_alive()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_library(tmp_path_factory.mktemp("http"))


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with listening(folder) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[str]:
    with listening(folder, token=TOKEN) as found:
        yield found


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_agent_over_http(address: str, mode: str) -> None:
    steps: list[str | None] = []

    async def hear(done: float, total: float | None, message: str | None) -> None:
        steps.append(message)

    async def run() -> None:
        async with Client(address, mode=mode) as client:
            found = await client.call_tool("search", {"words": "red", "limit": 1})
            assert ids(found) == [3]
            asked = {"image_ids": [3], "size_px": 64}
            shown = await client.call_tool("show_images", asked, progress_callback=hear)
            assert [one.size for one in pictures(shown)] == [(64, 64)]
            assert steps == ["image 3"]
            assert code(await client.call_tool("search", {})) == "empty_query"
            uri = "relook://libraries/library/images/3/picture"
            assert (await client.read_resource(uri)).contents[0].mime_type == "image/jpeg"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("headers", "status", "expected"),
    [
        ({}, 200, None),
        ({"Host": "localhost:1"}, 200, None),
        ({"Host": "evil.example"}, 403, "bad_host"),
        ({"Host": "127.0.0.1.evil.example"}, 403, "bad_host"),
        ({"Origin": "http://evil.example"}, 403, "bad_origin"),
        ({"Origin": "null"}, 403, "bad_origin"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "bad_origin"),
    ],
)
def test_other_names_and_other_sites_are_turned_away(
    address: str, headers: dict[str, str], status: int, expected: str | None
) -> None:
    answer = httpx.post(
        address, json=HELLO, headers={**ACCEPT, **headers}, trust_env=False, timeout=PATIENCE_S
    )
    assert answer.status_code == status
    assert "server" not in answer.headers
    if expected:
        assert answer.json()["error"]["code"] == expected


@pytest.mark.parametrize("version", [*HANDSHAKE_PROTOCOL_VERSIONS, "1999-01-01"])
def test_older_clients_are_served_in_their_version(address: str, version: str) -> None:
    named = {**HELLO["params"], "protocolVersion": version}
    hello = {**HELLO, "params": named}
    answer = post(address, json=hello, headers=ACCEPT)
    spoken = version if version in HANDSHAKE_PROTOCOL_VERSIONS else HANDSHAKE_PROTOCOL_VERSIONS[-1]
    assert answer.status_code == 200
    assert f'"protocolVersion":"{spoken}"' in answer.text.replace(" ", "")


def test_a_body_without_end_is_refused(address: str) -> None:
    body = {**HELLO, "padding": "x" * 2_000_000}
    answer = post(address, json=body, headers=ACCEPT)
    assert answer.status_code == 413


@pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {TOKEN}"])
def test_a_token_is_wanted_where_there_is_one(guarded: str, header: str | None) -> None:
    headers = {**ACCEPT, **({"Authorization": header} if header else {})}
    answer = post(guarded, json=HELLO, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "bad_token")


def test_with_the_token_an_agent_gets_in(guarded: str) -> None:
    async def run() -> None:
        shown = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx2.AsyncClient(headers=shown, trust_env=False, timeout=PATIENCE_S) as http:
            transport = streamable_http_client(guarded, http_client=http)
            async with Client(transport) as client:
                found = await client.call_tool("search", {"words": "red", "limit": 1})
                assert ids(found) == [3]

    asyncio.run(run())


def test_beyond_this_machine_a_token_is_needed() -> None:
    with pytest.raises(InputError, match="there is no token"):
        McpSettings(host="0.0.0.0")
    assert TOKEN not in repr(McpSettings(host="0.0.0.0", token=TOKEN))
