"""A file's name with another picture behind it: an edit, a picture that moved, or another disk."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from away_parts import assert_marks_hold, marked
from library_parts import ids
from PIL import ExifTags, Image
from test_incremental import counts

import relook
from relook.core.errors import InputError
from relook.core.progress import Progress
from relook.core.types import Box
from relook.library import scan
from relook.library.report import Stop
from relook.testing import noise, patched


def another() -> Image.Image:
    """A picture unlike all others here."""
    return patched("blue", "black", Box(0, 0, 0.2, 0.2))


def words(library: relook.Library) -> dict[str, str]:
    """Captions by file name."""
    return {hit.path.name: hit.caption for hit in library.search("red", limit=99, fold=False)}


@pytest.fixture
def minka(library: relook.Library, pictures: Path) -> Callable[[], None]:
    """A marked picture m.png with a caption; asserts that a picture has its id and the mark."""
    patched("red", "green", Box(0, 0, 0.2, 0.2)).save(pictures / "m.png")
    (pictures / "words.csv").write_text("path,caption\nm.png,Minka\n")
    library.add(pictures, metadata=pictures / "words.csv")
    session, image_id = marked(library, "m.png"), ids(library)["m.png"]
    (pictures / "words.csv").unlink()

    def is_at(name: str) -> None:
        assert ids(library)[name] == image_id
        assert_marks_hold(library, session, Path(name).name)

    return is_at


@pytest.mark.parametrize("name", ["a.png", "z.png", "sub/m.png", "b/m.png"])
def test_a_name_that_another_picture_uses_leaves_the_marks_with_their_picture(
    library: relook.Library, pictures: Path, minka: Callable[[str], None], name: str
) -> None:
    """Whether the moved file is listed before the one that has its name now, or after it."""
    (pictures / name).parent.mkdir(exist_ok=True)
    (pictures / "m.png").rename(pictures / name)
    another().save(pictures / "m.png")
    assert counts(library.add()) == {"n_added": 1, "n_moved": 1, "n_unchanged": 3}
    minka(name)
    if Path(name).name != "m.png":
        assert (words(library)[name], words(library)["m.png"]) == ("Minka", "")
    assert counts(library.add()) == {"n_unchanged": 5}


def test_pictures_that_are_numbered_anew_keep_their_marks(
    library: relook.Library, pictures: Path
) -> None:
    for number in range(1, 6):
        noise(number).save(pictures / f"{number}.png")
    library.add(pictures)
    session, before = marked(library, "1.png", "3.png"), ids(library)
    for number in range(5, 0, -1):
        (pictures / f"{number}.png").rename(pictures / f"{number + 1}.png")
    another().save(pictures / "1.png")
    library.add()
    after = ids(library)
    assert [after[f"{n + 1}.png"] for n in range(1, 6)] == [before[f"{n}.png"] for n in range(1, 6)]
    assert_marks_hold(library, session, "2.png", "4.png")


@pytest.mark.parametrize("name", ["a_original.png", "m_original.png", "b/m.png"])
def test_an_edited_picture_keeps_its_marks_though_the_original_is_put_beside_it(
    library: relook.Library, pictures: Path, minka: Callable[[str], None], name: str
) -> None:
    (pictures / name).parent.mkdir(exist_ok=True)
    shutil.copy2(pictures / "m.png", pictures / name)
    patched("red", "yellow", Box(0.8, 0.8, 1, 1)).save(pictures / "m.png")
    assert counts(library.add()) == {
        "n_added": 1, "n_updated": 1, "n_duplicates": 1, "n_unchanged": 3
    }  # fmt: skip
    minka("m.png")


def test_a_run_that_is_stopped_gives_the_marks_to_no_other_picture(
    library: relook.Library, pictures: Path, minka: Callable[[str], None]
) -> None:
    (pictures / "m.png").rename(pictures / "a.png")
    another().save(pictures / "m.png")

    def stop(progress: Progress) -> None:
        if progress.stage == "indexing" and progress.done == progress.total:
            raise Stop

    assert library.add(progress=stop).interrupted
    library.add()
    minka("a.png")


@pytest.mark.parametrize("device", [None, 77])
def test_another_disk_that_shares_a_file_gets_no_marks(
    library: relook.Library, pictures: Path, device: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cards, or the ends of a link, with one equal file and others of the same names."""
    cards = [pictures.parent / "one", pictures.parent / "two"]
    for at, folder in enumerate(cards):
        folder.mkdir()
        noise(9).save(folder / "logo.png")
        for number in range(2):
            noise(10 * at + number).save(folder / f"{number}.png")
    shutil.copystat(cards[0] / "logo.png", cards[1] / "logo.png")
    card = pictures / "card"
    card.symlink_to(cards[0])
    library.add(pictures)
    session, before = marked(library, "0.png", "1.png"), ids(library)
    card.unlink()
    card.symlink_to(cards[1])
    if device is not None:
        monkeypatch.setattr(scan, "device_of", lambda folder, facts: device)
    report = library.add()
    assert (report.n_added, report.n_updated, report.n_removed, report.n_away) == (2, 0, 0, 2)
    monkeypatch.undo()
    card.unlink()
    card.symlink_to(cards[0])
    report = library.add()
    assert (report.n_added, report.n_updated, report.n_removed, report.n_away) == (0, 0, 0, 2)
    assert before.items() <= ids(library).items()
    assert_marks_hold(library, session, "0.png", "1.png")


def test_a_folder_that_was_written_anew_holds_edits(
    library: relook.Library, pictures: Path
) -> None:
    """As a program that synchronises does: another folder at the path, most files as they were."""
    folder = pictures / "sub2"
    folder.mkdir()
    for number in range(3):
        noise(number).save(folder / f"{number}.png")
    library.add(pictures)
    before = ids(library)
    folder.rename(pictures.parent / "aside")
    shutil.copytree(pictures.parent / "aside", folder)
    noise(50).save(folder / "1.png")
    assert counts(library.add()) == {"n_updated": 1, "n_unchanged": 5}
    assert ids(library) == before


def test_a_picture_that_is_still_there_does_not_become_another_one(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    session, before = marked(library, "red.png", "green.png"), ids(library)
    with pytest.raises(InputError, match=r"red.png is still there, and .*green.png is another"):
        library.move(pictures / "red.png", pictures / "green.png")
    assert ids(library) == before
    assert_marks_hold(library, session, "red.png", "green.png")


def test_a_place_that_was_taken_out_of_a_file_is_gone_and_what_people_wrote_stays(
    library: relook.Library, pictures: Path
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Pixel 7"
    exif[ExifTags.Base.DateTime] = "2019:07:14 12:30:00"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({
        1: "N", 2: (48.0, 51.0, 30.24), 3: "E", 4: (2.0, 17.0, 40.2),
    })  # fmt: skip
    picture = another()
    picture.save(pictures / "m.jpg", exif=exif)
    (pictures / "words.csv").write_text("path,caption,shelf\nm.jpg,Minka,3\n")
    library.add(pictures, metadata=pictures / "words.csv")
    before = library.image(ids(library)["m.jpg"]).metadata
    assert before["latitude"] == pytest.approx(48.8584)
    picture.save(pictures / "m.jpg")
    assert library.add().n_updated == 1
    image = library.image(ids(library)["m.jpg"])
    assert image.caption == "Minka"
    assert image.metadata == {key: before[key] for key in ("taken_at", "taken_from", "shelf")}
