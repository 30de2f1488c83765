"""What the tests of sessions share: a library of six pictures with a red bar."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import relook
from relook.core.types import Box
from relook.search.session import Session
from relook.testing.fakes import ColourEncoder, patched

CORNER = Box(0.0, 0.0, 0.5, 0.5)


@pytest.fixture(name="pictures")
def bars(tmp_path: Path) -> Path:
    """Six pictures with a red bar, wider from 1 to 6, on other colours; ids 1 to 6 by name."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    grounds = ("black", "blue", "blue", "green", "green", "yellow")
    for number, ground in enumerate(grounds, start=1):
        wide = 0.2 + number / 25
        bar = Box(0.0, 0.0, wide, 1.0) if number % 2 else Box(0.0, 0.0, 1.0, wide)
        patched(ground, "red", bar, 100, 100).save(folder / f"{number}.png")
    return folder


@pytest.fixture(name="library")
def library_of_bars(tmp_path: Path, pictures: Path) -> Iterator[relook.Library]:
    made = relook.Library(tmp_path / "library", encoder=ColourEncoder())
    made.add(pictures)
    yield made
    made.close()


def ids(page: relook.Page) -> list[int]:
    return [hit.image_id for hit in page]


def id_of(library: relook.Library, name: str) -> int:
    return next(r.image_id for r in library.files.catalog.each_image() if r.path.name == name)


def make_session(library: relook.Library) -> Session:
    session = library.look("red", limit=3, name="to share")
    session.judge(2, relevant=True, box=CORNER, caption="blue", weight=2.0)
    session.judge(4, relevant=False)
    session.again("rocchio", limit=2)
    session.go(0)
    session.again("probe", limit=2)
    return session
