"""A library to damage."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import relook
from relook.core.settings import IndexSettings
from relook.library import backup
from relook.library.check import check
from relook.testing import ColourEncoder

from .parts import make_album

N, BATCH = 24, 8


ROW_BYTES = ColourEncoder.dim * 2


def opened(library: Path) -> relook.Library:
    return relook.Library(library, encoder=ColourEncoder())


@pytest.fixture
def album(tmp_path: Path) -> Path:
    return make_album(tmp_path / "album", N)


@pytest.fixture
def library(tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """24 pictures in three batches, and a session of two rounds with two marks.

    The backup is of before the session, so that what is mended is mended without it.
    """
    monkeypatch.setattr(backup, "_LEAST_S", 1e9)
    (tmp_path / "words.csv").write_text("path,caption\nalbum/0000.png,the first of all\n")
    with opened(tmp_path / "library") as one:
        settings = IndexSettings(batch=4, commit_every=BATCH, workers=1)
        one.add(album, metadata=tmp_path / "words.csv", settings=settings)
        session = one.look("red", limit=3)
        session.judge(1, relevant=True)
        session.judge(20, relevant=False)
        session.again("rocchio")
    return tmp_path / "library"


def sql(library: Path, *statements: str) -> None:
    with closing(sqlite3.connect(library / "catalog.sqlite3", isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def flip(path: Path, at: int, data: bytes = b"\x3c\x11") -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def codes(library: Path) -> list[str]:
    return sorted({one.code for one in check(library).findings})
