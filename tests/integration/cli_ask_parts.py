"""Command lines that ask about a picture, where a library lies."""

import json
from pathlib import Path
from typing import Any

import pytest
from ask_parts import png
from cli_parts import Run, runner, with_colour_encoder

import relook


@pytest.fixture
def run(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Run:
    """Runs a command line where `library` holds three pictures with titles."""
    with_colour_encoder(tmp_path, monkeypatch)
    titles = tmp_path / "titles.csv"
    titles.write_text("path,title\nred.png,A red square\nblue.png,A blue square\n")
    with relook.Library(tmp_path / "library", encoder="colour") as library:
        library.add(pictures, metadata=titles)
    (tmp_path / "asked.png").write_bytes(png("red"))

    return runner(capsys)


def as_json(run: Run, *arguments: object) -> dict[str, Any]:
    code, out, err = run(*arguments, "--json")
    assert (code, err) == (0, ""), out
    found: dict[str, Any] = json.loads(out)
    return found
