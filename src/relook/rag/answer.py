"""An answer with everything that it rests on. Layer: rag. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from relook.answerers.base import Finish, Usage
from relook.core.converter import JsonValue
from relook.core.json_form import INLINE, Digits
from relook.providers.match import Sent
from relook.rag.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Written(JsonValue):
    """The answer to one prompt.

    Args:
        text: The answer, with citations as `[2]`.
        citations: Evidence it cites, in order of first mention.
        invented: Numbers that it cites though no such evidence was shown; not in the text.
        finish: How the reply ended.
        model: What wrote it; empty when no model was asked.
        usage: Tokens.
        prompt: Exactly what a model was shown, as `Prompt.as_dict` gives it; else empty.
        with_evidence: Whether evidence was shown.
        notes: Things the person should know.
        took_s, first_s: Seconds in all, and until the first piece of text.
        thinking: What the model thought before it answered, where its service tells; it is no
            part of the answer, and nothing in it is a citation.
        picked: With the form `names`, which candidate name the model picked; empty for none.
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
    took_s: Annotated[float, Digits(4)] = 0.0
    first_s: Annotated[float | None, Digits(4)] = None
    thinking: str = ""
    picked: str = ""


@dataclass(frozen=True, slots=True)
class Answer(JsonValue):
    """The answer to a question about a picture.

    Args:
        question: As it was asked.
        written: The answer that counts.
        evidence: What was found; empty when nothing was looked up.
        without: The answer without evidence, when it was wanted or came first; else None.
        answerer: Name of what answered.
        when: `always`, `never`, `auto` or `decide`.
        why: Why evidence was used or was not; may be empty.
        decided: What the model said when it was asked whether it wants a look-up; else empty.
        sent: What left this machine, to whom.
        stages: Seconds by stage: `providers`, `model`, `without`, `ours` (everything else).
        took_s: Wall time in seconds.
    """

    question: str
    written: Annotated[Written, INLINE]
    evidence: Evidence
    without: Written | None = None
    answerer: str = ""
    when: str = "always"
    why: str = ""
    decided: str = ""
    sent: tuple[Sent, ...] = ()
    stages: Annotated[Mapping[str, float], Digits(4)] = field(default_factory=dict)
    took_s: Annotated[float, Digits(4)] = 0.0

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
        """Numbers that it cites though no such evidence was shown; taken out of the text."""
        return self.written.invented

    @property
    def with_evidence(self) -> bool:
        """Whether the answer was given evidence."""
        return self.written.with_evidence

    @property
    def finish(self) -> Finish:
        """How the reply ended."""
        return self.written.finish

    @property
    def model(self) -> str:
        """What wrote it; empty when no model was asked."""
        return self.written.model

    @property
    def usage(self) -> Usage:
        """Tokens."""
        return self.written.usage

    @property
    def prompt(self) -> Mapping[str, Any]:
        """Exactly what a model was shown; else empty."""
        return self.written.prompt

    @property
    def notes(self) -> tuple[str, ...]:
        """Things the person should know."""
        return self.written.notes

    @property
    def first_s(self) -> float | None:
        """Seconds until the first piece of text."""
        return self.written.first_s

    @property
    def thinking(self) -> str:
        """What the model thought before it answered; no part of the answer."""
        return self.written.thinking

    @property
    def picked(self) -> str:
        """With the form `names`, which candidate name the model picked; empty for none."""
        return self.written.picked
