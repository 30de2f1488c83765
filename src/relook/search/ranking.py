"""Images in the order of a query, and scores of a few of them. Layer: search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relook.core.vectors import Floats, Ints
from relook.library.files import LibraryFiles


@dataclass(frozen=True, slots=True)
class Ranking:
    """Images in the order of a query.

    Args:
        image_ids: [k], best first.
        scores: [k]
        tiles: [k] number of the tile that won.
    """

    image_ids: Ints
    scores: Floats
    tiles: Ints

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def rows(self) -> tuple[tuple[int, float, int], ...]:
        """`(image_id, score, tile number)` of each, as a round keeps them."""
        columns = (self.image_ids.tolist(), self.scores.tolist(), self.tiles.tolist())
        return tuple((int(i), float(s), int(t)) for i, s, t in zip(*columns, strict=True))

    def first(self, limit: int) -> Ranking:
        """The best `limit` of them."""
        return Ranking(self.image_ids[:limit], self.scores[:limit], self.tiles[:limit])

    def at(self, places: Ints) -> Ranking:
        """Those at some places [n]."""
        return Ranking(self.image_ids[places], self.scores[places], self.tiles[places])


def best_tiles(
    places: Ints, vector: Floats, files: LibraryFiles, tile_weight: float
) -> tuple[Floats, Ints]:
    """Scores and winning tiles of some images.

    Args:
        places: [n] their lines in the row table; of images that have vectors.
        vector: [d]
        files: The library.
        tile_weight: Factor on every tile but the first.

    Returns:
        [n] scores, [n] numbers of tiles.
    """
    table = files.row_table[places]
    if not len(table):
        return np.zeros(0, np.float32), np.zeros(0, np.int64)
    starts = np.cumsum(table[:, 1]) - table[:, 1]
    tile = np.arange(int(table[:, 1].sum())) - np.repeat(starts, table[:, 1])  # [r]
    scores = files.vectors.rows(np.repeat(table[:, 0], table[:, 1]) + tile) @ vector  # [r]
    scores[tile > 0] *= tile_weight
    best = np.maximum.reduceat(scores, starts)  # [n]
    of = np.repeat(np.arange(len(table)), table[:, 1])
    first = np.full(len(table), len(tile), np.int64)
    np.minimum.at(first, of, np.where(scores >= best[of], np.arange(len(tile)), len(tile)))
    return best, tile[first]
