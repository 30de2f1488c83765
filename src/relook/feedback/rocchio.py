"""Rocchio's update: towards the mean of what was relevant, away from the rest.

Instant, linear, and exactly explainable; the fallback while only irrelevant marks exist.
`region` takes boxes as evidence: the crop and its tiles are meant, the rest is context.
Layer: feedback.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from relook.feedback.judged import Evidence, Judged, Words
from relook.feedback.scorer import Contribution, Doubles, LinearScorer, Scorer, linear


@dataclass(frozen=True, slots=True)
class RocchioOptions:
    """Weights of the update.

    Args:
        query: Weight of the first query.
        relevant: Weight of the mean of the relevant vectors.
        irrelevant: Weight of the mean of the irrelevant vectors, subtracted.
        rounds: `refit` takes all judgements at once from the first query (no drift).
            `chained` updates the query of the round before; `fused` does too, after
            averaging it with the first query.
        split: Whether a caption's parts between commas are captions of their own.
        lengths: Whether the first query and words are as long as the text tower makes them. Some
            towers make vectors several times longer than one; the query of a later round has
            length one, so that fresh words weigh more beside it.
    """

    query: float = 1.0
    relevant: float = 0.5
    irrelevant: float = 0.25
    rounds: Literal["refit", "fused", "chained"] = "refit"
    split: bool = False
    lengths: bool = False


STANDARD = RocchioOptions()
"""1 / .5 / .25."""

VISUALREF = RocchioOptions(0.6, 0.2, 0.2, rounds="fused")
"""What the VisualReF demonstration ships, with "fuse the initial query" ticked."""

PAPER = RocchioOptions(0.8, 0.1, 0.1)
"""The weights of arXiv 2511.17255, chosen there for feedback that nobody judged."""

Pick = Callable[[Judged], Doubles | None]  # [p, d], all of one weight


def rocchio(evidence: Evidence, options: RocchioOptions = STANDARD) -> LinearScorer:
    """Moves the query by the judged pictures: the crop of a box, the whole picture of a click.

    Source: Rocchio 1971, `q' = a q + b mean(relevant) - g mean(irrelevant)`; the default
        weights are the best of SeeSaw's grid (arXiv 2208.06497, released results).
    """
    return _update(evidence, options, lambda item: item.tiles[:1].astype(np.float64), "")


def caption_rocchio(
    evidence: Evidence,
    options: RocchioOptions = VISUALREF,
) -> LinearScorer:
    """Moves the query by the captions of what was judged, and by typed words beside them.

    Pictures without a caption say nothing.

    Source: VisualReF (RecSys 2025, doi 10.1145/3705328.3759341): crops are captioned, the
        captions embedded, and Rocchio applied to the text vectors.
    """

    def caption(item: Judged) -> Doubles | None:
        if item.caption is None or item.caption_weight == 0:
            return None
        parted = options.split and len(item.phrases) > 0
        vectors = item.phrases if parted else item.caption[None]
        return vectors.astype(np.float64) * item.caption_weight  # [p, d]

    return _update(evidence, options, caption, "caption ", evidence.words)


def named(item: Judged, prefix: str = "") -> str:
    """`relevant 3`, `caption irrelevant 5`: the name of a judgement's contribution."""
    return f"{prefix}{'relevant' if item.sign > 0 else 'irrelevant'} {item.judgement}"


def by_words(evidence: Evidence, fit: Callable[[Evidence], Scorer]) -> Scorer:
    """Fits a way that knows no typed words, from a query that they have moved.

    The words weigh as VisualReF's two text boxes do: .6 of the query, .2 of the mean of what
    fits, less .2 of the mean of what does not. Their shares of a score stay apart.

    Args:
        evidence: With words.
        fit: The way.
    """
    first = Contribution("query", evidence.query.astype(np.float64))
    moves = _moves(_stated(evidence.words), VISUALREF)
    moved = linear([_scaled(first, VISUALREF.query), *moves])
    scorer = fit(replace(evidence, query=moved.vector, words=()))
    if not isinstance(scorer, LinearScorer):
        return scorer
    parts = [piece for part in scorer.parts for piece in _parted(part, moved)]
    return replace(scorer, parts=_merged(parts))


def _parted(part: Contribution, moved: LinearScorer) -> list[Contribution]:
    """The query's contribution as those of the query and the words, where it is a multiple."""
    vector = moved.vector.astype(np.float64)
    scale = float(part.vector @ vector)
    is_multiple = np.allclose(part.vector, scale * vector, atol=1e-4 * max(abs(scale), 1.0))
    if part.name != "query" or not is_multiple:
        return [part]
    return [_scaled(part, scale) for part in moved.parts]


@dataclass(frozen=True, slots=True)
class _Statement:
    """What one judgement, or typed words, say: vectors of equal weight.

    Args:
        name: Of the contribution.
        sign: 1 or -1.
        vectors: [p, d]
        weight: Of each vector.
        round: The round it was said in.
        judgement: Its index, None for typed words.
    """

    name: str
    sign: int
    vectors: Doubles
    weight: float = 1.0
    round: int = 0
    judgement: int | None = None


def _stated(words: Sequence[Words]) -> list[_Statement]:
    return [
        _Statement(
            f"words {'relevant' if statement.sign > 0 else 'irrelevant'}: {statement.text}",
            statement.sign, statement.phrases.astype(np.float64), round=statement.round,
        )
        for statement in words
    ]  # fmt: skip


def _update(
    evidence: Evidence,
    options: RocchioOptions,
    pick: Pick,
    prefix: str,
    words: Sequence[Words] = (),
) -> LinearScorer:
    query = evidence.query.astype(np.float64)
    first = Contribution("query", query * evidence.query_length)
    statements = [
        _Statement(named(item, prefix), item.sign, vectors, item.weight, item.round, item.judgement)
        for item in evidence.items
        if (vectors := pick(item)) is not None
    ]
    statements += _stated(words)
    groups = [statements]
    if options.rounds != "refit":
        numbers = sorted({*evidence.rounds, *(statement.round for statement in statements)})
        groups = [[statement for statement in statements if statement.round == n] for n in numbers]
    current, start = LinearScorer(evidence.query, (Contribution("query", query),)), [first]
    for group in groups:
        moves = _moves(group, options)
        # A round without words still goes half of the way back to the first query when fused.
        if not moves and (options.rounds != "fused" or not options.query):
            continue
        if options.rounds == "fused":
            halves = [_scaled(part, 0.5) for part in start]
            start = [*halves, _scaled(first, 0.5)]
        current = linear([*(_scaled(part, options.query) for part in start), *moves])
        start = list(current.parts)
    return replace(current, parts=_merged(current.parts))


def _moves(statements: Sequence[_Statement], options: RocchioOptions) -> list[Contribution]:
    """What each statement adds: its share of the mean of its side."""
    moves = []
    for sign, weight in ((1, options.relevant), (-1, -options.irrelevant)):
        side = [statement for statement in statements if statement.sign == sign]
        mass = sum(statement.weight * len(statement.vectors) for statement in side)
        for statement in side:
            if weight != 0:
                share = weight * statement.weight / mass
                vector = share * statement.vectors.sum(axis=0)  # [d]
                moves.append(Contribution(statement.name, vector, statement.judgement))
    return moves


def _scaled(part: Contribution, factor: float) -> Contribution:
    return Contribution(part.name, part.vector * factor, part.judgement)


def _merged(parts: Sequence[Contribution]) -> tuple[Contribution, ...]:
    """Adds up contributions of one name (a fused query comes in once a round)."""
    sums: dict[str, Contribution] = {}
    for part in parts:
        known = sums.get(part.name)
        vector = part.vector if known is None else known.vector + part.vector
        sums[part.name] = Contribution(part.name, vector, part.judgement)
    return tuple(sums.values())


@dataclass(frozen=True, slots=True)
class RegionOptions:
    """Weights of the update.

    Args:
        query: Weight of the first query.
        relevant: Weight of the mean over relevant judgements.
        irrelevant: Weight of the mean over irrelevant judgements, subtracted.
        context: Weight of the mean over the pictures around relevant boxes, subtracted.
        crop: Share of a box that its crop stands for; its tiles share the rest.
    """

    query: float = 1.0
    relevant: float = 0.5
    irrelevant: float = 0.25
    context: float = 0.1
    crop: float = 0.5


STANDARD_REGION = RegionOptions()


def region(evidence: Evidence, options: RegionOptions = STANDARD_REGION) -> LinearScorer:
    """Moves the query by what the boxes hold and away from what is around relevant ones.

    A picture that was clicked, not boxed, counts with all of its tiles and has no context.

    Source: SeeSaw (arXiv 2208.06497): tiles outside every box of a shown picture count as
        irrelevant with weight 1 / number of tiles.
    """
    parts = [Contribution("query", options.query * evidence.query.astype(np.float64))]
    weights = ((1, options.relevant), (-1, -options.irrelevant))
    for sign, weight in weights:
        side = [item for item in evidence.items if item.sign == sign]
        for item, share in _shares(side):
            vector = weight * share * _covered(item, options.crop)
            parts.append(Contribution(named(item), vector, item.judgement))
    around = [item for item in evidence.relevant if len(item.context) and options.context]
    for item, share in _shares(around):
        outside = item.context.astype(np.float64)  # [m, d]
        part_of_picture = len(outside) / (len(outside) + len(item.tiles))
        vector = -options.context * share * part_of_picture * outside.mean(axis=0)
        parts.append(Contribution(named(item, "around "), vector, item.judgement))
    return linear(parts)


def _shares(items: list[Judged]) -> Iterable[tuple[Judged, float]]:
    mass = sum(item.weight for item in items)
    return ((item, item.weight / mass) for item in items)


def _covered(item: Judged, crop: float) -> Doubles:
    """[d] the crop mixed with the mean of the tiles in the box."""
    tiles = item.tiles.astype(np.float64)  # [k, d]
    if len(tiles) == 1:
        return np.asarray(tiles[0])
    return np.asarray(crop * tiles[0] + (1 - crop) * tiles[1:].mean(axis=0))
