"""Waiting and trying again: headers are read, pauses grow, and nothing waits past its end."""

import time
from email.utils import formatdate

import pytest

from relook.core.retry import Deadline, Retries, retry_after_s


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), ("0.5", 0.5), ("-3", 0.0), ("999999999", 86_400.0),
        ("", None), ("soon", None), ("nan", None), ("inf", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_or_nothing(header: str, seconds: float | None) -> None:
    assert retry_after_s(header) == seconds


def test_a_date_in_the_future_is_counted_from_now() -> None:
    seconds = retry_after_s(formatdate(time.time() + 3_000, usegmt=True))
    assert seconds is not None
    assert 0 < seconds <= 3_000


def test_pauses_double_up_to_the_longest_and_end_with_the_limit() -> None:
    waits: list[float] = []
    retries = Retries(4, 1.0, longest_s=3.0, sleep=waits.append)
    while retries.wait(retries.pause_s()):
        pass
    assert waits == [1.0, 2.0, 3.0, 3.0]


def test_a_wish_of_the_service_wins_over_a_pause_of_ours() -> None:
    retries = Retries(1, 1.0, longest_s=3.0)
    assert (retries.pause_s(0.0), retries.pause_s(50.0), retries.pause_s(None)) == (0.0, 50.0, 1.0)


def test_progress_begins_the_count_anew() -> None:
    waits: list[float] = []
    retries = Retries(1, 1.0, sleep=waits.append)
    assert retries.wait(retries.pause_s())
    assert not retries.wait(retries.pause_s())
    retries.reset()
    assert retries.wait(retries.pause_s())
    assert waits == [1.0, 1.0]


def test_nothing_waits_for_an_attempt_that_could_only_begin_too_late() -> None:
    waits: list[float] = []
    retries = Retries(5, 1.0, deadline=Deadline(100.0), sleep=waits.append)
    assert not retries.wait(100.0)
    assert retries.wait(1.0)
    assert waits == [1.0]
    over = Deadline(0.0)
    assert over.is_over
    assert over.left_s == 0.001
