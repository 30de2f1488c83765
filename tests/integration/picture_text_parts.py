"""Pictures with words in them, a reader that knows these, and a library that read them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import relook
from relook.core.registry import Adapter
from relook.core.settings import IndexSettings, SearchSettings
from relook.readers import READERS
from relook.testing import ColourEncoder, ColourReader, solid

LINES = {
    "red": ["Stop here"],
    "blue": ["INVOICE 2021", "Thank you for 3 cafés", "White label"],
    "green": ["電子発票 of the year"],
    "white": [],
}
TEXT = IndexSettings(text=True)


class Reader(ColourReader):
    """What the default reader is replaced by."""

    made: list[ColourReader]

    @classmethod
    def open(cls, _spec: str) -> ColourReader:
        cls.made.append(cls(LINES))
        return cls.made[-1]


@pytest.fixture(autouse=True)
def fake_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    Reader.made = []
    monkeypatch.setitem(READERS.builtin, "rapidocr", Adapter(f"{__name__}:Reader", ""))  # type: ignore[index]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    for colour in LINES:
        solid(colour).save(made / f"{colour}.png")
    return made


@pytest.fixture
def texts(tmp_path: Path, folder: Path) -> Iterator[relook.Library]:
    """A library in which the words of four pictures were read."""
    search = SearchSettings(fold=False)
    with relook.Library(tmp_path / "library", encoder=ColourEncoder(), search=search) as library:
        library.add(folder, settings=TEXT)
        yield library


def n_read() -> int:
    return sum(reader.n_read for reader in Reader.made)


def scores(page: relook.Page) -> dict[str, float]:
    return {hit.path.stem: hit.score for hit in page}


def names(page: relook.Page) -> list[str]:
    return [hit.path.stem for hit in page]
