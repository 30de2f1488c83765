"""Pictures drawn at random from a library: what any of its pictures is like. Layer: search.

Apart from feedback's evidence, which every round reads: a search without marks needs only this.
"""

import numpy as np

from relook.core.vectors import Floats, Ints
from relook.library.files import LibraryFiles

_N_IMAGES = 200
_SEED = 20_260_101


def sample(values: Ints, n: int) -> Ints:
    """Up to n of the values, in their order, the same ones every time."""
    chosen = np.random.default_rng(_SEED).permutation(len(values))[:n]
    return values[np.sort(chosen)]


def background(files: LibraryFiles) -> Floats:
    """[b, t, d] vectors of up to 200 images drawn at random, the same ones every time."""
    table = files.row_table
    if not len(table):
        return np.zeros((0, 1, files.vectors.dim), np.float32)
    n_tiles = int(np.bincount(table[:, 1]).argmax())  # images with the usual number of tiles
    usual = table[table[:, 1] == n_tiles]
    rows = sample(usual[:, 0], _N_IMAGES)[:, None] + np.arange(n_tiles)  # [b, t]
    return files.vectors.rows(rows.reshape(-1)).reshape(len(rows), n_tiles, -1)


def distinct(background: Floats) -> Floats:
    """Pictures [b, t, d] without copies: a million copies are one picture."""
    if not len(background):
        return background
    _, firsts = np.unique(np.round(background[:, 0], 3), axis=0, return_index=True)
    return background[np.sort(firsts)]
