"""A picture that cannot be seen is away: it keeps its id, words and marks, and comes back."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archive_parts import picture, write_zip
from away_parts import assert_marks_hold, marked, never_decoded, take_away, usb  # noqa: F401  (some are fixtures)
from library_parts import ids, many, names
from test_incremental import counts

import relook
from relook.core.errors import NotFoundError
from relook.library import scan
from relook.library.tombstones import kept_contents
from relook.library.whereabouts import WHEREABOUTS, absences, mark_away
from relook.testing import noise


@pytest.mark.parametrize("how", ["gone", "empty", "stray", "dangling", "loop"])
def test_e1_a_disk_below_an_indexed_folder(
    library: relook.Library,
    pictures: Path,
    usb: Path,
    how: str,
    never_decoded: Callable[[], None],
) -> None:
    library.add(pictures, metadata=pictures / "words.csv")
    before, session = ids(library), marked(library, "chelsea.png", "red.png")
    back = take_away(usb, how)
    for _ in range(3):  # again and again: no run makes a deletion of it
        report = library.add()
        assert (report.n_removed, report.n_away) == (0, 2)
        assert before.items() <= ids(library).items()
        assert_marks_hold(library, session, "chelsea.png", "red.png")
    assert "2 pictures are away" in report.notes[-1]
    page = library.search("yellow", limit=50)
    assert not {"chelsea.png", "horse.png"} & set(names(page))
    assert any("2 pictures are away" in note and "usb" in note for note in page.notes)
    shown = library.search("yellow", limit=50, away=True)
    assert [(hit.path.name, hit.caption) for hit in shown if hit.away][:1] == [
        ("chelsea.png", "Minka")
    ]
    assert not shown.notes
    assert (library.info()["n_away"], len(library.info()["away"])) == (2, 1)
    library.session(session.session_id).again()  # the marks still count
    back()
    never_decoded()
    report = library.add()
    assert (report.n_added, report.n_back, report.n_removed) == (0, 2, 0)
    assert before.items() <= ids(library).items()
    assert library.info()["n_away"] == (1 if how == "stray" else 0)
    assert [hit.caption for hit in library.search("yellow", limit=1)] == ["Minka"]
    assert_marks_hold(library, session, "chelsea.png", "red.png")


def test_f1_a_root_with_nothing_but_a_stray_picture(
    library: relook.Library, pictures: Path, usb: Path, never_decoded: Callable[[], None]
) -> None:
    """A mount point that is itself the root, with something left on it."""
    library.add(pictures, metadata=pictures / "words.csv")
    before, session = ids(library), marked(library, "chelsea.png", "red.png", "blue.png")
    back = take_away(pictures, "stray")
    for n_added in (1, 0, 0):
        report = library.add()
        assert (report.n_added, report.n_removed, report.n_away) == (n_added, 0, len(before))
        assert before.items() <= ids(library).items()
        assert_marks_hold(library, session, "chelsea.png", "red.png", "blue.png")
    assert names(library.search("red", limit=50)) == ["stray.png"]
    back()
    never_decoded()
    report = library.add()
    assert (report.n_added, report.n_back, report.n_removed) == (0, len(before), 0)
    assert before.items() <= ids(library).items()
    assert [hit.caption for hit in library.search("yellow", limit=1)] == ["Minka"]
    assert_marks_hold(library, session, "chelsea.png", "red.png", "blue.png")


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_what_came_later_is_no_proof_of_a_deletion(
    library: relook.Library, pictures: Path, kind: str
) -> None:
    """However many runs see it; once the picture is back, both were seen together."""
    place = pictures / ("usb" if kind == "folder" else "usb.zip")

    def show(*seeds: int) -> None:
        files = {f"{seed}.png": picture(noise(seed)) for seed in seeds}
        if kind == "archive":
            return write_zip(place, files)
        place.mkdir(exist_ok=True)
        for path in place.iterdir():
            if path.name not in files:
                path.unlink()
        for name, data in files.items():
            if not (place / name).exists():
                (place / name).write_bytes(data)
        return None

    show(1)
    library.add(pictures)
    before, session = ids(library), marked(library, "1.png")
    for seeds in ((2,), (2,), (2, 3), (3, 4), (4,)):
        show(*seeds)
        report = library.add()
        assert before.items() <= ids(library).items()
        assert not library.add().n_removed, "the same run again changes nothing"
        assert "1.png" in {path.split("/")[-1] for path in ids(library)}
    assert (report.n_away, report.n_removed) == (1, 1), "3.png was seen with 4.png"
    show(1, 4)
    assert library.add().n_back == 1
    assert_marks_hold(library, session, "1.png")
    show(1)
    assert (report := library.add()).n_removed == 1, "4.png was seen with 1.png"
    assert report.n_away == 0


def test_a_picture_over_another_leaves_it_away_for_good(
    library: relook.Library, pictures: Path, usb: Path
) -> None:
    (usb / "horse.png").unlink()
    library.add(pictures)
    before = ids(library)
    (pictures / "red.png").replace(usb / "chelsea.png")
    for _ in range(3):
        report = library.add()
        assert (report.n_removed, report.n_away, len(library)) == (0, 1, len(before))
    assert ids(library)["usb/chelsea.png"] == before["red.png"]


@pytest.fixture
def mounted(usb: Path, tmp_path: Path) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """The pictures of `usb` on a bind mount: what mounts it, and what unmounts it."""
    disk = tmp_path / "disk"
    usb.rename(disk)
    usb.mkdir()

    def mount() -> None:
        done = subprocess.run(
            ["mount", "--bind", str(disk), str(usb)], check=False, capture_output=True
        )
        if done.returncode:
            pytest.skip(f"mounting is refused: {done.stderr.decode().strip()}")

    def unmount() -> None:
        subprocess.run(["umount", "-l", str(usb)], check=True)

    mount()
    try:
        yield mount, unmount
    finally:
        subprocess.run(["umount", "-l", str(usb)], check=False, capture_output=True)


@pytest.mark.parametrize("stray", [False, True])
def test_e1_a_mount_point(
    library: relook.Library,
    pictures: Path,
    usb: Path,
    mounted: tuple[Callable[[], None], Callable[[], None]],
    stray: bool,
) -> None:
    mount, unmount = mounted
    library.add(pictures, metadata=pictures / "words.csv")
    before, session = ids(library), marked(library, "chelsea.png", "horse.png")
    unmount()
    if stray:
        noise(9).save(usb / "stray.png")
    for _ in range(3):
        assert (report := library.add()).n_removed == 0
        assert report.n_away == 2
    mount()
    report = library.add()
    assert (report.n_added, report.n_back, report.n_away) == (0, 2, int(stray))
    assert before.items() <= ids(library).items()
    assert_marks_hold(library, session, "chelsea.png", "horse.png")


def test_another_device_is_no_deletion(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder on another file system that holds some of the pictures is another disk."""
    library.add(pictures)
    monkeypatch.setattr(scan, "device_of", lambda folder, facts: 77)
    (pictures / "red.png").unlink()
    for _ in range(2):
        assert counts(library.add()) == {"n_unchanged": 2, "n_away": 1}
    assert "is on another disk now" in library.info()["away"][0]["reason"]


def test_an_archive_that_is_not_there(library: relook.Library, pictures: Path) -> None:
    write_zip(pictures / "a.zip", {"1.png": picture(noise(1)), "2.png": picture(noise(2))})
    library.add(pictures)
    before, session = ids(library), marked(library, "1.png")
    (pictures / "a.zip").rename(pictures.parent / "a.zip")
    assert counts(library.add()) == {"n_unchanged": 3, "n_away": 2}
    assert_marks_hold(library, session, "1.png")
    (pictures.parent / "a.zip").rename(pictures / "a.zip")
    assert counts(library.add()) == {"n_unchanged": 5, "n_back": 2}
    assert ids(library) == before
    write_zip(pictures / "a.zip", {"2.png": picture(noise(2))})
    report = library.add()
    assert (report.n_removed, report.n_away) == (1, 0)


def test_another_disk_at_the_same_place(library: relook.Library, pictures: Path, usb: Path) -> None:
    """Pictures of another disk that have the names of this one's are no edits of them."""
    library.add(pictures)
    before, session = ids(library), marked(library, "chelsea.png")
    other, aside = pictures.parent / "other", pictures.parent / "aside"
    other.mkdir()
    noise(21).save(other / "chelsea.png")
    noise(22).save(other / "horse.png")
    usb.rename(aside)
    other.rename(usb)
    report = library.add()
    assert (report.n_added, report.n_updated, report.n_removed, report.n_away) == (2, 0, 0, 2)
    second = marked(library, "chelsea.png")
    [mark] = second.judgements
    usb.rename(other)
    aside.rename(usb)
    report = library.add()
    assert (report.n_added, report.n_removed, report.n_back, report.n_away) == (0, 0, 2, 2)
    assert before.items() <= ids(library).items()
    assert_marks_hold(library, session, "chelsea.png")
    usb.rename(aside)
    other.rename(usb)
    assert (report := library.add()).n_back == 2
    assert library.image(mark.image_id).path == usb / "chelsea.png"
    assert report.n_moved == 0


def test_single_files_are_deleted_and_a_marked_one_comes_back(
    library: relook.Library, pictures: Path
) -> None:
    many(pictures, 4)
    library.add(pictures)
    before, session = ids(library), marked(library, "0001.png")
    aside = pictures.parent / "aside.png"
    (pictures / "0001.png").rename(aside)
    (pictures / "0002.png").unlink()
    assert counts(library.add()) == {"n_removed": 2, "n_unchanged": 5}
    assert len(library) == 5
    with pytest.raises(NotFoundError):
        library.image(before["0001.png"])
    aside.rename(pictures / "sub" / "other name.png")
    assert counts(library.add()) == {"n_added": 1, "n_unchanged": 5}
    assert ids(library)["sub/other name.png"] == before["0001.png"]
    assert_marks_hold(library, session, "other name.png")


def test_a_deleted_picture_that_returns_is_itself_though_a_copy_is_away(
    library: relook.Library, pictures: Path, usb: Path
) -> None:
    """Found by the life suite (seed 40107): the copy took the place, and the mark was lost."""
    many(pictures, 2)
    library.add(pictures)
    before, session = ids(library), marked(library, "0001.png")
    shutil.copy(pictures / "0001.png", usb / "copy.png")
    library.add()
    aside = pictures.parent / "aside.png"
    (pictures / "0001.png").rename(aside)
    library.add()
    back = take_away(usb, "stray")
    aside.rename(pictures / "0001.png")
    library.add()
    assert ids(library)["0001.png"] == before["0001.png"]
    assert_marks_hold(library, session, "0001.png")
    back()
    library.add()
    assert ids(library)["0001.png"] == before["0001.png"]
    assert ids(library)["usb/copy.png"] not in before.values()


def test_a_folder_with_the_name_of_a_picture_is_not_that_picture(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    before, session = ids(library), marked(library, "red.png")
    data = (pictures / "red.png").read_bytes()
    (pictures / "red.png").unlink()
    (pictures / "red.png").mkdir()
    assert counts(library.add()) == {"n_removed": 1, "n_unchanged": 2}
    (pictures / "red.png" / "rose.png").write_bytes(data)
    library.add()
    assert ids(library)["red.png/rose.png"] == before["red.png"]
    assert_marks_hold(library, session, "rose.png")


def test_a_mark_that_was_taken_back_may_be_made_again_after_a_deletion(
    library: relook.Library, pictures: Path
) -> None:
    many(pictures, 3)
    library.add(pictures)
    before, session = ids(library), marked(library, "0001.png")
    session.undo()
    aside = (pictures / "0001.png").rename(pictures.parent / "aside.png")
    library.add()
    session.redo()
    aside.rename(pictures / "back.png")
    library.add()
    assert ids(library)["back.png"] == before["0001.png"]
    assert_marks_hold(library, session, "back.png")


def test_a_tombstone_goes_with_its_sessions(library: relook.Library, pictures: Path) -> None:
    many(pictures, 3)
    library.add(pictures)
    before, session = ids(library), marked(library, "0001.png")
    (pictures / "0001.png").unlink()
    library.add()

    def kept() -> dict[int, bytes]:
        kept = kept_contents(library.files.catalog.ask, before.values())
        return {image_id: path for image_id, (_, path) in kept.items()}

    assert kept() == {before["0001.png"]: bytes(pictures / "0001.png")}
    session.delete()
    assert kept() == {}


def test_what_is_gone_is_not_counted_as_away() -> None:
    db = sqlite3.connect(":memory:")
    db.executescript(f"CREATE TABLE images (image_id INTEGER PRIMARY KEY); {WHEREABOUTS}")
    db.executemany("INSERT INTO images VALUES (?)", [(1,), (2,)])
    mark_away(db, [(number, b"/disk", "is not there") for number in (1, 3)], now_s=1.0)
    assert [(each.reason, each.n) for each in absences(db)] == [("is not there", 1)]
