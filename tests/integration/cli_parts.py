"""Commands that run in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from process_parts import install_colour

from relook.cli.main import main

Run = Callable[..., tuple[int, str, str]]


def with_colour_encoder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The colour encoder, installed as a third party would: by an entry point; a library beside."""
    install_colour(folder / "site")
    monkeypatch.syspath_prepend(str(folder / "site"))
    monkeypatch.setenv("RELOOK_LIBRARY", str(folder / "library"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "120")


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line: code, stdout, stderr."""

    def run_it(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run_it


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_colour_encoder(tmp_path, monkeypatch)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def ask(run: Run) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Runs with --json: one object on stdout, nothing on stderr."""

    def ask_it(*arguments: object) -> tuple[int, dict[str, Any]]:
        code, out, err = run(*arguments, "--json")
        assert err == ""
        assert out.isascii()
        found = json.loads(out)
        assert isinstance(found, dict)
        return code, found

    return ask_it


Ask = Callable[..., tuple[int, dict[str, Any]]]


INDEX = ("index", "--encoder", "colour")
