"""A library of six pictures with a red bar, on the colour encoder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import relook
from relook.core.types import Box
from relook.testing.fakes import ColourEncoder, patched


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six pictures with a red bar, wider from 1 to 6, on other colours; ids 1 to 6 by name."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    grounds = ("black", "blue", "blue", "green", "green", "yellow")
    for number, ground in enumerate(grounds, start=1):
        wide = 0.2 + number / 25
        bar = Box(0.0, 0.0, wide, 1.0) if number % 2 else Box(0.0, 0.0, 1.0, wide)
        patched(ground, "red", bar, 100, 100).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def library(tmp_path: Path, pictures: Path) -> Iterator[relook.Library]:
    made = relook.Library(tmp_path / "library", encoder=ColourEncoder())
    made.add(pictures)
    yield made
    made.close()
