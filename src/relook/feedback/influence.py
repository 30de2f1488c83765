"""What one judgement changed. Layer: feedback."""

from __future__ import annotations

from collections.abc import Callable

from relook.core.vectors import Floats
from relook.feedback.evidence import Evidence
from relook.feedback.scorer import Scorer

__all__ = ["influence"]


def influence(
    evidence: Evidence,
    fit: Callable[[Evidence], Scorer],
    judgement: int,
    vectors: Floats,
) -> Floats:
    """How much each vector's score is raised or lowered by one judgement.

    Exact for every strategy: the fit is done again as if the judgement had never been made.

    Args:
        evidence: With the judgement.
        fit: A strategy with its options bound.
        judgement: Its index.
        vectors: [n, d]

    Returns:
        [n] score with it minus score without it.
    """
    return fit(evidence).score(vectors) - fit(evidence.without(judgement)).score(vectors)
