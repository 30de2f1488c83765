"""Folders of pictures and libraries of the colour encoder."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from library_parts import CORNER

import relook
from relook.cli.main import main
from relook.core.settings import SearchSettings
from relook.testing import ColourEncoder, patched, solid


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures: all red, all blue, and white with a green lower right quarter."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    solid("red", 60, 40).save(folder / "red.png")
    solid("blue").save(folder / "sub" / "blue.png")
    patched("white", "green", CORNER).save(folder / "green.png")
    return folder


@pytest.fixture
def open_library(tmp_path: Path) -> Iterator[Callable[..., relook.Library]]:
    """Opens the library of this test, again at each call; all are closed at the end."""
    opened = []

    def open_it(**options: object) -> relook.Library:
        options.setdefault("encoder", ColourEncoder())
        library = relook.Library(tmp_path / "library", **options)  # type: ignore[arg-type]
        opened.append(library)
        return library

    yield open_it
    for library in opened:
        library.close()
        library.close()


@pytest.fixture
def library(open_library: Callable[..., relook.Library]) -> relook.Library:
    return open_library(search=SearchSettings(fold=False))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict]:
    """Runs a command line here; its JSON answer."""

    def run_it(*arguments: object, code: int = 0) -> dict:
        assert main([*map(str, arguments), "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return run_it
