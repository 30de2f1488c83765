"""What a chat service sends: a reply, whole or in pieces, or a failure. Layer: answerers.

It reads and sends nothing itself; `chat` does. Services leave fields out or send null, so every
field may be missing.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import openai

from relook.answerers.base import Finish, Reply, Tell, Usage
from relook.core.errors import AnswerError
from relook.core.retry import Deadline, retry_after_s

_FINISHES = {"length": Finish.LENGTH, "content_filter": Finish.REFUSED}


class Collected:
    """A reply as it comes in.

    Args:
        tell: Called with each piece of text.
        deadline: Measures how long it takes.
    """

    def __init__(self, tell: Tell | None, deadline: Deadline) -> None:
        self._tell, self._deadline = tell, deadline
        self._pieces: list[str] = []
        self._refusal: list[str] = []
        self._finish: Finish | None = None
        self._first_s: float | None = None
        self._model, self._usage = "", Usage()
        self._notes: list[str] = []

    @property
    def text(self) -> str:
        """What has come so far."""
        return "".join(self._pieces)

    @property
    def is_nothing(self) -> bool:
        """Whether neither text nor an end has come."""
        return not self._pieces and not self._refusal and self._finish is None

    def add(self, piece: Any) -> None:
        """Adds a piece of the answer's text."""
        if isinstance(piece, str) and piece:
            if self._first_s is None:
                self._first_s = self._deadline.took_s
            self._pieces.append(piece)
            if self._tell:
                self._tell("text", piece)

    def add_refusal(self, piece: Any) -> None:
        """Adds a piece of a refusal, which some services send apart from the text."""
        if isinstance(piece, str) and piece:
            self._refusal.append(piece)

    def ended(self, reason: Any) -> None:
        """Notes the service's own word for how it ended."""
        if isinstance(reason, str) and reason:
            self._finish = _FINISHES.get(reason, Finish.DONE)

    def add_facts(self, message: Any) -> None:
        """Notes what stands beside the text: model and usage."""
        self._model = self._model or str(getattr(message, "model", None) or "")
        usage = getattr(message, "usage", None)
        if usage is not None:
            self._usage = Usage(
                _count(getattr(usage, "prompt_tokens", None)),
                _count(getattr(usage, "completion_tokens", None)),
            )

    def cut(self, why: str) -> None:
        """Notes that the reply broke off."""
        self._finish = Finish.CUT_OFF
        self._notes.append(f"the reply broke off: {why}")

    def reply(self, model: str, notes: Sequence[str]) -> Reply:
        """The whole reply.

        Args:
            model: The model that was asked for, where the service does not name the one that wrote.
            notes: About the attempts before it.
        """
        if self._refusal:
            self.add("".join(self._refusal) if not self._pieces else "")
            self._finish = Finish.REFUSED
        if self._finish is None:
            self.cut("the service ended it without saying why")
        return Reply(
            self.text.strip(),
            self._finish or Finish.CUT_OFF,
            self._model or model,
            self._usage,
            (*notes, *self._notes),
            took_s=self._deadline.took_s,
            first_s=self._first_s,
        )


def read_stream(pieces: Iterable[Any], collected: Collected) -> None:
    """Collects a streamed reply.

    Raises:
        ValueError: when no piece holds anything of a reply.
    """
    for piece in pieces:
        collected.add_facts(piece)
        for choice in (getattr(piece, "choices", None) or [])[:1]:
            delta = getattr(choice, "delta", None)
            collected.add(getattr(delta, "content", None))
            collected.add_refusal(getattr(delta, "refusal", None))
            collected.ended(getattr(choice, "finish_reason", None))
    if collected.is_nothing:
        raise ValueError("nothing was streamed (a service that cannot stream needs --no-stream)")


def read_whole(answer: Any, collected: Collected) -> None:
    """Collects a reply that came in one piece.

    Raises:
        ValueError: when it is no reply.
    """
    choices = getattr(answer, "choices", None)
    message = getattr(choices[0], "message", None) if choices else None
    if not choices or message is None:
        raise ValueError(f"there is no message in the answer: {str(answer)[:200]!r}")
    collected.add_facts(answer)
    collected.add(getattr(message, "content", None))
    collected.add_refusal(getattr(message, "refusal", None))
    collected.ended(getattr(choices[0], "finish_reason", None) or "stop")


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_SHOWN_CHARS = 300


def is_passing(error: Exception) -> bool:
    """Whether the same request may be answered a little later."""
    if isinstance(error, openai.APITimeoutError):
        return False  # it had all the time
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _PASSING and not _is_out_of_money(error)
    return isinstance(error, openai.APIConnectionError)


def wanted_pause_s(error: Exception) -> float | None:
    """Seconds after which the service wants the next attempt; None when it does not say."""
    if not isinstance(error, openai.APIStatusError):
        return None
    return retry_after_s(error.response.headers.get("retry-after", ""))


def what_failed(error: Exception, host: str, model: str, pause_s: float) -> AnswerError:
    """The error that a person reads.

    Args:
        error: What the client raised.
        host: The service.
        model: The model that was asked for.
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
    status, reason = error.status_code, _short(_message(error))
    if status in (401, 403):
        return AnswerError(
            "model_key_refused", f"{host} refuses the key ({status}): {reason}",
            "set OPENAI_API_KEY to a key of this service",
        )  # fmt: skip
    if status == 404:
        return AnswerError(
            "model_unknown", f"{host} has no model {model!r}, or no such address: {reason}",
            "check --model and --base-url; the address usually ends in /v1",
        )  # fmt: skip
    if status == 429:
        again = "" if _is_out_of_money(error) else f"; ask again in {pause_s:.0f} s"
        return AnswerError(
            "model_busy", f"{host} takes no more requests just now: {reason}",
            f"your account's limit is reached{again}",
        )  # fmt: skip
    hint = "does the model take pictures?" if status in (400, 415, 422) else "try again later"
    return AnswerError("model_failed", f"{host} answered with status {status}: {reason}", hint)


def _is_out_of_money(error: openai.APIStatusError) -> bool:
    return error.code == "insufficient_quota"


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return error.message


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
