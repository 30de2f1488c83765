"""Searching takes one thread for matrix products, whatever the process has, and gives them back."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from session_parts import bars, id_of, library_of_bars  # noqa: F401  (two are fixtures)
from threadpoolctl import threadpool_info, threadpool_limits

import relook
from relook.core import threads
from relook.core.threads import in_one_thread
from relook.core.vectors import Floats, unit
from relook.search.engine import Engine
from relook.stores.faiss_store import FaissStore
from relook.stores.ivf_build import build_index
from relook.stores.plan import plan_index
from relook.testing import ColourEncoder, MemorySource


@pytest.fixture(autouse=True)
def several() -> Iterator[None]:
    """A process whose BLAS has three threads, however many cores there are."""
    threads._blas.cache_clear()  # other tests have loaded libraries that no search needs
    with threadpool_limits(limits=3, user_api="blas"):
        assert n_threads() == {3}
        yield
        assert n_threads() == {3}, "they were not given back"


def n_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_who_comes_meanwhile_leaves_the_number_alone() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with in_one_thread():
            inside.set()
            leave.wait()

    with in_one_thread():
        thread = threading.Thread(target=other)
        thread.start()
        inside.wait()
        with in_one_thread():
            assert n_threads() == {1}
        assert n_threads() == {1}
    assert n_threads() == {3}, "the first has left"
    leave.set()
    thread.join()


def test_an_error_gives_the_threads_back() -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            _fails()
        assert n_threads() == {3}


@in_one_thread()
def _fails() -> float:
    assert n_threads() == {1}
    return 1 / 0


def test_words_are_searched_in_one_thread(
    library: relook.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _watched(monkeypatch, ColourEncoder, "encode_texts")
    library.search("red")
    assert seen
    assert set().union(*seen) == {1}


def test_a_round_is_fitted_and_searched_in_one_thread(
    library: relook.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = library.look("red", limit=2)
    session.judge(id_of(library, "2.png"), relevant=True)
    seen = _watched(monkeypatch, Engine, "rank_with")
    session.again("rocchio")
    assert seen == [{1}]


def _watched(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[set[int]]:
    """How many threads there are at each call of a method."""
    seen: list[set[int]] = []
    plain: Callable[..., Any] = getattr(owner, name)

    def method(*given: Any, **named: Any) -> Any:
        seen.append(n_threads())
        return plain(*given, **named)

    monkeypatch.setattr(owner, name, method)
    return seen


def test_faiss_is_asked_in_one_thread_and_keeps_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = unit(np.random.default_rng(5).standard_normal((21_000, 16)))
    source, plan = MemorySource(vectors), plan_index(len(vectors), 16, exact_rows=10_000)
    build_index(source, tmp_path / "ann", plan)
    store, seen = FaissStore(source, tmp_path / "ann", 100), []
    plain = store._lists.highest

    def highest(queries: Floats, n: int, reach: float) -> Any:
        seen.append(faiss.omp_get_max_threads())
        return plain(queries, n, reach)

    monkeypatch.setattr(store._lists, "highest", highest)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        store.search(vectors[:2], 5)
        assert set(seen) == {1}
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)
