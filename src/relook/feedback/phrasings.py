"""What the person may have meant: how people put such a thing into words.

A query of a word or two says little. An encoder can bring vectors of how people describe
pictures; those near the query are readings of it, and the judged pictures say which of
them fit. Layer: feedback.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relook.feedback.directions import Flags
from relook.feedback.evidence import Evidence
from relook.feedback.heldout import wholes
from relook.feedback.scorer import Doubles

__all__ = ["PhrasingOptions", "Readings", "readings"]


@dataclass(frozen=True, slots=True)
class PhrasingOptions:
    """How phrasings are weighed.

    Args:
        nearest: So many phrasings near the query are looked at.
        focus: How fast a phrasing's weight falls with its cosine to the query.
        slope: How much a judged picture says, per deviation of the library's scores.
        typical: How many deviations above the middle a picture that fits stands.
    """

    nearest: int = 300
    focus: float = 40.0
    slope: float = 0.5
    typical: float = 1.5


STANDARD = PhrasingOptions()


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Phrasings near the query, and how well each fits each judgement.

    Args:
        vectors: [c, d] scaled so that their scores vary as much as the query's do.
        prior: [c] log weight by nearness to the query.
        fits: [n, c] log likelihood of each judgement under each phrasing.
    """

    vectors: Doubles
    prior: Doubles
    fits: Doubles

    def directions(self, kept: Flags) -> Doubles:
        """The mean phrasing under the judgements that are kept: [f, n] -> [f, d]."""
        logits = self.prior + kept.astype(np.float64) @ self.fits  # [f, c]
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray((weights / weights.sum(axis=1, keepdims=True)) @ self.vectors)


def readings(evidence: Evidence, options: PhrasingOptions = STANDARD) -> Readings | None:
    """The readings of a query, or None where the encoder brings no phrasings.

    A phrasing is a hypothesis: a picture's standard score z under it makes the picture
    relevant with probability `sigmoid(slope (z - typical))`. Its posterior weight is the
    product over the judgements times `exp(focus cos(query, phrasing))`.

    Source: ours; a posterior over readings in the manner of PicHunter (Cox et al. 2000),
        with phrasings for hypotheses instead of pictures.
    """
    background = wholes(evidence).astype(np.float64)  # [b, d]
    if not len(evidence.phrasings) or len(background) < 2 or not evidence.items:
        return None
    query = evidence.query.astype(np.float64)
    near, cosine = _nearest(evidence, options.nearest)
    scores = background @ near.T  # [b, c]
    middle, spread = scores.mean(axis=0), np.maximum(scores.std(axis=0), 1e-9)
    shown = np.stack([item.tiles[0] for item in evidence.items]).astype(np.float64)  # [n, d]
    chance = options.slope * ((shown @ near.T - middle) / spread - options.typical)  # [n, c]
    signs = np.array([item.sign for item in evidence.items], dtype=np.float64)
    weights = np.array([item.weight for item in evidence.items])
    fits = -weights[:, None] * np.logaddexp(0.0, -signs[:, None] * chance)
    scale = float((background @ query).std())
    return Readings(near * (scale / spread)[:, None], options.focus * cosine, fits)


def _nearest(evidence: Evidence, n: int) -> tuple[Doubles, Doubles]:
    """The phrasings nearest to the query [c, d], and their centred cosines [c]."""
    centre = np.zeros(evidence.dim) if evidence.text_mean is None else evidence.text_mean
    query = evidence.query - centre
    centred = evidence.phrasings - centre  # [p, d]
    lengths = np.linalg.norm(centred, axis=1) * np.linalg.norm(query)
    cosine = (centred @ query) / np.maximum(lengths, 1e-9)
    first = np.argsort(-cosine, kind="stable")[:n]
    return evidence.phrasings[first].astype(np.float64), cosine[first].astype(np.float64)
