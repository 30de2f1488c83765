"""The search for one particular picture, as a running guess over all candidates.

What was shown and not picked is a comparison, not a rejection: the target is probably
nearer to the picked picture than to the others. Not linear, so no vector and no index:
every candidate is scored. Layer: feedback.
"""

from dataclasses import dataclass

import numpy as np

from relook.core.vectors import Floats
from relook.feedback.judged import Evidence
from relook.feedback.scorer import Contribution, Doubles


@dataclass(frozen=True, slots=True)
class BayesOptions:
    """Constants of the update.

    Args:
        sigma: Distance (1 - cosine) over which likeness fades.
        temperature: Of the prior, which is exp(query score / temperature).
        others: How many irrelevant pictures each relevant one is compared with, newest
            first.
    """

    sigma: float = 0.25
    temperature: float = 0.05
    others: int = 64


STANDARD = BayesOptions()


@dataclass(frozen=True, slots=True, eq=False)
class BayesScorer:
    """Log of the prior plus one comparison for each relevant picture.

    Args:
        query: [d] the first query.
        liked: [l, d] vectors of the relevant pictures.
        weights: [l] their weights.
        others: [o, d] vectors of pictures that were shown and not meant.
        options: Constants.
    """

    query: Floats
    liked: Floats
    weights: Doubles
    others: Floats
    options: BayesOptions
    notes: tuple[str, ...] = ()

    @property
    def vector(self) -> None:
        """None: the score is not a dot product."""
        return None

    @property
    def parts(self) -> tuple[Contribution, ...]:
        """Empty: there is no vector to take apart."""
        return ()

    def score(self, vectors: Floats) -> Floats:
        """Log posterior up to a constant: [n, d] -> [n]; the query's own order at first."""
        prior = vectors @ self.query  # [n]
        if not len(self.liked):
            return prior
        near = (vectors @ self.liked.T).astype(np.float64) / self.options.sigma  # [n, l]
        rest = np.full(len(vectors), -np.inf)  # [n] log of the others' summed likeness
        if len(self.others):
            far = (vectors @ self.others.T).astype(np.float64) / self.options.sigma  # [n, o]
            rest = np.logaddexp.reduce(far, axis=1)
        else:
            rest = np.zeros(len(vectors))
        likelihood = near - np.logaddexp(near, rest[:, None])  # [n, l]
        log = prior / self.options.temperature + likelihood @ self.weights
        return (log * self.options.temperature).astype(np.float32)


def bayes(evidence: Evidence, options: BayesOptions = STANDARD) -> BayesScorer:
    """A guess at the one picture that is meant, from what was called nearer to it.

    Source: PicHunter (Cox et al. 2000) as in SOMHunter's RelevanceScores.cpp: each liked
        l multiplies a candidate's score by e(l) / (e(l) + sum over others of e(o)) with
        e(x) = exp(-distance / sigma). Without others, one at distance 1 stands in.
    """
    dim = evidence.dim
    liked = [item.tiles[0] for item in evidence.relevant]
    others = [item.tiles[0] for item in evidence.irrelevant][-options.others :]
    empty = np.zeros((0, dim), dtype=np.float32)
    return BayesScorer(
        evidence.query,
        np.stack(liked) if liked else empty,
        np.array([item.weight for item in evidence.relevant], dtype=np.float64),
        np.stack(others) if others else empty,
        options,
    )
