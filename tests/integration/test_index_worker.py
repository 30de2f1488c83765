"""The index grows beside a run of indexing; searches go on, and a kill costs what was not done."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import relook
from relook.app import indexing
from relook.app.indexing import run_with_index
from relook.core.errors import InputError
from relook.core.progress import Progress
from relook.core.settings import SearchSettings
from relook.core.vectors import unit
from relook.library.files import LibraryFiles
from relook.library.lock import WriterLock
from relook.library.records import FileFacts, ImageRecord
from relook.library.report import IndexReport, Stop
from relook.stores import ivf_build
from relook.stores.exact import ExactStore
from relook.stores.faiss_store import FaissStore
from relook.stores.ivf_files import Card
from relook.testing import ColourEncoder

ENCODER = ColourEncoder()
SETTINGS = SearchSettings(fold=False, exact_rows=2_000)
N_ROWS = 8_000


def grow(files: LibraryFiles, n_images: int, seed: int = 0) -> None:
    """Adds images of one tile each."""
    shares = np.random.default_rng(seed).dirichlet(np.full(8, 0.5), n_images)
    vectors = np.zeros((n_images, ENCODER.dim), np.float32)
    vectors[:, :8] = unit(shares)
    file = files.writer_vectors()
    first = file.append(vectors)
    with files.catalog.transaction() as db:
        tiling = files.catalog.tiling_id(db, ENCODER.tiles_for(32, 32)[:1])
        for row in range(first, first + n_images):
            facts = FileFacts(b"/nowhere/%d.png" % row, 1, 1)
            image = ImageRecord(facts, b"%16d" % row, 32, 32, "PNG", 0, row, 1, tiling)
            files.catalog.put(db, image)
        files.catalog.bump(db, first + n_images)
    files.refresh()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large") / "library"
    with LibraryFiles.create(folder, "colour", ENCODER.fingerprint) as files:
        grow(files, N_ROWS)
        files.build_index(SETTINGS)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "library"))


def run(folder: Path, n_images: int, progress: list[Progress] | None = None) -> IndexReport:
    told = progress if progress is not None else []
    with LibraryFiles.open(folder) as files, WriterLock(folder):

        def add() -> IndexReport:
            grow(files, n_images, seed=n_images)
            return IndexReport()

        return run_with_index(
            files, ENCODER, SETTINGS, len(files.row_table) + n_images, add, told.append
        )


def test_an_index_grows_by_segments_and_is_trained_anew_when_the_library_is_four_times_as_large(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Progress] = []
    run(folder, 3_000, told)
    card = Card.read(folder / "ann", 0)
    assert [one.start for one in card.segments] == [0, N_ROWS]
    assert card.n_rows == N_ROWS + 3_000
    assert not [now for now in told if now.stage == "training the index"]
    run(folder, 500)  # so few that they are compared exactly
    assert Card.read(folder / "ann", 0) == card
    monkeypatch.setattr(ivf_build, "_GROWN", 1.2)
    run(folder, 3_000, told)
    card = Card.read(folder / "ann", 0)
    assert [one.stop for one in card.segments] == [card.trained_rows] == [N_ROWS + 6_500]
    assert [now for now in told if now.stage == "training the index"]


def test_rows_of_another_sort_have_the_index_trained_anew(folder: Path) -> None:
    with LibraryFiles.open(folder) as files:
        vectors = np.zeros((4_000, ENCODER.dim), np.float32)
        vectors[:, 8:] = unit(np.random.default_rng(1).standard_normal((4_000, ENCODER.dim - 8)))
        file = files.writer_vectors()
        first = file.append(vectors)
        with files.catalog.transaction() as db:
            for row in range(first, first + len(vectors)):
                facts = FileFacts(b"/odd/%d.png" % row, 1, 1)
                files.catalog.put(
                    db, ImageRecord(facts, b"%16d" % row, 32, 32, "PNG", 0, row, 1, 1)
                )
            files.catalog.bump(db, first + len(vectors))
        files.refresh()
        files.build_index(SETTINGS)
        assert len(Card.read(folder / "ann", 0).segments) == 2
        assert files.needs_index(SETTINGS)
        files.build_index(SETTINGS)
        assert Card.read(folder / "ann", 0).trained_rows == len(files.vectors)
        assert not files.needs_index(SETTINGS)


def test_an_open_reader_takes_a_new_index_in(folder: Path) -> None:
    shutil.rmtree(folder / "ann")
    with LibraryFiles.open(folder) as reader, LibraryFiles.open(folder) as writer:
        with reader.moment():
            assert type(reader.store(SETTINGS)) is ExactStore
            writer.build_index(SETTINGS)
            assert type(reader.store(SETTINGS)) is ExactStore  # of the moment it is in
        with reader.moment():
            assert type(reader.store(SETTINGS)) is FaissStore


def test_searching_goes_on_while_the_index_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder / "ann")
    building, may_go_on = threading.Event(), threading.Event()
    real = ivf_build.Work.fill

    def fill(*given: object) -> object:
        building.set()
        assert may_go_on.wait(600)
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(ivf_build.Work, "fill", fill)
    with relook.Library(folder, encoder=ENCODER, search=SETTINGS) as library:
        thread = threading.Thread(target=run, args=(folder, 10))
        thread.start()
        try:
            assert building.wait(600)
            assert len(library.search("red", limit=7)) == 7
            assert type(library.files.store(SETTINGS)) is ExactStore
        finally:
            may_go_on.set()
            thread.join()
        assert len(library.search("red", limit=7)) == 7
        assert type(library.files.store(SETTINGS)) is FaissStore


def test_the_index_begins_before_the_run_has_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder / "ann")
    monkeypatch.setattr(indexing, "_LOOK_EVERY_S", 0.01)
    indexed = threading.Event()
    real = Card.write

    def write(card: Card, *given: object) -> None:
        real(card, *given)  # type: ignore[arg-type]
        indexed.set()

    monkeypatch.setattr(Card, "write", write)
    with LibraryFiles.open(folder) as files, WriterLock(folder):

        def wait() -> IndexReport:
            assert indexed.wait(600)
            return IndexReport()

        run_with_index(files, ENCODER, SETTINGS, N_ROWS, wait)


def test_stages_that_went_by_during_the_run_are_told_after_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder / "ann")
    monkeypatch.setattr(indexing, "_LOOK_EVERY_S", 0.01)
    indexed = threading.Event()
    real = ivf_build.sweep

    def sweep(*given: object) -> None:
        real(*given)  # type: ignore[arg-type]
        indexed.set()

    monkeypatch.setattr(ivf_build, "sweep", sweep)
    told: list[Progress] = []

    def add() -> IndexReport:
        assert indexed.wait(600)
        assert not told
        return IndexReport()

    with LibraryFiles.open(folder) as files, WriterLock(folder):
        run_with_index(files, ENCODER, SETTINGS, N_ROWS, add, told.append)
    stages = list(dict.fromkeys(now.stage for now in told))
    named = ("training", "filling", "writing", "measuring")
    assert stages == [f"{name} the index" for name in named]
    assert [now for now in told if now.stage == "filling the index"][-1].done == N_ROWS


@pytest.mark.parametrize("stage", ["training", "filling", "writing", "measuring"])
def test_a_stop_holds_at_the_stage_that_it_was_asked_for(
    folder: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that makes the index waits until somebody has heard of a stage."""
    shutil.rmtree(folder / "ann")
    monkeypatch.setattr(Card, "write", lambda *_: pytest.fail("the index was finished"))

    def stop(now: Progress) -> None:
        if now.stage.startswith(stage):
            raise Stop

    with LibraryFiles.open(folder) as files, WriterLock(folder):
        report = run_with_index(files, ENCODER, SETTINGS, N_ROWS, IndexReport, stop)
    assert report.interrupted
    assert "relook index finishes it" in report.notes[0]


def test_a_stop_while_the_index_is_made_keeps_the_pictures(folder: Path) -> None:
    shutil.rmtree(folder / "ann")

    def stop(now: Progress) -> None:
        raise Stop

    with LibraryFiles.open(folder) as files, WriterLock(folder):
        report = run_with_index(files, ENCODER, SETTINGS, N_ROWS, IndexReport, stop)
    assert report.interrupted
    assert "relook index finishes it" in report.notes[0]
    assert not list((folder / "ann").glob("*.json")) if (folder / "ann").exists() else True
    run(folder, 10)
    assert Card.read(folder / "ann", 0).n_rows >= N_ROWS


def test_a_process_that_is_nicer_than_the_index_needs_no_permission(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`nice -n 19 relook index` by anybody but root: a niceness may not be lowered again."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for niceness in (19, 0):  # and a system that lets nobody change it
        shutil.rmtree(folder / "ann")
        monkeypatch.setattr(os, "getpriority", lambda *_, kept=niceness: kept)
        monkeypatch.setattr(os, "setpriority", refuse)
        run(folder, 10)
        assert Card.read(folder / "ann", 0).n_rows >= N_ROWS


def test_what_goes_wrong_in_the_thread_is_raised_at_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder / "ann")

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(LibraryFiles, "build_index", fail)
    with LibraryFiles.open(folder) as files, WriterLock(folder), pytest.raises(ZeroDivisionError):
        run_with_index(files, ENCODER, SETTINGS, N_ROWS, IndexReport)


KILLED = """
import os, signal, sys
from pathlib import Path
from relook.core.settings import SearchSettings
from relook.library.files import LibraryFiles
from relook.library.lock import WriterLock
from relook.stores import ivf_build
at = sys.argv[2]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def report(stage, done, total):
    if stage.startswith(at) and done:
        die()
if at == "sweep":
    ivf_build.sweep = die
with LibraryFiles.open(Path(sys.argv[1])) as files, WriterLock(files.folder):
    files.build_index(SearchSettings(exact_rows=2000), report=report)
"""


@pytest.mark.parametrize("at", ["filling", "sweep"])
def test_a_kill_leaves_the_old_index_and_the_next_run_makes_the_new(
    folder: Path, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder / "ann")
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), at], check=False)
    assert done.returncode == -signal.SIGKILL
    with LibraryFiles.open(folder) as files:
        assert files.needs_index(SETTINGS) == (at != "sweep")
    run(folder, 3_000)
    card = Card.read(folder / "ann", 0)
    names = {one.file.name for one in card.segments} | {"index-0.json"}
    names |= {card.centres.name, card.directions.name}
    assert set(os.listdir(folder / "ann")) == names


def test_too_little_memory_is_told_before_anything_is_done(folder: Path) -> None:
    def add() -> IndexReport:
        raise AssertionError("the run began")

    small = SearchSettings(memory_mib=16)
    with LibraryFiles.open(folder) as files, WriterLock(folder):
        with pytest.raises(InputError, match=r"of 2,000,000 tiles needs .* the limit is 16"):
            run_with_index(files, ENCODER, small, N_ROWS + (2_000_000 - N_ROWS) // 5, add)
        assert len(files.row_table) == N_ROWS
