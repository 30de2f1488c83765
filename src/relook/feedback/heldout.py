"""How judgements stand that a fit has not seen. Layer: feedback."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relook.core.vectors import Floats
from relook.feedback.evidence import Evidence
from relook.feedback.scorer import Doubles

__all__ = ["heights", "wholes"]


def heights(evidence: Evidence, vectors: Doubles, fold: NDArray[np.int64]) -> Doubles:
    """How far each relevant judgement stands above the background, in its deviations.

    Measured against random pictures rather than against the other judgements: those were
    all shown because the query liked them, so how they differ among each other says next
    to nothing about the pictures that were not shown (measured: correlation with the
    benefit on unseen pictures near 0, against .08 to .26 for this).

    Args:
        evidence: Judgements and background.
        vectors: [f, d] scorers; any length, a height does not change with it.
        fold: [p] which of them scores each relevant judgement.

    Returns:
        [p]
    """
    background = wholes(evidence).astype(np.float64)  # [b, d]
    against = background @ vectors.T  # [b, f]
    lengths = np.linalg.norm(vectors, axis=1)  # [f]
    middle, spread = np.zeros(len(vectors)), lengths
    if len(against) > 1:
        middle, deviation = against.mean(axis=0), against.std(axis=0)
        spread = np.where(deviation > 1e-9 * lengths, deviation, lengths)
    spread = np.where(spread > 0, spread, 1.0)
    found = np.empty(len(fold))
    for position, item in enumerate(evidence.relevant):
        at = int(fold[position])
        scores = item.tiles @ vectors[at]  # [k]
        scores[1:] *= evidence.tile_weight
        found[position] = (scores.max() - middle[at]) / spread[at]
    return found


def wholes(evidence: Evidence) -> Floats:
    """[b, d] whole-picture vectors of the background."""
    background = evidence.background
    if not background.size:
        return np.zeros((0, evidence.dim), dtype=np.float32)
    return background if background.ndim == 2 else background[:, 0]
