"""The default strategy: use the judgements as far as the judgements themselves vouch for it.

Every way of using them is tried on judgements that it was not given. A way is followed
only as far as it then places held-out relevant pictures higher above random pictures of
the library than the query alone does, by more than chance and by more than it lifts
held-out irrelevant ones; otherwise the query stays as it is. Layer: feedback.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relook.feedback.directions import Flags, Pulls, caption_pulls, image_pulls, wholes
from relook.feedback.evidence import Evidence
from relook.feedback.probe import ProbeOptions, probe
from relook.feedback.rocchio import named
from relook.feedback.scorer import (
    Contribution,
    Doubles,
    GateRecord,
    LinearScorer,
    Trial,
    linear,
)

__all__ = ["AutoOptions", "auto"]


@dataclass(frozen=True, slots=True)
class AutoOptions:
    """What the gate tries and how much it doubts.

    Args:
        steps: How far it may go along a direction.
        caution: Imagined judgements without content that join each side's mean.
        irrelevant: Weight of the irrelevant side of a mean.
        shrinkage: Of the whitening; larger is nearer to plain Rocchio.
        caption: Weight of captions where there are any.
        doubt: Standard errors taken off a gain before it counts.
        against: How much of what held-out irrelevant pictures gain is taken off.
        price: Gain that a step of one has to bring at least.
        folds: Parts that the judgements are split into for a fit that is not closed form.
        probe: Of the probe; None leaves it out.
    """

    steps: tuple[float, ...] = (0.5, 1.0, 2.0)
    caution: float = 3.0
    irrelevant: float = 0.25
    shrinkage: float = 3.0
    caption: float = 0.5
    doubt: float = 0.5
    against: float = 0.5
    price: float = 0.02
    folds: int = 4
    probe: ProbeOptions | None = None


STANDARD = AutoOptions()


@dataclass(frozen=True, slots=True, eq=False)
class _Way:
    """One family of candidates: its directions on folds, and how to write the result down.

    Args:
        strategy: Its name in the record.
        held: [f, n] which judgements each fold leaves out; every one is left out once.
        directions: [f, d] fitted without them.
        parts: The direction from all judgements, as contributions without the query.
    """

    strategy: str
    held: Flags
    directions: Doubles
    parts: tuple[Contribution, ...]


def auto(evidence: Evidence, options: AutoOptions = STANDARD) -> LinearScorer:
    """The update that the person's own judgements vouch for, or the unchanged query.

    Source: research/feedback.md, G1: a label-validated gate; the statistic and its
        constants were chosen on Flickr8k train concepts (docs/feedback.md).
    """
    query = Contribution("query", evidence.query.astype(np.float64))
    if not evidence.items:
        return linear([query], record=GateRecord("none", 0.0, "nothing is judged yet"))
    trials = [Trial("none", 0.0, 0.0)]
    best, best_way = trials[0], None
    for way in _ways(evidence, options):
        for step in options.steps:
            gain = _gain(evidence, way, step, options)
            trials.append(Trial(way.strategy, step, gain))
            if gain > best.gain:
                best, best_way = trials[-1], way
    record = GateRecord(best.strategy, best.step, _reason(best, evidence), tuple(trials))
    if best_way is None:
        return linear([query], record=record)
    moves = [replace(part, vector=best.step * part.vector) for part in best_way.parts]
    return linear([query, *moves], record=record)


def _reason(best: Trial, evidence: Evidence) -> str:
    if best.strategy == "none":
        return "the judgements do not yet agree on more than the words already say"
    n = len(evidence.relevant) or len(evidence.irrelevant)
    side = "relevant" if evidence.relevant else "irrelevant"
    return (
        f"{best.strategy} at step {best.step:g} places the {n} {side} pictures "
        f"{best.gain:.2f} deviations better when each is left out"
    )


def _ways(evidence: Evidence, options: AutoOptions) -> Iterator[_Way]:
    """Everything that is tried, the cheap ones first."""
    mean = {"caution": options.caution, "irrelevant": options.irrelevant}
    shown = image_pulls(evidence, shrinkage=options.shrinkage, **mean)
    yield _mean_way("rocchio", evidence, [("", 1.0, shown)])
    if any(item.caption is not None for item in evidence.items):
        said = caption_pulls(evidence, **mean)
        mix = [("", 1.0, shown), ("caption ", options.caption, said)]
        yield _mean_way("caption-rocchio", evidence, mix)
    if options.probe is not None and evidence.relevant and evidence.irrelevant:
        yield _probe_way(evidence, options.probe, options.folds)


def _mean_way(strategy: str, evidence: Evidence, mix: list[tuple[str, float, Pulls]]) -> _Way:
    n = len(evidence.items)
    held = np.eye(n, dtype=bool)
    directions = np.zeros((n, evidence.dim))
    parts: list[Contribution] = []
    for prefix, weight, pulls in mix:
        directions += weight * pulls.directions(~held)
        shares = weight * pulls.coefficients(np.ones((1, n), dtype=bool))[0]  # [n]
        parts += [
            Contribution(named(item, prefix), share * pull, item.judgement)
            for item, share, pull in zip(evidence.items, shares, pulls.vectors, strict=True)
            if share != 0
        ]
    return _Way(strategy, held, directions, tuple(parts))


def _probe_way(evidence: Evidence, options: ProbeOptions, n_folds: int) -> _Way:
    full = probe(evidence, options)
    held = _folds(np.array([item.sign for item in evidence.items]), n_folds)
    directions = np.zeros((len(held), evidence.dim))
    for fold, left_out in enumerate(held):
        kept = tuple(item for item, out in zip(evidence.items, left_out, strict=True) if not out)
        fitted = probe(replace(evidence, items=kept), options)
        directions[fold] = fitted.vector.astype(np.float64) - evidence.query
    query = full.parts[0].vector - evidence.query
    return _Way("probe", held, directions, (Contribution("query", query), *full.parts[1:]))


def _folds(signs: NDArray[np.int64], n_folds: int) -> Flags:
    """[f, n] folds that share out each side evenly, in the order of the judgements."""
    place = np.zeros(len(signs), dtype=np.int64)
    for sign in (1, -1):
        place[signs == sign] = np.arange((signs == sign).sum())
    n_folds = min(n_folds, int(place.max()) + 1)
    held = np.stack([place % n_folds == fold for fold in range(n_folds)])
    return held if n_folds > 1 else np.eye(len(signs), dtype=bool)


def _gain(evidence: Evidence, way: _Way, step: float, options: AutoOptions) -> float:
    """How much better held-out judgements stand than under the query, less doubt and price."""
    query = evidence.query.astype(np.float64)
    vectors = query + step * way.directions  # [f, d]
    fold = way.held.argmax(axis=0)  # [n]
    lift = _heights(evidence, vectors, fold) - _heights(evidence, query[None], 0 * fold)  # [n]
    sign = np.array([item.sign for item in evidence.items])
    liked, other = lift[sign > 0], lift[sign < 0]
    if not len(liked):
        return float(-other.mean() - options.price * step) if len(other) > 1 else 0.0
    error = liked.std() / np.sqrt(len(liked)) if len(liked) > 1 else np.abs(liked).mean()
    drift = other.mean() if len(other) else 0.0
    return float(
        liked.mean() - options.doubt * error - options.against * drift - options.price * step
    )


def _heights(evidence: Evidence, vectors: Doubles, fold: NDArray[np.int64]) -> Doubles:
    """How far each judgement stands above the background, in its deviations.

    Args:
        evidence: Judgements and background.
        vectors: [f, d] scorers.
        fold: [n] which of them scores each judgement.

    Returns:
        [n]
    """
    background = wholes(evidence).astype(np.float64)  # [b, d]
    against = background @ vectors.T if len(background) else np.zeros((1, len(vectors)))  # [b, f]
    middle, spread = against.mean(axis=0), against.std(axis=0)  # [f]
    spread = np.where(spread > 1e-9, spread, np.linalg.norm(vectors, axis=1) + 1e-12)
    heights = np.empty(len(fold))
    for position, item in enumerate(evidence.items):
        at = int(fold[position])
        scores = item.tiles @ vectors[at]  # [k]
        score = np.max([scores[0], *(evidence.tile_weight * scores[1:])])
        heights[position] = (score - middle[at]) / spread[at]
    return heights
