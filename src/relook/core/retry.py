"""Trying again: how long to wait, how often, and until when. Layer: core.

Every part that asks a service uses this module. It knows no HTTP library and no service: its
callers decide which failures pass.
"""

import email.utils
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

_DAY_S = 86_400.0


def retry_after_s(header: str) -> float | None:
    """Seconds of a Retry-After header, in either of its forms; None without a usable one.

    Source: RFC 9110, section 10.2.3.
    """
    try:
        seconds = float(header)
    except ValueError:
        date = email.utils.parsedate_tz(header)
        if date is None:
            return None
        seconds = email.utils.mktime_tz(date) - time.time()
    return min(max(seconds, 0.0), _DAY_S) if math.isfinite(seconds) else None


class Deadline:
    """How much of a piece of work's time is left.

    Args:
        timeout_s: All of it, from now on.
    """

    def __init__(self, timeout_s: float) -> None:
        self._began = time.monotonic()
        self._timeout_s = timeout_s

    @property
    def took_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    @property
    def left_s(self) -> float:
        """Seconds that are left, never below 1 ms: an HTTP client takes 0 for "no limit"."""
        return max(self._timeout_s - self.took_s, 0.001)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.took_s >= self._timeout_s


@dataclass(slots=True)
class Retries:
    """The further attempts of one piece of work.

    Args:
        limit: How many there may be in a row.
        backoff_s: Pause before the first; doubled for each further one.
        longest_s: Longest pause of our own choice; a service may ask for a longer one.
        deadline: An attempt that could only begin after it is not made; None for no end.
        sleep: How to wait.
    """

    limit: int
    backoff_s: float
    longest_s: float = 20.0
    deadline: Deadline | None = None
    sleep: Callable[[float], None] = time.sleep
    n_done: int = 0

    def pause_s(self, wanted_s: float | None = None) -> float:
        """Seconds before the next attempt: what the service wants, or the next pause of ours."""
        own_s = min(self.backoff_s * 2.0**self.n_done, self.longest_s)
        return own_s if wanted_s is None else wanted_s

    def may_wait(self, pause_s: float) -> bool:
        """Whether another attempt may be made after a pause."""
        in_time = self.deadline is None or pause_s < self.deadline.left_s
        return self.n_done < self.limit and in_time

    def wait(self, pause_s: float) -> bool:
        """Waits for the next attempt; False, without a wait, when there is to be none."""
        if not self.may_wait(pause_s):
            return False
        self.n_done += 1
        self.sleep(pause_s)
        return True

    def reset(self) -> None:
        """Counts and pauses begin anew, after an attempt that got on."""
        self.n_done = 0
