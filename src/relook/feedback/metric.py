"""Which directions of the space to trust: measured on the library's own vectors.

Layer: feedback.
"""

from __future__ import annotations

import numpy as np

from relook.core.vectors import Floats
from relook.feedback.scorer import Doubles

__all__ = ["neighbourhood", "whiten"]


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


def whiten(vectors: Doubles, sample: Floats, shrinkage: float) -> Doubles:
    """Vectors times the inverse covariance of the library, shrunk towards the identity.

    Directions in which pictures vary anyway say little about what a mark means; this
    turns them down. With C the sample's covariance scaled to a mean variance of one, the
    result is `(1 + shrinkage) (C + shrinkage I)^-1 vectors`, so that an average direction
    keeps its length. Worked out in the sample's span (Woodbury), where a few hundred
    pictures cost a millisecond or two.

    Args:
        vectors: [n, d]
        sample: [s, d] pictures of the library; with fewer than two nothing changes.
        shrinkage: Above zero; the larger, the less changes.

    Returns:
        [n, d]

    Source: linear discriminant analysis with a shrunk common covariance (Ledoit and Wolf
        2004 for the form; the constant is ours), here for the step and not for the query.
    """
    if len(sample) < 2:
        return vectors
    x = sample.astype(np.float64)
    x -= x.mean(axis=0)
    scale = float((x * x).sum()) / x.shape[1]  # mean variance times s
    if scale <= 0:
        return vectors
    inner = x @ x.T / scale + shrinkage * np.eye(len(x))  # [s, s]
    inside = np.linalg.solve(inner, (x @ vectors.T) / scale)  # [s, n]
    return np.asarray((vectors - inside.T @ x) * ((1 + shrinkage) / shrinkage))
