"""How many of a kind are left: laws, ranges that hold, and the signal."""

import numpy as np
import pytest

from relook.bench.sets_report import bench_sets
from relook.bench.simulate import Gallery, Protocol, Task
from relook.core.errors import InputError
from relook.core.vectors import unit
from relook.feedback.judged import Evidence
from relook.feedback.remaining import RECALL, USUAL, Remaining, features, remaining

NONE = np.zeros(0, np.int64)
EASIER = np.array([2, 0.5, 0, 0])  # more of a kind, and plainer to see


def left_of(n_relevant: int, expected: float, spread: float = 0.0, unseen: int = 900) -> Remaining:
    chances = np.full(unseen + n_relevant, expected / unseen)
    chances[:n_relevant] = 1.0
    return Remaining(chances, unseen, n_relevant, spread)


def drawn(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """A search as the usual map expects it: what is read of n pictures, and which are relevant."""
    rng = np.random.default_rng(seed)
    middle, spread = USUAL.among(n)
    table = np.c_[np.ones(n), rng.normal(size=(n, 3))]
    chances = 1 / (1 + np.exp(-table @ rng.multivariate_normal(middle + EASIER, spread)))
    return table, rng.random(n) < chances


def test_the_numbers_left_are_probabilities_with_the_expected_mean() -> None:
    for expected, spread in ((0.1, 0.0), (3.0, 0.2), (40.0, 1.0)):
        numbers = left_of(5, expected, spread).numbers()
        assert numbers.sum() == pytest.approx(1)
        mean = (numbers * np.arange(len(numbers))).sum()
        assert mean == pytest.approx(expected * np.exp(spread / 2), rel=0.02)


def test_a_doubtful_map_makes_the_range_wider() -> None:
    (low, high), (lower, higher) = left_of(5, 8).likely(), left_of(5, 8, 0.5).likely()
    assert lower <= low < 8 < high < higher


def test_nothing_unseen_leaves_nothing() -> None:
    table = np.c_[np.ones(4), np.zeros((4, 3))]
    left = remaining(table, np.array([0, 2]), np.array([1, 3]))
    assert (left.likely(), left.expected, left.enough_chance) == ((0, 0), 0.0, 1.0)
    assert left.is_enough
    assert not remaining(table, NONE, np.arange(4)).is_enough


def test_the_signal_needs_nine_of_ten() -> None:
    assert left_of(20, 0.5).is_enough  # two may be missing
    assert not left_of(5, 0.5).is_enough  # none may
    assert left_of(5, 0.01).is_enough
    assert not left_of(0, 0.01).is_enough


def test_nobody_has_to_look_for_a_range() -> None:
    table, _ = drawn(0)
    left = remaining(table, NONE, NONE)
    assert left.n_unseen == 400
    low, high = left.likely()
    assert 0 <= low < high <= 400


def test_hits_far_down_say_that_more_are_left() -> None:
    table, _ = drawn(1)
    order = np.argsort(-table[:, 1])
    early = remaining(table, order[:5], order[5:40])
    late = remaining(table, order[35:40], order[:35])
    assert late.expected > 2 * early.expected


def test_ranges_hold_on_searches_like_those_that_are_expected() -> None:
    inside = []
    for seed in range(150):
        table, relevant = drawn(seed)
        seen = np.argsort(-table[:, 1:].sum(1))[:40]
        middle = USUAL.middle + EASIER
        usual = type(USUAL)(middle, USUAL.spread, 0.9, 0.9)
        left = remaining(table, seen[relevant[seen]], seen[~relevant[seen]], usual)
        low, high = left.likely()
        inside.append(low <= relevant.sum() - left.n_relevant <= high)
    assert 0.85 <= np.mean(inside) <= 0.98


def test_a_judged_picture_is_not_compared_with_itself() -> None:
    vectors = unit(np.random.default_rng(3).normal(size=(60, 8)))
    liked, disliked = np.array([0, 1, 2]), np.array([3, 4])
    sides = np.stack([vectors[liked].sum(0), vectors[disliked].sum(0)], axis=1)
    table = features(vectors[:, 0], vectors @ sides, liked, disliked)
    plain = vectors @ vectors[liked].sum(0) / 3
    others = vectors[0] @ vectors[[1, 2]].sum(0) / 2
    expected = (others - plain.mean()) / plain.std() * 3 / 5
    assert table[0, 2] == pytest.approx(expected, rel=1e-4)
    assert table[9, 2] == pytest.approx((plain[9] - plain.mean()) / plain.std() * 3 / 5, rel=1e-4)
    np.testing.assert_array_equal(features(vectors[:, 0], vectors @ sides, NONE, NONE)[:, 2:], 0)


def test_a_kind_is_rarer_in_a_larger_library_and_less_sure() -> None:
    (small, doubt), (large, more_doubt) = USUAL.among(1000), USUAL.among(100_000)
    assert large[0] < small[0]
    assert more_doubt[0, 0] > doubt[0, 0]


def clear_gallery(n: int = 300, kind: int = 12) -> tuple[Gallery, Task]:
    """Pictures of which some lie near the query and the others far from it."""
    rng = np.random.default_rng(5)
    tiles = unit(rng.normal(size=(n, 1, 16)))
    tiles[:kind] = unit(np.eye(16)[:1] + rng.normal(scale=0.12, size=(kind, 1, 16)))
    template = Evidence(np.zeros(16, np.float32), background=tiles[:, 0])
    return Gallery(tiles, template), Task("thing", np.eye(16, dtype=np.float32)[0], np.arange(kind))


def test_the_bench_stops_early_where_a_kind_is_plain() -> None:
    gallery, task = clear_gallery()
    done = []
    report = bench_sets(gallery, [task], progress=lambda at, total: done.append((at, total)))
    assert (report.n_queries, report.n_images, report.everything) == (1, 300, 300)
    assert report.promise == report.coverage == report.recall == 1.0
    assert report.signalled == 1.0
    assert 11 <= report.looked_for_recall <= report.looked < 300
    assert report.queries[0].n_found >= RECALL * 12
    assert done == [(1, 1)]


def test_the_bench_looks_at_everything_for_what_nothing_tells() -> None:
    gallery, _ = clear_gallery(60)
    lost = Task("lost", np.eye(16, dtype=np.float32)[3], np.array([20, 33, 47]))
    report = bench_sets(gallery, [lost], protocol=Protocol(page=5, rounds=2))
    assert report.promise in (0.0, 1.0)
    assert report.queries[0].looked_for_recall >= 3
    assert [at.looked for at in report.at][:2] == [10, 20]


def test_the_bench_needs_something_to_look_for() -> None:
    with pytest.raises(InputError) as raised:
        bench_sets(clear_gallery()[0], [])
    assert raised.value.code == "no_match"
