"""What went wrong with a chat service, and whether waiting helps. Layer: answerers."""

from __future__ import annotations

import email.utils
import math
import time

import openai

from relook.core.errors import AnswerError

__all__ = ["Deadline", "is_passing", "wait_s", "what_failed"]

_PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_LONGEST_BACKOFF_S = 20.0
_SHOWN_CHARS = 300


class Deadline:
    """How much of a reply's time is left.

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
        """Seconds that are left, never below 1 ms: a client takes 0 for "no limit"."""
        return max(self._timeout_s - self.took_s, 0.001)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.took_s >= self._timeout_s


def is_passing(error: Exception) -> bool:
    """Whether the same request may be answered a little later."""
    if isinstance(error, openai.APITimeoutError):
        return False  # it had all the time there was
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _PASSING and not _is_out_of_money(error)
    return isinstance(error, openai.APIConnectionError)


def wait_s(error: Exception, attempt: int, backoff_s: float) -> float:
    """Seconds to wait: what the service asks for, or a pause that doubles.

    Args:
        error: Why the last attempt failed.
        attempt: Its number, from 0.
        backoff_s: The first pause.
    """
    if isinstance(error, openai.APIStatusError):
        asked = _retry_after_s(error.response.headers.get("retry-after", ""))
        if asked is not None:
            return asked
    return min(backoff_s * 2.0**attempt, _LONGEST_BACKOFF_S)


def _retry_after_s(header: str) -> float | None:
    try:
        seconds = float(header)
    except ValueError:
        when = email.utils.parsedate_tz(header)
        if when is None:
            return None
        seconds = email.utils.mktime_tz(when) - time.time()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def what_failed(error: Exception, host: str, model: str, pause_s: float) -> AnswerError:
    """The error that a person reads.

    Args:
        error: What the client raised.
        host: Whom it was asked.
        model: For which model.
        pause_s: After how long the service might answer again.
    """
    if isinstance(error, (openai.APITimeoutError, TimeoutError)):
        return AnswerError(
            "model_too_slow", f"{host} did not answer in time", "give it longer: --model-timeout"
        )
    if isinstance(error, openai.APIStatusError):
        return _by_status(error, host, model, pause_s)
    if isinstance(error, openai.APIConnectionError):
        why = error.__cause__ or error
        return AnswerError(
            "model_not_reached", f"cannot reach {host}: {why}", "is it running? check --base-url"
        )
    return AnswerError(
        "model_bad_answer",
        f"{host} does not answer as a chat service does: {_short(str(error))}",
        "check --base-url: it usually ends in /v1",
    )


def _by_status(error: openai.APIStatusError, host: str, model: str, pause_s: float) -> AnswerError:
    status, said = error.status_code, _short(_said(error))
    if status in (401, 403):
        return AnswerError(
            "model_key_refused", f"{host} refuses the key ({status}): {said}",
            "set OPENAI_API_KEY to a key of this service",
        )  # fmt: skip
    if status == 404:
        return AnswerError(
            "model_unknown", f"{host} has no model {model!r}, or no such address: {said}",
            "check --model and --base-url; the address usually ends in /v1",
        )  # fmt: skip
    if status == 429:
        again = "" if _is_out_of_money(error) else f"; ask again in {pause_s:.0f} s"
        return AnswerError(
            "model_busy", f"{host} takes no more requests just now: {said}",
            f"your account's limit is reached{again}",
        )  # fmt: skip
    hint = "does the model take pictures?" if status in (400, 415, 422) else "try again later"
    return AnswerError("model_failed", f"{host} answered with status {status}: {said}", hint)


def _is_out_of_money(error: openai.APIStatusError) -> bool:
    return error.code == "insufficient_quota"


def _said(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return error.message


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
