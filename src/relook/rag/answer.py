"""An answer with everything it rests on. Layer: rag. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relook.answerers.base import Finish, Usage
from relook.providers.base import Sent
from relook.rag.evidence import Evidence

__all__ = ["Answer", "Written"]


@dataclass(frozen=True, slots=True)
class Written:
    """What one prompt gave.

    Args:
        text: The answer, with citations as `[2]`.
        citations: Evidence it cites, in order of first mention.
        invented: Numbers that it cited without having been shown them; not in the text.
        finish: How the reply ended.
        model: What wrote it; empty when no model was asked.
        usage: Tokens.
        prompt: Exactly what a model was shown, as `Prompt.as_dict` gives it; else empty.
        with_evidence: Whether evidence was shown.
        notes: Things the person should know.
        took_s, first_s: Seconds in all, and until the first piece of text.
    """

    text: str
    citations: tuple[int, ...] = ()
    invented: tuple[int, ...] = ()
    finish: Finish = Finish.DONE
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    prompt: Mapping[str, Any] = field(default_factory=dict)
    with_evidence: bool = False
    notes: tuple[str, ...] = ()
    took_s: float = 0.0
    first_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """A JSON form."""
        return {
            "text": self.text,
            "citations": list(self.citations),
            "invented": list(self.invented),
            "finish": self.finish.value,
            "model": self.model,
            "usage": self.usage.as_dict(),
            "prompt": dict(self.prompt),
            "with_evidence": self.with_evidence,
            "notes": list(self.notes),
            "took_s": round(self.took_s, 4),
            "first_s": None if self.first_s is None else round(self.first_s, 4),
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question about a picture.

    Args:
        question: As it was asked.
        written: The answer that counts.
        evidence: What was found; empty when nothing was looked up.
        without: The answer without evidence, when it was asked for or came first; else None.
        answerer: Who was asked.
        when: `always`, `never` or `auto`.
        why: Why evidence was used or was not.
        sent: What left this machine, to whom.
        stages: Seconds by stage: `providers`, `model`, `without`, `ours` (everything else).
        took_s: Wall time in seconds.
    """

    question: str
    written: Written
    evidence: Evidence
    without: Written | None = None
    answerer: str = ""
    when: str = "always"
    why: str = ""
    sent: tuple[Sent, ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)
    took_s: float = 0.0

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.written.text

    @property
    def citations(self) -> tuple[int, ...]:
        """Numbers of the evidence that it cites."""
        return self.written.citations

    @property
    def invented(self) -> tuple[int, ...]:
        """Numbers that it cited without having been shown them; taken out of the text."""
        return self.written.invented

    @property
    def with_evidence(self) -> bool:
        """Whether the answer was given evidence."""
        return self.written.with_evidence

    def as_dict(self, *, pictures: bool = False) -> dict[str, Any]:
        """The object that `--json` and the API give.

        Args:
            pictures: Whether the evidence's small pictures come with it, as base64.
        """
        return {
            "question": self.question,
            **self.written.as_dict(),
            "answerer": self.answerer,
            "when": self.when,
            "why": self.why,
            "evidence": self.evidence.as_dict(pictures=pictures),
            "without": None if self.without is None else self.without.as_dict(),
            "sent": [one.as_dict() for one in self.sent],
            "stages": {name: round(seconds, 4) for name, seconds in self.stages.items()},
            "took_s": round(self.took_s, 4),
        }
