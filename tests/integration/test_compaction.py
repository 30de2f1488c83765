"""Compaction frees the rows of removed pictures, and nobody can tell otherwise."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import relook
from relook.app.upkeep import compact_library, index_recall
from relook.cli.main import main
from relook.core.errors import LibraryBusyError, StorageError
from relook.core.settings import SearchSettings
from relook.core.types import Part, Query
from relook.core.vectors import unit
from relook.library.compaction import is_worthwhile
from relook.library.files import LibraryFiles
from relook.library.lock import WriterLock
from relook.library.manifest import COMPACTED_VERSION, Manifest
from relook.library.records import FileFacts, ImageRecord
from relook.stores.faiss_store import FaissStore
from relook.testing import ColourEncoder, noise

N_IMAGES, N_TILES = 5_000, 5
SETTINGS = SearchSettings(fold=False, exact_rows=5_000)
QUERY = Query((Part("red"),))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of vectors with an index, of which three images in five were removed."""
    folder = tmp_path_factory.mktemp("large") / "library"
    encoder = ColourEncoder()
    vectors = np.zeros((N_IMAGES * N_TILES, encoder.dim), np.float32)
    vectors[:, :8] = unit(np.random.default_rng(3).dirichlet(np.full(8, 0.5), len(vectors)))
    with LibraryFiles.create(folder, "colour", encoder.fingerprint) as files:
        files.writer_vectors().append(vectors)
        with files.catalog.transaction() as db:
            tiling = files.catalog.tiling_id(db, encoder.tiles_for(32, 32))
            for number in range(N_IMAGES):
                facts = FileFacts(b"/nowhere/%d.png" % number, 1, 1)
                files.catalog.put(
                    db,
                    ImageRecord(
                        facts, b"%16d" % number, 32, 32, "PNG", 0, number * N_TILES, N_TILES, tiling
                    ),
                )
            files.catalog.bump(db, len(vectors))
        files.refresh()
        files.build_index(SETTINGS)
        with files.catalog.transaction() as db:
            db.execute("DELETE FROM images WHERE image_id % 5 < 3")
            files.catalog.bump(db)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "library"))


def opened(folder: Path) -> relook.Library:
    return relook.Library(folder, encoder=ColourEncoder(), search=SETTINGS)


def answers(library: relook.Library) -> list[tuple[int, float]]:
    page = library.engine.search(QUERY, 200)
    return [(hit.image_id, round(hit.score, 4)) for hit in page]


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("vectors*"))


def test_the_same_is_found_in_less_space_and_the_index_goes_on(folder: Path) -> None:
    with opened(folder) as library, opened(folder) as reader:
        before = answers(library)
        assert answers(reader) == before
        report = compact_library(library)
        assert report.as_dict() == {
            "n_rows_before": 25_000, "n_rows": 10_000, "n_bytes_freed": 15_000 * 16 * 2,
        }  # fmt: skip
        assert files_of(folder) == ["vectors-1.f16"]
        assert (folder / "vectors-1.f16").stat().st_size == 10_000 * 16 * 2
        assert answers(library) == answers(reader) == before
        store = FaissStore(library.files.vectors, folder / "ann", 800, 1)
        assert store.n_indexed == 10_000
        assert len(list((folder / "ann").glob("*.faiss"))) <= 2
        assert compact_library(library).n_bytes_freed == 0
    assert Manifest.read(folder).format_version == COMPACTED_VERSION
    with opened(folder) as library:
        assert answers(library) == before
        assert library.files.alive() is None


def test_a_reader_of_the_old_moment_keeps_it(folder: Path) -> None:
    with opened(folder) as library, opened(folder) as reader:
        rows = np.arange(0, 25_000, 77)
        with reader.files.moment():
            expected = reader.files.vectors.rows(rows)
            compact_library(library)
            assert np.array_equal(reader.files.vectors.rows(rows), expected)
            assert len(reader.files.vectors) == 25_000
        reader.files.refresh()
        assert len(reader.files.vectors) == 10_000


def test_pictures_are_added_to_a_compacted_library(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    noise(1).save(tmp_path / "new" / "new.png")
    with opened(folder) as library:
        compact_library(library)
        library.add(tmp_path / "new")
        assert len(library.files.vectors) == 10_005
        assert files_of(folder) == ["vectors-1.f16"]
        hit = library.similar(tmp_path / "new" / "new.png", limit=1)[0]
        assert hit.path == tmp_path / "new" / "new.png"


def test_indexing_frees_space_by_itself_when_much_is_dead(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    noise(1).save(tmp_path / "new" / "new.png")
    with opened(folder) as library:
        assert is_worthwhile(library.files)
        stages = []
        library.add(tmp_path / "new", progress=lambda now: stages.append(now.stage))
        assert "freeing space" in stages
        assert not is_worthwhile(library.files)
        assert len(library.files.vectors) == 10_005


KILLED_IN = ("_copy", "_renumber_index", "name_new_rows", "after")
RUNNER = """
import os, signal, sys
from pathlib import Path
from relook.library import compaction
from relook.library.files import LibraryFiles
from relook.library.lock import WriterLock

folder, where = Path(sys.argv[1]), sys.argv[2]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "after":
    real = compaction.name_new_rows
    def name_new_rows(*given):
        real(*given)
        die()
    compaction.name_new_rows = name_new_rows
elif where == "_copy":
    real = compaction._copy
    def copy(files, alive, number, progress):
        real(files, alive, number, lambda done, _: die() if done else None)
    compaction._BLOCK = 4096
    compaction._copy = copy
else:
    real = getattr(compaction, where)
    def half(*given):
        if where == "_renumber_index":
            real(*given)
        else:
            catalog = given[0]
            with catalog.transaction() as db:
                db.execute("UPDATE images SET first_row = -first_row - 1")
                die()
        die()
    setattr(compaction, where, half)
with LibraryFiles.open(folder) as files, WriterLock(folder):
    compaction.compact(files)
"""


@pytest.mark.parametrize("where", KILLED_IN)
def test_a_kill_at_any_moment_loses_nothing(folder: Path, where: str) -> None:
    with opened(folder) as library:
        before = answers(library)
    done = subprocess.run([sys.executable, "-c", RUNNER, str(folder), where], check=False)
    assert done.returncode == -signal.SIGKILL
    with opened(folder) as library:
        assert answers(library) == before
        assert len(library.files.vectors) == (10_000 if where == "after" else 25_000)
        compact_library(library)
        assert answers(library) == before
    assert len(files_of(folder)) == 1
    with opened(folder) as library:
        assert answers(library) == before
        assert type(library.files.store(SETTINGS)) is FaissStore


def test_a_disk_that_refuses_leaves_the_library_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with opened(folder) as library:
        before = answers(library)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            compact_library(library)
        monkeypatch.undo()
        assert files_of(folder) == ["vectors.f16"]
        assert answers(library) == before


def test_only_the_one_writer_compacts(folder: Path) -> None:
    with opened(folder) as library, WriterLock(folder), pytest.raises(LibraryBusyError):
        compact_library(library)


def test_the_command_says_what_it_freed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compact", "--library", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_rows"] == 10_000
    assert main(["compact", "--library", str(folder)]) == 0
    assert capsys.readouterr().out == "nothing to free: every vector belongs to an image\n"


def test_doctor_measures_what_the_index_finds(folder: Path) -> None:
    with opened(folder) as library:
        found = index_recall(library, n_queries=10)
    assert (found["index"], found["n_indexed"], found["n_tiles"]) == ("pq4", 25_000, 25_000)
    assert found["tiles"]["n_queries"] == 10
    assert found["tiles"]["recall_at_20"] == 1.0  # so few that they are compared exactly
    assert found["words"] is None  # no captions, and the encoder knows no phrasings
