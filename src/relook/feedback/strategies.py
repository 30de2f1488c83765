"""Every way of using judgements, by name. Layer: feedback."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from relook.core.errors import NotFoundError
from relook.core.settings import FeedbackSettings
from relook.core.vectors import Floats
from relook.feedback.gate import AutoOptions, auto
from relook.feedback.judged import Evidence
from relook.feedback.probe import ProbeOptions, probe
from relook.feedback.rocchio import (
    PAPER,
    VISUALREF,
    RegionOptions,
    RocchioOptions,
    by_words,
    caption_rocchio,
    region,
    rocchio,
)
from relook.feedback.scorer import Contribution, Doubles, LinearScorer, Scorer, linear
from relook.feedback.summaries import AfsOptions, SummaryOptions, afs, prf


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


@dataclass(frozen=True, slots=True)
class NoOptions:
    """Nothing to set."""


NOTHING = NoOptions()


def none(evidence: Evidence, options: NoOptions = NOTHING) -> LinearScorer:
    """The first query, whatever was judged."""
    return linear([Contribution("query", evidence.query.astype(np.float64))])


@dataclass(frozen=True, slots=True)
class Strategy:
    """One row of the table.

    Args:
        name: What a person types.
        function: (evidence, options) -> scorer.
        options: Its options with the values that this name stands for.
        summary: One line for help texts.
    """

    name: str
    function: Callable[[Evidence, Any], Scorer]
    options: Any
    summary: str

    @property
    def is_chained(self) -> bool:
        """Whether a round starts from the query of the round before."""
        return getattr(self.options, "rounds", "refit") != "refit"

    @property
    def reads_lengths(self) -> bool:
        """Whether words are to be as long as the text tower makes them."""
        return bool(getattr(self.options, "lengths", False)) and self.function is caption_rocchio

    def __call__(self, evidence: Evidence) -> Scorer:
        """Fits with the row's own options; typed words move the query of ways without words."""
        if not evidence.words or self.function in (caption_rocchio, none):
            return self.function(evidence, self.options)
        return by_words(evidence, lambda moved: self.function(moved, self.options))


DEFAULT = FeedbackSettings().strategy

_ROWS = (
    Strategy("auto", auto, AutoOptions(), "as far as your own judgements vouch for it"),
    Strategy("rocchio", rocchio, RocchioOptions(), "towards relevant, away from irrelevant"),
    Strategy("rocchio-visualref", rocchio, VISUALREF, "VisualReF's weights .6/.2/.2, fused"),
    Strategy("rocchio-paper", rocchio, PAPER, "the weights .8/.1/.1 of arXiv 2511.17255"),
    Strategy("caption-rocchio", caption_rocchio, VISUALREF, "VisualReF's way, through captions"),
    Strategy("region", region, RegionOptions(), "boxes, with the rest of a picture as context"),
    Strategy("probe", probe, ProbeOptions(), "a logistic probe tied to the query (SeeSaw)"),
    Strategy("bayes", bayes, BayesOptions(), "for one particular picture: nearer to this one"),
    Strategy("afs", afs, AfsOptions(), "a trained summary of pictures; relook train afs first"),
    Strategy("prf", prf, SummaryOptions(), "the first page judges itself; for comparison"),
    Strategy("none", none, NOTHING, "the first query, unchanged"),
)

STRATEGIES: Mapping[str, Strategy] = MappingProxyType({row.name: row for row in _ROWS})
"""Name -> strategy, the default first."""


def strategy(name: str) -> Strategy:
    """The strategy of this name.

    Raises:
        NotFoundError: `unknown_strategy`, with the names there are.
    """
    if not isinstance(name, str) or name not in STRATEGIES:
        raise NotFoundError(
            "unknown_strategy",
            f"there is no feedback strategy {name!r:.80}",
            f"use one of {', '.join(STRATEGIES)}",
        )
    return STRATEGIES[name]


def configured(settings: FeedbackSettings, name: str | None = None) -> Strategy:
    """A strategy with the weights and rounds that are set, where it has any.

    Args:
        settings: Values that are set win over the strategy's own.
        name: Which one; the configured one when None or empty.

    Raises:
        NotFoundError: `unknown_strategy`.
    """
    row = strategy(name or settings.strategy)
    own = {field.name for field in fields(row.options)}
    overrides = {key: value for key, value in _set_options(settings).items() if key in own}
    return replace(row, options=replace(row.options, **overrides))


def unused(settings: FeedbackSettings, name: str) -> tuple[str, ...]:
    """A note where options are set that the strategy of this name does not have."""
    own = {field.name for field in fields(strategy(name).options)}
    idle = [f"feedback.{key}" for key in _set_options(settings) if key not in own]
    if not idle or name != settings.strategy:
        return ()
    return (f"{', '.join(idle)}: the strategy {name} has no such option, it does not count",)


def _set_options(settings: FeedbackSettings) -> dict[str, Any]:
    names = ("query", "relevant", "irrelevant", "rounds")
    values = {name: getattr(settings, name) for name in names}
    values["split"] = settings.split_captions or None
    values["lengths"] = settings.lengths or None
    return {name: value for name, value in values.items() if value not in (None, "")}
