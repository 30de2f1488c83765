"""Work that is given up: who hears of it, and when."""

import threading

import pytest

from relook.core.progress import Cancellation, CancelledWork, check_cancelled, when_cancelled


def test_nothing_is_cancelled_outside_of_a_run() -> None:
    check_cancelled()
    with when_cancelled(lambda: pytest.fail("nobody cancelled anything")):
        check_cancelled()
    assert Cancellation().run(lambda: 3) == 3


def test_the_next_look_ends_the_work_and_no_handler_of_errors_stops_that() -> None:
    cancellation, steps = Cancellation(), []

    def work() -> None:
        for number in range(9):
            try:
                check_cancelled()
                steps.append(number)
                if number == 2:
                    cancellation.cancel()
            except Exception:
                pytest.fail("it looked like an error of one item")

    with pytest.raises(CancelledWork):
        cancellation.run(work)
    assert steps == [0, 1, 2]
    with pytest.raises(CancelledWork):
        cancellation.run(work)  # not begun at all
    assert len(steps) == 3
    check_cancelled()  # and whoever ran it may go on


def test_one_cancellation_is_not_anothers() -> None:
    inner, outer = Cancellation(), Cancellation()
    inner.cancel()

    def work() -> str:
        with pytest.raises(CancelledWork):
            inner.run(lambda: None)
        check_cancelled()
        return "done"

    assert outer.run(work) == "done"


def test_who_waits_is_woken_and_its_failure_is_not_what_happened() -> None:
    cancellation, woken, ready = Cancellation(), threading.Event(), threading.Event()

    def work() -> None:
        with when_cancelled(woken.set):
            ready.set()
            assert woken.wait(600)
            raise OSError("the pipe is closed")

    def cancel() -> None:
        assert ready.wait(600)
        cancellation.cancel()
        cancellation.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(CancelledWork):
        cancellation.run(work)
    thread.join()


def test_a_block_that_was_left_is_not_woken_and_errors_of_its_own_stay() -> None:
    cancellation = Cancellation()

    def work() -> None:
        with when_cancelled(lambda: pytest.fail("it had left")):
            pass
        with pytest.raises(OSError, match="disk"), when_cancelled(lambda: None):
            raise OSError("disk")
        cancellation.cancel()

    cancellation.run(work)


def test_what_is_added_too_late_is_called_at_once() -> None:
    cancellation, calls = Cancellation(), []
    cancellation.cancel()
    cancellation.add(lambda: calls.append(1))
    assert calls == [1]
