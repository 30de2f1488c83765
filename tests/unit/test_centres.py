"""Lists are learnt where rows are, those far from all others too, and know how these spread."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relook.core.vectors import Floats, Ints, unit
from relook.stores.centres import ROUNDS, learn_centres, spread_of
from relook.stores.faiss_store import FaissStore
from relook.stores.ivf_build import build_index, update_index
from relook.stores.ivf_lists import FAR_REACH, NEAR_REACH, Lists
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
    directions = unit(centres)
    nearness = (rows @ directions.T).max(axis=1)
    before = (rows @ directions[:N_LISTS].T).max(axis=1)
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


def spread() -> tuple[Floats, Floats]:
    """Rows around 256 centres, those of every other one three times as far from it, and these."""
    random = np.random.default_rng(6)
    centres = unit(random.standard_normal((N_LISTS, DIM)))
    far = np.repeat(np.tile((0.02, 0.06), N_LISTS // 2), 60)[:, None]
    noise = random.standard_normal((N_LISTS * 60, DIM))
    return unit(np.repeat(centres, 60, axis=0) + far * noise), centres


def test_a_mean_is_as_long_as_that_of_all_rows_of_its_list() -> None:
    """A mean of the few rows of a sample is longer than that of all."""
    rows, centres = spread()
    few = np.random.default_rng(7).permutation(len(rows))[: 12 * N_LISTS]
    means = learnt(rows[few], [])
    of = (centres @ unit(means).T).argmax(axis=1)  # the list of each cluster
    true = np.linalg.norm(rows.reshape(N_LISTS, 60, DIM).mean(axis=1), axis=1)
    alone = np.bincount(of, minlength=len(means))[of] == 1  # lists of one cluster
    lengths = np.linalg.norm(means[of[alone]], axis=1)
    is_wide = np.arange(N_LISTS)[alone] % 2 == 1
    for wide in (True, False):
        assert lengths[is_wide == wide].mean() == pytest.approx(
            true[alone][is_wide == wide].mean(), abs=0.03
        )


def test_what_lies_far_from_all_is_looked_for_where_rows_spread() -> None:
    rows, centres = spread()
    means = rows.reshape(N_LISTS, 60, DIM).mean(axis=1)
    queries = unit(np.random.default_rng(8).standard_normal((100, DIM)))
    best = np.argsort(-(queries @ rows.T), axis=1)[:, :20] // 60  # lists of the right rows
    spreads = spread_of(rows, means)
    true = np.sqrt((1 - (means * means).sum(axis=1)) / DIM)  # rows differ in all directions
    assert spreads == pytest.approx(true, rel=0.05)

    def missed(lists: Lists) -> float:
        _, probed = lists.highest(queries, N_LISTS // 8, FAR_REACH)
        found = [np.isin(*pair).mean() for pair in zip(best, probed, strict=True)]
        return 1 - float(np.mean(found))

    without = np.zeros_like(spreads)
    assert missed(Lists.of(means, spreads)) < missed(Lists.of(means, without)) / 3
    near, probed = Lists.of(means, spreads).highest(centres, 1, NEAR_REACH)
    assert (probed[:, 0] == np.arange(N_LISTS)).all()
    assert near[:, 0] == pytest.approx(
        (centres * means).sum(axis=1) + NEAR_REACH * spreads, abs=1e-5
    )
