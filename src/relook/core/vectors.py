"""Small exact operations on arrays of vectors. Layer: core."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Halves = NDArray[np.float16]
_BEHIND_THE_SIGN = np.int32(-0x70000001)  # all bits but the three that a longer exponent adds


def unit(vectors: NDArray[np.floating]) -> Floats:
    """Scales vectors to length one along the last axis, as float32; zero vectors stay zero.

    Args:
        vectors: [..., d]

    Returns:
        [..., d] float32
    """
    values = np.asarray(vectors, dtype=np.float32)
    norms = np.sqrt(np.sum(values * values, axis=-1, keepdims=True))  # [..., 1]
    unit_vectors: Floats = (values / np.where(norms > 0, norms, 1.0)).astype(np.float32)
    return unit_vectors


def top(scores: Floats, limit: int) -> Ints:
    """Positions of the `limit` highest scores, best first; equal scores keep their order.

    Args:
        scores: [n]
        limit: How many; all of them when it is n or more.

    Returns:
        [min(limit, n)] int64
    """
    n = len(scores)
    if limit >= n or limit < 1:
        return np.argsort(-scores, kind="stable")[: max(limit, 0)].astype(np.int64)
    edge = np.partition(scores, n - limit)[n - limit]
    above = np.flatnonzero(scores > edge)
    ties = np.flatnonzero(scores == edge)[: limit - len(above)]
    kept = np.concatenate([above, ties])
    kept.sort()
    return kept[np.argsort(-scores[kept], kind="stable")].astype(np.int64)


def singles(halves: Halves) -> Floats:
    """float16 numbers as float32, exactly, for finite ones.

    The bits are moved to where float32 has them and the exponent's offset is multiplied in:
    numpy's own conversion takes them one by one, which is three times slower.

    Args:
        halves: Any shape, contiguous.
    """
    bits = halves.view(np.int16).astype(np.int32)  # the sign fills the upper half
    bits <<= 13
    bits &= _BEHIND_THE_SIGN
    values: Floats = bits.view(np.float32)
    values *= np.float32(2.0**112)
    return values
