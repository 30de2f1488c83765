"""Feedback of arXiv 2511.17255: the first page, or captions of it, move the query.

`prf` and `grf` ask nobody. `afs` reads pictures with trained weights; where a person marked
pictures relevant it reads those instead of the first page. Layer: feedback.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relook.core.errors import NotFoundError
from relook.core.vectors import Floats
from relook.feedback.judged import Evidence, Judged
from relook.feedback.rocchio import named
from relook.feedback.scorer import Contribution, Doubles, LinearScorer, linear

NO_AFS = "no_afs"
"""Code of the error that says that nothing was trained yet."""
TRAIN_AFS = (
    "train them on pictures with captions, a few minutes of work: relook train afs --library"
    " DIR --captions FILE; or name their file in feedback.afs"
)


@dataclass(frozen=True, slots=True)
class SummaryOptions:
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


STANDARD = SummaryOptions()


def prf(evidence: Evidence, options: SummaryOptions = STANDARD) -> LinearScorer:
    """Moves the query by its own first page; judgements are ignored.

    With w the softmax of the scores, the positive summary is `sum w f` and the negative
    one `sum (1 - w) f`, both scaled to length one. Without a first page (or on it), the
    query stands alone.

    Source: arXiv 2511.17255, equations 2 to 4, PRF variant (constants from its code).
    """
    page = evidence.first_page[: options.depth].astype(np.float64)  # [k, d]
    if not len(page):
        return linear([_query(evidence, options.query)])
    toward, away = _summaries(evidence.query, page, options)
    return _moved(evidence, options, _to_unit(toward), _to_unit(away))


def grf(evidence: Evidence, options: SummaryOptions = STANDARD) -> LinearScorer:
    """Moves the query by captions of its own first page; judgements are ignored.

    The summaries of `prf`, of text vectors, and not scaled to length one: the negative one of
    five captions is four long. Without captions the query stands alone.

    Source: arXiv 2511.17255, equations 2 to 4, GRF variant (constants and scale from its code).
    """
    captions = evidence.first_captions[: options.depth].astype(np.float64)  # [k, d]
    captions = captions[captions.any(axis=1)] if captions.size else captions
    if not captions.size:
        return linear([_query(evidence, options.query)])
    return _moved(evidence, options, *_summaries(evidence.query, captions, options))


def _summaries(query: Floats, vectors: Doubles, options: SummaryOptions) -> tuple[Doubles, Doubles]:
    """What of some vectors [k, d] is likely, and what is not: [d] each."""
    weights = _softmax(vectors @ query.astype(np.float64) / options.temperature)  # [k]
    return weights @ vectors, (1 - weights) @ vectors


def _moved(
    evidence: Evidence, options: SummaryOptions, toward: Doubles, away: Doubles
) -> LinearScorer:
    return linear(
        [
            _query(evidence, options.query),
            Contribution("first page, likely", options.relevant * toward),
            Contribution("first page, unlikely", -options.irrelevant * away),
        ]
    )


def _query(evidence: Evidence, weight: float) -> Contribution:
    return Contribution("query", weight * evidence.query.astype(np.float64))


def _softmax(logits: Doubles) -> Doubles:
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum())


def _to_unit(vector: Doubles) -> Doubles:
    norm = np.linalg.norm(vector)
    return np.asarray(vector / norm if norm > 0 else vector)


# ---- the attentive feedback summariser


@dataclass(frozen=True, slots=True)
class AfsOptions(SummaryOptions):
    """The paper's constants; `temperature` is that of the negative summary."""


STANDARD_AFS = AfsOptions()


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the summariser reads of one picture.

    Args:
        tiles: [t, d] its vectors; the first stands for it.
        caption: [d] text vector of what is in it, or None.
        weight: How much it counts.
    """

    tiles: Floats
    caption: Floats | None = None
    weight: float = 1.0


def afs(evidence: Evidence, options: AfsOptions = STANDARD_AFS) -> LinearScorer:
    """Moves the query to a trained summary of what was marked relevant, or of the first page.

    The positive summary comes from trained weights: the query attends to tiles and captions. Where
    nothing is marked relevant it reads the first `depth` pictures of the first page, as in the
    paper. The negative summary is the mean of what is marked irrelevant; of an unmarked page
    it is the paper's: pictures weighed by `softmax(-attention / temperature)`, for tiles and
    for captions, and the mean of both. Without a first page and marks the query stands alone.

    Raises:
        NotFoundError: `no_afs` when there are no trained weights; and what reading them raises.

    Source: arXiv 2511.17255, AFS variant (constants from its code); that marks replace the first
        page is ours.
    """
    if evidence.summariser is None:
        raise NotFoundError(NO_AFS, "the strategy afs has no trained weights here", TRAIN_AFS)
    marked = [_Reading(item.tiles, item.caption, item.weight) for item in evidence.relevant]
    readings = marked or _first_page(evidence, options.depth)
    parts = [_query(evidence, options.query)]
    if readings:
        summary, away = _read(evidence, readings, options.temperature)
        name = "summary of relevant" if marked else "summary of the first page"
        parts.append(Contribution(name, options.relevant * summary))
        if not evidence.items:
            parts.append(Contribution("first page, little regarded", -options.irrelevant * away))
    return linear([*parts, *_away(evidence.irrelevant, options.irrelevant)])


def _first_page(evidence: Evidence, depth: int) -> list[_Reading]:
    tiles = evidence.first_tiles or tuple(evidence.first_page[:, None])
    spoken = evidence.first_captions[:depth]
    captions = [words if words.any() else None for words in spoken] or [None] * len(tiles[:depth])
    return [_Reading(*both) for both in zip(tiles[:depth], captions, strict=True)]


def _read(
    evidence: Evidence, readings: Sequence[_Reading], temperature: float
) -> tuple[Doubles, Doubles]:
    """The positive and the negative summary of some pictures: [d] each, of length one."""
    assert evidence.summariser is not None
    spoken = [reading for reading in readings if reading.caption is not None]
    n_tiles = [len(reading.tiles) for reading in readings]
    captions = [reading.caption for reading in spoken if reading.caption is not None]
    weights = np.array([reading.weight for reading in readings])
    spoken_weights = np.array([reading.weight for reading in spoken])
    summary, attention = evidence.summariser(
        evidence.query,
        np.concatenate([*(reading.tiles for reading in readings), *(c[None] for c in captions)]),
        np.repeat([False, True], [sum(n_tiles), len(captions)]),
        np.concatenate([np.repeat(weights, n_tiles), spoken_weights]),
    )
    owners = np.repeat(np.arange(len(readings)), n_tiles)
    regard = np.bincount(owners, attention[: len(owners)], len(readings))  # [k]
    wholes = np.stack([reading.tiles[0] for reading in readings])
    away = _softmax(-regard / temperature) @ wholes.astype(np.float64)
    if captions:
        regard = attention[len(owners) :].astype(np.float64)  # [c]
        words = np.stack(captions).astype(np.float64)
        away = (away + _softmax(-regard / temperature) @ words) / 2
    return _to_unit(summary.astype(np.float64)), _to_unit(away)


def _away(irrelevant: Sequence[Judged], weight: float) -> list[Contribution]:
    mass = sum(item.weight for item in irrelevant)
    return [
        Contribution(
            named(item), -weight * item.weight / mass * item.tiles[0].astype(np.float64),
            item.judgement,
        )
        for item in irrelevant
    ]  # fmt: skip
