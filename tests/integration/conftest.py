"""Folders of pictures and libraries of the colour encoder."""

import gc
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

import relook
from relook.cli.main import main
from relook.core.settings import SearchSettings
from relook.core.types import Box
from relook.testing import ColourEncoder, noise, patched, solid

CORNER = Box(0.5, 0.5, 1.0, 1.0)


def pytest_collection_finish() -> None:
    """What the tests have imported stays: collections of garbage need not walk it each time."""
    gc.collect()
    gc.freeze()


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


def names(page: relook.Page) -> list[str]:
    return [hit.path.name for hit in page]


def ids(library: relook.Library) -> dict[str, int]:
    """Image id by path below the test's folder of pictures, of everything in the library."""
    return {
        os.fsdecode(image.facts.path).split("/pictures/")[-1]: image.image_id
        for image in library.files.catalog.each_image()
    }


def many(folder: Path, n: int, start: int = 0) -> list[Image.Image]:
    """Writes pictures 0000.png, 0001.png, ... that are all different."""
    folder.mkdir(parents=True, exist_ok=True)
    images = [noise(seed) for seed in range(start, start + n)]
    for seed, image in enumerate(images, start=start):
        image.save(folder / f"{seed:04}.png", compress_level=1)
    return images


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict]:
    """Runs a command line here; its JSON answer."""

    def run_it(*arguments: object, code: int = 0) -> dict:
        assert main([*map(str, arguments), "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return run_it
