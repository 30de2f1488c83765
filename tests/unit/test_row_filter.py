"""Rows that may be found, as expressions: every allowed row once, and no other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from relook.cluster.milvus import row_parts

N = 40
MASKS = arrays.arrays(np.bool_, N)


def let_through(expression: str, rows: range) -> list[int]:
    """An expression of ours is Python, too."""
    return [row for row in rows if eval(expression, {"row": row})]


@given(MASKS, MASKS, st.integers(0, 3), st.integers(1, 9))
def test_each_allowed_row_once_and_no_other_that_is_there(
    allowed: np.ndarray, absent: np.ndarray, most_ranges: int, most_listed: int
) -> None:
    absent &= ~allowed
    parts = row_parts(N, allowed, absent, most_ranges=most_ranges, most_listed=most_listed)
    there = [row for row in range(N + 5) if row >= N or not absent[row]]
    found = [
        [row for row in let_through(p.expression, range(N + 5)) if row in there] for p in parts
    ]
    assert sorted(row for rows in found for row in rows) == np.flatnonzero(allowed).tolist()
    assert [len(rows) for rows in found] == [part.n for part in parts]


def test_the_shortest_way_to_say_it() -> None:
    everything = np.ones(N, np.bool_)
    assert [part.expression for part in row_parts(N)] == ["row < 40"]
    assert row_parts(N, everything) == row_parts(N)
    assert row_parts(N, ~everything) == []
    one_folder = everything.copy()
    one_folder[:10] = one_folder[20:] = False
    assert row_parts(N, one_folder)[0].expression == "(row >= 10 and row < 20)"
    shown = everything.copy()
    shown[::3] = False
    assert row_parts(N, shown, most_ranges=3)[0].expression.startswith(
        "row < 40 and row not in [0,"
    )
    assert row_parts(N, shown, ~shown, most_ranges=3)[0].expression == "row < 40"


def test_a_list_has_an_end() -> None:
    few = np.zeros(N, np.bool_)
    few[1:30:2] = True
    parts = row_parts(N, few, most_ranges=2, most_listed=6)
    assert [part.n for part in parts] == [6, 6, 3]
    assert parts[0].expression == "row in [1, 3, 5, 7, 9, 11]"


@pytest.mark.parametrize("n_rows", [0, 1])
def test_hardly_any_rows(n_rows: int) -> None:
    assert sum(part.n for part in row_parts(n_rows)) == n_rows
