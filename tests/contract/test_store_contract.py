"""Every store passes the store suite, and the suite rejects stores that are broken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relook.core.vectors import Floats, Ints, unit
from relook.stores import ExactStore
from relook.stores.base import Mask
from relook.stores.faiss_store import FaissStore
from relook.stores.ivf_build import build_index, update_index
from relook.stores.plan import KINDS, IndexPlan, plan_index
from relook.testing import ContractError, MemorySource, check_store

# Random vectors have no clusters, the hardest case: the shortlist is longer than the default.
N_ROWS, DIM, N_TAIL, SHORTLIST = 26_000, 16, 700, 2_000
RECALL = 0.98  # an index is measured to find .992 of its own sample of queries


def test_the_exact_store_keeps_the_contract() -> None:
    check_store(lambda vectors: ExactStore(MemorySource(vectors)))


def test_the_exact_store_keeps_the_contract_over_several_blocks() -> None:
    check_store(lambda vectors: ExactStore(MemorySource(vectors)), n_rows=40_000, dim=8)


class _Counting(FaissStore):
    """Counts how often the index itself was asked."""

    n_asked = 0

    def _candidates(self, *given: Any) -> Ints:
        type(self).n_asked += 1
        return super()._candidates(*given)


@pytest.fixture(scope="module")
def words() -> Floats:
    """Queries to measure an index with, as far from its rows as those of the suite."""
    return unit(np.random.default_rng(4).standard_normal((64, DIM)))


@pytest.mark.parametrize(("kind", "n_tail"), [("pq4", 0), *((kind, N_TAIL) for kind in KINDS)])
def test_the_faiss_store_keeps_the_contract(
    tmp_path: Path, words: Floats, kind: str, n_tail: int
) -> None:
    _Counting.n_asked = 0

    def make(vectors: Floats) -> FaissStore:
        source = MemorySource(vectors[: len(vectors) - n_tail])
        build_index(source, tmp_path / "ann", plan(len(source), kind), texts=words)
        store = _Counting(MemorySource(vectors), tmp_path / "ann", SHORTLIST)
        assert store.n_indexed == len(vectors) - n_tail
        return store

    check_store(make, n_rows=N_ROWS, dim=DIM, min_recall=RECALL, tiny=False)
    assert _Counting.n_asked >= 10


def plan(n_rows: int, kind: str = "pq4") -> IndexPlan:
    return plan_index(n_rows, DIM, kind=kind, exact_rows=1)


def test_an_index_of_several_segments_keeps_the_contract(tmp_path: Path, words: Floats) -> None:
    def make(vectors: Floats) -> FaissStore:
        source, folder = MemorySource(vectors), tmp_path / "ann"
        build_index(MemorySource(vectors[:18_000]), folder, plan(18_000), texts=words)
        for n_rows in (21_000, 22_500, N_ROWS):
            update_index(MemorySource(vectors[:n_rows]), folder, 0, plan(n_rows))
        store = FaissStore(source, folder, SHORTLIST)
        spans = [(one.start, one.stop) for one in store.card.segments]
        assert spans == [(0, 18_000), (18_000, N_ROWS)]  # small ones were put together
        assert len(list(folder.glob("*.faiss"))) == 2
        return store

    check_store(make, n_rows=N_ROWS, dim=DIM, min_recall=RECALL, tiny=False)


def test_equal_scores_come_in_the_order_of_rows_from_the_index_too(tmp_path: Path) -> None:
    vectors = np.eye(DIM, dtype=np.float32)[np.arange(24_000) % DIM]
    alike = list(range(5, 24_000, 400))
    vectors[alike, :2] = 1.0
    source = MemorySource(vectors)
    build_index(source, tmp_path / "ann", plan(24_000))
    index = FaissStore(source, tmp_path / "ann", SHORTLIST)
    query = np.eye(1, DIM, dtype=np.float32) + np.eye(1, DIM, 1, dtype=np.float32)
    assert index.search(query, len(alike))[0].tolist() == [alike]
    assert ExactStore(source).search(query, len(alike))[0].tolist() == [alike]


Result = tuple[Ints, Floats]


class Broken:
    """An exact store with one thing wrong."""

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors
        self.right = ExactStore(MemorySource(vectors))
        self.closed = False

    def __len__(self) -> int:
        return len(self.right)

    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        return self.right.search(queries, limit, allowed)

    def close(self) -> None:
        self.right.close()


class WorstFirst(Broken):
    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        rows, scores = super().search(queries, limit, allowed)
        return rows[:, ::-1], scores[:, ::-1]


class IgnoresTheMask(Broken):
    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        return super().search(queries, limit)


class FiltersAfterwards(Broken):
    """Searches first and filters what it found, so it returns too few."""

    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        rows, scores = super().search(queries, limit)
        if allowed is not None:
            out = ~allowed[rows]
            rows[out], scores[out] = -1, -np.inf
            order = np.argsort(rows < 0, axis=1, kind="stable")
            rows = np.take_along_axis(rows, order, 1)
            scores = np.take_along_axis(scores, order, 1)
        return rows, scores


class OneRowOff(Broken):
    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        rows, scores = super().search(queries, limit, allowed)
        return np.where(rows >= 0, (rows + 1) % max(len(self), 1), rows), scores


class DropsTies(Broken):
    """Takes equal scores for the same row."""

    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        rows, scores = super().search(queries, len(self), allowed)
        keep = min(limit, len(self))
        found = np.full((len(queries), keep), -1), np.full((len(queries), keep), -np.inf)
        for q in range(len(queries)):
            _, firsts = np.unique(-scores[q], return_index=True)
            firsts = firsts[rows[q][firsts] >= 0][:keep]
            found[0][q, : len(firsts)] = rows[q][firsts]
            found[1][q, : len(firsts)] = scores[q][firsts]
        return found[0].astype(np.int64), found[1].astype(np.float32)


class SaysItTwice(Broken):
    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        rows, scores = super().search(queries, limit, allowed)
        if rows.shape[1] > 1:
            rows[:, 1], scores[:, 1] = rows[:, 0], scores[:, 0]
        return rows, scores


class CodedScores(Broken):
    """Gives the scores of 8-bit codes."""

    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        rows, scores = super().search(queries, limit, allowed)
        return rows, np.round(scores * 127) / np.float32(127)


class Distances(Broken):
    """Gives distances, where smaller is better."""

    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        rows, scores = super().search(queries, limit, allowed)
        return rows, np.where(rows >= 0, 1 - scores, scores)


class WantsTheLimit(Broken):
    """Pads to the limit although there are fewer rows."""

    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        rows, scores = super().search(queries, limit, allowed)
        lacking = ((0, 0), (0, limit - rows.shape[1]))
        return (
            np.pad(rows, lacking, constant_values=-1),
            np.pad(scores, lacking, constant_values=-np.inf),
        )


class ZeroWhereNone(Broken):
    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        rows, scores = super().search(queries, limit, allowed)
        return np.maximum(rows, 0), scores


class FirstQueryOnly(Broken):
    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        return super().search(np.repeat(queries[:1], len(queries), axis=0), limit, allowed)


class ForgetsTheLastRow(Broken):
    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        mask = np.ones(len(self), np.bool_) if allowed is None else allowed.copy()
        mask[-1:] = False
        return super().search(queries, limit, mask)


class LooksAtHalf(Broken):
    """An index that probes too little."""

    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        probed = np.arange(len(self)) % 2 == 0
        enough = allowed is None and limit <= probed.sum()
        return super().search(queries, limit, probed if enough else allowed)


class ShortInts(Broken):
    def search(self, queries: Floats, limit: int, allowed: Mask | None = None) -> Result:
        rows, scores = super().search(queries, limit, allowed)
        return rows.astype(np.int32), scores  # type: ignore[return-value]


class ClosesOnce(Broken):
    def close(self) -> None:
        if self.closed:
            raise ContractError("closed twice")
        self.closed = True


BROKEN: list[tuple[Callable[[Floats], Broken], str]] = [
    (WorstFirst, "best first"),
    (IgnoresTheMask, "only allowed rows|-1 where fewer"),
    (FiltersAfterwards, "rows are returned"),
    (OneRowOff, "inner product with the row beside it"),
    (DropsTies, "rows of equal score"),
    (SaysItTwice, "no row comes twice"),
    (CodedScores, "inner product"),
    (Distances, "inner product"),
    (WantsTheLimit, r"min\(limit, n\)"),
    (ZeroWhereNone, "-1 where fewer"),
    (FirstQueryOnly, "inner product"),
    (ForgetsTheLastRow, "rows are returned"),
    (LooksAtHalf, "recall"),
    (ShortInts, "int64"),
    (ClosesOnce, "closed twice"),
]


@pytest.mark.parametrize(("broken", "promise"), BROKEN, ids=[b.__name__ for b, _ in BROKEN])
def test_the_suite_rejects_a_broken_store(broken: Callable[[Floats], Broken], promise: str) -> None:
    with pytest.raises(ContractError, match=promise):
        check_store(broken, n_rows=300)
