"""Pictures on a disk that goes away, and marks that must hold."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import relook
from relook.app.sessions import LibrarySession
from relook.core.types import Box
from relook.library import reading
from relook.testing import noise, patched, solid

CORNER = Box(0.5, 0.5, 1.0, 1.0)


@pytest.fixture
def usb(pictures: Path) -> Path:
    """A folder with two pictures below the indexed one, as a disk would be."""
    (pictures / "usb").mkdir()
    solid("yellow").save(pictures / "usb" / "chelsea.png")
    patched("black", "yellow", CORNER).save(pictures / "usb" / "horse.png")
    (pictures / "words.csv").write_text("path,caption\nusb/chelsea.png,Minka\n")
    return pictures / "usb"


def marked(library: relook.Library, *names: str) -> LibrarySession:
    """A session with a mark on each of some pictures."""
    session = library.look("red", limit=50)
    for hit in session.page:
        if hit.path.name in names:
            session.judge(hit, relevant=True)
    assert len(session.judgements) == len(names)
    return session


def assert_marks_hold(library: relook.Library, session: LibrarySession, *names: str) -> None:
    """Every mark is of an image that is there, and of the right one."""
    kept = library.session(session.session_id)
    found = [library.image(mark.image_id).path.name for mark in kept.judgements]
    assert sorted(found) == sorted(names)


@pytest.fixture
def never_decoded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on no picture may be decoded."""
    return lambda: monkeypatch.setattr(reading, "decode", None)


def take_away(usb: Path, how: str) -> Callable[[], None]:
    """Makes a folder look as if its disk were gone; returns what brings it back."""
    aside = usb.parent.parent / "aside"
    usb.rename(aside)
    if how in ("empty", "stray"):
        usb.mkdir()
    if how == "stray":
        noise(9).save(usb / "stray.png")
    if how == "dangling":
        usb.symlink_to(usb.parent.parent / "nowhere")
    if how == "loop":
        usb.symlink_to(usb)

    def back() -> None:
        if usb.is_symlink():
            usb.unlink()
        elif usb.exists():
            shutil.rmtree(usb)
        aside.rename(usb)

    return back
