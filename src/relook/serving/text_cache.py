"""Words that were asked before need not be encoded again. Layer: serving.

A session asks its first query anew for every page, every reason and every heat map, and people
ask the same words; encoding them is a large part of what a search costs.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from relook.core.vectors import Floats
from relook.encoders.base import Encoder

__all__ = ["RememberingEncoder"]


class RememberingEncoder:
    """An encoder that keeps the vectors of the texts it saw last; in all else the one inside.

    Args:
        inner: Encodes what is new.
        n_most: How many texts are kept.
    """

    def __init__(self, inner: Encoder, n_most: int = 4096) -> None:
        self.inner, self._n_most = inner, n_most
        self._known: collections.OrderedDict[str, Floats] = collections.OrderedDict()
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """As the encoder inside: [n, d] unit vectors."""
        with self._lock:
            found = {text: self._known[text] for text in texts if text in self._known}
            for text in found:
                self._known.move_to_end(text)
        new = [text for text in dict.fromkeys(texts) if text not in found]
        if new:
            found.update(zip(new, self.inner.encode_texts(new), strict=True))
        with self._lock:
            for text in new:
                self._known[text] = found[text].copy()  # a row would hold on to its whole batch
            while len(self._known) > self._n_most:
                self._known.popitem(last=False)
        if not texts:
            return self.inner.encode_texts(texts)
        return np.stack([found[text] for text in texts])
