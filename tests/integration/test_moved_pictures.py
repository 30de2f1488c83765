"""Pictures, folders and libraries that moved, were copied or forgotten keep what is theirs."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from archive_parts import picture, write_tar
from away_parts import assert_marks_hold, marked, never_decoded, take_away, usb  # noqa: F401  (some are fixtures)
from library_parts import ids, many
from test_incremental import counts

import relook
from relook.core.errors import InputError, NotFoundError
from relook.core.images import decode
from relook.core.types import Part, Query
from relook.encoders.base import encode_images
from relook.library import reading
from relook.library.check import check
from relook.testing import ColourEncoder, noise, solid


def test_words_of_a_deleted_picture_come_back_with_it(
    library: relook.Library, pictures: Path, usb: Path
) -> None:
    library.add(pictures, metadata=pictures / "words.csv")
    before, data = ids(library), (usb / "chelsea.png").read_bytes()
    (usb / "chelsea.png").unlink()
    assert library.add().n_removed == 1
    (usb / "again.png").write_bytes(data)
    library.add()
    assert ids(library)["usb/again.png"] == before["usb/chelsea.png"]
    assert [hit.caption for hit in library.search("yellow", limit=1)] == ["Minka"]


@pytest.mark.parametrize("index", ["new", "both", "all"])
def test_e12_f2_a_renamed_folder(
    library: relook.Library, pictures: Path, index: str, never_decoded: Callable[[], None]
) -> None:
    many(pictures, 6)
    library.add(pictures)
    before = {Path(name).name: image_id for name, image_id in ids(library).items()}
    session = marked(library, "0001.png", "0002.png", "blue.png")
    new = pictures.rename(pictures.parent / "album")
    never_decoded()
    if index == "all":
        pictures.parent.joinpath("empty").mkdir()
        library.add(pictures.parent / "empty")
        library.add()
    report = library.add(new)
    assert (report.n_added, report.n_moved, report.n_away) == (0, 9, 0)
    assert {image.path.name: image.image_id for image in library.files.catalog.each_image()} == (
        before
    )
    assert all(hit.path.exists() for hit in library.search("red", limit=50))
    assert_marks_hold(library, session, "0001.png", "0002.png", "blue.png")
    if index == "both":  # the old place is forgotten already, and takes nothing along
        with pytest.raises(NotFoundError):
            library.forget(pictures)
    assert_marks_hold(library, session, "0001.png", "0002.png", "blue.png")
    assert bytes(pictures) not in library.files.catalog.roots()


def test_forgetting_the_old_place_leaves_what_has_moved(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    session = marked(library, "red.png", "blue.png")
    other = pictures.parent / "other"
    other.mkdir()
    (pictures / "red.png").rename(other / "red.png")
    (pictures / "sub").rename(other / "sub")
    assert library.add(other).n_moved == 2
    assert library.forget(pictures) == 1
    assert_marks_hold(library, session, "red.png", "blue.png")


def test_copies_go_to_the_paths_that_are_most_alike(
    library: relook.Library, pictures: Path
) -> None:
    for folder in ("a/x", "a/y", "b/x"):
        (pictures / folder).mkdir(parents=True)
        solid("yellow").save(pictures / folder / "1.png")
    library.add(pictures)
    before = ids(library)
    (pictures / "a").rename(pictures / "zz")
    (pictures / "b" / "x" / "1.png").rename(pictures / "2.png")
    report = library.add()
    assert (report.n_moved, report.n_added, report.n_removed, report.n_away) == (3, 0, 0, 0)
    after = ids(library)
    assert {name: after[name] for name in ("zz/x/1.png", "zz/y/1.png", "2.png")} in (
        {"zz/x/1.png": before["a/x/1.png"], "zz/y/1.png": before["a/y/1.png"],
         "2.png": before["b/x/1.png"]},
    )  # fmt: skip


def test_marks_follow_a_picture_whose_place_a_copy_takes(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    before, session = ids(library), marked(library, "red.png", "green.png")
    green = (pictures / "green.png").read_bytes()
    (pictures / "red.png").replace(pictures / "green.png")
    (pictures / "zz.png").write_bytes((pictures / "green.png").read_bytes())
    (pictures / "sub" / "elsewhere.png").write_bytes(green)
    report = library.add()
    assert (report.n_moved, report.n_added, report.n_updated, report.n_removed) == (2, 1, 0, 0)
    assert ids(library)["sub/elsewhere.png"] == before["green.png"]
    assert_marks_hold(library, session, "elsewhere.png", "green.png")


def test_a_copy_over_a_picture_leaves_it_the_words_that_it_has(
    library: relook.Library, pictures: Path
) -> None:
    rows = "path,title,caption\nred.png,Red,of red\ngreen.png,Green,\n"
    (pictures / "words.csv").write_text(rows)
    library.add(pictures, metadata=pictures / "words.csv")
    before = ids(library)
    (pictures / "green.png").write_bytes((pictures / "red.png").read_bytes())
    assert counts(library.add()) == {"n_updated": 1, "n_unchanged": 2}
    assert ids(library) == before
    image = library.image(before["green.png"])
    assert (image.title, image.caption) == ("Green", "of red")


def test_forget_deletes_for_good_and_says_what_was_marked(
    library: relook.Library, pictures: Path, usb: Path
) -> None:
    library.add(pictures, metadata=pictures / "words.csv")
    before = ids(library)
    session = marked(library, "chelsea.png", "horse.png")
    back = take_away(usb, "gone")
    library.add()
    in_two = [library.image(before[f"usb/{name}.png"]).image_id for name in ("chelsea", "horse")]
    library.albums.add("Animals", in_two)
    library.albums.add("Cats", in_two[:1])
    taken = library.take_out(usb)
    assert (taken.n_images, taken.n_marks, taken.n_in_albums) == (2, 2, 2)
    assert library.info()["n_away"] == 0
    back()
    assert library.add().n_added == 2  # the sessions are still there, so their marks hold again
    assert_marks_hold(library, session, "chelsea.png", "horse.png")
    assert library.albums.get("Animals").n_images == 2
    assert library.image(before["usb/chelsea.png"]).caption == ""


def test_move_relabels_without_reading(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(pictures / "a.tar", {"1.png": picture(noise(1))})
    library.add(pictures)
    before, session = ids(library), marked(library, "red.png", "1.png")
    new = pictures.rename(pictures.parent / "pictures on a disk")
    monkeypatch.setattr(reading, "read_bytes", None)
    report = library.move(pictures, new)
    assert (report.n_moved, report.n_missing, report.n_other) == (4, 0, 0)
    assert report.roots == (bytes(new),)
    after = {os.fsdecode(i.facts.path): i.image_id for i in library.files.catalog.each_image()}
    assert after == {f"{new}/{name}": image_id for name, image_id in before.items()}
    assert counts(library.add()) == {"n_unchanged": 4}
    assert_marks_hold(library, session, "red.png", "1.png")
    # One file, and a folder below a root.
    (new / "red.png").rename(new / "sub" / "rose.png")
    assert library.move(new / "red.png", new / "sub" / "rose.png").n_moved == 1
    (new / "sub").rename(new / "below")
    assert library.move(new / "sub", new / "below").roots == (bytes(new),)
    assert counts(library.add()) == {"n_unchanged": 4}


@pytest.mark.parametrize("index", ["first", "later"])
def test_move_says_of_one_file_that_it_is_an_edited_picture(
    library: relook.Library, pictures: Path, usb: Path, index: str
) -> None:
    """A folder was renamed and a picture in it edited, before anybody indexed again."""
    library.add(pictures, metadata=pictures / "words.csv")
    before, session = ids(library), marked(library, "chelsea.png")
    new = usb.rename(pictures / "album")
    noise(5).save(new / "chelsea.png")
    if index == "first":
        assert library.add().n_away == 1
        second = marked(library, "chelsea.png")
        assert [mark.image_id for mark in second.judgements] != [before["usb/chelsea.png"]]
    report = library.move(usb / "chelsea.png", new / "chelsea.png")
    assert (report.n_moved, report.n_other) == (1, 0)
    report = library.add()
    assert (report.n_added, report.n_away, report.n_removed) == (0, 0, 0)
    assert ids(library)["album/chelsea.png"] == before["usb/chelsea.png"]
    assert len(library) == len(before)
    assert_marks_hold(library, session, "chelsea.png")
    if index == "first":
        assert_marks_hold(library, second, "chelsea.png")
    image = library.image(before["usb/chelsea.png"])
    assert image.caption == "Minka"
    shown = decode((new / "chelsea.png").read_bytes(), ColourEncoder().input_px).image
    [fresh] = encode_images(ColourEncoder(), [shown])
    [kept] = library.files.vectors.rows(np.array([image.first_row]))
    assert np.allclose(kept, fresh, atol=1e-3)
    assert check(library.folder).sound


def test_move_over_a_picture_that_was_indexed_there(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    before, session = ids(library), marked(library, "red.png")
    (pictures / "red.png").replace(pictures / "green.png")
    assert library.move(pictures / "red.png", pictures / "green.png").n_moved == 1
    assert ids(library)["green.png"] == before["red.png"]
    assert library.add().n_updated == 0
    assert_marks_hold(library, session, "green.png")


def test_other_files_are_counted_once_wherever_their_root_went(
    library: relook.Library, pictures: Path
) -> None:
    (pictures / "film.wmv").write_text("no picture")
    library.add(pictures)
    others = library.info()["others"]
    new = pictures.rename(pictures.parent / "new")
    library.move(pictures, new)
    library.add()
    assert library.info()["others"] == others
    library.add(new.rename(pictures.parent / "newer"))
    assert library.info()["others"] == others


def test_move_says_what_is_not_there(library: relook.Library, pictures: Path) -> None:
    library.add(pictures)
    before = ids(library)
    with pytest.raises(NotFoundError, match="none of the 3 pictures") as raised:
        library.move(pictures, pictures.parent / "elsewhere")
    assert raised.value.code == "no_path"
    with pytest.raises(NotFoundError) as raised:
        library.move(pictures.parent / "elsewhere", pictures)
    assert raised.value.code == "no_image"
    with pytest.raises(InputError) as wrong:
        library.move(pictures, "s3://bucket")
    assert wrong.value.code == "bad_move"
    assert ids(library) == before
    new = pictures.parent / "new"
    new.mkdir()
    (pictures / "red.png").rename(new / "red.png")
    noise(5).save(new / "green.png")
    report = library.move(pictures, new)
    assert (report.n_moved, report.n_missing, report.n_other) == (1, 1, 1)
    assert set(report.roots) == {bytes(pictures), bytes(new)}


def test_move_takes_marks_from_a_copy_that_was_indexed_first(
    library: relook.Library, pictures: Path
) -> None:
    """As an older Relook left them: the new place's images are copies with marks of their own."""
    library.add(pictures)
    first = marked(library, "red.png")
    new = pictures.parent / "new"
    shutil.copytree(pictures, new)
    assert library.add(new).n_duplicates == 3
    second = library.look("red", limit=50)
    second.judge(next(h for h in second.page if h.path == new / "red.png"), relevant=True)
    shutil.rmtree(pictures)
    assert library.move(pictures, new).n_moved == 3
    assert len(library) == 3
    for session in (first, second):
        assert_marks_hold(library, session, "red.png")


def test_move_takes_all_that_is_said_of_a_copy(library: relook.Library, pictures: Path) -> None:
    """Queries, pages and metadata, too: the copy is no image of its own any more."""
    library.add(pictures)
    new = pictures.parent / "new"
    shutil.copytree(pictures, new)
    (new / "words.csv").write_text("path,caption,stars\nred.png,a rose,5\n")
    library.add(new, metadata=new / "words.csv")
    images = {image.path: image.image_id for image in library.files.catalog.each_image()}
    first, copy = images[pictures / "red.png"], images[new / "red.png"]
    likes = Query((Part(text="red"), Part(image_id=copy), Part(image_id=copy, weight=-0.5)))
    session = library.look(likes, limit=50)
    session.judge(copy, relevant=True)
    session.judge(first, relevant=True)
    shown = [hit.image_id for hit in session.page]
    shutil.rmtree(pictures)
    library.move(pictures, new)
    kept = library.session(session.session_id)
    assert [part.image_id for part in kept.query.parts] == [None, first, first]
    assert {mark.image_id for mark in kept.all_judgements} == {first}
    assert [hit.image_id for hit in kept.page] == [i for i in shown if i not in (
        copy, images[new / "green.png"], images[new / "sub/blue.png"]
    )]  # fmt: skip
    kept.again()
    image = library.image(first)
    assert (image.caption, image.metadata["stars"]) == ("a rose", "5")


@pytest.mark.parametrize("place", ["inside", "beside"])
def test_a_library_that_moves_with_its_pictures(tmp_path: Path, place: str) -> None:
    disk = tmp_path / "disk"
    (disk / "pictures").mkdir(parents=True)
    solid("red").save(disk / "pictures" / "red.png")
    solid("blue").save(disk / "pictures" / "blue.png")
    folder = Path("pictures/relook") if place == "inside" else Path("relook")
    with relook.Library(disk / folder, encoder=ColourEncoder()) as library:
        library.add(disk / "pictures")
        before, session = ids(library), marked(library, "red.png")
    new = disk.rename(tmp_path / "mounted elsewhere")
    with relook.Library(new / folder, encoder=ColourEncoder()) as library:
        assert [hit.path for hit in library.search("red", limit=1)] == [new / "pictures/red.png"]
        assert ids(library) == before
        assert library.files.catalog.roots() == [bytes(new / "pictures")]
        assert counts(library.add()) == {"n_unchanged": 2}
        assert_marks_hold(library, session, "red.png")


def test_what_is_away_stays_so_when_a_library_moves_with_its_pictures(tmp_path: Path) -> None:
    disk, aside = tmp_path / "disk", tmp_path / "aside"
    usb = disk / "pictures" / "usb"
    usb.mkdir(parents=True)
    solid("red").save(disk / "pictures" / "red.png")
    for name in ("1.png", "2.png"):
        noise(int(name[0])).save(usb / name)
    with relook.Library(disk / "relook", encoder=ColourEncoder()) as library:
        library.add(disk / "pictures")
        before = ids(library)
        usb.rename(aside)
        usb.mkdir()
        noise(9).save(usb / "1.png")
        assert library.add().n_away == 2  # one of them has lost its path to another picture
        session = marked(library, "red.png", "1.png")
        shown = {hit.image_id: hit.path.name for hit in library.search("red")}
    new = disk.rename(tmp_path / "elsewhere")
    with relook.Library(new / "relook", encoder=ColourEncoder()) as library:
        assert library.info()["n_away"] == 2
        assert {hit.image_id: hit.path.name for hit in library.search("red")} == shown
        assert counts(library.add()) == {"n_unchanged": 2, "n_away": 2}
        assert_marks_hold(library, session, "red.png", "1.png")
        shutil.rmtree(new / "pictures" / "usb")
        aside.rename(new / "pictures" / "usb")
        assert (report := library.add()).n_back == 2
        assert (report.n_added, report.n_removed, report.n_away) == (0, 0, 1)
        after = ids(library)
        assert {name: after[name] for name in before} == before


def test_a_library_that_is_opened_through_a_link_has_not_moved(tmp_path: Path) -> None:
    disk, link = tmp_path / "disk", tmp_path / "link"
    (disk / "pictures").mkdir(parents=True)
    solid("red").save(disk / "pictures" / "red.png")
    link.symlink_to(disk)
    with relook.Library(disk / "relook", encoder=ColourEncoder()) as library:
        library.add(disk / "pictures")
    for folder in (link, disk, link):
        with relook.Library(folder / "relook", encoder=ColourEncoder()) as library:
            assert library.files.catalog.roots() == [bytes(disk / "pictures")]
            assert [hit.path for hit in library.search("red")] == [disk / "pictures" / "red.png"]
    link.unlink()
    new = disk.rename(tmp_path / "link")  # now it has
    with relook.Library(new / "relook", encoder=ColourEncoder()) as library:
        assert library.files.catalog.roots() == [bytes(new / "pictures")]


def test_a_library_that_moves_without_its_pictures_leaves_them(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    solid("red").save(tmp_path / "pictures" / "red.png")
    with relook.Library(tmp_path / "relook", encoder=ColourEncoder()) as library:
        library.add(tmp_path / "pictures")
    (tmp_path / "far").mkdir()
    (tmp_path / "relook").rename(tmp_path / "far" / "relook")
    (tmp_path / "far" / "pictures").mkdir()  # of that name, with other pictures
    noise(3).save(tmp_path / "far" / "pictures" / "red.png")
    with relook.Library(tmp_path / "far" / "relook", encoder=ColourEncoder()) as library:
        assert library.files.catalog.roots() == [bytes(tmp_path / "pictures")]
        assert counts(library.add()) == {"n_unchanged": 1}


def test_a_catalog_of_before_gets_the_tables(
    open_library: Callable[..., relook.Library], pictures: Path, usb: Path
) -> None:
    library = open_library()
    library.add(pictures)
    before = ids(library)
    with library.files.catalog.transaction() as db:
        for table in ("whereabouts", "places", "absences", "tombstones", "home"):
            db.execute(f"DROP TABLE {table}")
    library.close()
    (library.folder / "backup.sqlite3").unlink()  # that version's had none of them
    library = open_library()
    back = take_away(usb, "stray")
    assert (report := library.add()).n_away == 2
    assert report.n_removed == 0
    back()
    library.add()
    assert before.items() <= ids(library).items()
    assert library.info()["n_away"] == 1
