"""Pseudo-relevance feedback: the first page judges itself. For comparison only.

Layer: feedback.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relook.feedback.evidence import Evidence
from relook.feedback.scorer import Contribution, Doubles, LinearScorer, linear

__all__ = ["PrfOptions", "prf"]


@dataclass(frozen=True, slots=True)
class PrfOptions:
    """The paper's constants.

    Args:
        query, relevant, irrelevant: Weights of the query, and of the two summaries.
        depth: How many of the first page's pictures are summarised.
        temperature: Of the softmax over their scores.
    """

    query: float = 0.8
    relevant: float = 0.1
    irrelevant: float = 0.1
    depth: int = 5
    temperature: float = 0.05


STANDARD = PrfOptions()


def prf(evidence: Evidence, options: PrfOptions = STANDARD) -> LinearScorer:
    """Moves the query by its own first page; judgements are ignored.

    With w the softmax of the scores, the positive summary is `sum w f` and the negative
    one `sum (1 - w) f`, both scaled to length one. Without a first page (or on it), the
    query stands alone.

    Source: arXiv 2511.17255, equations 2 to 4, PRF variant (constants from its code).
    """
    query = evidence.query.astype(np.float64)
    first = Contribution("query", options.query * query)
    page = evidence.first_page[: options.depth].astype(np.float64)  # [k, d]
    if not len(page):
        return linear([first])
    logits = page @ query / options.temperature  # [k]
    weights = np.exp(logits - logits.max())
    weights /= weights.sum()
    toward = _unit(weights @ page)
    away = _unit((1 - weights) @ page)
    return linear(
        [
            first,
            Contribution("first page, likely", options.relevant * toward),
            Contribution("first page, unlikely", -options.irrelevant * away),
        ]
    )


def _unit(vector: Doubles) -> Doubles:
    norm = np.linalg.norm(vector)
    return np.asarray(vector / norm if norm > 0 else vector)
