"""Pixels of more than 8 bits as pixels of 8. Layer: core.

The depth of a file is often more than that of its values: a scanner's 12 bits lie in 16.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_DEPTHS = (255, 1023, 4095, 16383, 65535)  # of sensors and scanners: 8, 10, 12, 14 and 16 bits
_SIGNED, _LARGEST = 32767, 2**32 - 1
_FRACTION_TOPS = (1, 255, 65535)


def eight_bits(values: NDArray[Any], *, inverted: bool = False) -> NDArray[np.uint8]:
    """Values of any depth as 0 to 255.

    Args:
        values: Of any shape. Whole numbers from 0 to 65535 are taken for values of the fewest
            bits that they fit in, fractions for shares of 1, 255 or 65535 where they come near
            it or of 32 bits, and others by their extremes. Signed ones of 16 bits have 15. What
            is no number becomes black.
        inverted: Whether the lowest value is white.

    Returns:
        The same shape.
    """
    whole = np.issubdtype(values.dtype, np.integer)
    scaled = values.astype(np.float32)
    finite = np.isfinite(scaled)
    if not finite.all():
        scaled[~finite] = scaled[finite].min(initial=0.0 if not finite.any() else np.inf)
    low, high = float(scaled.min(initial=0.0 if not scaled.size else np.inf)), float(scaled.max())
    if low >= 0:
        is_signed = values.dtype.kind == "i" and values.itemsize == 2
        depths: tuple[int, ...] = (*_DEPTHS[:-1], _SIGNED) if is_signed else _DEPTHS
        depths += (_LARGEST,) if high > _LARGEST / 2 else ()
        fits = depths if whole else [top for top in _FRACTION_TOPS if high > top / 2]
        top = next((top for top in fits if high <= top), None)
        low, high = (low, high) if top is None else (0.0, float(top))
    scaled -= low
    scaled *= 255.0 / max(high - low, 1e-9)
    shown = scaled.clip(0, 255).astype(np.uint8)
    return 255 - shown if inverted else shown
