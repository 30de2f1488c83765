"""Boxes as evidence: the crop and its tiles are meant, the rest of the picture is context.

Layer: feedback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from relook.feedback.judged import Evidence, Judged
from relook.feedback.rocchio import named
from relook.feedback.scorer import Contribution, Doubles, LinearScorer, linear

__all__ = ["RegionOptions", "region"]


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


STANDARD = RegionOptions()


def region(evidence: Evidence, options: RegionOptions = STANDARD) -> LinearScorer:
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
