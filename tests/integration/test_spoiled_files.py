"""A picture whose file is spoiled or half written is away: it keeps its id, words and marks."""

import os
from pathlib import Path

import pytest
from archive_parts import picture
from away_parts import assert_marks_hold, marked, usb  # noqa: F401  (one is a fixture)
from library_parts import ids, names
from test_incremental import counts

import relook
from relook.testing import noise


@pytest.mark.parametrize("half", ["truncated", "empty", "text"])
def test_a_file_that_is_half_written_keeps_what_is_marked(
    library: relook.Library, pictures: Path, usb: Path, half: str
) -> None:
    """A run that comes while a program saves a picture, and then one when it is done."""
    library.add(pictures, metadata=pictures / "words.csv")
    before, session = ids(library), marked(library, "chelsea.png")
    whole = (usb / "chelsea.png").read_bytes()
    pieces = {"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"<html>"}

    def write(data: bytes) -> None:
        (usb / "chelsea.png").write_bytes(data)

    write(pieces[half])
    for _ in range(2):
        assert counts(library.add())["n_away"] == 1
        assert [absence["n"] for absence in library.info()["away"]] == [1]
        assert "chelsea.png" not in names(library.search("yellow", limit=50))
    write(whole)
    assert counts(library.add()) == {"n_unchanged": len(before), "n_back": 1}
    write(pieces[half])
    library.add()
    write(picture(noise(5)))  # the edit
    assert counts(library.add()) == {
        "n_updated": 1, "n_unchanged": len(before) - 1, "n_back": 1
    }  # fmt: skip
    assert ids(library) == before
    assert_marks_hold(library, session, "chelsea.png")
    assert library.image(before["usb/chelsea.png"]).caption == "Minka"


def test_a_picture_whose_file_is_spoiled_may_be_found_elsewhere(
    library: relook.Library, pictures: Path, usb: Path
) -> None:
    library.add(pictures)
    before, session = ids(library), marked(library, "chelsea.png")
    whole = (usb / "chelsea.png").read_bytes()
    (usb / "chelsea.png").write_bytes(whole[:40])
    library.add()
    (pictures / "from the backup.png").write_bytes(whole)
    assert library.add().n_moved == 1
    assert ids(library)["from the backup.png"] == before["usb/chelsea.png"]
    assert_marks_hold(library, session, "from the backup.png")
    (usb / "chelsea.png").write_bytes(whole)
    assert library.add().n_added == 1, "a copy of it"
    assert_marks_hold(library, session, "from the backup.png")


def test_a_spoiled_file_does_not_keep_others_from_being_deleted(
    library: relook.Library, pictures: Path
) -> None:
    """It is there, in the folder where it was: what came since was seen beside it."""
    library.add(pictures)
    (pictures / "red.png").write_bytes(b"")
    noise(7).save(pictures / "new.png")
    library.add()
    (pictures / "new.png").unlink()
    report = library.add()
    assert (report.n_removed, report.n_unchanged, report.n_away) == (1, 2, 1)


def test_files_that_are_spoiled_alike_are_told_once(
    library: relook.Library, pictures: Path, usb: Path
) -> None:
    library.add(pictures)
    for name in ("chelsea.png", "horse.png"):
        (usb / name).write_bytes(b"")
    (pictures / "red.png").write_bytes(b"")
    library.add()
    empty = "cannot be used: the file is empty (0 bytes)"
    assert library.info()["away"] == [
        {"place": str(usb), "reason": f"has files that {empty}", "n": 2},
        {"place": str(pictures / "red.png"), "reason": empty, "n": 1},
    ]


def test_an_empty_video_and_a_pipe_are_told_as_with_pictures(
    library: relook.Library, pictures: Path
) -> None:
    for suffix in ("png", "mp4"):
        (pictures / f"empty.{suffix}").write_bytes(b"")
        os.mkfifo(pictures / f"pipe.{suffix}")
    skipped = {
        os.path.basename(os.fsdecode(file.facts.path)): (file.code, file.message)
        for file in library.add(pictures).skipped
    }
    assert skipped["empty.mp4"] == skipped["empty.png"]
    assert skipped["empty.mp4"] == ("empty_file", "the file is empty (0 bytes)")
    assert skipped["pipe.mp4"] == skipped["pipe.png"]
    assert skipped["pipe.mp4"][0] == "not_a_file"
