"""The command line as a process of its own: codes, pipes that close, a real Ctrl-C."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from library_parts import many
from process_parts import HELD, PATIENCE_S, RELOOK, STUBBORN, held_midway, plugin_env

from relook.cli import main
from relook.server import app
from relook.testing import solid


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with the colour encoder installed as a plugin, and a library of its own."""
    folder = tmp_path_factory.mktemp("library") / "library"
    return {**plugin_env(tmp_path_factory.mktemp("site")), "RELOOK_LIBRARY": str(folder)}


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]) -> Path:
    """Sixty pictures with long names, indexed; a page of them is more than a pipe's buffer."""
    folder = tmp_path_factory.mktemp("album") / ("long" * 50) / ("name" * 50)
    many(folder, 60)
    solid("red").save(folder / "red.png")
    done = run(env, "index", folder, "--encoder", "colour", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["n_added"] == 61
    return folder


def run(env: dict[str, str], *arguments: object) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*RELOOK, *map(str, arguments)], env=env, capture_output=True, check=False
    )


def test_exit_codes(env: dict[str, str], album: Path, tmp_path: Path) -> None:
    found = run(env, "search", "red", "--limit", 1, "--files")
    assert (found.returncode, found.stdout, found.stderr) == (
        0,
        bytes(album / "red.png") + b"\n",
        b"",
    )
    failed = run(env, "info", "--library", tmp_path / "none")
    assert (failed.returncode, failed.stdout) == (1, b"")
    assert failed.stderr.startswith(b"error[no_library]: there is no library at ")
    wrong = run(env, "search", "red", "--limit", 0)
    assert (wrong.returncode, wrong.stdout) == (2, b"")


# Less and more than what is written at once: the pipe is found closed at the end, or before.
@pytest.mark.parametrize("form", [["1", "--files"], ["60", "--files"], ["60"]])
def test_a_reader_that_goes_away_is_no_trouble(
    env: dict[str, str], album: Path, form: list[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*RELOOK, "search", "red", "--no-fold", "--limit", *form],
        env=env, stdout=writer, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "command",
    [
        ["info"], ["search", "red"], ["search", "red", "--json", "--limit", "60"], ["doctor"],
        ["index", "--json"], ["info", "--json", "-l", "none"], ["--help"],
    ],
)  # fmt: skip
def test_a_full_disk_under_the_output_is_told_in_one_line(
    env: dict[str, str], album: Path, command: list[str], unbuffered: str
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*RELOOK, *command], env={**env, "PYTHONUNBUFFERED": unbuffered},
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        f"error[disk_refused]: cannot write the output: {os.strerror(errno.ENOSPC)}",
        "hint: make room where it goes, and run the same command again",
    ]
    assert "Traceback" not in done.stderr


LOADING = """
import os, signal, sys
class Stop:
    def find_spec(self, name, *_):
        if name == "relook.cli.output":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Stop())
signal.signal(signal.SIGINT, signal.default_int_handler)
from relook.__main__ import main
sys.exit(main())
"""


def test_ctrl_c_while_a_command_loads(env: dict[str, str]) -> None:
    command = [sys.executable, "-c", LOADING, "--version"]
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_head_of_a_page(env: dict[str, str], album: Path) -> None:
    command = f"'{sys.executable}' -W error -m relook search red --files --limit 60 | head -1"
    done = subprocess.run(command, shell=True, env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, bytes(album / "red.png") + b"\n", b"")


SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_ends_it_in_good_order_and_the_next_run_goes_on(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    many(tmp_path / "album", 300)
    env = plugin_env(tmp_path / "site", HELD)
    library = str(tmp_path / "library")
    command = ["index", str(tmp_path / "album"), "--encoder", "colour", "--json", "-l", library]
    process = held_midway([*RELOOK, *command], env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in err
    stopped = json.loads(out)
    assert stopped["interrupted"]
    assert 0 < stopped["n_images"] < 300
    done = run(env, *command)
    assert done.returncode == 0
    assert json.loads(done.stdout)["n_images"] == 300


def test_ctrl_c_is_not_for_what_a_script_started_in_the_background(tmp_path: Path) -> None:
    many(tmp_path / "album", 300)
    process = held_midway(
        [*RELOOK, "index", str(tmp_path / "album"), "--encoder", "colour", "--json"],
        {**plugin_env(tmp_path / "site", HELD), "RELOOK_LIBRARY": str(tmp_path / "library")},
        ctrl_c=signal.SIG_IGN, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate()
    assert process.returncode == 143
    assert json.loads(out)["interrupted"]


def test_what_takes_too_long_after_sigterm_is_ended_and_what_is_done_is_kept(
    tmp_path: Path,
) -> None:
    """A model in one long step: no handler of Python's runs before its end."""
    many(tmp_path / "album", 300)
    env = {**plugin_env(tmp_path / "site", STUBBORN), "RELOOK_LIBRARY": str(tmp_path / "library")}
    command = [*RELOOK, "index", str(tmp_path / "album"), "--encoder", "colour", "--json"]
    process = held_midway(
        command, {**env, "STOP_S": "0.2"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (143, b"")
    assert b"Traceback" not in err
    done = run(env, *command[len(RELOOK) :])
    assert json.loads(done.stdout)["n_images"] == 300


def test_sigterm_is_bounded_to_the_five_seconds_that_the_docs_say() -> None:
    assert main.STOP_S == 5.0
    assert app._STOP_S < main.STOP_S  # a server's own end, with a word in its log, comes first


JOBS = {
    "export": ("export webdataset {library} {tmp}/out", "relook.exchange.export:_add"),
    "import": (
        "import faiss {tmp}/faiss {tmp}/new --encoder colour",
        "relook.exchange.faiss_import:Importer._take",
    ),
    "bench": ("bench feedback --queries {tmp}/queries", "relook.bench.simulate:Gallery.scores"),
    "check": ("doctor --check", "relook.library.check:check_sqlite"),
}


@pytest.mark.parametrize("job", JOBS)
def test_every_long_command_ends_in_good_order(
    env: dict[str, str], album: Path, tmp_path: Path, job: str
) -> None:
    if job == "import":
        done = run(env, "export", "faiss", env["RELOOK_LIBRARY"], tmp_path / "faiss")
        assert done.returncode == 0
    (tmp_path / "queries").write_text(json.dumps({"query": "red", "relevant": ["red.png"]}))
    words, place = JOBS[job]
    command = [word.format(library=env["RELOOK_LIBRARY"], tmp=tmp_path) for word in words.split()]
    process = held_midway(
        [*RELOOK, f"--held-at={place}", *command], env,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143, err
    assert b"Traceback" not in err
