"""Folding near-duplicates of a page into one hit. Layer: search."""

from __future__ import annotations

import numpy as np

from relook.core.settings import SearchSettings
from relook.library.records import ImageRecord
from relook.stores.base import VectorSource

__all__ = ["fold"]


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
    wholes = vectors.rows(np.array([record.first_row for record in records], np.int64))  # [n, d]
    groups: list[list[int]] = []
    for at, record in enumerate(records):
        near = wholes[:at] @ wholes[at] >= settings.fold_cosine  # [at]
        for group in groups:
            leader = records[group[0]]
            bits = (record.dhash ^ leader.dhash) & 0xFFFF_FFFF_FFFF_FFFF
            if record.content == leader.content or (
                near[group[0]] and bits.bit_count() <= settings.fold_bits
            ):
                group.append(at)
                break
        else:
            groups.append([at])
    return groups
