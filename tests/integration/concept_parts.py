"""A library of bars, and sessions that learnt what a concept is made of."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from session_parts import id_of
from upgrade_parts import OldEncoder

import relook
from relook.core.registry import Adapter
from relook.core.types import Box
from relook.encoders import ENCODERS
from relook.testing import patched

GROUNDS = ("black", "blue", "green", "yellow", "cyan")
CORNER = Box(0.0, 0.0, 0.5, 0.5)


@pytest.fixture(name="pictures")
def many_bars(tmp_path: Path) -> Path:
    """Forty pictures, so that fit is known: 10 with much red, 10 with magenta, 20 of neither."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(10):
        wide = Box(0.0, 0.0, 0.55 + number / 50, 1.0)
        for name in ("red", "magenta"):
            patched(GROUNDS[number % 5], name, wide, 96, 96).save(folder / f"{name}{number}.png")
        for name in ("plain", "more"):
            ground = GROUNDS[(number + (name == "more")) % 5]
            tall = Box(0.0, 0.0, 1.0, 0.2 + number / 25)
            patched(ground, GROUNDS[(number + 2) % 5], tall, 96, 96).save(
                folder / f"{name}{number}.png"
            )
    return folder


@pytest.fixture(name="library")
def library_of_bars(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[relook.Library]:
    monkeypatch.setitem(ENCODERS.builtin, "new", Adapter("upgrade_parts:NewEncoder", "for tests"))
    monkeypatch.setitem(ENCODERS.builtin, "old", Adapter("upgrade_parts:OldEncoder", "for tests"))
    made = relook.Library(tmp_path / "library", encoder=OldEncoder())
    made.add(pictures)
    yield made
    made.close()


def learnt(library: relook.Library, words: str = "red", kind: str = "red"):  # type: ignore[no-untyped-def]
    """A session that began from words, with two pictures that fit and one that does not."""
    session = library.look(words, limit=5)
    for number in (0, 1):
        session.judge(id_of(library, f"{kind}{number}.png"), relevant=True)
    session.judge(id_of(library, "magenta3.png"), relevant=False)
    return session
