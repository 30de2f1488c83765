"""`top` and `unit` against the obvious ways to do the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relook.bench.measures import ranks_of
from relook.core.vectors import top, unit

# Few different values, so that ties are the rule.
scores = st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 0.5, 2.0]), max_size=40)


@given(scores, st.integers(0, 50))
def test_top_is_the_head_of_a_stable_sort(values: list[float], limit: int) -> None:
    array = np.array(values, np.float32)
    expected = np.argsort(-array, kind="stable")[:limit]
    found = top(array, limit)
    assert found.tolist() == expected.tolist()
    assert found.dtype == np.int64


@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3), min_size=1))
def test_unit_scales_to_length_one_or_leaves_zero(rows: list[list[float]]) -> None:
    array = np.array(rows, np.float32)
    lengths = np.linalg.norm(unit(array), axis=1)
    for length, row in zip(lengths, array, strict=True):
        if np.abs(row).max() > 1e-15:
            assert length == pytest.approx(1.0, abs=1e-5)
        elif not row.any():
            assert length == 0.0


def test_unit_keeps_the_direction_and_gives_float32() -> None:
    found = unit(np.array([[3.0, 4.0], [0.0, -2.0]], np.float64))
    assert found.dtype == np.float32
    assert found.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, -1.0]]


def test_a_rank_counts_better_and_equal_scores() -> None:
    table = np.array([[0.9, 0.5, 0.5], [0.1, 0.2, 0.3], [1.0, 1.0, 1.0]], np.float32)
    assert ranks_of(table, np.array([1, 2, 0])).tolist() == [3, 1, 3]
