"""Indexing again tells files apart exactly: what is unchanged costs no read, ids are kept."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from library_parts import ids, many, names

import relook
from relook.core.errors import NotFoundError
from relook.core.settings import IndexSettings
from relook.library import reading
from relook.library.report import IndexReport
from relook.testing import ColourEncoder, noise, solid

COUNTS = (
    "n_added", "n_updated", "n_unchanged", "n_moved", "n_removed", "n_duplicates", "n_metadata",
    "n_away", "n_back",
)  # fmt: skip


def counts(report: IndexReport) -> dict[str, int]:
    """The counts that are not zero."""
    told = {name: getattr(report, name) for name in COUNTS} | {"n_skipped": len(report.skipped)}
    return {name: n for name, n in told.items() if n}


def touch(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_bytes(path: bytes, _: object) -> bytes:
        raise AssertionError(f"{path!r} was read")

    monkeypatch.setattr(reading, "read_bytes", read_bytes)


def test_the_first_run_adds_everything(library: relook.Library, pictures: Path) -> None:
    (pictures / "notes.txt").write_text("no picture")
    (pictures / ".hidden.png").write_bytes((pictures / "red.png").read_bytes())
    report = library.add(pictures)
    assert counts(report) == {"n_added": 3}
    assert (report.n_images, len(library), report.interrupted) == (3, 3, False)
    assert sorted(ids(library)) == ["green.png", "red.png", "sub/blue.png"]
    assert counts(library.add(pictures, settings=IndexSettings(hidden=True))) == {
        "n_added": 1, "n_duplicates": 1, "n_unchanged": 3,
    }  # fmt: skip


@pytest.mark.usefixtures("no_reading")
def test_reading_is_needed_for_new_files(library: relook.Library, pictures: Path) -> None:
    with pytest.raises(AssertionError, match="was read"):
        library.add(pictures)


def test_unchanged_files_are_not_read(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(pictures)
    before = ids(library)
    monkeypatch.setattr(reading, "read_bytes", None)
    assert counts(library.add(pictures)) == {"n_unchanged": 3}
    assert counts(library.add()) == {"n_unchanged": 3}
    assert ids(library) == before


def test_a_changed_file_keeps_its_id_and_gets_new_vectors(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    before = ids(library)
    solid("yellow", 30, 20).save(pictures / "red.png")
    assert counts(library.add(pictures)) == {"n_updated": 1, "n_unchanged": 2}
    assert ids(library) == before
    [hit] = library.search("yellow", limit=1)
    assert (hit.image_id, hit.score, hit.width_px) == (before["red.png"], 1.0, 30)
    [other] = library.search("red", limit=1)
    assert other.score == 0.0


def test_a_moved_file_keeps_its_id_and_is_not_encoded(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(pictures)
    before = ids(library)
    (pictures / "red.png").rename(pictures / "sub" / "renamed.png")
    monkeypatch.setattr(reading, "decode", None)
    assert counts(library.add(pictures)) == {"n_moved": 1, "n_unchanged": 2}
    assert ids(library) == {
        "green.png": before["green.png"],
        "sub/blue.png": before["sub/blue.png"],
        "sub/renamed.png": before["red.png"],
    }
    [hit] = library.search("red", limit=1)
    assert hit.path == pictures / "sub" / "renamed.png"


def test_a_deleted_file_is_removed_and_never_comes_back(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    (pictures / "red.png").unlink()
    assert counts(library.add(pictures)) == {"n_removed": 1, "n_unchanged": 2}
    assert sorted(names(library.search("red", limit=50))) == ["blue.png", "green.png"]
    noise(1).save(pictures / "new.png")
    library.add(pictures)
    found = library.search("red", limit=50)
    assert sorted(names(found)) == ["blue.png", "green.png", "new.png"]
    assert max(ids(library).values()) == 4


def test_a_copy_is_a_second_image_with_the_same_vectors(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(pictures)
    before = ids(library)
    shutil.copy(pictures / "red.png", pictures / "copy.png")
    monkeypatch.setattr(reading, "decode", None)
    report = library.add(pictures)
    assert counts(report) == {"n_added": 1, "n_duplicates": 1, "n_unchanged": 3}
    assert {**before, "copy.png": 4} == ids(library)
    first, second = library.search("red", limit=2)
    assert {first.image_id, second.image_id} == {before["red.png"], 4}
    assert (first.score, second.score) == (1.0, 1.0)


def test_copies_that_come_together_are_all_added(library: relook.Library, pictures: Path) -> None:
    for number in range(20):
        shutil.copy(pictures / "red.png", pictures / f"copy{number}.png")
    report = library.add(pictures, settings=IndexSettings(batch=3, commit_every=4))
    assert counts(report) == {"n_added": 23, "n_duplicates": 20}
    assert [hit.score for hit in library.search("red", limit=22)] == [1.0] * 21 + [0.0]


def test_a_touched_file_is_read_and_not_encoded(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(pictures)
    before = ids(library)
    touch(pictures / "red.png", 1_000_000)
    monkeypatch.setattr(reading, "decode", None)
    assert counts(library.add(pictures)) == {"n_unchanged": 3}
    assert ids(library) == before
    monkeypatch.setattr(reading, "read_bytes", None)
    assert counts(library.add(pictures)) == {"n_unchanged": 3}


@pytest.mark.parametrize("commit_every", [1, 256])
def test_ids_follow_swapped_files(
    library: relook.Library, pictures: Path, commit_every: int
) -> None:
    library.add(pictures)
    before = ids(library)
    touch(pictures / "red.png", 1_000_000)
    (pictures / "red.png").rename(pictures / "aside")
    (pictures / "green.png").rename(pictures / "red.png")
    (pictures / "aside").rename(pictures / "green.png")
    settings = IndexSettings(batch=1, commit_every=commit_every, workers=1)
    assert counts(library.add(pictures, settings=settings)) == {"n_moved": 2, "n_unchanged": 1}
    assert ids(library) == {
        "red.png": before["green.png"], "green.png": before["red.png"],
        "sub/blue.png": before["sub/blue.png"],
    }  # fmt: skip
    assert names(library.search("red", limit=1)) == ["green.png"]
    assert names(library.search("green", limit=1)) == ["red.png"]


def test_a_file_moved_over_another_replaces_it(library: relook.Library, pictures: Path) -> None:
    library.add(pictures)
    before = ids(library)
    (pictures / "red.png").replace(pictures / "green.png")
    assert counts(library.add(pictures)) == {"n_moved": 1, "n_removed": 1, "n_unchanged": 1}
    assert ids(library) == {
        "green.png": before["red.png"], "sub/blue.png": before["sub/blue.png"],
    }  # fmt: skip
    assert names(library.search("red", limit=1)) == ["green.png"]


def test_an_emptied_root_keeps_its_images_with_a_note(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    before = ids(library)
    shutil.rmtree(pictures)
    pictures.mkdir()
    report = library.add(pictures)
    assert counts(report) == {"n_away": 3}
    assert report.notes == [
        f"3 pictures are away: {pictures} has no pictures now; {pictures} is empty now; they keep"
        " their marks, and come back by themselves."
        " Were they deleted for good? Then: relook forget PATH"
    ]
    assert ids(library) == before
    assert names(library.search("red", limit=1)) == []


def test_a_root_that_is_gone_stops_only_who_names_it(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    many(other, 2)
    library.add(pictures, other)
    shutil.rmtree(pictures)
    with pytest.raises(NotFoundError, match="pictures: No such file") as raised:
        library.add(pictures, other)
    assert raised.value.code == "no_path"
    many(other, 1, start=2)
    report = library.add()
    assert counts(report) == {"n_added": 1, "n_unchanged": 2, "n_away": 3}
    assert [note.partition(";")[0] for note in report.notes] == [
        f"3 pictures are away: {pictures} is not there"
    ]
    assert len(library) == 6


def test_a_folder_that_is_not_listed_keeps_its_images(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(pictures)
    real = os.scandir
    closed = os.fsencode(pictures / "sub")

    def scandir(folder: bytes) -> object:
        if folder == closed:
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    (pictures / "sub" / "blue.png").unlink()
    report = library.add(pictures)
    assert counts(report) == {"n_unchanged": 2, "n_away": 1}
    assert [note.partition(";")[0] for note in report.notes] == [
        f"cannot list {pictures}/sub: Permission denied",
        f"1 picture is away: {pictures}/sub cannot be read: Permission denied",
    ]
    assert len(library) == 3


def test_forget_takes_out_a_folder_or_a_file(library: relook.Library, pictures: Path) -> None:
    library.add(pictures)
    assert library.forget(pictures / "sub") == 1
    assert sorted(ids(library)) == ["green.png", "red.png"]
    assert library.forget(pictures / "red.png") == 1
    assert names(library.search("red", limit=9)) == ["green.png"]
    with pytest.raises(NotFoundError) as raised:
        library.forget(pictures / "green.png", pictures / "gree")
    assert raised.value.code == "no_image"
    assert sorted(ids(library)) == ["green.png"]
    assert library.forget(pictures) == 1
    assert list(library.search("red")) == []
    assert (pictures / "red.png").exists()
    with pytest.raises(NotFoundError, match="nothing has been indexed yet"):
        library.add()


@pytest.mark.parametrize(
    "named",
    [
        ("", "red.png"), ("red.png", ""), ("", "sub", "sub/blue.png"), ("", "./"),
        ("", "broken.jpg"), ("red.png", "./red.png", "sub", "green.png"), ("sub", "sub/", "."),
    ],
)  # fmt: skip
def test_forgotten_paths_may_contain_each_other(
    library: relook.Library, pictures: Path, named: Sequence[str]
) -> None:
    (pictures / "broken.jpg").write_bytes(b"no picture")
    library.add(pictures)
    session = library.look("red")
    session.judge(ids(library)["green.png"], relevant=False)
    taken = library.take_out(*(f"{pictures}/{name}" for name in named))
    assert (taken.n_images, taken.n_marks) == (3, 1)
    assert list(library.search("red")) == []


def test_of_several_paths_nothing_is_forgotten_where_something_is_not_known(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    with pytest.raises(NotFoundError, match=r"no image is indexed at .*gree$"):
        library.forget(pictures, pictures / "gree")
    assert len(library) == 3


def test_one_file_is_a_root_too(library: relook.Library, pictures: Path) -> None:
    odd = (pictures / "red.png").rename(pictures / "no suffix at all")
    assert counts(library.add(odd)) == {"n_added": 1}
    assert counts(library.add()) == {"n_unchanged": 1}


def test_links_lead_to_each_folder_once(library: relook.Library, pictures: Path) -> None:
    (pictures / "sub" / "up").symlink_to(pictures)
    (pictures / "again").symlink_to(pictures / "sub")
    (pictures / "self").symlink_to("self")
    report = library.add(pictures)
    assert counts(report) == {"n_added": 3}


def test_a_library_within_its_pictures_never_indexes_itself(pictures: Path) -> None:
    from relook.testing import ColourEncoder

    with relook.Library(pictures / "index", encoder=ColourEncoder()) as library:
        library.add(pictures)
        solid("red").save(pictures / "index" / "inside.png")
        assert counts(library.add(pictures)) == {"n_unchanged": 3}


SIDECARS = {
    "m.csv": "path,title,place\nred.png,Rose,garden\nsub/blue.png,Sea,coast\n",
    "m.jsonl": '{"path": "red.png", "title": "Rose", "place": "garden"}\n'
    '{"path": "sub/blue.png", "title": "Sea", "place": "coast"}\n',
}


@pytest.mark.parametrize("name", SIDECARS)
@pytest.mark.parametrize("late", [False, True], ids=["with the pictures", "afterwards"])
def test_sidecars_give_titles_and_filters(
    library: relook.Library, pictures: Path, name: str, late: bool
) -> None:
    (pictures / name).write_text(SIDECARS[name])
    if late:
        library.add(pictures)
    report = library.add(pictures, metadata=pictures / name)
    expected = {"n_unchanged": 3, "n_metadata": 2} if late else {"n_added": 3}
    assert counts(report) == expected
    assert counts(library.add(pictures, metadata=[pictures / name])) == {"n_unchanged": 3}
    assert [hit.title for hit in library.search("red", limit=1)] == ["Rose"]
    assert names(library.search("red", where={"place": "COAST"})) == ["blue.png"]
    assert names(library.search("red", where={"title": "s*"}, path="sub/")) == ["blue.png"]
    assert names(library.search("red", where={"place": "moon"})) == []


def test_coco_gives_captions_and_objects(library: relook.Library, pictures: Path) -> None:
    coco = {
        "images": [{"id": 1, "file_name": "red.png"}],
        "categories": [{"id": 1, "name": "rose"}],
        "annotations": [{"image_id": 1, "caption": "a rose"}, {"image_id": 1, "category_id": 1}],
    }
    (pictures / "coco.json").write_text(json.dumps(coco))
    library.add(pictures, metadata=pictures / "coco.json")
    [hit] = library.search("blue", where={"objects": "rose"})
    assert (hit.path.name, hit.caption) == ("red.png", "a rose")


def test_a_moved_file_keeps_its_title(library: relook.Library, pictures: Path) -> None:
    (pictures / "m.csv").write_text(SIDECARS["m.csv"])
    library.add(pictures, metadata=pictures / "m.csv")
    (pictures / "red.png").rename(pictures / "rose.png")
    library.add(pictures)
    assert [hit.title for hit in library.search("red", limit=1)] == ["Rose"]


def test_a_changed_file_keeps_what_a_sidecar_said(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    sidecar = tmp_path / "words.csv"
    sidecar.write_text("path,title,place\nred.png,Sunset,Oslo\n")
    library.add(pictures, metadata=sidecar)
    solid("yellow").save(pictures / "red.png")
    touch(pictures / "red.png", 1)
    assert counts(library.add(pictures)) == {"n_updated": 1, "n_unchanged": 2}
    record = library.image(ids(library)["red.png"])
    assert (record.title, record.metadata) == ("Sunset", {"place": "Oslo"})


def test_a_mistyped_path_makes_no_library(tmp_path: Path) -> None:
    library = relook.Library(tmp_path / "new", encoder=ColourEncoder())
    with pytest.raises(NotFoundError, match="no-such-folder"):
        library.add(tmp_path / "no-such-folder")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", [b"/nul\0.png", b"/nul\0/red.png", b"/odd\xff\xfe.png"])
def test_a_damaged_path_is_one_that_no_file_has(
    library: relook.Library, pictures: Path, name: bytes
) -> None:
    """Its content is there under its right name, and takes the image over."""
    library.add(pictures)
    with library.files.catalog.transaction() as db:
        odd = os.fsencode(pictures) + name
        db.execute("UPDATE images SET path = ? WHERE image_id = ?", (odd, ids(library)["red.png"]))
        library.files.catalog.bump(db)
    report = library.add(pictures)
    assert (report.n_images, set(ids(library))) == (3, {"red.png", "green.png", "sub/blue.png"})
