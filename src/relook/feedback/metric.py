"""Which directions of the space to trust: measured on the library's own vectors.

Layer: feedback.
"""

from __future__ import annotations

import numpy as np

from relook.core.vectors import Floats
from relook.feedback.scorer import Doubles

__all__ = ["covariance", "neighbourhood", "whiten"]

_PRIOR = 4


def neighbourhood(vectors: Floats, *, k: int = 10, sharpness: float = 0.03) -> Doubles:
    """How much a direction changes between neighbouring pictures, as a quadratic form.

    Args:
        vectors: [n, d] unit vectors, a sample of some thousands of the library's.
        k: Neighbours of each.
        sharpness: Cosine distance over which a neighbour's weight fades.

    Returns:
        [d, d] `X' L X / trace(L)` with L the Laplacian of the symmetric neighbour graph.

    Source: SeeSaw (arXiv 2208.06497), database alignment.
    """
    x = vectors.astype(np.float64)
    n = len(x)
    if n < 2:
        return np.zeros((x.shape[1], x.shape[1]))
    k = min(k, n - 1)
    similar = vectors @ vectors.T  # [n, n]
    np.fill_diagonal(similar, -np.inf)
    nearest = np.argpartition(-similar, k - 1, axis=1)[:, :k]  # [n, k]
    rows = np.repeat(np.arange(n), k)
    cosine = similar[rows, nearest.ravel()].astype(np.float64)
    weight = np.exp((cosine - 1.0) / sharpness)
    graph = np.zeros((n, n))
    graph[rows, nearest.ravel()] = weight
    graph = np.maximum(graph, graph.T)
    degree = graph.sum(axis=1)
    total = float(degree.sum()) or 1.0
    return np.asarray((x.T * degree) @ x - x.T @ graph @ x) / total


def covariance(vectors: Floats) -> Doubles:
    """How the library's vectors vary, shrunk towards the same in every direction.

    A few vectors say little about hundreds of directions: in a small library the very
    thing that is looked for would pass for ordinary variation. So `4 d` imagined vectors
    that vary evenly join the `n` there are.

    Args:
        vectors: [n, d]

    Returns:
        [d, d]; zeros for fewer than two vectors.

    Source: shrinkage towards a scaled identity (Ledoit and Wolf 2004) with a fixed prior
        strength, as of an inverse Wishart distribution.
    """
    n, d = vectors.shape[0], vectors.shape[-1]
    if n < 2:
        return np.zeros((d, d))
    x = vectors - vectors.mean(axis=0)  # [n, d]
    seen = (x.T @ x).astype(np.float64)
    even = np.trace(seen) / n / d * np.eye(d)
    return np.asarray((seen + _PRIOR * d * even) / (n + _PRIOR * d))


def whiten(vectors: Doubles, spread: Doubles, shrinkage: float) -> Doubles:
    """Vectors times the inverse covariance of the library, shrunk towards the identity.

    Directions in which pictures vary anyway say little about what a mark means; this
    turns them down. With C scaled to a mean variance of one, the result is
    `(1 + shrinkage) (C + shrinkage I)^-1 vectors`: an average direction keeps its length.

    Args:
        vectors: [n, d]
        spread: [d, d] from `covariance`; all zeros change nothing.
        shrinkage: Above zero; the larger, the less changes.

    Returns:
        [n, d]

    Source: linear discriminant analysis with a common covariance shrunk towards the
        identity (Ledoit and Wolf 2004 for the form), here for the step, not the query.
    """
    dim = vectors.shape[1]
    mean_variance = float(np.trace(spread)) / dim
    if mean_variance <= 0:
        return vectors
    metric = spread / mean_variance + shrinkage * np.eye(dim)
    return np.asarray((1 + shrinkage) * np.linalg.solve(metric, vectors.T).T)
