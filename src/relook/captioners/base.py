"""The captioner seam: crops to short phrases. Layer: captioners. Values and a protocol only.

A class that `CAPTIONERS` or an entry point names opens itself, and declares facts:

    open(spec, settings, prompt)   what stands behind its name, `CaptionerSettings`, a question
    remote        whether it may send crops elsewhere; taken for True when it is not declared
    needs         what it cannot do without: `model`, `key`
    takes_prompt  whether it can be asked a question; taken for False
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from relook.core.errors import AnswerError

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Phrase:
    """A few words about a crop.

    Args:
        text: Lower case, without a final dot.
        score: How well it fits; comparable between phrases of one captioner only.
    """

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class About:
    """What is known about crops besides their pixels; a captioner may use it or not.

    Args:
        query: Words that were searched for.
        instruction: What the person wants to be told, in their own words.
        relevant: How the crop was marked; None when it is not marked.
    """

    query: str = ""
    instruction: str = ""
    relevant: bool | None = None


NOTHING_KNOWN = About()
Captioned = list[Phrase] | AnswerError
"""Phrases of a crop, best first and never empty; or why there are none."""
Cancelled = Callable[[], bool]
"""Returns True when the work is no longer wanted; called often."""


def cancelled() -> AnswerError:
    """The error of a crop that was not captioned because the work was stopped."""
    return AnswerError("cancelled", "the captions were cancelled before this one was written")


class Captioner(Protocol):
    """Puts words to crops."""

    @property
    def name(self) -> str: ...

    def caption(
        self,
        images: Sequence[Image.Image],
        limit: int = 1,
        about: About = NOTHING_KNOWN,
        stop: Cancelled | None = None,
    ) -> list[Captioned]:
        """Short phrases for each RGB crop.

        Args:
            images: Crops of any size.
            limit: How many phrases a crop gets at most.
            about: What is known about them.
            stop: When it returns True, crops that are not done yet get a `cancelled` error.

        Returns:
            For each crop, in order, its phrases or the error that says why it has none: one
            crop that fails does not fail the others, and nothing is made up for it.

        Raises:
            ModelError: when the model itself cannot be used.
            AccessError: `no_consent` when crops would leave the machine without consent.
        """
        ...

    def close(self) -> None:
        """Frees the model; closing twice is fine."""
        ...
