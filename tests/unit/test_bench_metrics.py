"""Metrics against cases worked out by hand."""

import numpy as np
import pytest

from relook.bench.measures import bootstrap, found_share, ndcg, sequence_ap


def flags(text: str) -> np.ndarray:
    return np.array([mark == "+" for mark in text])


def test_found_share_is_of_what_could_be_found() -> None:
    assert found_share(flags("+-+-"), 10, 4) == 2 / 4
    assert found_share(flags("+-+-"), 3, 4) == 2 / 3
    assert found_share(flags("+-+-"), 3, 2) == 1 / 2
    assert found_share(flags("----"), 0, 4) == 0.0


def test_sequence_ap_averages_precision_at_the_hits() -> None:
    assert sequence_ap(flags("+-+-"), 3) == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert sequence_ap(flags("+-+-"), 100) == pytest.approx((1 / 1 + 2 / 3) / 4)
    assert sequence_ap(flags("++"), 2) == 1.0
    assert sequence_ap(flags("--"), 2) == 0.0
    assert sequence_ap(flags("--"), 0) == 0.0


def test_ndcg_discounts_by_log_rank() -> None:
    best = 1 + 1 / np.log2(3)
    assert ndcg(flags("-+-"), 2, 3) == pytest.approx((1 / np.log2(3)) / best)
    assert ndcg(flags("++-"), 2, 3) == pytest.approx(1.0)
    assert ndcg(flags("-"), 0, 10) == 0.0
    assert ndcg(flags("+"), 1, 10) == pytest.approx(1.0)


def test_bootstrap_brackets_the_mean_and_narrows_with_more_queries() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(1.0, 1.0, 20), rng.normal(1.0, 1.0, 2000)
    small, large = bootstrap(few), bootstrap(many)
    assert small.low < small.mean < small.high
    assert small.mean == pytest.approx(few.mean())
    assert large.high - large.low == pytest.approx(2 * 1.96 / np.sqrt(2000), rel=0.1)
    constant = bootstrap(np.full(5, 0.25))
    assert (constant.low, constant.high) == (0.25, 0.25)
    assert bootstrap(np.zeros(0)).as_dict() == {"mean": 0.0, "low": 0.0, "high": 0.0}
