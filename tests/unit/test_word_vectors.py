"""Vectors of words that a server keeps, and reads together for several people."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from relook.core.errors import QueryError
from relook.serving.word_vectors import RememberingEncoder
from relook.testing import ColourEncoder

_WAIT_S = 60.0  # in vain only when the thing is broken


class CountingEncoder(ColourEncoder):
    """Notes what it reads; waits before it reads "red", and cannot read "bad"."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[str]] = []
        self.is_reading, self.may_read = threading.Event(), threading.Event()
        self.may_read.set()

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.append(list(texts))
        if "red" in texts:
            self.is_reading.set()
            assert self.may_read.wait(_WAIT_S)
        if "bad" in texts:
            raise QueryError("bad_text", "this cannot be read")
        return super().encode_texts(texts)


class Crowd:
    """People whose words arrive while somebody else's are being read."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool, self.inner = pool, CountingEncoder()
        self.encoder = RememberingEncoder(self.inner)
        self.inner.may_read.clear()
        self.first = self.ask("red")
        assert self.inner.is_reading.wait(_WAIT_S)

    def ask(self, *texts: str) -> "Future[np.ndarray]":
        return self.pool.submit(self.encoder.encode_texts, texts)

    def ask_and_wait(self, *texts: str) -> "Future[np.ndarray]":
        """Asked, and surely waiting for their turn."""
        n_waiting, asked = len(self.encoder._waiting), self.ask(*texts)
        while len(self.encoder._waiting) == n_waiting:
            assert not asked.done(), "it did not wait"
        return asked


def test_words_are_encoded_once_while_they_are_remembered() -> None:
    inner = CountingEncoder()
    encoder = RememberingEncoder(inner, n_most=2)
    plain = ColourEncoder()
    for texts in (["red"], ["red", "blue", "red"], ["green"], ["blue"], ["red"]):
        assert np.array_equal(encoder.encode_texts(texts), plain.encode_texts(texts))
    assert inner.asked == [["red"], ["blue"], ["green"], ["red"]]  # red was the oldest
    assert encoder.encode_texts([]).shape == plain.encode_texts([]).shape
    assert encoder.dim == plain.dim
    found = encoder.encode_texts(["red"])
    found[:] = 0  # an answer is the caller's own
    assert np.array_equal(encoder.encode_texts(["red"]), plain.encode_texts(["red"]))


def test_what_arrives_while_words_are_read_is_read_together() -> None:
    plain = ColourEncoder()
    with ThreadPoolExecutor(4) as pool:
        crowd = Crowd(pool)
        asked = [crowd.ask_and_wait(*texts) for texts in (["blue"], ["green", "blue"], ["grey"])]
        crowd.inner.may_read.set()
        vectors = [future.result(_WAIT_S) for future in asked]
        assert np.array_equal(crowd.first.result(_WAIT_S), plain.encode_texts(["red"]))
    assert crowd.inner.asked == [["red"], ["blue", "green", "grey"]]
    for texts, found in zip((["blue"], ["green", "blue"], ["grey"]), vectors, strict=True):
        assert np.array_equal(found, plain.encode_texts(texts))


def test_many_texts_neither_wait_nor_keep_others_waiting() -> None:
    with ThreadPoolExecutor(2) as pool:
        crowd = Crowd(pool)
        many = crowd.ask(*(f"green {n}" for n in range(20)))
        assert many.result(_WAIT_S).shape[0] == 20
        assert not crowd.first.done()
        crowd.inner.may_read.set()
        crowd.first.result(_WAIT_S)


def test_words_that_cannot_be_read_are_the_error_of_whoever_asked() -> None:
    plain = ColourEncoder()
    with ThreadPoolExecutor(4) as pool:
        crowd = Crowd(pool)
        bad, good = crowd.ask_and_wait("bad"), crowd.ask_and_wait("green")
        crowd.inner.may_read.set()
        with pytest.raises(QueryError, match="cannot be read"):
            bad.result(_WAIT_S)
        assert np.array_equal(good.result(_WAIT_S), plain.encode_texts(["green"]))
        with pytest.raises(QueryError, match="cannot be read"):
            crowd.encoder.encode_texts(["bad"])


def test_words_of_requests_that_wait_for_a_thread_are_read_beside_others() -> None:
    inner, plain = CountingEncoder(), ColourEncoder()
    encoder = RememberingEncoder(inner)
    encoder.encode_texts(["grey"])
    encoder.expect(["grey", "green", "blue", "green", "long " * 50])
    assert np.array_equal(encoder.encode_texts(["red"]), plain.encode_texts(["red"]))
    for text in ("green", "blue"):
        assert np.array_equal(encoder.encode_texts([text]), plain.encode_texts([text]))
    assert inner.asked == [["grey"], ["red", "green", "blue"]]  # long ones would make all long


def test_expected_words_are_few_at_once_and_those_asked_for_already_not_among_them() -> None:
    inner = CountingEncoder()
    encoder = RememberingEncoder(inner)
    encoder.expect(f"{n}" for n in range(100))
    encoder.encode_texts(["99"])
    assert inner.asked == [["99", *(f"{n}" for n in range(36, 43))]]  # the oldest of the last 64


def test_expected_words_that_cannot_be_read_cost_nobody_else_an_answer() -> None:
    encoder, plain = RememberingEncoder(CountingEncoder()), ColourEncoder()
    encoder.expect(["bad"])
    assert np.array_equal(encoder.encode_texts(["green"]), plain.encode_texts(["green"]))
    with pytest.raises(QueryError, match="cannot be read"):
        encoder.encode_texts(["bad"])
