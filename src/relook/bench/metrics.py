"""Figures for rankings and sequences of shown images. Pure arrays. Layer: bench."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.core.converter import JsonValue

Flags = NDArray[np.bool_]


def found_share(hits: Flags, n_relevant: int, n: int) -> float:
    """Share of the images that could be found among the first `n` shown, that were.

    Args:
        hits: [s] whether each shown image is relevant, in the order shown.
        n_relevant: How many images of the collection are relevant.
        n: How many shown images count.

    Returns:
        Found divided by `min(n, n_relevant)`; 0 when nothing is relevant.
    """
    possible = min(n, n_relevant)
    return float(hits[:n].sum()) / possible if possible else 0.0


def sequence_ap(hits: Flags, n_relevant: int) -> float:
    """Average precision of everything shown, in the order shown, over all pages.

    Args:
        hits: [s] whether each shown image is relevant, in the order shown.
        n_relevant: How many images of the collection are relevant.

    Returns:
        The precision at each relevant image, summed and divided by `min(s, n_relevant)`.

    Source: SeeSaw (arXiv 2208.06497, section 5), whose R is min(10, n_relevant) because
        its user stops at ten; this one looks at every page.
    """
    possible = min(len(hits), n_relevant)
    if not possible:
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)  # [s]
    return float(precision[hits].sum()) / possible


def ndcg(hits: Flags, n_relevant: int, n: int) -> float:
    """Normalised discounted cumulative gain of the first `n`, with binary gains.

    Args:
        hits: [s] whether each ranked image is relevant, best first.
        n_relevant: How many of the ranked collection are relevant.
        n: Cut.

    Source: Järvelin and Kekäläinen 2002, with the usual log2(rank + 1) discount.
    """
    discount = 1.0 / np.log2(np.arange(2, n + 2))  # [n]
    best = discount[: min(n, n_relevant)].sum()
    gains = hits[:n].astype(np.float64)
    return float((gains * discount[: len(gains)]).sum() / best) if best else 0.0


@dataclass(frozen=True, slots=True)
class Interval(JsonValue):
    """A mean with its paired bootstrap interval."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: NDArray[np.float64], *, n_samples: int = 2000, share: float = 0.95, seed: int = 0
) -> Interval:
    """The mean of per-query values (or paired differences) and its percentile interval.

    Args:
        values: [q] one number a query.
        n_samples: How many times the queries are drawn with replacement.
        share: Mass inside the interval.
        seed: Of the draws.

    Source: Efron's percentile bootstrap over queries; differences of two arms on the same
        queries make it paired.
    """
    if not len(values):
        return Interval(0.0, 0.0, 0.0)
    draws = np.random.default_rng(seed).integers(0, len(values), (n_samples, len(values)))
    means = values[draws].mean(axis=1)  # [n_samples]
    tail = (1.0 - share) / 2
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Interval(float(values.mean()), float(low), float(high))
