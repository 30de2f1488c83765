"""A library goes over to another encoder: everything that people made comes along."""

import json
import os
import shutil
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from library_parts import ids, many, names
from upgrade_parts import HeldEncoder, NewEncoder, OldEncoder, register

import relook
from relook.app.upgrading import upgrade_cost
from relook.cli.main import main
from relook.core.errors import (
    EncoderMismatchError,
    InputError,
    LibraryBusyError,
    NotFoundError,
    StorageError,
)
from relook.core.progress import Progress
from relook.core.settings import SearchSettings
from relook.core.types import Box
from relook.encoders.base import encode_images
from relook.library.check import check
from relook.library.lock import WriterLock
from relook.library.manifest import Manifest
from relook.library.report import Stop
from relook.search.regions import region
from relook.testing import ColourEncoder, solid

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


def test_a_stopped_run_is_gone_on_with(folder: Path) -> None:
    def stop_at_the_second(now: Progress) -> None:
        if now.stage == "encoding" and now.done >= 8:
            raise Stop

    first, second = HeldEncoder(hold_at=0), HeldEncoder(hold_at=0)
    with opened(folder) as library:
        report = library.upgrade(first, progress=stop_at_the_second)
        assert report.interrupted
        assert first.n_pictures == 8
        assert library.info()["encoder"] == "old"
        assert names(library.search("red", limit=1))
        assert upgrade_cost(library, "new").n_left == 16
        report = library.upgrade(second)
        assert (report.n_resumed, report.n_encoded) == (8, 16)
        assert second.n_pictures == 16
        assert names(library.search("green", limit=1)) == ["green.png"]


def test_what_changed_between_two_runs_is_made_anew(folder: Path, pictures: Path) -> None:
    def stop_at_the_end(now: Progress) -> None:
        if now.stage in ("marks", "switching"):
            raise Stop

    with opened(folder) as library:
        assert library.upgrade("new", progress=stop_at_the_end).interrupted
        solid("cyan", 50, 50).save(pictures / "red.png")
        solid("yellow", 50, 50).save(pictures / "fresh.png")
        (pictures / "more" / "0003.png").unlink()
        library.add(pictures)
        report = library.upgrade("new")
        assert (report.n_encoded, report.n_unread) == (2, 0)
        assert names(library.search("cyan", limit=1)) == ["red.png"]
        assert names(library.search("yellow", limit=1)) == ["fresh.png"]
        assert len(library.search("blue", limit=100)) == len(library) == 24
    assert check(folder).sound


def test_another_target_begins_anew(folder: Path) -> None:
    def stop(now: Progress) -> None:
        if now.stage == "switching":
            raise Stop

    class Third(NewEncoder):
        spec = "third"

        @property
        def fingerprint(self) -> object:  # type: ignore[override]
            from dataclasses import replace

            return replace(super().fingerprint, revision="8")

    with opened(folder) as library:
        library.upgrade("new", progress=stop)
        report = library.upgrade(Third())
        assert (report.n_resumed, report.n_encoded) == (0, 24)


def test_others_search_on_and_then_follow(folder: Path) -> None:
    encoder = HeldEncoder()
    with opened(folder) as ours, opened(folder) as theirs:
        session = theirs.look("green", captions=False)
        image_id = session.page[0].image_id
        thread = threading.Thread(target=lambda: ours.upgrade(encoder))
        thread.start()
        assert encoder.is_held.wait(600)
        assert names(theirs.search("green", limit=1)) == ["green.png"]
        session.judge(image_id, True, box=CORNER, caption="")  # by the old encoder
        with pytest.raises(LibraryBusyError), opened(folder) as third:
            third.upgrade("new")
        with pytest.raises(LibraryBusyError), opened(folder) as third:
            third.add()
        encoder.may_go.set()
        thread.join()
        assert names(theirs.search("green", limit=1)) == ["green.png"]
        assert theirs.info()["dim"] == 24
        page = session.again("rocchio")  # its query is asked anew, its box cut anew
        assert len(page)
    assert crop_of(folder, "green.png").shape == (24,)  # type: ignore[union-attr]


def test_a_box_of_the_old_encoder_is_not_written_after_the_switch(folder: Path) -> None:
    with opened(folder) as ours, opened(folder) as theirs:
        session = theirs.look("green", captions=False)
        with theirs.files.moment():
            prepared = session.prepare([relook.JudgementRequest(1, True, CORNER, "")])
            ours.upgrade("new")
            with pytest.raises(LibraryBusyError) as caught:
                session.judge_all(prepared)
        assert caught.value.code == "session_busy"
        assert session.judgements == []
        session.judge(1, True, box=CORNER, caption="")


def test_a_library_without_its_encoder_can_be_read_and_says_what_to_run(folder: Path) -> None:
    with opened(folder) as library:
        session_id = begun(library)
        before = made(library, session_id)
    manifest = folder / "manifest.json"
    values = json.loads(manifest.read_text())
    values["fingerprint"]["revision"] = "0"  # of a version that is not there any more
    manifest.write_text(json.dumps(values))
    with opened(folder) as library:
        assert library.info()["n_images"] == 24
        assert made(library, session_id) == before
        assert library.sessions()[0].session_id == session_id
        for ask in (
            lambda: library.search("red"),
            lambda: library.session(session_id).again(),
            lambda: library.look("red"),
            library.add,
        ):
            with pytest.raises(EncoderMismatchError) as caught:
                ask()
            assert caught.value.code == "other_encoder"
            assert f"relook upgrade --library {folder}" in caught.value.hint
        assert not library.upgrade().was_current  # to the present version
        assert made(library, session_id) == before
        assert names(library.search("green", limit=1)) == ["green.png"]


def test_the_disk_must_have_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(folder)._replace(free=100)
    monkeypatch.setattr("relook.app.upgrading.shutil.disk_usage", lambda _: usage)
    with opened(folder) as library:
        with pytest.raises(StorageError) as caught:
            library.upgrade("new")
        assert caught.value.code == "disk_refused"
        assert not (folder / "upgrade").exists()
        assert names(library.search("green", limit=1)) == ["green.png"]


def test_a_disk_that_gets_full_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from relook.library.vector_file import VectorFile

    def full(*_: object) -> int:
        raise StorageError("disk_refused", "no space left")

    with opened(folder) as library:
        with monkeypatch.context() as patch:
            patch.setattr(VectorFile, "append", full)
            with pytest.raises(StorageError):
                library.upgrade("new")
        assert names(library.search("green", limit=1)) == ["green.png"]
        assert library.upgrade("new").n_unread == 0


def test_an_encoder_that_cannot_be_opened_changes_nothing(folder: Path) -> None:
    with opened(folder) as library:
        with pytest.raises(NotFoundError):
            library.upgrade("nonesuch")
        with pytest.raises(InputError):
            library.upgrade("old?tiles=grid")
    assert not (folder / "upgrade").exists()


def test_the_index_is_there_at_the_switch(tmp_path: Path, pictures: Path) -> None:
    many(pictures / "more", 120)
    settings = SearchSettings(fold=False, exact_rows=100)
    with relook.Library(tmp_path / "library", encoder="old", search=settings) as library:
        library.add(pictures)
        assert library.files.index_fault(settings) is None
        library.upgrade("new")
        assert not library.files.needs_index(settings)
        assert library.files.index_fault(settings) is None
        assert (tmp_path / "library" / "ann" / "index-1.json").exists()
        assert names(library.search("green", limit=1)) == ["green.png"]


def test_compaction_after_an_upgrade_keeps_what_has_no_vectors(
    folder: Path, pictures: Path, tmp_path: Path
) -> None:
    from relook.app.upkeep import compact_library

    with opened(folder) as library:
        known = ids(library)
        (pictures / "green.png").rename(tmp_path / "away.png")
        library.upgrade("new")
        library.forget(pictures / "more")
        assert compact_library(library).n_rows == 3 * 4
        assert ids(library)["green.png"] == known["green.png"]
        assert Manifest.read(folder).format_version == 3
    assert check(folder).sound


def test_the_command_says_what_it_takes_and_what_it_did(
    folder: Path, capsys: pytest.CaptureFixture[str], pictures: Path
) -> None:
    at = ["--library", str(folder)]
    assert main(["upgrade", "--encoder", "new", "--dry-run", "--json", *at]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert (cost["n_images"], cost["n_left"], cost["is_needed"]) == (24, 24, True)
    assert cost["n_bytes"] == 24 * 4 * 24 * 2
    assert main(["upgrade", "--encoder", "new", "--dry-run", *at]) == 0
    assert "24 pictures to encode, about" in capsys.readouterr().out
    (pictures / "green.png").unlink()
    assert main(["upgrade", "--encoder", "new", *at]) == 3
    told = capsys.readouterr()
    assert "24 pictures to encode" in told.err
    assert "1 pictures cannot be read now" in told.out
    assert os.fspath(pictures / "green.png") in told.out
    assert main(["upgrade", *at]) == 0
    assert capsys.readouterr().out.startswith("nothing to do: the library has this encoder")
    assert main(["search", "red", "--limit", "1", "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out)["hits"]


def test_a_lock_is_taken(folder: Path) -> None:
    with opened(folder) as library, WriterLock(folder), pytest.raises(LibraryBusyError):
        library.upgrade("new")


def test_the_encoder_object_stays_the_callers(folder: Path) -> None:
    encoder = NewEncoder()
    with opened(folder, OldEncoder()) as library:
        library.upgrade(encoder)
        assert names(library.search("green", limit=1)) == ["green.png"]
    assert isinstance(library.encoder, ColourEncoder)
    assert library.encoder is encoder
    assert encoder.n_closed == 0
