"""`relook mcp` as a process of its own, driven by the SDK's client over its pipes."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp_parts import code as code_of
from mcp_parts import ids, make_library, pictures, values
from process_parts import PATIENCE_S, plugin_env, started

from relook.cli.main import main

RELOOK = ["-W", "error", "-m", "relook"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_library(tmp_path_factory.mktemp("stdio"))


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with the colour encoder installed as a plugin, and no configuration."""
    site = tmp_path_factory.mktemp("site")
    return {**plugin_env(site), "RELOOK_CONFIG": str(site / "config")}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_agent_over_pipes(folder: Path, env: dict[str, str], mode: str) -> None:
    """`legacy` is the handshake of the protocol up to 2025, which most programs speak."""
    steps: list[str | None] = []

    async def hear(done: float, total: float | None, message: str | None) -> None:
        steps.append(message)

    async def run() -> None:
        command = [*RELOOK, "mcp", "--library", str(folder)]
        server = StdioServerParameters(command=sys.executable, args=command, env=env)
        async with Client(server, mode=mode) as client:
            assert client.server_info.name == "relook"
            assert len((await client.list_tools()).tools) == 22
            found = await client.call_tool("search", {"words": "red", "limit": 1})
            asked = {"image_ids": [*ids(found), 4], "size_px": 64}
            shown = await client.call_tool("show_images", asked, progress_callback=hear)
            assert [one.size for one in pictures(shown)] == [(64, 64), (64, 43)]
            assert steps == ["image 3", "image 4"]
            refused = await client.call_tool("search", {"images": ["/etc/passwd"]})
            assert code_of(refused) == "outside_folders"
            begun = await client.call_tool("begin_session", {"words": "red", "limit": 2})
            judged = {"session_id": values(begun)["session_id"], "relevant": [4]}
            assert values(await client.call_tool("look_again", judged))["round"] == 1

    asyncio.run(run())


def test_stdout_carries_the_protocol_and_nothing_else(folder: Path, env: dict[str, str]) -> None:
    hello = {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "a test", "version": "1"},
    }  # fmt: skip
    search = {"name": "search", "arguments": {"words": "red"}}
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": search},
        {"jsonrpc": "2.0", "id": 3, "method": "nonsense"},
    ]
    command = [sys.executable, *RELOOK, "--verbose", "mcp", "--library", str(folder)]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"".join(json.dumps(one).encode() + b"\n" for one in lines))
        process.stdin.flush()
        told: dict[Any, Any] = {}
        while {1, 2, 3} - told.keys():
            message = json.loads(process.stdout.readline())
            told[message.get("id")] = message
        process.stdin.close()
        assert process.stdout.read() == b""
        process.stderr.read()
        assert process.wait(PATIENCE_S) == 0
    assert told[1]["result"]["serverInfo"]["name"] == "relook"
    assert told[2]["result"]["structuredContent"]["hits"][0]["image_id"] == 3
    assert "error" in told[3]


def test_ctrl_c_ends_it_though_its_input_stays_open(folder: Path, env: dict[str, str]) -> None:
    command = [sys.executable, *RELOOK, "mcp", "--library", str(folder)]
    with started(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(PATIENCE_S) == 130
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (["--library", "{tmp}/none"], "no_library", "relook index"),
        (["--library", "{folder}", "--http", "--token", "short"], "token_needed", "at least 16"),
        (["--library", "{folder}", "--captioner", "openai:m@https://m.example/v1"],
         "no_consent", "--allow-upload"),
        (["--library", "{folder}", "--captioner", "magic"], "unknown_captioner", "builtin"),
    ],
)  # fmt: skip
def test_what_keeps_it_from_starting_is_said_on_stderr(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: str, hint: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("OPENAI_API_KEY", "a key of nobody")
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path))
    given = [one.format(tmp=tmp_path, folder=folder) for one in arguments]
    assert main(["mcp", *given]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert f"error[{code}]" in told.err
    assert hint in told.err
    assert not (tmp_path / "none").exists()


def test_a_configuration_does_not_agree_for_an_agent(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a key of nobody")
    monkeypatch.setenv("RELOOK_CAPTIONER_MODEL", "openai:m@https://m.example/v1")
    monkeypatch.setenv("RELOOK_CAPTIONER_ALLOW_UPLOAD", "true")
    assert main(["mcp", "--library", str(folder)]) == 1
    assert "error[no_consent]" in capsys.readouterr().err


def test_a_missing_extra_says_how_to_get_it(env: dict[str, str]) -> None:
    program = (
        "import sys; sys.modules['mcp'] = None; from relook.cli.main import main;"
        " sys.exit(main(['mcp']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "relook mcp needs the package 'mcp'" in done.stderr
    assert "pip install 'relook[mcp]'" in done.stderr
