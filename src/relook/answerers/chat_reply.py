"""Reads what a chat service sends, whole or in pieces. Layer: answerers.

Services leave fields out or send null; whatever is there counts, nothing has to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from relook.answerers.base import Finish, Reply, Tell, Usage
from relook.answerers.chat_errors import Deadline

__all__ = ["Collected", "read_stream", "read_whole"]

_FINISHES = {"length": Finish.LENGTH, "content_filter": Finish.REFUSED}


class Collected:
    """A reply as it comes in.

    Args:
        tell: Hears each piece of text.
        deadline: Knows how long it takes.
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
        """A piece of the answer's text."""
        if isinstance(piece, str) and piece:
            if self._first_s is None:
                self._first_s = self._deadline.took_s
            self._pieces.append(piece)
            if self._tell:
                self._tell("text", piece)

    def add_refusal(self, piece: Any) -> None:
        """A piece of a refusal, which some services send apart from the text."""
        if isinstance(piece, str) and piece:
            self._refusal.append(piece)

    def ended(self, reason: Any) -> None:
        """The service's own word for how it ended."""
        if isinstance(reason, str) and reason:
            self._finish = _FINISHES.get(reason, Finish.DONE)

    def told(self, message: Any) -> None:
        """Facts that stand beside the text: model and usage."""
        self._model = self._model or str(getattr(message, "model", None) or "")
        usage = getattr(message, "usage", None)
        if usage is not None:
            self._usage = Usage(
                _count(getattr(usage, "prompt_tokens", None)),
                _count(getattr(usage, "completion_tokens", None)),
            )

    def cut(self, why: str) -> None:
        """The reply broke off."""
        self._finish = Finish.CUT_OFF
        self._notes.append(f"the reply broke off: {why}")

    def reply(self, model: str, notes: Sequence[str]) -> Reply:
        """All of it.

        Args:
            model: What was asked for, where the service does not say what answered.
            notes: What went before.
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
        ValueError: when nothing of a reply was among what came.
    """
    for piece in pieces:
        collected.told(piece)
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
    collected.told(answer)
    collected.add(getattr(message, "content", None))
    collected.add_refusal(getattr(message, "refusal", None))
    collected.ended(getattr(choices[0], "finish_reason", None) or "stop")


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
