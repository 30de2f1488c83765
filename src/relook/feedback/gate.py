"""The default strategy: use the judgements as far as the judgements themselves vouch for it.

Every way of using them is tried on judgements that it was not given. It is followed only
as far as relevant pictures that it has not seen keep their height above random pictures
of the library; when they would stand lower than under the query alone, the query stays
as it is. Layer: feedback.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from relook.feedback.directions import Flags, Pulls, caption_pulls, heights, image_pulls, readings
from relook.feedback.judged import Evidence
from relook.feedback.rocchio import named
from relook.feedback.scorer import Contribution, Doubles, GateRecord, LinearScorer, Trial, linear


@dataclass(frozen=True, slots=True)
class AutoOptions:
    """What the gate tries and how much it doubts.

    Args:
        strength: Length of a full step, times the mean of what very many relevant clicks show.
        caution: Imagined judgements without content that join each side's mean, so that
            few marks move the query less than many.
        steps: Shares of a full step that are tried.
        first: Share of a full step that a single relevant click is worth; it cannot be
            held out. A box says what is meant and is worth a full one.
        boxed: How many times as far a box that holds a tile moves the query as a click does.
        part: Share of the tile that fits the query best in what a click means; the whole picture
            has the rest.
        irrelevant: Weight of the irrelevant side of a mean.
        shrinkage: Of the whitening; larger is nearer to plain Rocchio.
        caption: Weight of captions beside pictures, where there are any.
        phrasing: Weight of the phrasings that fit, beside the query's own one, where the
            encoder brings phrasings.
        credit: Gain that a full step is trusted with before anything is held out.
        credited: Held-out pictures that this counts for: what two show is mostly chance.
    """

    strength: float = 0.7
    caution: float = 2.0
    steps: tuple[float, ...] = (0.5, 1.0)
    first: float = 0.6
    boxed: float = 2.0
    part: float = 0.5
    irrelevant: float = 0.1
    shrinkage: float = 2.0
    caption: float = 0.33
    phrasing: float = 0.15
    credit: float = 0.3
    credited: float = 2.0


STANDARD = AutoOptions()


@dataclass(frozen=True, slots=True, eq=False)
class _Way:
    """One family of candidates: its directions on folds, and how to write the result down.

    Args:
        strategy: Its name in the record.
        held: [f, n] which judgements each fold leaves out; every relevant one in one fold.
        directions: [f, d] fitted without them.
        parts: The direction from all judgements, as contributions without the query.
    """

    strategy: str
    held: Flags
    directions: Doubles
    parts: tuple[Contribution, ...]


def auto(evidence: Evidence, options: AutoOptions = STANDARD) -> LinearScorer:
    """The update that the person's own judgements vouch for, or the unchanged query.

    Source: ours; a gate validated on the person's own labels, after selective feedback
        (arXiv 2401.11198). The constants were chosen on Flickr8k's train pictures, with heads
        that had not been trained on them and revision 4's networks (`training/heldout.py`), and
        on mosaics of train pictures (docs/decisions/0019-bolder-steps.md).
    """
    query = Contribution("query", evidence.query.astype(np.float64))
    if not evidence.relevant:
        return linear([query], record=GateRecord("none", 0.0, _alone(evidence)))
    ways = list(_ways(evidence, options))
    n = len(evidence.relevant)
    if n == 1:
        step = 1.0 if evidence.relevant[0].boxed else options.first
        return _apply(query, ways[-1], step, _FIRST, ())
    trials = [Trial("none", 0.0, 0.0)]
    highest, chosen, best = 0.0, trials[0], None
    for way in ways:
        for step in options.steps:
            trials.append(Trial(way.strategy, step, _gain(evidence, way, step)))
            trusted = n * trials[-1].gain + options.credited * options.credit * step
            if trusted / (n + options.credited) > highest:
                highest, chosen, best = trusted / (n + options.credited), trials[-1], way
    if best is None:
        return linear([query], record=GateRecord("none", 0.0, _DISAGREE, tuple(trials)))
    reason = _VOUCHED if chosen.gain > 0 else _FEW
    return _apply(query, best, chosen.step, reason, tuple(trials))


_FIRST = "one relevant picture is worth a careful step"
_VOUCHED = "relevant pictures that are left out in turn still come out well"
_FEW = "relevant pictures that are left out in turn come out no better, but that hardly tells yet"
_DISAGREE = "relevant pictures that are left out in turn come out better with the words alone"


def _alone(evidence: Evidence) -> str:
    if evidence.items:
        return "nothing is marked relevant yet, and what to avoid does not say what to find"
    return "nothing is judged yet"


def _apply(
    query: Contribution, way: _Way, step: float, reason: str, trials: tuple[Trial, ...]
) -> LinearScorer:
    moves = [replace(part, vector=step * part.vector) for part in way.parts]
    return linear([query, *moves], record=GateRecord(way.strategy, step, reason, trials))


def _ways(evidence: Evidence, options: AutoOptions) -> Iterator[_Way]:
    """Everything that is tried; the last is what a single relevant picture gets."""
    caution, irrelevant = options.caution, options.irrelevant
    # Of what is smaller than every tile other pictures have no vector: it moves as a click does.
    reaches = [item.boxed and len(item.tiles) > 1 for item in evidence.items]
    further = np.where(reaches, options.boxed, 1.0)  # [n]
    shown = image_pulls(
        evidence, shrinkage=options.shrinkage, caution=caution, irrelevant=irrelevant,
        part=options.part,
    ).times(further)  # fmt: skip
    yield _read(evidence, _mean_way("rocchio", evidence, [("", options.strength, shown)]), options)
    if any(item.caption is not None for item in evidence.items):
        words = caption_pulls(evidence, caution=caution, irrelevant=irrelevant).times(further)
        captions = ("caption ", options.strength * options.caption, words)
        mixed = _mean_way("caption-rocchio", evidence, [("", options.strength, shown), captions])
        yield _read(evidence, mixed, options)


def _read(evidence: Evidence, way: _Way, options: AutoOptions) -> _Way:
    """The way with the phrasings that the judgements fit, weighed again on every fold."""
    phrasings = readings(evidence)
    if phrasings is None or not options.phrasing:
        return way
    everything = np.ones((1, len(evidence.items)), dtype=bool)
    pull = options.phrasing * phrasings.directions(everything)[0]  # [d]
    return replace(
        way,
        directions=way.directions + options.phrasing * phrasings.directions(~way.held),
        parts=(*way.parts, Contribution("phrasing", pull)),
    )


def _mean_way(strategy: str, evidence: Evidence, mix: list[tuple[str, float, Pulls]]) -> _Way:
    n = len(evidence.items)
    liked = np.array([item.sign > 0 for item in evidence.items])
    held = np.eye(n, dtype=bool)[liked]  # [p, n]
    directions = np.zeros((len(held), evidence.dim))
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


def _gain(evidence: Evidence, way: _Way, step: float) -> float:
    """How much better held-out relevant judgements stand than under the query alone."""
    query = evidence.query.astype(np.float64)
    liked = np.array([item.sign > 0 for item in evidence.items])
    fold = way.held[:, liked].argmax(axis=0)  # [p]
    after = heights(evidence, query + step * way.directions, fold)  # [p]
    before = heights(evidence, query[None], np.zeros_like(fold))  # [p]
    return float(np.average(after - before, weights=[item.weight for item in evidence.relevant]))
