"""The contract of the store seam, as checks against brute force. Layer: testing.

The oracle is a matrix product in float64. Vectors are numbers that float16 holds exactly,
so a store may keep them at that precision and has no excuse for another score.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.core.vectors import Floats, Ints, unit
from relook.library.files import LibraryFiles
from relook.stores.base import Mask, Store
from relook.testing.contract import TOLERANCE, close_to, require

_LIMIT = 20


class MemorySource:
    """Rows in memory, as a `VectorSource`.

    Args:
        vectors: [n, d]
    """

    def __init__(self, vectors: Floats) -> None:
        self.vectors = np.asarray(vectors, np.float32)

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.vectors)

    def block(self, start: int, stop: int) -> Floats:
        return self.vectors[start:stop]

    def rows(self, rows: Ints) -> Floats:
        return self.vectors[rows]


@dataclass(frozen=True)
class _Case:
    """One question and what brute force says about it."""

    name: str
    queries: Floats
    limit: int
    allowed: Mask | None = None


def check_store(
    make: Callable[[Floats], Store],
    *,
    n_rows: int = 2_000,
    dim: int = 16,
    min_recall: float = 1.0,
    tiny: bool = True,
    seed: int = 11,
) -> None:
    """Runs the contract of the store seam.

    Args:
        make: Makes a store of the rows [n, d] it is given.
        n_rows: Rows of the large cases; choose so many that the store's index is used.
        dim: Length d of a row.
        min_recall: Share of the true best rows that a search returns on average. Below 1 only
            for approximate stores; the scores of what they return must be exact all the same.
        tiny: Whether the store can be made of 0, 1 and 7 rows.
        seed: Of the data.

    Raises:
        ContractError: with the first promise that is broken.
    """
    rng = np.random.default_rng(seed)
    for n in (0, 1, 7) if tiny else ():
        vectors = _vectors(rng, n, dim)
        _check_cases(make, vectors, [_Case(f"{n} rows", _vectors(rng, 3, dim), 5)], 1.0)
    vectors = _vectors(rng, n_rows, dim)
    _check_cases(make, vectors, _cases(rng, n_rows, dim), min_recall)
    _check_ties(make, rng, n_rows, dim)
    _check_batches(make, vectors, _vectors(rng, 6, dim))


def _vectors(rng: np.random.Generator, n: int, dim: int) -> Floats:
    return unit(rng.standard_normal((n, dim))).astype(np.float16).astype(np.float32)


def _cases(rng: np.random.Generator, n: int, dim: int) -> list[_Case]:
    queries = _vectors(rng, 8, dim)
    half = rng.random(n) < 0.5
    few, single, last = (np.zeros(n, np.bool_) for _ in range(3))
    few[rng.choice(n, 5, replace=False)] = True
    single[n // 2] = True
    last[-3:] = True
    return [
        _Case("all rows", queries, _LIMIT),
        _Case("limit 1", queries, 1),
        _Case("limit of all rows", queries[:2], n),
        _Case("limit beyond all rows", queries[:2], n + 10),
        _Case("a mask that allows all", queries, _LIMIT, np.ones(n, np.bool_)),
        _Case("a mask that allows half", queries, _LIMIT, half),
        _Case("a mask that allows the other half", queries, _LIMIT, ~half),
        _Case("a mask that allows five", queries, _LIMIT, few),
        _Case("a mask that allows one", queries, _LIMIT, single),
        _Case("a mask that allows the last three", queries, 2, last),
        _Case("a mask that allows none", queries, _LIMIT, np.zeros(n, np.bool_)),
    ]


def _check_cases(
    make: Callable[[Floats], Store], vectors: Floats, cases: list[_Case], min_recall: float
) -> None:
    store = make(vectors)
    try:
        require(len(store) == len(vectors), "len is the number of rows", len(store))
        for case in cases:
            rows, scores = store.search(case.queries, case.limit, case.allowed)
            recall = _check_result(case, vectors, rows, scores)
            promise = f"{case.name}: recall is at least {min_recall}"
            require(recall >= min_recall - 1e-9, promise, round(recall, 4))
    finally:
        store.close()
    store.close()  # a second time is fine


def _check_result(case: _Case, vectors: Floats, rows: Ints, scores: Floats) -> float:
    """Everything that must hold exactly; returns the recall."""
    name, n = case.name, len(vectors)
    shape = (len(case.queries), min(case.limit, n))
    require(rows.shape == shape, f"{name}: rows are [q, min(limit, n)]", rows.shape)
    require(scores.shape == shape, f"{name}: scores are [q, min(limit, n)]", scores.shape)
    require(rows.dtype == np.int64, f"{name}: rows are int64", rows.dtype)
    require(scores.dtype == np.float32, f"{name}: scores are float32", scores.dtype)
    truth = case.queries.astype(np.float64) @ vectors.T.astype(np.float64)  # [q, n]
    if case.allowed is not None:
        truth[:, ~case.allowed] = -np.inf
    n_allowed = n if case.allowed is None else int(case.allowed.sum())
    n_due = min(shape[1], n_allowed)
    recalls = [
        _check_row(name, truth[q], rows[q], scores[q], n_due) for q in range(len(case.queries))
    ]
    return float(np.mean(recalls))


def _check_row(
    name: str, truth: NDArray[np.float64], rows: Ints, scores: Floats, n_due: int
) -> float:
    due, rest = rows[:n_due], rows[n_due:]
    require(bool((due >= 0).all()), f"{name}: {n_due} rows are returned", rows[:n_due].tolist())
    require(bool((rest == -1).all()), f"{name}: -1 where fewer are allowed", rest.tolist())
    require(bool(np.isneginf(scores[n_due:]).all()), f"{name}: -inf beside a -1")
    require(bool((due < len(truth)).all()), f"{name}: rows exist", due.tolist())
    require(len(np.unique(due)) == n_due, f"{name}: no row comes twice", due.tolist())
    require(bool(np.isfinite(truth[due]).all()), f"{name}: only allowed rows", due.tolist())
    close_to(
        scores[:n_due].astype(np.float32),
        truth[due].astype(np.float32),
        f"{name}: a score is the inner product with the row beside it",
    )
    falling = bool((np.diff(scores[:n_due]) <= 0).all())
    require(falling, f"{name}: best first", scores[:n_due].tolist()[:10])
    if n_due == 0:
        return 1.0
    edge = np.partition(truth, len(truth) - n_due)[len(truth) - n_due]  # the last that is due
    return float(np.mean(truth[due] >= edge - TOLERANCE))


def _check_ties(
    make: Callable[[Floats], Store], rng: np.random.Generator, n: int, dim: int
) -> None:
    """Copies of one vector all count: none is left out for being equal to another."""
    vectors = _vectors(rng, n, dim)
    copies = rng.choice(n, _LIMIT, replace=False)
    vectors[copies] = _vectors(rng, 1, dim)[0]
    query = vectors[copies[:1]]
    store = make(vectors)
    try:
        rows, _ = store.search(query, _LIMIT)
    finally:
        store.close()
    ids = sorted(rows[0].tolist())
    require(ids == sorted(copies.tolist()), "all rows of equal score are returned", ids)


def _check_batches(make: Callable[[Floats], Store], vectors: Floats, queries: Floats) -> None:
    store = make(vectors)
    try:
        _, scores = store.search(queries, _LIMIT)
        for q in range(len(queries)):
            _, own_scores = store.search(queries[q : q + 1], _LIMIT)
            close_to(own_scores[0], scores[q], "a query's scores do not depend on its batch")
    finally:
        store.close()


def content_of(files: LibraryFiles) -> dict[bytes, tuple[object, ...]]:
    """What a library holds of every image, by path: two that were made apart compare equal.

    Ids and the places of rows, which depend on the order of work, are left out.
    """
    files.refresh(now=True)
    return {
        image.facts.path: (
            image.content, image.dhash, image.width_px, image.height_px, image.format, image.title,
            image.caption, image.metadata, image.facts,
            files.vectors.block(image.first_row, image.first_row + image.n_tiles).tobytes(),
        )
        for image in files.catalog.each_image()
    }  # fmt: skip
