"""Lists are learnt where rows are: also for the few that lie far from all others."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from relook.core.vectors import Floats, Ints, unit
from relook.stores.centres import ROUNDS, learn_centres
from relook.stores.faiss_store import FaissStore
from relook.stores.ivf_build import build_index, update_index
from relook.stores.plan import plan_index
from relook.testing import MemorySource

DIM, N_LISTS = 256, 256


def clustered() -> tuple[Floats, Ints]:
    """Rows of 500 clusters, 470 of 40 rows and 30 of 12, and which are of the latter."""
    random = np.random.default_rng(2)
    sizes = np.repeat((40, 12), (470, 30))
    clusters = np.repeat(unit(random.standard_normal((500, DIM))), sizes, axis=0)
    rows = unit(clusters + 0.04 * random.standard_normal(clusters.shape))
    order = random.permutation(len(rows))
    return rows[order], np.flatnonzero(order >= 470 * 40)


def learnt(sample: Floats, told: list[tuple[int, int]]) -> Floats:
    return learn_centres(
        sample, N_LISTS, np.random.default_rng(1), lambda _, done, total: told.append((done, total))
    )


def test_rows_far_from_every_list_get_lists_of_their_own() -> None:
    rows, rare = clustered()
    told: list[tuple[int, int]] = []
    centres = learnt(rows, told)
    assert len(centres) == N_LISTS * 9 // 8
    assert np.allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)
    nearness = (rows @ centres.T).max(axis=1)
    before = (rows @ centres[:N_LISTS].T).max(axis=1)
    assert np.sum(before < 0.4) > 5 * np.sum(nearness < 0.4)
    assert nearness[rare].mean() > before[rare].mean() + 0.2
    assert told == sorted(told)
    assert told[-1] == (ROUNDS * len(rows), ROUNDS * len(rows))


def test_where_no_row_is_far_there_are_as_many_lists_as_planned() -> None:
    random = np.random.default_rng(3)
    rows = unit(random.standard_normal((4_000, DIM)) + 2.0)
    assert len(learnt(rows, [])) == N_LISTS


def test_an_index_with_more_lists_than_planned_is_searched_and_grows(tmp_path: Path) -> None:
    rows, rare = clustered()
    plan = plan_index(len(rows), DIM, kind="pq4", exact_rows=100)
    plan = replace(plan, n_lists=N_LISTS, n_sample=len(rows))
    card = build_index(MemorySource(rows), tmp_path, plan)
    assert card.n_lists == N_LISTS * 9 // 8
    later = unit(rows[:3_000] + 0.01 * np.random.default_rng(5).standard_normal((3_000, DIM)))
    source = MemorySource(np.concatenate([rows, later]))
    grown = update_index(source, tmp_path, 0, plan)
    assert (grown.n_lists, grown.centres) == (card.n_lists, card.centres)
    assert [segment.start for segment in grown.segments] == [0, len(rows)]
    store = FaissStore(source, tmp_path, 100)
    for looked_for in (rare, np.arange(len(rows), len(source))):
        found, _ = store.search(source.vectors[looked_for], 1)
        assert np.mean(found[:, 0] == looked_for) > 0.9
