"""A library that goes over to another encoder."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from library_parts import ids, many
from upgrade_parts import register

import relook
from relook.core.settings import SearchSettings
from relook.core.types import Box
from relook.testing import solid

CORNER = Box(0.5, 0.5, 1.0, 1.0)


UNFOLDED = SearchSettings(fold=False)


@pytest.fixture(autouse=True)
def _named(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path, pictures: Path) -> Path:
    """A library of the old encoder with a session: marks, a box, words, two rounds."""
    many(pictures / "more", 20)
    solid("red", 30, 30).save(pictures / "red too.png")
    folder = tmp_path / "library"
    with relook.Library(folder, encoder="old", search=UNFOLDED) as library:
        library.add(pictures)
    return folder


def opened(folder: Path, encoder: object = None) -> relook.Library:
    return relook.Library(folder, encoder=encoder, search=UNFOLDED)  # type: ignore[arg-type]


def begun(library: relook.Library) -> str:
    """A session with a mark on a picture and one on a box, and a second page."""
    known = ids(library)
    session = library.look("green", limit=5, captions=False)
    session.judge(known["green.png"], True, box=CORNER, caption="a green corner")
    session.judge(known["red.png"], False)
    session.again("rocchio")
    return session.session_id


def made(library: relook.Library, session_id: str) -> tuple:
    """All that people made in a session."""
    session = library.session(session_id)
    judged = [
        (one.judgement_id, one.image_id, one.relevant, one.box, one.caption, one.weight, one.round)
        for one in session.all_judgements
    ]
    pages = [[hit[0] for hit in row.hits] for row in session.rounds]
    return session.query.as_dict(), judged, pages


def crop_of(folder: Path, name: str) -> np.ndarray | None:
    """The vector of the box on a picture, as it stands in the catalog."""
    with sqlite3.connect(folder / "catalog.sqlite3") as db:
        sql = "SELECT crop FROM judgements JOIN images USING (image_id) WHERE path LIKE ?"
        crop = db.execute(sql.replace("path", "CAST(path AS TEXT)"), (f"%/{name}",)).fetchone()[0]
    return None if crop is None else np.frombuffer(crop, np.float32)
