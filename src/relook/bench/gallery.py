"""The collection that a simulated user looks through. Layer: bench.

`Gallery` is the small protocol that a benchmark needs; `ArrayGallery` serves it from
arrays. A library serves it by implementing the same methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from relook.core.errors import InputError
from relook.core.vectors import Floats, Ints, top
from relook.feedback.evidence import Evidence, Judged
from relook.feedback.scorer import Scorer

__all__ = ["ArrayGallery", "Gallery", "Mark"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What the simulated user did to one shown image.

    Args:
        image: Position of the image in the gallery.
        sign: 1 relevant, -1 irrelevant.
        box: Which of the image's boxes was drawn; None for a click.
    """

    image: int
    sign: int
    box: int | None = None


class Gallery(Protocol):
    """Ranks its images by a scorer and turns marks into evidence."""

    @property
    def n_images(self) -> int:
        """How many images there are; they are numbered from 0."""

    def rank(self, scorer: Scorer, seen: Ints, limit: int) -> Ints:
        """Positions of the `limit` best images that are not in `seen`, best first."""

    def evidence(self, query: Floats, marks: Sequence[Mark], first_page: Ints) -> Evidence:
        """Everything that a strategy may look at, in the library's own vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrayGallery:
    """A gallery in memory.

    Args:
        tiles: [n, t, d] unit vectors; tile 0 is the whole picture.
        template: Evidence with everything but judgements: means, tile weight, background,
            neighbours. Its query is replaced.
        all_tiles: Whether a click covers all tiles of the image rather than tile 0.
        captions: [n, d] a text vector for each image, handed in with a relevant click.
        crops: [n, c, d] vectors of the boxes that can be drawn on each image.
        inside: For each of the c boxes, the positions of the tiles that lie in it.
        box_captions: [n, c, d] a text vector for each box, handed in with a relevant box.
    """

    tiles: Floats
    template: Evidence
    all_tiles: bool = True
    captions: Floats | None = None
    crops: Floats | None = None
    inside: tuple[tuple[int, ...], ...] = ()
    box_captions: Floats | None = None
    flat: Floats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "flat", self.tiles.reshape(-1, self.tiles.shape[-1]))

    @property
    def n_images(self) -> int:
        """How many images there are."""
        return len(self.tiles)

    def scores(self, scorer: Scorer) -> Floats:
        """Score of each image, the best of its weighted tiles: [n]."""
        n, t = self.tiles.shape[0], self.tiles.shape[1]
        scores = scorer.score(self.flat).reshape(n, t)
        if t == 1:
            return scores[:, 0]
        best = np.asarray(scores[:, 1:].max(axis=1)) * np.float32(self.template.tile_weight)
        return np.maximum(scores[:, 0], best)

    def rank(self, scorer: Scorer, seen: Ints, limit: int) -> Ints:
        """Positions of the `limit` best images that are not in `seen`, best first."""
        scores = self.scores(scorer).copy()
        scores[seen] = -np.inf
        return top(scores, min(limit, self.n_images - len(seen)))

    def evidence(self, query: Floats, marks: Sequence[Mark], first_page: Ints) -> Evidence:
        """The template with this query and these marks."""
        items = tuple(self._judged(number, mark) for number, mark in enumerate(marks))
        page = self.tiles[first_page, 0]  # [k, d]
        return replace(self.template, query=query, items=items, first_page=page)

    def _judged(self, number: int, mark: Mark) -> Judged:
        tiles = self.tiles[mark.image]  # [t, d]
        if mark.box is not None:
            return self._boxed(number, mark, mark.box)
        said = self.captions if mark.sign > 0 else None
        caption = None if said is None else said[mark.image]
        covered = tiles if self.all_tiles else tiles[:1]
        return Judged(number, mark.sign, covered, caption=caption)

    def _boxed(self, number: int, mark: Mark, box: int) -> Judged:
        """The crop first, then the tiles in the box; the whole picture is context too."""
        if self.crops is None:
            raise InputError("no_boxes", "this gallery has no boxes to draw")
        tiles = self.tiles[mark.image]  # [t, d]
        within = np.isin(np.arange(len(tiles)), self.inside[box])
        covered = np.concatenate([self.crops[mark.image, box][None], tiles[within]])
        said = self.box_captions if mark.sign > 0 else None
        caption = None if said is None else said[mark.image, box]
        return Judged(
            number, mark.sign, covered, context=tiles[~within], boxed=True, caption=caption
        )
