"""How rows get into mapped lists: the same as FAISS's own, and taken up after a stop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from relook.core.vectors import Floats, Ints, unit
from relook.library.report import Stop
from relook.stores import ivf_build, ivf_work
from relook.stores.faiss_store import FaissStore, search_lists
from relook.stores.ivf_files import Card, open_directions, open_segment
from relook.stores.ivf_lists import Coded, Joined, Kept, Lists, open_lists, write_lists
from relook.stores.plan import KINDS, plan_index
from relook.testing import MemorySource

N_ROWS, N_LISTS = 1_500, 8


def vectors(n_rows: int, dim: int) -> Floats:
    return unit(np.random.default_rng(2).standard_normal((n_rows, dim)))


def filled(kind: str, rows: Floats) -> tuple[Any, Ints]:
    """FAISS's own index over rows, and the list of each row."""
    dim = rows.shape[1]
    codes = KINDS[kind].factory.format(k=dim, h=-(-dim // 2))
    index = faiss.index_factory(dim, f"IVF{N_LISTS},{codes}", faiss.METRIC_INNER_PRODUCT)
    index.by_residual = False
    index.train(rows)
    ivf_work.sort_codes(index)
    index.add(rows)
    return index, index.quantizer.search(rows, 1)[1][:, 0]


@pytest.mark.parametrize(
    ("kind", "dim"), [("pq4", 8), ("pq4", 9), ("pq2", 8), ("pq2", 10), ("sq8", 8)]
)
def test_mapped_lists_are_those_that_faiss_makes(tmp_path: Path, kind: str, dim: int) -> None:
    rows = vectors(N_ROWS, dim)
    index, assigned = filled(kind, rows)
    coded = ivf_work.encoded(index, rows)
    half = N_ROWS // 2
    for name, part in (("a", slice(0, half)), ("b", slice(half, None))):
        entries = Coded(assigned[part].astype(np.int32), coded[part], part.start)
        write_lists(tmp_path / name, index, entries)
    kept = [Kept(open_lists(tmp_path / name)) for name in "ab"]
    assert write_lists(tmp_path / "whole", index, Joined(kept)) == N_ROWS
    mapped = open_lists(tmp_path / "whole")
    assert mapped.ntotal == N_ROWS
    block = getattr(index, "bbs", 1)
    for number in range(N_LISTS):
        size = index.invlists.list_size(number)
        assert mapped.invlists.list_size(number) == size
        for held in ("get_ids", "get_codes"):
            n = size if held == "get_ids" else -(-size // block) * block * index.code_size
            ours, theirs = (
                faiss.rev_swig_ptr(getattr(one.invlists, held)(number), n)
                for one in (mapped, index)
            )
            assert ours.tolist() == theirs.tolist()


def test_a_segment_without_some_rows_has_the_others_with_their_new_numbers(tmp_path: Path) -> None:
    rows = vectors(N_ROWS, 16)
    index, assigned = filled("pq4", rows)
    coded = ivf_work.encoded(index, rows)
    write_lists(tmp_path / "all", index, Coded(assigned.astype(np.int32), coded, 0))
    alive = np.arange(N_ROWS) % 3 > 0
    new_row = np.cumsum(alive) - 1
    less = Kept(open_lists(tmp_path / "all"), alive, new_row)
    assert write_lists(tmp_path / "less", index, less) == alive.sum()
    _, numbers, codes = Kept(open_lists(tmp_path / "less")).batch(0, N_LISTS)
    assert np.array_equal(codes[np.argsort(numbers)], coded[alive])


def test_the_lists_that_reach_highest_are_found_by_their_codes(tmp_path: Path) -> None:
    queries, centres = vectors(50, 24), vectors(1_100, 24)[::-1]
    Lists.of(centres, np.zeros(1_100, np.float32)).write(tmp_path / "centres")
    lists = Lists.read(tmp_path / "centres")
    assert len(lists) == len(centres)
    assert hasattr(lists.index, "refine_index")
    products = queries @ centres.T
    for n in (1, 7, 900):
        near, nearest = lists.highest(queries, n, 1.0)
        best = np.argsort(-products, axis=1)[:, :n]
        shared = [len(np.intersect1d(*two)) / n for two in zip(best, nearest, strict=True)]
        assert np.mean(shared) > 0.99
        assert near == pytest.approx(np.take_along_axis(products, nearest, axis=1), abs=1e-5)
        assert (np.diff(near) <= 0).all()
    near, assigned = lists.assign(queries)
    assert np.array_equal(assigned, products.argmax(axis=1))
    assert near == pytest.approx(products.max(axis=1), abs=1e-5)


def stop_at(row: int) -> Callable[[str, int, int], None]:
    def report(stage: str, done: int, _total: int) -> None:
        if stage == "filling the index" and done >= row:
            raise Stop

    return report


@pytest.fixture
def assigned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were assigned, block by block, of 500 rows each."""
    monkeypatch.setattr(ivf_work, "_BLOCK_ROWS", 500)
    monkeypatch.setattr(ivf_work, "_KEPT_EVERY", 2)
    real, n_rows = Lists.assign, []

    def assign(self: Lists, rows: Floats) -> Any:
        n_rows.append(len(rows))
        return real(self, rows)

    monkeypatch.setattr(Lists, "assign", assign)
    return n_rows


OURS = {".json", ".faiss", ".centres", ".directions"}


@pytest.mark.parametrize(
    "harm", ["nothing", "grown", "short", "card", "centres", "directions", "other rows"]
)
def test_a_build_that_was_stopped_is_taken_up(
    tmp_path: Path, assigned: list[int], harm: str
) -> None:
    rows = vectors(4_000, 8)
    plan = plan_index(len(rows), 8, exact_rows=1)
    with pytest.raises(Stop):
        ivf_build.build_index(MemorySource(rows), tmp_path / "ann", plan, report=stop_at(2_500))
    assert sum(assigned) == 2_500
    assert not list((tmp_path / "ann").glob("index-*"))
    if harm == "grown":
        rows = np.concatenate([rows, vectors(700, 8)])
    elif harm == "short":
        (tmp_path / "ann" / "codes-0.work").write_bytes(b"")
    elif harm == "card":
        (tmp_path / "ann" / "work-0.json").write_text("{")
    elif harm in ("centres", "directions"):
        next((tmp_path / "ann").glob(f"*.{harm}")).write_bytes(b"")
    elif harm == "other rows":
        rows = rows[::-1]
    assigned.clear()
    stages: list[str] = []
    ivf_build.build_index(
        MemorySource(rows), tmp_path / "ann", plan, report=lambda stage, *_: stages.append(stage)
    )
    done = 2_000 if harm in ("nothing", "grown") else 0  # what was kept, of 2,500
    assert sum(assigned) == len(rows) - done
    assert ("training the index" in stages) == (harm in ("card", "centres", "directions"))
    assert not list((tmp_path / "ann").glob("*work*"))
    assert {path.suffix for path in (tmp_path / "ann").iterdir()} == OURS
    card = Card.read(tmp_path / "ann", 0)
    _, numbers, _ = Kept(open_segment(tmp_path / "ann", card.segments[0])).batch(0, card.n_lists)
    assert sorted(numbers.tolist()) == list(range(len(rows)))
    assert FaissStore(MemorySource(rows), tmp_path / "ann", 800).n_indexed == len(rows)


def test_a_disk_that_refuses_gets_its_room_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, n_files = ivf_build.new_file, 0

    def refuse(*given: Any) -> Any:  # codes, centres and directions, and then the rows
        nonlocal n_files
        n_files += 1
        if n_files == 4:
            assert (tmp_path / "ann" / "codes-0.work").stat().st_size
            raise OSError(28, "No space left on device")
        return real(*given)

    monkeypatch.setattr(ivf_build, "new_file", refuse)
    rows = vectors(1_000, 8)
    with pytest.raises(OSError, match="No space"):
        ivf_build.build_index(
            MemorySource(rows), tmp_path / "ann", plan_index(1_000, 8, exact_rows=1)
        )
    assert not list((tmp_path / "ann").glob("*work*"))


def test_rows_are_coded_along_the_directions_in_which_they_differ() -> None:
    spread = np.r_[np.full(20, 1.0), np.full(180, 0.05)]
    rows = np.random.default_rng(3).standard_normal((3_000, 200)) * spread
    directions = ivf_work.directions_of_codes(rows.astype(np.float32))
    assert directions.shape == (200, 32)  # 20 hold it; whole numbers of 32 are taken
    assert np.allclose(directions.T @ directions, np.eye(32), atol=1e-4)
    held = (rows @ directions).var(axis=0)
    assert held.sum() > 0.97 * rows.var(axis=0).sum()
    assert held.max() < 4 * held.min()  # it is 400 times along the main directions themselves


def test_rows_that_differ_alike_everywhere_are_coded_whole() -> None:
    rows = np.random.default_rng(3).standard_normal((3_000, 40)).astype(np.float32)
    assert ivf_work.directions_of_codes(rows).shape == (40, 40)


def test_codes_along_directions_find_what_codes_of_numbers_miss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = np.r_[np.full(4, 1.0), np.full(60, 0.1)]
    rows = unit(np.random.default_rng(5).standard_normal((4_000, 64)) * spread)
    plan = plan_index(len(rows), 64, exact_rows=1)

    def recall(name: str) -> float:
        card = ivf_build.build_index(MemorySource(rows), tmp_path / name, plan)
        index = open_segment(tmp_path / name, card.segments[0])
        directions = open_directions(tmp_path / name, card.directions)
        every = np.arange(card.n_lists)[None]
        found = 0
        for query in rows[:100]:
            right = np.argsort(-rows @ query)[:20]
            near, _ = search_lists(index, query[None] @ directions, 60, every)
            found += len(set(right) & set(near))
        return found / 2_000

    along = recall("along")
    monkeypatch.setattr(ivf_build, "directions_of_codes", lambda _: np.eye(64, dtype=np.float32))
    assert along > recall("plain") + 0.04
