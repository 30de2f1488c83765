"""Words that a picture must show at a place. Layer: search.

A picture's score for such words is that of its best tile at the place, less a quarter of the mean
of its tiles elsewhere: a picture that shows them there and not everywhere comes first. The parts of
a query hold together, since their scores, each in deviations from the library's mean, are added.
Both were chosen on 2x2 mosaics (`benchmarks/places.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relook.core.types import Box, Query
from relook.core.vectors import Floats, Ints
from relook.library.files import LibraryFiles
from relook.stores.base import Mask

_ELSEWHERE = 0.25
_BLOCK = 2048  # images whose tiles are in memory at a time
_TILINGS = "tiling of each image"


@dataclass(frozen=True, slots=True)
class Placed:
    """Words, each with the place where it must be shown.

    Args:
        vectors: [p, d] of the words.
        places: Of each.
        is_all: Whether nothing else is looked for; else a vector ranks beside them.
    """

    vectors: Floats
    places: tuple[Box, ...]
    is_all: bool = False

    @classmethod
    def of(cls, query: Query, vectors: Floats) -> Placed | None:
        """The placed ones of a query's parts [p, d]; None without any."""
        at = [number for number, part in enumerate(query.parts) if part.place is not None]
        places = tuple(part.place for part in query.parts if part.place is not None)
        is_all = all(part.place is not None for part in query.parts if part.weight > 0)
        return cls(vectors[at], places, is_all) if at else None


def inside(tiling: Sequence[Box], place: Box) -> Mask:
    """[t] which tiles are at a place: those of which half lies in it, or else the nearest to it."""
    shared = np.array([tile.intersection(place) for tile in tiling])
    areas = np.array([tile.area for tile in tiling])
    within = shared >= 0.5 * areas - 1e-9
    if not within.any():
        within[np.argmax(shared / (areas + place.area - shared))] = True
    return np.asarray(within)


def tilings(files: LibraryFiles) -> Ints:
    """[n images by row] the number of each image's tiling."""
    known: Ints | None = files.derived.get(_TILINGS)
    if known is None:
        rows = files.catalog.ask("SELECT image_id, tiling_id FROM images")
        by_id = {int(str(row[0])): int(str(row[1])) for row in rows}
        ids = files.row_table[:, 2].tolist()
        known = np.array([by_id.get(image_id, 0) for image_id in ids], np.int64)
        files.derived[_TILINGS] = known
    return known


def placed_scores(placed: Placed, files: LibraryFiles, tile_weight: float) -> tuple[Floats, Ints]:
    """How well every image holds words at their places.

    Args:
        placed: The words.
        files: The library.
        tile_weight: Factor on every tile but the first.

    Returns:
        [n images by row], each word's in deviations from the library's mean, added; and [n] the
        tile that is best for the first of the words.
    """
    table, kinds = files.row_table, tilings(files)
    scores = np.zeros((len(placed.places), len(table)), np.float32)
    tiles = np.zeros(len(table), np.int64)
    for kind in np.unique(kinds):
        tiling = files.tiling(int(kind))
        masks = [inside(tiling, place) for place in placed.places]
        weights = np.where(np.arange(len(tiling)) > 0, tile_weight, 1.0).astype(np.float32)
        alike = np.flatnonzero((kinds == kind) & (table[:, 1] == len(tiling)))
        for at in range(0, len(alike), _BLOCK):
            some = alike[at : at + _BLOCK]
            rows = table[some, :1] + np.arange(len(tiling))  # [c, t]
            vectors = files.vectors.rows(rows.reshape(-1))
            each = (placed.vectors @ vectors.T).reshape(-1, *rows.shape) * weights  # [p, c, t]
            for number, mask in enumerate(masks):
                scores[number, some] = _at_place(each[number], mask)
            first = np.where(masks[0], each[0], -np.inf)
            tiles[some] = first.argmax(axis=1)
    return standard(scores).sum(axis=0), tiles


def _at_place(scores: Floats, mask: Mask) -> Floats:
    """[c] of tiles' scores [c, t]: the best at the place, less a share of the others' mean."""
    best: Floats = scores[:, mask].max(axis=1)
    if not mask.all():
        best = best - np.float32(_ELSEWHERE) * scores[:, ~mask].mean(axis=1)
    return best


def standard(scores: Floats) -> Floats:
    """Scores [..., n] in deviations from their mean; zeros where all are one."""
    if not scores.shape[-1]:
        return scores
    mean, deviation = (f(scores, axis=-1, keepdims=True) for f in (np.mean, np.std))
    return np.asarray((scores - mean) / np.maximum(deviation, 1e-6), np.float32)


def within(place: Box, kinds: Ints, n_tiles: Ints, files: LibraryFiles) -> Mask:
    """[r] of images' tiles, one image after the other, those that are at a place."""
    masks = {kind: inside(files.tiling(kind), place) for kind in set(kinds.tolist())}
    each = [masks[kind][:n] for kind, n in zip(kinds.tolist(), n_tiles.tolist(), strict=True)]
    return np.concatenate(each)
