"""Retrieval figures from score matrices. Pure numpy."""

import numpy as np


def best_tile(queries: np.ndarray, tiles: np.ndarray, weight: float) -> np.ndarray:
    """An image's score is its best tile's: [q,d], [n,t,d] -> [q,n].

    Args:
        queries: unit vectors.
        tiles: unit vectors, tile 0 the whole picture.
        weight: multiplies the scores of the tiles above 0; zero leaves tile 0 alone.
    """
    whole = queries @ tiles[:, 0].T
    if weight == 0.0 or tiles.shape[1] == 1:
        return whole
    scores = [whole] + [weight * (queries @ tiles[:, t].T) for t in range(1, tiles.shape[1])]
    return np.max(scores, axis=0)


def recall(scores: np.ndarray, target: np.ndarray, ks: tuple[int, ...] = (1, 5, 10)) -> list[float]:
    """Share of queries whose target [q] stands among the first k columns, for each k."""
    own = scores[np.arange(len(scores)), target]
    above = (scores > own[:, None]).sum(1)
    return [round(float((above < k).mean()), 4) for k in ks]


def average_precision(scores: np.ndarray, relevant: list[int]) -> float:
    """Average precision of one query's scores [n]."""
    hit = np.zeros(len(scores))
    hit[relevant] = 1.0
    hit = hit[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return float((precision * hit).sum() / len(relevant))


def found(scores: np.ndarray, relevant: list[int], k: int = 40) -> float:
    """Share of the relevant pictures (at most k of them) among the first k."""
    first = np.argsort(-scores, kind="stable")[:k]
    return len(set(first.tolist()) & set(relevant)) / min(k, len(relevant))
