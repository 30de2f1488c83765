"""Albums: pictures that a person put together survive what happens to their files."""

import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from library_parts import ids, names
from upgrade_parts import OldEncoder

import relook
from relook.app.upkeep import compact_library
from relook.core.errors import InputError, NotFoundError, RelookError, StorageError
from relook.core.registry import Adapter
from relook.encoders import ENCODERS
from relook.library.album_table import KEPT_S
from relook.library.check import check
from relook.library.repair import repair
from relook.library.restore import make_again
from relook.testing import noise, solid

Open = Callable[..., relook.Library]


@pytest.fixture
def filled(library: relook.Library, pictures: Path) -> relook.Library:
    """The three pictures, of which red and green are in the album "Warm ones"."""
    library.add(pictures)
    known = ids(library)
    library.albums.add("Warm ones", [known["red.png"], known["green.png"]])
    return library


def held(library: relook.Library, name: str = "Warm ones") -> set[str]:
    return {
        library.image(image_id).path.name
        for image_id in library.albums.image_ids(name)
    }  # fmt: skip


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(RelookError) as caught:
        call()
    return caught.value.code


def test_an_album_is_a_filter_like_the_others(filled: relook.Library) -> None:
    only = {"album": "WARM  ones"}
    assert set(names(filled.search("blue", where=only))) == {"red.png", "green.png"}
    assert names(filled.search("blue", where={"album!=": "Warm*"})) == ["blue.png"]
    counted = filled.overview.facets(only)
    assert (counted.n_images, [(c.value, c.n) for c in counted.albums]) == (2, [("Warm ones", 2)])
    assert filled.overview.facets({"orientation": "landscape"}).albums[0].n == 1
    session = filled.look("blue", where=only)
    filled.albums.remove("Warm ones", [ids(filled)["red.png"]])
    assert names(filled.search("blue", where=only)) == ["green.png"], "the filter is read anew"
    filled.albums.rename("Warm ones", "Kept")
    assert names(session.again(keep_shown=True)) == ["green.png"], "a session follows a new name"


def test_an_empty_page_says_which_album_is_meant(filled: relook.Library) -> None:
    filled.albums.create("None yet")
    noted = filled.search("red", where={"album": "Wram"}).notes
    assert "this library has no album Wram; it has Favourites, None yet, Warm ones" in noted
    noted = filled.search("red", where={"album": "none yet"}).notes
    assert "the album none yet holds no picture of the library now" in noted


def test_a_column_called_album_counts_where_no_album_has_the_name(
    library: relook.Library, pictures: Path
) -> None:
    (pictures / "words.csv").write_text("path,album\nred.png,Trip\n")
    library.add(pictures, metadata=pictures / "words.csv")
    assert names(library.search("red", where={"album": "trip"})) == ["red.png"]
    library.albums.add("Trip", [ids(library)["sub/blue.png"]])
    assert names(library.search("red", where={"album": "trip"})) == ["blue.png"]


def test_favourites_is_always_there(library: relook.Library, pictures: Path) -> None:
    library.add(pictures)
    (before,) = library.albums.all()
    assert (before.name, before.album_id, before.is_built_in, before.n_images) == (
        "Favourites", 1, True, 0,
    )  # fmt: skip
    assert library.albums.image_ids("favorites") == []
    assert library.albums.add("Favorites", [1]).album.album_id == 1
    assert code_of(lambda: library.albums.rename(1, "Best")) == "built_in_album"
    assert code_of(lambda: library.albums.delete("Favourites")) == "built_in_album"
    assert code_of(lambda: library.albums.create("favorites")) == "name_taken"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "bad_name"), (" \t ", "bad_name"), ("x" * 201, "bad_name"), ("a\x00b", "bad_name"),
        ("\udcff", "bad_name"), ("\u202egnp.exe", "bad_name"), ("warm ONES", "name_taken"),
    ],
)  # fmt: skip
def test_names_that_are_refused(filled: relook.Library, name: str, code: str) -> None:
    assert code_of(lambda: filled.albums.create(name)) == code
    filled.albums.create("Other")
    assert code_of(lambda: filled.albums.rename("Other", name)) == code
    assert [album.name for album in filled.albums.all()] == ["Favourites", "Other", "Warm ones"]


@pytest.mark.parametrize("name", ["2019/07 Sardinia", "طبيعة", "Who is this?", "*", "7", "x" * 200])
def test_names_that_people_give(filled: relook.Library, name: str) -> None:
    filled.albums.add(f" {name} ", [ids(filled)["sub/blue.png"]])
    assert names(filled.search("red", where={"album": name})) == ["blue.png"], "and no other album"


def test_nothing_changes_where_something_is_wrong(filled: relook.Library) -> None:
    assert code_of(lambda: filled.albums.add("Warm ones", [2, 99])) == "no_image"
    assert code_of(lambda: filled.albums.add("New", [2**70])) == "no_image"
    assert code_of(lambda: filled.albums.add(77, [1])) == "no_album"
    assert code_of(lambda: filled.albums.get(2**70)) == "no_album"
    assert filled.albums.remove("Warm ones", [99]).n_changed == 0
    assert filled.albums.add("Warm ones", [1, 1]).n_changed == 0, "they are there already"
    assert [(album.name, album.n_images) for album in filled.albums.all()] == [
        ("Favourites", 0), ("Warm ones", 2),
    ]  # fmt: skip


def test_a_deleted_album_comes_back_whole(filled: relook.Library, pictures: Path) -> None:
    (pictures / "red.png").rename(pictures.parent / "aside.png")
    filled.add()
    filled.albums.delete("warm ones")
    assert code_of(lambda: filled.albums.get("Warm ones")) == "no_album"
    assert filled.overview.facets().albums == ()
    filled.albums.create("Warm ones")
    assert code_of(lambda: filled.albums.restore("Warm ones")) == "name_taken"
    filled.albums.rename("Warm ones", "Other")
    restored = filled.albums.restore("warm ones")
    assert (restored.n_images, restored.n_removed) == (1, 1)
    (pictures.parent / "aside.png").rename(pictures / "red.png")
    filled.add()
    assert held(filled) == {"red.png", "green.png"}


def test_a_deleted_album_goes_after_a_month(
    filled: relook.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.albums.delete("Warm ones")
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + KEPT_S + 60)
    assert filled.albums.deleted() == []
    assert code_of(lambda: filled.albums.restore("Warm ones")) == "no_album"
    filled.albums.create("Other")
    filled.albums.delete("Other")
    assert filled.files.catalog.count("album_images") == 0


def test_pictures_that_are_away_removed_moved_and_edited_stay(
    filled: relook.Library, pictures: Path
) -> None:
    disk = pictures / "sub"
    filled.albums.add("Warm ones", [ids(filled)["sub/blue.png"]])
    aside = disk.rename(pictures.parent / "unplugged")
    filled.add()
    album = filled.albums.get("Warm ones")
    assert (album.n_images, album.n_away) == (3, 1)
    assert set(names(filled.search("blue", where={"album": "Warm ones"}))) == {
        "red.png", "green.png",
    }  # fmt: skip
    aside.rename(pictures / "elsewhere")
    filled.add()
    solid("yellow").save(pictures / "green.png")
    filled.add()
    data = (pictures / "red.png").read_bytes()
    (pictures / "red.png").unlink()
    filled.add()
    album = filled.albums.get("Warm ones")
    assert (album.n_images, album.n_away, album.n_removed) == (2, 0, 1)
    (pictures / "red again.png").write_bytes(data)
    filled.add()
    assert held(filled) == {"red again.png", "green.png", "blue.png"}


def test_a_copy_stands_in_for_a_picture_that_is_gone(
    filled: relook.Library, pictures: Path
) -> None:
    shutil.copy(pictures / "red.png", pictures / "copy.png")
    filled.add()
    (pictures / "red.png").unlink()
    filled.add()
    assert held(filled) == {"copy.png", "green.png"}
    copy = ids(filled)["copy.png"]
    assert filled.albums.add("Warm ones", [copy]).n_changed == 0
    assert filled.albums.remove("Warm ones", [copy]).n_changed == 1
    assert held(filled) == {"green.png"}


def test_albums_survive_forgetting_compaction_and_repair(
    filled: relook.Library, pictures: Path
) -> None:
    filled.forget(pictures / "red.png")
    compact_library(filled)
    filled.add()
    assert held(filled) == {"red.png", "green.png"}
    before = filled.albums.image_ids("Warm ones")
    image = filled.image(ids(filled)["red.png"])
    path = filled.folder / "vectors.f16"
    path = path if path.exists() else next(filled.folder.glob("vectors*.f16"))
    with open(path, "r+b") as file:
        file.seek(image.first_row * filled.files.vectors.dim * 2)
        file.write(b"\xff" * filled.files.vectors.dim * 2)
    repair(filled.folder)
    filled.files.refresh()
    assert filled.albums.get("Warm ones").n_removed == 1
    filled.add()
    assert sorted(filled.albums.image_ids("Warm ones")) == sorted(before)


def test_copies_that_become_one_are_one_in_an_album(filled: relook.Library, pictures: Path) -> None:
    moved = pictures / "moved"
    moved.mkdir()
    shutil.copy(pictures / "red.png", moved / "red.png")
    filled.add()
    filled.albums.add("Warm ones", [ids(filled)["moved/red.png"]])
    assert filled.albums.get("Warm ones").n_images == 3
    (pictures / "red.png").unlink()
    filled.move(pictures / "red.png", moved / "red.png")
    assert filled.albums.get("Warm ones").n_images == 2
    assert sorted(held(filled)) == ["green.png", "red.png"]


def test_a_damaged_catalog_keeps_its_albums(filled: relook.Library, tmp_path: Path) -> None:
    filled.files.backup.make()
    filled.albums.add("Later", [1])
    filled.close()
    catalog = filled.folder / "catalog.sqlite3"
    with closing(sqlite3.connect(catalog)) as db:
        db.execute("DELETE FROM albums WHERE album_id = 3")  # of "Later": its entry is left
        db.execute("UPDATE albums SET title = x'ff' WHERE album_id = 2")
        db.execute("UPDATE album_images SET content = 7")
        db.commit()
    assert not check(filled.folder).sound
    repair(filled.folder)
    assert check(filled.folder).sound
    new = tmp_path / "new.sqlite3"
    make_again(filled.folder, catalog, new)
    with closing(sqlite3.connect(new)) as db:
        assert db.execute("SELECT album_id, title FROM albums").fetchall() == [
            (1, "Favourites"), (2, ""), (3, ""),
        ]  # fmt: skip
        assert db.execute("SELECT album_id, image_id FROM album_images").fetchall() == [
            (2, 1), (2, 2), (3, 1),
        ]  # fmt: skip
    assert [album.name for album in filled.albums.all()] == ["Favourites", "Album 2", "Album 3"]


def test_two_processes_at_once(filled: relook.Library, open_library: Open) -> None:
    other = open_library()
    other.albums.add("Warm ones", [ids(filled)["sub/blue.png"]])
    assert held(filled) == {"red.png", "green.png", "blue.png"}
    other.albums.create("Mine")
    assert code_of(lambda: filled.albums.create("mine")) == "name_taken"
    other.albums.delete("Mine")
    assert code_of(lambda: filled.albums.add(3, [1])) == "no_album"
    assert filled.albums.create("mine").album_id == 4, "an id is never given twice"


def test_a_library_that_may_only_be_read(
    filled: relook.Library, open_library: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.close()
    monkeypatch.setattr("relook.library.files.os.access", lambda path, mode: False)
    reading = open_library()
    assert held(reading) == {"red.png", "green.png"}
    for change in (
        lambda: reading.albums.add("Warm ones", [2]),
        lambda: reading.albums.create("x"),
        lambda: reading.albums.delete("Warm ones"),
    ):
        with pytest.raises(StorageError, match="cannot write"):
            change()


def test_images_at_a_path(filled: relook.Library, pictures: Path) -> None:
    known = ids(filled)
    assert filled.overview.images_at(pictures / "sub") == [known["sub/blue.png"]]
    assert len(filled.overview.images_at(pictures)) == 3
    with pytest.raises(NotFoundError, match="no image is indexed"):
        filled.overview.images_at(pictures / "none.png")
    with pytest.raises(InputError, match="cannot be the name"):
        filled.albums.add("a\nb\x01", [1])
    noise(3).save(pictures / "later.png")


def test_an_upgrade_keeps_albums(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, kind in (("new", "NewEncoder"), ("old", "OldEncoder")):
        adapter = Adapter(f"upgrade_parts:{kind}", "for tests")
        monkeypatch.setitem(ENCODERS.builtin, name, adapter)
    with relook.Library(tmp_path / "upgraded", encoder=OldEncoder()) as library:
        library.add(pictures)
        library.albums.add("Warm ones", [ids(library)["red.png"]])
        library.upgrade("new")
        assert held(library) == {"red.png"}
        assert names(library.search("blue", where={"album": "Warm ones"})) == ["red.png"]
