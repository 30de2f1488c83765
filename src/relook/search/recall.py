"""How much of what an exact search finds the index finds, measured on a library. Layer: search."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from relook.core.converter import JsonValue
from relook.core.json_form import Digits, Key
from relook.core.vectors import Floats
from relook.library.files import LibraryFiles
from relook.stores.base import Store
from relook.stores.exact import exact_search

__all__ = ["Recall", "measure_recall", "sample_tiles"]

_BEST = 20
_SAME = 1e-5  # two tiles whose scores differ by less are as good as each other


@dataclass(frozen=True, slots=True)
class Recall(JsonValue):
    """What a search finds of the 20 best tiles.

    Args:
        n_queries: How many were asked.
        mean: Share of the best that was found, on average.
        worst: The same of the worst query.
        p50_ms: Median time of a search for 20 tiles.
    """

    n_queries: int
    mean: Annotated[float, Key("recall_at_20"), Digits(4)]
    worst: Annotated[float, Digits(4)]
    p50_ms: Annotated[float, Digits(3)]


def sample_tiles(files: LibraryFiles, n: int, seed: int = 17) -> Floats:
    """[n, d] tiles of the library as queries, drawn at random, the same ones every time."""
    alive = files.alive()
    rows = np.arange(len(files.vectors)) if alive is None else np.flatnonzero(alive)
    chosen = np.random.default_rng(seed).permutation(len(rows))[:n]
    return files.vectors.rows(np.sort(rows[chosen]))


def measure_recall(
    files: LibraryFiles,
    store: Store,
    queries: Floats,
    progress: Callable[[int, int], None] | None = None,
) -> Recall:
    """Compares a store with an exact search.

    Args:
        files: The library, at the moment the store is of.
        store: What is measured.
        queries: [q, d]
        progress: Told how many queries are done, of how many.
    """
    alive = files.alive()
    _, right = exact_search(files.vectors, queries, _BEST, alive)  # [q, 20]
    shares, taken = np.ones(len(queries)), np.zeros(len(queries))
    for q in range(len(queries)):
        began = time.perf_counter()
        _, scores = store.search(queries[q : q + 1], _BEST, alive)
        taken[q] = (time.perf_counter() - began) * 1e3
        # By scores: of tiles that are copies of each other any will do.
        last = right[q][np.isfinite(right[q])][-1:]
        if len(last):
            n_due = int(np.isfinite(right[q]).sum())
            n_found = int(np.count_nonzero(scores[0] >= last[0] - _SAME))
            shares[q] = min(n_found, n_due) / n_due
        if progress:
            progress(q + 1, len(queries))
    if not len(queries):
        return Recall(0, 1.0, 1.0, 0.0)
    return Recall(len(queries), float(shares.mean()), float(shares.min()), float(np.median(taken)))
