"""Directions in which judgements pull, for every held-out fold at once.

Each way of using judgements that the gate may choose is here a map from "which judgements
are kept" to a direction; the update is `query + step * direction`. Means of pulls are
linear in the kept judgements, so leaving each one out costs one matrix product instead of
one fit. Layer: feedback.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.core.vectors import Floats
from relook.feedback.evidence import Evidence, Judged
from relook.feedback.scorer import Doubles

__all__ = ["Pulls", "caption_pulls", "covariance", "image_pulls", "whiten"]


Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Pulls:
    """What each judgement would pull towards, and how pulls are averaged.

    Args:
        vectors: [n, d] one pull a judgement; zeros where it has nothing to say.
        weights: [n] above zero where it has.
        signs: [n] 1 or -1.
        caution: So many imagined judgements without content join each side's mean, which
            keeps one mark from moving the query as far as twenty do.
        irrelevant: Weight of the irrelevant side.
    """

    vectors: Doubles
    weights: Doubles
    signs: NDArray[np.int64]
    caution: float
    irrelevant: float

    def coefficients(self, kept: Flags) -> Doubles:
        """How much each pull counts when only some judgements are kept.

        Args:
            kept: [f, n]

        Returns:
            [f, n]
        """
        total = np.zeros(kept.shape)
        for sign, weight in ((1, 1.0), (-1, -self.irrelevant)):
            side = np.where(kept & (self.signs == sign), self.weights, 0.0)  # [f, n]
            total += weight * side / (side.sum(axis=1, keepdims=True) + self.caution)
        return total

    def directions(self, kept: Flags) -> Doubles:
        """[f, n] kept judgements -> [f, d] directions."""
        return np.asarray(self.coefficients(kept) @ self.vectors)


def image_pulls(
    evidence: Evidence, *, shrinkage: float, caution: float, irrelevant: float
) -> Pulls:
    """Pulls by what the judged pictures show, centred and whitened.

    A click shows the whole picture; a box shows its crop and the mean of the tiles in it.
    """
    centre = _centre(evidence.image_mean, evidence.dim)
    shown = np.stack([_shown(item) for item in evidence.items])  # [n, d]
    weights = np.array([item.weight for item in evidence.items])
    spread = evidence.covariance
    if spread is None:
        spread = covariance(evidence.background.reshape(-1, evidence.dim))
    pulls = whiten(shown - centre, spread, shrinkage)
    return Pulls(pulls, weights, _signs(evidence), caution, irrelevant)


def _shown(item: Judged) -> Doubles:
    tiles = item.tiles.astype(np.float64)  # [k, d]
    if not item.boxed or len(tiles) == 1:
        return np.asarray(tiles[0])
    return np.asarray((tiles[0] + tiles[1:].mean(axis=0)) / 2)


def caption_pulls(evidence: Evidence, *, caution: float, irrelevant: float) -> Pulls:
    """Pulls by the captions of what was judged, centred by the mean of texts."""
    centre = _centre(evidence.text_mean, evidence.dim)
    vectors = np.stack([_caption(item, centre) for item in evidence.items])  # [n, d]
    weights = np.array([_caption_weight(item) for item in evidence.items])
    return Pulls(vectors, weights, _signs(evidence), caution, irrelevant)


def _centre(mean: Floats | None, dim: int) -> Doubles:
    return np.zeros(dim) if mean is None else mean.astype(np.float64)


def _caption(item: Judged, centre: Doubles) -> Doubles:
    if item.caption is None:
        return np.zeros(len(centre))
    return np.asarray(item.caption.astype(np.float64) - centre)


def _caption_weight(item: Judged) -> float:
    return 0.0 if item.caption is None else item.weight * item.caption_weight


def _signs(evidence: Evidence) -> NDArray[np.int64]:
    return np.array([item.sign for item in evidence.items], dtype=np.int64)


# ---- which directions of the space to trust, measured on the library's own vectors


_PRIOR = 4


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
