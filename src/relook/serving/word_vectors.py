"""Vectors of words for everybody who asks a server: kept, and read together. Layer: serving."""

import collections
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relook.core.vectors import Floats
from relook.encoders.base import Encoder

_FEW = 8  # texts of one call that join those of others; more are read at once as they are
_MOST_EXPECTED, _LONGEST = 64, 100  # texts; characters of one, for all are padded to the longest


class RememberingEncoder:
    """An encoder that keeps the vectors of the texts it saw last; in all else the one inside.

    A session encodes its first query anew for every page, every reason and every heat map, and
    people repeat their words; encoding them is a large part of what a search costs. What several
    ask while others are being read is read in one go, which takes less than half the time a
    text: a tower's weights are fetched once.

    Args:
        inner: Encodes what is new.
        n_most: How many texts are kept.
    """

    def __init__(self, inner: Encoder, n_most: int = 4096) -> None:
        self.inner, self._n_most = inner, n_most
        self._known: collections.OrderedDict[str, Floats] = collections.OrderedDict()
        self._lock = threading.Lock()
        self._waiting: list[_Reading] = []
        self._expected: dict[str, None] = {}  # in the order in which they came
        self._turn = threading.Lock()  # to read; what waits meanwhile comes together

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """As the encoder inside: [n, d] unit vectors."""
        with self._lock:
            vectors = {text: self._known[text] for text in texts if text in self._known}
            for text in vectors:
                self._known.move_to_end(text)
        new = [text for text in dict.fromkeys(texts) if text not in vectors]
        if new:
            vectors.update(zip(new, self._read(new), strict=True))
        self._keep(vectors, new)
        if not texts:
            return self.inner.encode_texts(texts)
        return np.stack([vectors[text] for text in texts])

    def _keep(self, vectors: dict[str, Floats], texts: list[str]) -> None:
        with self._lock:
            for text in texts:
                self._known[text] = vectors[text].copy()  # a row would hold on to its whole batch
            while len(self._known) > self._n_most:
                self._known.popitem(last=False)

    def expect(self, texts: Iterable[str]) -> None:
        """Has texts that somebody asks for soon read beside those that are read next.

        A request that waits for a thread cannot join the others by itself.
        """
        with self._lock:
            for text in texts:
                if text not in self._known and len(text) <= _LONGEST:
                    self._expected[text] = None
            for text in list(self._expected)[: max(len(self._expected) - _MOST_EXPECTED, 0)]:
                del self._expected[text]

    def _read(self, texts: list[str]) -> Floats:
        """Vectors [n, d] of texts, read with those that others ask for now."""
        if len(texts) > _FEW:
            return self.inner.encode_texts(texts)
        reading = _Reading(texts)
        with self._lock:
            self._waiting.append(reading)
        with self._turn:
            if not reading.was_tried:
                self._read_all_waiting()
        # Alone where reading together failed: whose text it was gets the error, and nobody else.
        return self.inner.encode_texts(texts) if reading.vectors is None else reading.vectors

    def _read_all_waiting(self) -> None:
        with self._lock:
            together, self._waiting = self._waiting, []
            texts = list(dict.fromkeys(text for reading in together for text in reading.texts))
            for text in texts:
                self._expected.pop(text, None)
            beside = list(self._expected)[: max(_FEW - len(texts), 0)]
            for text in beside:
                del self._expected[text]
        try:
            read = self.inner.encode_texts([*texts, *beside])
            vectors = dict(zip([*texts, *beside], read, strict=True))
            for reading in together:
                reading.vectors = np.stack([vectors[text] for text in reading.texts])
            self._keep(vectors, beside)
        except Exception:
            if len(together) == 1 and not beside:
                raise
        finally:
            for reading in together:
                reading.was_tried = True


@dataclass(slots=True, eq=False)
class _Reading:
    """Texts that somebody waits for.

    Args:
        texts: [n]
        vectors: [n, d] once they are read.
        was_tried: Whether they were read, or reading them with others failed.
    """

    texts: list[str]
    vectors: Floats | None = None
    was_tried: bool = False
