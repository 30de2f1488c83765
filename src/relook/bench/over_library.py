"""A library as the collection that simulated users look through. Layer: bench."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from relook.bench.gallery import ArrayGallery
from relook.bench.simulate import Task
from relook.bench.tasks import Wanted, positions
from relook.core.errors import InputError
from relook.search.engine import Engine
from relook.search.gather import template

__all__ = ["gallery_of", "tasks_of"]


def gallery_of(engine: Engine) -> tuple[ArrayGallery, dict[str, int]]:
    """The library's vectors as a gallery, and file name -> position in it.

    Raises:
        InputError: `uneven_tiles` when images have different numbers of tiles.
    """
    table = engine.files.row_table
    counts = set(table[:, 1].tolist())
    if len(counts) != 1:
        raise InputError(
            "uneven_tiles",
            f"images of this library have {sorted(counts)} tiles",
            "simulated users need a library with equally many tiles an image",
        )
    n_tiles = counts.pop()
    rows = (table[:, :1] + np.arange(n_tiles)).reshape(-1)
    tiles = engine.files.vectors.rows(rows).reshape(len(table), n_tiles, -1)
    at = {int(image_id): n for n, image_id in enumerate(table[:, 2])}
    index = {r.path.name: at[r.image_id] for r in engine.files.catalog.each_image()}
    return ArrayGallery(tiles, template(engine.files, engine.encoder)), index


def tasks_of(engine: Engine, wanted: Sequence[Wanted], index: Mapping[str, int]) -> list[Task]:
    """What simulated users look for, with vectors; tasks without a picture here are left out.

    Raises:
        InputError: `no_match` when none is left.
    """
    found = [(one, positions(one, index)) for one in wanted]
    kept = [(one, np.array(at, np.int64)) for one, at in found if at]
    if not kept:
        raise InputError(
            "no_match",
            "none of the queries is about a picture of this library",
            "pictures are matched by file name; index the ones the queries are about",
        )
    vectors = engine.encoder.encode_texts([one.words for one, _ in kept])  # [q, d]
    return [Task(one.words, vector, at) for (one, at), vector in zip(kept, vectors, strict=True)]
