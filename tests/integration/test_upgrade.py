"""A library goes over to another encoder: everything that people made comes along."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from library_parts import ids, names
from upgrade_parts import NewEncoder
from upgraded_parts import CORNER, _named, begun, crop_of, folder, made, opened  # noqa: F401  (some are fixtures)

from relook.core.errors import NotFoundError
from relook.core.types import Box
from relook.encoders.base import encode_images
from relook.library.check import check
from relook.library.repair import repair
from relook.search.regions import region
from relook.testing import solid


def corner_of(path: Path) -> np.ndarray:
    """What the new encoder makes of the box on a picture."""
    return encode_images(NewEncoder(), [region(path, CORNER)])[0]


def test_everything_comes_along(folder: Path, pictures: Path) -> None:
    with opened(folder) as library:
        session_id = begun(library)
        before, known = made(library, session_id), ids(library)
        found = names(library.search("red", limit=2))
        report = library.upgrade("new")
        assert (report.n_images, report.n_encoded, report.n_unread) == (24, 24, 0)
        assert (report.n_boxes, report.was_current, report.interrupted) == (1, False, False)
        assert made(library, session_id) == before
        assert ids(library) == known
        assert sorted(names(library.search("red", limit=2))) == sorted(found)
        session = library.session(session_id)
        session.again("rocchio")  # with the box's new vector
        assert library.info()["dim"] == 24
    crop = crop_of(folder, "green.png")
    assert crop is not None
    assert crop.tolist() == corner_of(pictures / "green.png").tolist()
    assert check(folder).sound
    whole = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").unlink()
    assert repair(folder).sound
    assert (folder / "manifest.json").read_bytes() == whole
    assert not (folder / "upgrade").exists()
    assert sorted(path.name for path in folder.glob("vectors*")) == ["vectors-1.f16"]
    with opened(folder) as library:  # by its name alone
        assert library.info()["encoder"] == "new"
        report = library.add()
        assert (report.n_unchanged, report.n_updated, report.n_added) == (24, 0, 0)
        assert library.upgrade().was_current


def test_a_box_that_was_taken_back_is_made_again_with_a_vector_of_the_new_encoder(
    folder: Path, pictures: Path
) -> None:
    with opened(folder) as library:
        session = library.look("green", limit=5, captions=False)
        session.judge(ids(library)["green.png"], True, box=CORNER, caption="a green corner")
        session.undo()
        library.upgrade("new")
        session = library.session(session.session_id)
        session.redo()
        session.again("rocchio")
    crop = crop_of(folder, "green.png")
    assert crop is not None
    assert crop.tolist() == corner_of(pictures / "green.png").tolist()


def test_pages_name_their_tiles_by_the_new_numbers(folder: Path) -> None:
    with opened(folder) as library:
        session = library.look("green", limit=5, captions=False)
        tiles = {hit.image_id: hit.tile for hit in session.page}
        image_id = ids(library)["green.png"]
        assert tiles[image_id] == CORNER
        library.upgrade("new")
        after = {hit.image_id: hit.tile for hit in library.session(session.session_id).page}
        assert after[image_id] == CORNER
        left = {tile for tile in tiles.values() if tile not in NewEncoder().tiles_for(1, 1)}
        for image_id, tile in tiles.items():
            assert after[image_id] == (Box(0, 0, 1, 1) if tile in left else tile)


def test_a_picture_that_cannot_be_read_keeps_its_place(
    folder: Path, pictures: Path, tmp_path: Path
) -> None:
    with opened(folder) as library:
        session_id = begun(library)
        known, before = ids(library), made(library, session_id)
        (pictures / "green.png").rename(tmp_path / "away.png")
        solid("blue", 9, 9).save(pictures / "red.png")  # another picture in its place
        report = library.upgrade("new")
        assert (report.n_unread, report.n_boxes, report.n_boxes_unread) == (2, 0, 1)
        assert {file.code for file in report.unread} == {"vanished", "changed"}
        assert (ids(library), made(library, session_id)) == (known, before)
        assert library.info()["n_unencoded"] == 2
        assert "green.png" not in names(library.search("green", limit=50))
        hits = library.session(session_id).round_at(0)[1]
        assert known["green.png"] in [hit.image_id for hit in hits]
        page = library.session(session_id).again("rocchio")
        note = f"image {known['green.png']} has no vectors"
        assert any(one.startswith(note) for one in page.notes)
    report = check(folder)
    assert report.sound
    assert [(note.code, note.n) for note in report.notes if note.code == "unencoded"] == [
        ("unencoded", 2)
    ]
    (tmp_path / "away.png").rename(pictures / "green.png")
    with opened(folder) as library:
        report = library.add()
        assert (report.n_updated, report.n_added, report.n_removed) == (2, 0, 0)
        assert (ids(library), library.info()["n_unencoded"]) == (known, 0)
        assert names(library.search("green", limit=1)) == ["green.png"]
        assert crop_of(folder, "green.png") is None
        library.session(session_id).again("rocchio")
        crop = crop_of(folder, "green.png")
    assert crop is not None
    assert crop.tolist() == corner_of(pictures / "green.png").tolist()
    assert check(folder).sound


def test_a_picture_without_vectors_may_come_back_elsewhere(
    folder: Path, pictures: Path, tmp_path: Path
) -> None:
    with opened(folder) as library:
        known = ids(library)
        (pictures / "green.png").rename(tmp_path / "away.png")
        library.upgrade("new")
        (tmp_path / "away.png").rename(pictures / "sub" / "found.png")
        library.add()
        assert ids(library)["sub/found.png"] == known["green.png"]
        assert names(library.search("green", limit=1)) == ["found.png"]
        assert len(library) == 24


def test_a_copy_that_is_away_takes_the_vectors_of_its_twin(tmp_path: Path, pictures: Path) -> None:
    shutil.copy(pictures / "red.png", pictures / "a copy.png")
    with opened(tmp_path / "library", "old") as library:
        library.add(pictures)
    (pictures / "a copy.png").unlink()
    with opened(tmp_path / "library") as library:
        report = library.upgrade("new")
        assert report.n_unread == 0
        found = names(library.search("red", limit=2))
    assert sorted(found) == ["a copy.png", "red.png"]


def test_members_of_an_archive_come_back_although_it_did_not_change(
    tmp_path: Path, pictures: Path
) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "album"), "zip", pictures))
    with opened(tmp_path / "library", "old") as library:
        library.add(archive, pictures)
        archive.rename(tmp_path / "aside")
        shutil.rmtree(pictures / "sub")
        library.upgrade("new")
        assert library.info()["n_unencoded"] == 2  # the others have twins outside
        (tmp_path / "aside").rename(archive)
        library.add(archive)
        assert library.info()["n_unencoded"] == 1  # the file outside is still away
        assert len(library.search("blue", limit=100)) == 5


def test_nothing_readable_changes_nothing(folder: Path, pictures: Path) -> None:
    shutil.move(pictures, pictures.with_name("elsewhere"))
    with opened(folder) as library:
        with pytest.raises(NotFoundError) as caught:
            library.upgrade("new")
        assert caught.value.code == "no_picture"
        assert library.info()["encoder"] == "old"
        assert len(library.search("red", limit=3)) == 3


def test_an_empty_library_goes_over_too(tmp_path: Path, pictures: Path) -> None:
    with opened(tmp_path / "library", "old") as library:
        library.add(pictures)
        library.forget(pictures)
        library.upgrade("new")
        library.add(pictures)
        assert library.info()["dim"] == 24
        assert len(library.search("red", limit=3)) == 3
