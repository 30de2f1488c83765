"""Boxes whose truth is known: 2x2 mosaics of photographs. Layer: bench.

A mosaic shows four unrelated photographs. A query that belongs to one of them makes the
mosaic relevant, and the box that a person would draw is that photograph's cell. Whatever
a click on the whole mosaic says about the other three is noise, so the gap between a click
and a box can be measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relook.bench.simulate import Task
from relook.core.types import Box
from relook.core.vectors import Ints

__all__ = ["CELLS", "compose", "layout", "mosaic_tasks", "tiles_inside"]

CELLS = (
    Box(0.0, 0.0, 0.5, 0.5),
    Box(0.5, 0.0, 1.0, 0.5),
    Box(0.0, 0.5, 0.5, 1.0),
    Box(0.5, 0.5, 1.0, 1.0),
)
"""The four cells: upper row first, left to right."""


@dataclass(frozen=True, slots=True)
class _Place:
    mosaic: int
    cell: int


def layout(n_photos: int, seed: int = 0) -> Ints:
    """Which photographs share a mosaic.

    Args:
        n_photos: How many there are; up to three are left over.
        seed: Of the shuffle.

    Returns:
        [n_photos // 4, 4] positions of photographs, in the order of `CELLS`.
    """
    n_mosaics = n_photos // 4
    order = np.random.default_rng(seed).permutation(n_photos)
    return order[: 4 * n_mosaics].reshape(n_mosaics, 4).astype(np.int64)


def compose(photos: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """One mosaic from four photographs of one size: [h, w, 3] each -> [2h, 2w, 3]."""
    upper, lower = np.concatenate(photos[:2], axis=1), np.concatenate(photos[2:], axis=1)
    return np.asarray(np.concatenate([upper, lower], axis=0))


def mosaic_tasks(tasks: Sequence[Task], placed: Ints) -> list[Task]:
    """Tasks over photographs, as tasks over the mosaics that hold them.

    Args:
        tasks: Their relevant positions are photographs.
        placed: [m, 4] from `layout`.

    Returns:
        The tasks that still have a relevant mosaic; each knows the cells to box.
    """
    where = {
        int(photo): _Place(mosaic, cell)
        for mosaic, photos in enumerate(placed)
        for cell, photo in enumerate(photos)
    }
    moved = []
    for task in tasks:
        boxes: dict[int, tuple[int, ...]] = {}
        for photo in task.relevant.tolist():
            if photo in where:
                place = where[photo]
                boxes[place.mosaic] = (*boxes.get(place.mosaic, ()), place.cell)
        if boxes:
            relevant = np.array(sorted(boxes), dtype=np.int64)
            moved.append(replace(task, relevant=relevant, boxes=boxes))
    return moved


def tiles_inside(tiles: Sequence[Box], box: Box, share: float = 0.5) -> tuple[int, ...]:
    """Positions of the tiles of which at least `share` lies in the box."""
    return tuple(
        position
        for position, tile in enumerate(tiles)
        if tile.intersection(box) >= share * tile.area
    )
