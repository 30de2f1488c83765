"""A picture as it is sent to a service. Layer: providers."""

from __future__ import annotations

from relook.core.images import reencoded
from relook.providers.base import Subject

__all__ = ["for_upload"]

_LONGEST_PX, _QUALITY = 1_280, 90


def for_upload(subject: Subject) -> bytes:
    """A fresh JPEG of the picture: at most 1280 pixels a side, and pixels only.

    A photograph's file also tells where and when and with what it was taken; none of that
    is a service's business.

    Raises:
        ImageError: when the picture cannot be decoded.
    """
    return reencoded(subject.image(_LONGEST_PX), _LONGEST_PX, quality=_QUALITY)
