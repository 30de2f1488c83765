"""Command lines that ask about a picture, where a library lies."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ask_parts import png

import relook
from relook.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Run:
    """Runs a command line where `library` holds three pictures with titles."""
    info = tmp_path / "site" / "colour-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: colour\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[relook.encoders]\ncolour = relook.testing.fakes:ColourEncoder\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("RELOOK_LIBRARY", str(tmp_path / "library"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    titles = tmp_path / "titles.csv"
    titles.write_text("path,title\nred.png,A red square\nblue.png,A blue square\n")
    with relook.Library(tmp_path / "library", encoder="colour") as library:
        library.add(pictures, metadata=titles)
    (tmp_path / "asked.png").write_bytes(png("red"))

    def run_it(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run_it


def as_json(run: Run, *arguments: object) -> dict[str, Any]:
    code, out, err = run(*arguments, "--json")
    assert (code, err) == (0, ""), out
    found: dict[str, Any] = json.loads(out)
    return found
