"""The answerer seam. Layer: answerers. Values and a protocol only.

An answerer takes a finished prompt and returns a reply. It looks nothing up, reads no citations
and keeps nothing. A class that `ANSWERERS` or an entry point names opens itself, and declares
facts:

    open(spec, settings)   what stands behind its name, and `ModelSettings`; `key=Secret` too when
                           it needs a key
    remote   whether it may send prompts elsewhere; taken for True when it is not declared
    needs    what it cannot do without: `model`, `key`
"""

import enum
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from relook.core.converter import JsonValue
from relook.core.json_form import HIDDEN, SHOWN, Key
from relook.providers.match import Match

Tell = Callable[[str, str], None]
"""Called while a reply is made: ("text", the next piece), ("thinking", the next piece of what the
model thinks before it answers), or ("note", what is happening)."""


@dataclass(frozen=True, slots=True)
class Shown(JsonValue):
    """A picture inside a prompt.

    Args:
        data: Bytes of its file, as the model gets them.
        mime: Its type.
        label: What it is, for people ("the picture asked about").
    """

    data: Annotated[bytes, HIDDEN] = field(repr=False)
    mime: str
    label: Annotated[str, Key("picture")]

    @property
    def n_bytes(self) -> Annotated[int, SHOWN]:
        """Size of the file."""
        return len(self.data)

    @property
    def content_hash(self) -> Annotated[str, SHOWN]:
        """Hexadecimal digest of the file."""
        return hashlib.blake2b(self.data, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class ShownText(JsonValue):
    """Words inside a prompt."""

    text: str


@dataclass(frozen=True, slots=True)
class Prompt(JsonValue):
    """Exactly what a model is shown; in its JSON pictures have size and hash instead of bytes.

    Args:
        system: The task and its rules.
        parts: Texts and pictures of the user's turn, in order.
        question: The person's question alone, for answerers that ask no model.
        matches: The numbered evidence in it, for the same answerers.
        own_report: What the picture's own file says, in one line, likewise; empty when it says
            nothing, or a model sees it in the parts.
        looked_up: How looking the picture up ended, likewise; empty when that was not tried.
    """

    system: str
    parts: Annotated[tuple[str | Shown, ...], HIDDEN]
    question: Annotated[str, HIDDEN] = ""
    matches: Annotated[tuple[tuple[int, Match], ...], HIDDEN] = ()
    looked_up: Annotated[str, HIDDEN] = ""
    own_report: Annotated[str, HIDDEN] = ""

    @property
    def shown(self) -> Annotated[tuple[ShownText | Shown, ...], SHOWN, Key("parts")]:
        """The user's turn, in order."""
        return tuple(ShownText(part) if isinstance(part, str) else part for part in self.parts)


class Finish(enum.StrEnum):
    """How a reply ended."""

    DONE = "done"
    LENGTH = "length"
    """The longest reply allowed was reached."""
    REFUSED = "refused"
    """The model or its service declined to answer."""
    CUT_OFF = "cut_off"
    """The connection or the time ended before the reply did."""
    EMPTY = "empty"
    """The model wrote no answer; the notes say why."""


@dataclass(frozen=True, slots=True)
class Usage(JsonValue):
    """What a reply cost, in the model's tokens; None where the service does not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answerer writes.

    Args:
        text: The whole text; empty when there is none.
        finish: How it ended.
        model: What wrote it, as the service names it; empty when no model was asked.
        usage: Tokens.
        notes: Things the person should know ("the service was busy: waited 4 s").
        took_s: Wall time in seconds, with waits.
        first_s: Seconds until the first piece of text came, or None.
        thinking: What the model thought on its way, where its service tells; no part of the text.
    """

    text: str
    finish: Finish
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    notes: tuple[str, ...] = ()
    took_s: float = 0.0
    first_s: float | None = None
    thinking: str = ""


class Answerer(Protocol):
    """Writes a reply to a prompt.

    Attributes:
        name: Registry name.
        model: Which model; empty when none is asked.
        host: Where a prompt is sent to; empty when it stays in this process.
        third_party: Whether that host is somebody else's.
    """

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def third_party(self) -> bool: ...

    def reply(self, prompt: Prompt, tell: Tell | None = None) -> Reply:
        """One reply; a refusal or a cut is a reply too.

        Raises:
            AnswerError: when there is no reply at all: no service, a refused key, no time left.
        """
        ...

    def close(self) -> None:
        """Frees what it holds; closing twice is fine."""
        ...
