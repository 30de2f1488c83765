"""The list of a row: the nearest of few centres, nearly always the nearest of many."""

from pathlib import Path

import numpy as np
import pytest

from relook.core.vectors import Floats, unit
from relook.stores import nearest
from relook.stores.ivf_lists import Lists
from relook.stores.nearest import Nearest, directions_of, n_products

DIM, N_CENTRES = 128, 4_096


@pytest.fixture(scope="module")
def centres() -> Floats:
    """Centres that differ along some directions more than along others, as those of pictures do."""
    drawn = np.random.default_rng(3).standard_normal((N_CENTRES, DIM))
    return unit(drawn * np.linspace(2.0, 0.2, DIM))


@pytest.fixture(scope="module")
def rows(centres: Floats) -> Floats:
    random = np.random.default_rng(4)
    around = centres[random.integers(0, N_CENTRES, 500)]
    return unit(around + 0.05 * random.standard_normal((500, DIM)))


def test_few_centres_are_all_compared(centres: Floats, rows: Floats) -> None:
    few = centres[:1_000]
    assert directions_of(few) is None
    near, at = Nearest(few, directions_of(few)).of(rows)
    assert np.array_equal(at, (rows @ few.T).argmax(axis=1))
    assert np.allclose(near, (rows @ few.T).max(axis=1), atol=1e-6)


def test_of_many_centres_a_row_gets_one_that_is_nearest_or_nearly(
    centres: Floats, rows: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "BLOCK", 200 * N_CENTRES)  # several blocks
    directions = directions_of(centres)
    assert directions is not None
    assert directions.shape == (DIM, 96)
    near, at = Nearest(centres, directions).of(rows)
    products = rows @ centres.T
    assert np.allclose(near, np.take_along_axis(products, at[:, None], axis=1)[:, 0], atol=1e-5)
    assert np.mean(at == products.argmax(axis=1)) > 0.98
    assert np.mean(products.max(axis=1) - near) < 0.001


def test_many_lists_are_found_by_their_directions_and_kept_in_a_file(
    centres: Floats, rows: Floats, tmp_path: Path
) -> None:
    made = Lists.of(centres, np.zeros(N_CENTRES, np.float32))
    path = tmp_path / "lists.centres"
    made.write(path)
    for lists in (made, Lists.read(path)):
        near, found = lists.highest(rows, 10, 1.0)
        right = np.argsort(-(rows @ centres.T), axis=1)[:, :10]
        same = [len(np.intersect1d(*both)) for both in zip(found, right, strict=True)]
        assert np.mean(same) > 9.8
        assert np.allclose(near[:, 0], (rows @ centres.T).max(axis=1), atol=1e-5)
        assert np.array_equal(lists.centres, centres)
        assert np.array_equal(lists.assign(rows)[1], made.assign(rows)[1])


def test_the_work_is_told_as_it_is_done() -> None:
    assert n_products(1_000, 512) == 1_000 * 512
    assert n_products(65_536, 512) == 512 * (96 + 8) + 65_536 * 96
    assert n_products(65_536, 64) == 65_536 * 64
