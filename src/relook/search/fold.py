"""Folding near-duplicates of a page into one hit. Layer: search."""

import numpy as np
from numpy.typing import NDArray

from relook.core.settings import SearchSettings
from relook.core.vectors import Floats, Ints
from relook.library.records import ImageRecord
from relook.stores.base import VectorSource

_BLOCK = 256  # images that are compared with all before them at a time
_FEW = 64 * 64


def fold(
    records: list[ImageRecord], vectors: VectorSource, settings: SearchSettings
) -> list[list[int]]:
    """Groups records that show the same picture.

    Two are the same when their files are, or when both their perceptual hashes and their
    whole-picture vectors are near: a resized or recompressed copy passes, two frames of
    a burst seldom do.

    Args:
        records: Images of a ranking, best first.
        vectors: The library's vectors.
        settings: How near is near.

    Returns:
        Positions in `records`; each group is led by its best, groups in the order of leaders.
    """
    if not records:
        return []
    groups: dict[int, list[int]] = {}  # by the position of the leader
    leads = np.zeros(len(records), np.bool_)
    led_by: dict[bytes, int] = {}  # content -> the leader that has it
    for at, earlier in enumerate(_near(records, vectors, settings)):
        leaders = earlier[leads[earlier]].tolist()[:1]
        if (same := led_by.get(records[at].content)) is not None:
            leaders.append(same)
        if leaders:
            groups[min(leaders)].append(at)
        else:
            groups[at], leads[at] = [at], True
            led_by[records[at].content] = at
    return list(groups.values())


def _near(
    records: list[ImageRecord], vectors: VectorSource, settings: SearchSettings
) -> list[Ints]:
    """For each record, the positions before it that are near in both ways, ascending."""
    wholes = vectors.rows(np.array([record.first_row for record in records], np.int64))  # [n, d]
    hashes = np.array([record.dhash for record in records], np.int64).view(np.uint64)  # [n]
    groups: list[Ints] = []
    for start in range(0, len(records), _BLOCK):
        block = wholes[start : start + _BLOCK]  # [b, d]
        before = wholes[: start + len(block)]
        near = np.tril(
            _products(block, before) >= settings.fold_cosine, start - 1
        )  # [b, start + b]
        mine, theirs = np.nonzero(near)  # [p], by rows
        same = _n_bits(hashes[mine + start] ^ hashes[theirs]) <= settings.fold_bits  # [p]
        mine, theirs = mine[same], theirs[same]
        groups += np.split(theirs, np.searchsorted(mine, np.arange(1, len(block))))
    return groups


def _products(block: Floats, before: Floats) -> Floats:
    """[b, n] inner products. Sharing few of them between cores costs more than they do."""
    if len(block) * len(before) <= _FEW:
        few: Floats = np.einsum("bd,nd->bn", block, before)
        return few
    return block @ before.T


def _n_bits(words: NDArray[np.uint64]) -> Ints:
    """[p] how many bits of each 64-bit word are set."""
    bits: Ints = np.unpackbits(words.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1)
    return bits
