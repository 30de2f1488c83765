"""How far a search looks where an index was built without words to measure with."""

from pathlib import Path

import numpy as np
import pytest

from relook.core.vectors import Floats, unit
from relook.stores import ExactStore
from relook.stores.faiss_store import FaissStore
from relook.stores.ivf_build import build_index
from relook.stores.ivf_files import Card
from relook.stores.ivf_lists import NEAR_REACH
from relook.stores.plan import plan_index
from relook.testing import MemorySource

DIM, N_CLUSTERS, N_EACH = 64, 300, 100


@pytest.fixture(scope="module")
def clusters() -> Floats:
    return unit(np.random.default_rng(8).standard_normal((N_CLUSTERS, DIM)))


def near(clusters: Floats, seed: int) -> Floats:
    """[N_CLUSTERS * N_EACH, DIM] around the centres of clusters."""
    noise = np.random.default_rng(seed).standard_normal((N_CLUSTERS * N_EACH, DIM))
    return unit(np.repeat(clusters, N_EACH, axis=0) + 0.08 * noise)


@pytest.fixture(scope="module")
def built(clusters: Floats, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MemorySource]:
    source, folder = MemorySource(near(clusters, seed=1)), tmp_path_factory.mktemp("ann")
    build_index(source, folder, plan_index(len(source), DIM, kind="pq4", exact_rows=100))
    return folder, source


def reached(built: tuple[Path, MemorySource], queries: Floats) -> Floats:
    folder, source = built
    return FaissStore(source, folder, 200)._lists.highest(queries, 1, NEAR_REACH)[0][:, 0]


def test_a_query_as_the_rows_are_is_near(
    built: tuple[Path, MemorySource], clusters: Floats
) -> None:
    probes = Card.read(built[0], 0).probes
    far = reached(built, near(clusters, seed=2)) < probes.edge
    assert far.mean() < 0.02  # each of those looks into an eighth of the lists
    assert probes.near_lists < probes.far_lists


def test_a_query_unlike_all_rows_is_far_and_its_rows_are_found(
    built: tuple[Path, MemorySource],
) -> None:
    folder, source = built
    strange = unit(np.random.default_rng(3).standard_normal((50, DIM)))
    assert (reached(built, strange) < Card.read(folder, 0).probes.edge).all()
    found, _ = FaissStore(source, folder, 2_000).search(strange, 20)
    right, _ = ExactStore(source).search(strange, 20)
    shares = [np.isin(*pair).mean() for pair in zip(right, found, strict=True)]
    assert np.mean(shares) > 0.95
