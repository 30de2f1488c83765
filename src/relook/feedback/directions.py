"""Directions in which judgements pull, for every held-out fold at once.

Each way of using judgements that the gate may choose is here a map from "which judgements
are kept" to a direction; the update is `query + step * direction`. Means of pulls are
linear in the kept judgements, so leaving each one out costs one matrix product instead of
one fit. Layer: feedback.

Here too is what the means are weighed by: how high a held-out judgement stands above random
pictures, which directions of the space to trust (the covariance of the library's own vectors), and
the phrasings. A query of a word or two says little. An encoder can bring vectors of how people
describe pictures; those near the query are readings of it, and the judged pictures say which of
them fit.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relook.core.vectors import Floats
from relook.feedback.judged import Evidence, Judged
from relook.feedback.scorer import Doubles

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

    def times(self, factors: Doubles) -> "Pulls":
        """The same, with each judgement pulling so many times as far: factors [n]."""
        return replace(self, vectors=self.vectors * factors[:, None])

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
    evidence: Evidence, *, shrinkage: float, caution: float, irrelevant: float, part: float
) -> Pulls:
    """Pulls by what the judged pictures show, centred and whitened.

    A click shows the whole picture and, with a share of `part`, its tile that fits the query best;
    a box shows its crop and the mean of the tiles in it.
    """
    centre = _centre(evidence.image_mean, evidence.dim)
    shown = np.stack([_shown(item, evidence, part) for item in evidence.items])  # [n, d]
    weights = np.array([item.weight for item in evidence.items])
    spread = evidence.covariance
    if spread is None:
        spread = covariance(evidence.background.reshape(-1, evidence.dim))
    pulls = whiten(shown - centre, spread, shrinkage)
    return Pulls(pulls, weights, _signs(evidence), caution, irrelevant)


def _shown(item: Judged, evidence: Evidence, part: float) -> Doubles:
    tiles = item.tiles.astype(np.float64)  # [k, d]
    if len(tiles) == 1:
        return np.asarray(tiles[0])
    if item.boxed:
        return np.asarray((tiles[0] + tiles[1:].mean(axis=0)) / 2)
    scores = tiles @ evidence.query  # [k]
    scores[1:] *= evidence.tile_weight
    return np.asarray((1 - part) * tiles[0] + part * tiles[scores.argmax()])


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
    result = np.empty(len(fold))
    for position, item in enumerate(evidence.relevant):
        at = int(fold[position])
        scores = item.tiles @ vectors[at]  # [k]
        scores[1:] *= evidence.tile_weight
        result[position] = (scores.max() - middle[at]) / spread[at]
    return result


def wholes(evidence: Evidence) -> Floats:
    """[b, d] whole-picture vectors of the background."""
    background = evidence.background
    if not background.size:
        return np.zeros((0, evidence.dim), dtype=np.float32)
    return background if background.ndim == 2 else background[:, 0]


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
