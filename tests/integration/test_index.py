"""The FAISS index of a large library: it agrees with exact search, and damage to it is harmless."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

import relook
from relook.core.settings import SearchSettings
from relook.core.types import Part, Query
from relook.core.vectors import unit
from relook.library.files import LibraryFiles
from relook.library.records import FileFacts, ImageRecord
from relook.search.filtering import Filter
from relook.search.grammar import parse_query
from relook.stores.exact import ExactStore
from relook.stores.faiss_store import FaissStore
from relook.testing import ColourEncoder, noise, solid

# The index is asked when more than 20,000 rows are allowed.
N_IMAGES, N_TILES = 5_000, 5
EXACT, INDEXED = SearchSettings(fold=False), SearchSettings(fold=False, exact_rows=10_000)
QUERIES = ("red", "red + green", "green + blue - white", "0.3:cyan + yellow - magenta")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large") / "library"
    encoder = ColourEncoder()
    shares = np.random.default_rng(3).dirichlet(np.full(8, 0.5), N_IMAGES * N_TILES)
    vectors = np.zeros((len(shares), encoder.dim), np.float32)
    vectors[:, :8] = unit(shares)
    with LibraryFiles.create(folder, "colour", encoder.fingerprint) as files:
        files.writer_vectors().append(vectors)
        with files.catalog.transaction() as db:
            tiling = files.catalog.tiling_id(db, encoder.tiles_for(32, 32))
            for number in range(N_IMAGES):
                facts = FileFacts(b"/nowhere/%d.png" % number, 1, 1)
                image = ImageRecord(
                    facts, b"%16d" % number, 32, 32, "PNG", 0, number * N_TILES, N_TILES, tiling
                )
                files.catalog.put(db, image)
            files.catalog.bump(db, len(vectors))
        files.refresh()
        files.build_index(INDEXED)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "library"))


def opened(folder: Path, settings: SearchSettings) -> relook.Library:
    return relook.Library(folder, encoder=ColourEncoder(), search=settings)


def answers(
    library: relook.Library, limit: int = 20, only: Filter | None = None
) -> list[list[tuple[int, float]]]:
    pages = (library.engine.search(parse_query(line), limit, only) for line in QUERIES)
    return [[(hit.image_id, round(hit.score, 4)) for hit in page] for page in pages]


@pytest.mark.parametrize("limit", [1, 20, 300])
def test_the_index_and_exact_search_agree(made: Path, limit: int) -> None:
    with opened(made, EXACT) as exact, opened(made, INDEXED) as indexed:
        pages = list(zip(answers(indexed, limit), answers(exact, limit), strict=True))
        assert [len(found) for found, _ in pages] == [len(right) for _, right in pages]
        assert [found[0] for found, _ in pages] == [right[0] for _, right in pages]
        # An index promises .99 of the right ones; the scores of those it finds are exact.
        assert np.mean([len(set(found) & set(right)) / limit for found, right in pages]) > 0.97
        assert type(exact.files.store(EXACT)) is ExactStore
        assert type(indexed.files.store(INDEXED)) is FaissStore


def test_they_agree_behind_a_filter_and_after_removals(folder: Path) -> None:
    with opened(folder, EXACT) as exact, opened(folder, INDEXED) as indexed:
        best = [hit[0] for page in answers(exact, 5) for hit in page]
        only = Filter(without=frozenset(best))
        without = answers(indexed, 20, only)
        assert without == answers(exact, 20, only)
        assert not {image for page in without for image, _ in page} & set(best)
        for image_id in set(best):
            exact.forget(exact.image(image_id).path)
        assert answers(indexed) == answers(exact) == without
        few = Filter(path="/nowhere/7*")
        assert answers(indexed, 50, few) == answers(exact, 50, few)
        assert [len(page) for page in answers(indexed, 50, few)] == [50] * 4


def damage(folder: Path, how: str) -> None:
    ann = folder / "ann"
    (index,), card = ann.glob("*.faiss"), ann / "index-0.json"
    if how == "missing":
        shutil.rmtree(ann)
    elif how == "truncated":
        index.write_bytes(index.read_bytes()[:-1000])
    elif how == "flipped":
        data = bytearray(index.read_bytes())
        data[len(data) // 2] ^= 0xFF
        index.write_bytes(data)
    elif how == "header":
        index.write_bytes(b"\xff" * 64 + index.read_bytes()[64:])
    elif how == "card":
        card.write_text("{")
    elif how == "newer card":
        card.write_text(json.dumps({**json.loads(card.read_text()), "format": 6}))
    elif how == "first format":
        card.unlink()
        index.rename(ann / "tiles.faiss")
        (ann / "tiles.json").write_text(json.dumps({"n_bytes": 5, "kind": "IVF16,PQ16x4fs"}))
    elif how == "no index":
        index.unlink()
    elif how == "no directions":
        next(ann.glob("*.directions")).unlink()
    elif how == "other directions":
        file = next(ann.glob("*.directions"))
        file.write_bytes(file.read_bytes()[:-4] + b"\xff" * 4)


HOWS = (
    "missing", "truncated", "flipped", "header", "card", "newer card", "first format", "no index",
    "no directions", "other directions",
)  # fmt: skip


@pytest.mark.parametrize("how", HOWS)
def test_a_damaged_index_is_left_aside_and_built_again(
    folder: Path, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(folder, EXACT) as library:
        expected = answers(library)
    damage(folder, how)
    (tmp_path / "new").mkdir()
    noise(1).save(tmp_path / "new" / "new.png")
    with opened(folder, INDEXED) as library:
        with caplog.at_level(logging.WARNING):
            assert answers(library) == expected
        assert type(library.files.store(INDEXED)) is ExactStore
        assert "searching without the index until the next run" in caplog.text
        stages = []
        library.add(tmp_path / "new", progress=lambda now: stages.append(now.stage))
        assert "training the index" in stages
        library.engine.search(Query((Part("red"),)))
        assert type(library.files.store(INDEXED)) is FaissStore
    left = sorted(path.suffix for path in (folder / "ann").iterdir())
    assert left == sorted((".centres", ".directions", ".faiss", ".json"))


def test_an_index_of_another_library_is_left_aside(folder: Path) -> None:
    vectors = np.memmap(folder / "vectors.f16", np.float16, mode="r+")
    vectors[:] = vectors.reshape(-1, 16)[::-1].ravel()
    vectors.flush()
    with opened(folder, EXACT) as exact, opened(folder, INDEXED) as indexed:
        assert answers(indexed) == answers(exact)
        assert type(indexed.files.store(INDEXED)) is ExactStore


def test_new_pictures_are_found_before_the_index_covers_them(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    solid("red").save(tmp_path / "new" / "red.png")
    with opened(folder, INDEXED) as library:
        stages = []
        library.add(tmp_path / "new", progress=lambda now: stages.append(now.stage))
        assert not {stage for stage in stages if stage.endswith("the index")}
        assert library.search("red", limit=1)[0].path == tmp_path / "new" / "red.png"
        assert type(library.files.store(INDEXED)) is FaissStore


def test_a_tile_that_its_weight_lifts_above_nearer_ones_is_found(tmp_path: Path) -> None:
    """Below zero a weight brings a tile up: a shortlist of raw scores alone would miss it."""
    encoder = ColourEncoder(tile_weight=0.5)
    wholes, tiles = np.zeros((100, encoder.dim)), np.zeros((N_TILES, encoder.dim))
    wholes[:, :2], tiles[:, :2] = (-0.5, 0.75**0.5), (-0.6, 0.8)
    with LibraryFiles.create(tmp_path / "library", "colour", encoder.fingerprint) as files:
        files.writer_vectors().append(np.concatenate([wholes, tiles]).astype(np.float32))
        with files.catalog.transaction() as db:
            several = files.catalog.tiling_id(db, encoder.tiles_for(32, 32))
            one = files.catalog.tiling_id(db, encoder.tiles_for(32, 32)[:1])
            for number in range(101):
                facts = FileFacts(b"/nowhere/%d.png" % number, 1, 1)
                n_tiles, tiling = (N_TILES, several) if number == 100 else (1, one)
                image = ImageRecord(
                    facts, b"%16d" % number, 32, 32, "PNG", 0, number, n_tiles, tiling
                )
                files.catalog.put(db, image)
            files.catalog.bump(db, 105)
    with relook.Library(tmp_path / "library", encoder=encoder, search=EXACT) as library:
        ranking = library.engine.rank(np.eye(1, encoder.dim, dtype=np.float32)[0], 2)
    assert ranking.image_ids.tolist() == [101, 1]
    assert ranking.tiles.tolist() == [1, 0]
    assert ranking.scores == pytest.approx([-0.3, -0.5], abs=1e-3)
