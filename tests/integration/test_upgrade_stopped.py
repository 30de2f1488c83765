"""An upgrade that is stopped, begun anew, watched by others, or cannot be done."""

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from library_parts import ids, many, names
from upgrade_parts import HeldEncoder, NewEncoder, OldEncoder
from upgraded_parts import CORNER, _named, begun, crop_of, folder, made, opened  # noqa: F401  (some are fixtures)

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
from relook.library.check import check
from relook.library.lock import WriterLock
from relook.library.manifest import Manifest
from relook.library.report import Stop
from relook.testing import ColourEncoder, solid


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
    assert "1 picture cannot be read now" in told.out
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
