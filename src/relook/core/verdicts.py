"""What comparing two pictures point by point shows. Layer: core. Values only.

`core.same_picture` compares; here is what it says, for hits, matches and reports.
"""

import enum
from dataclasses import dataclass
from typing import Annotated

from relook.core.converter import JsonValue
from relook.core.json_form import SHOWN, Digits

WHOLE = 0.85
"""From this share on a picture counts as whole."""


class Verdict(enum.StrEnum):
    """How a picture relates to another one."""

    SAME = "same"
    EDITED = "edited"
    """All of it, changed: colours, a frame, words over it, turned, photographed."""
    PART = "part"
    """One of them is a part of the other."""
    MIRRORED = "mirrored"
    SIMILAR = "similar"
    """Nothing shows that they are one picture."""


@dataclass(frozen=True, slots=True)
class Verified(JsonValue):
    """What a comparison of two pictures showed.

    Args:
        verdict: How they relate.
        outline: Corners of the asked picture in the other one, relative (0..1) to its upright
            size, clockwise from the top left one; empty for `similar`.
        shows: Share of the other picture that the asked one shows, 0 to 1.
        shown: Share of the asked picture that is in the other one, 0 to 1.
        agreement: Share of the compared blocks that look alike, 0 to 1.
        n_points: Points that lie on each other.
    """

    verdict: Verdict
    outline: Annotated[tuple[tuple[float, float], ...], Digits(4)] = ()
    shows: Annotated[float, Digits(3)] = 0.0
    shown: Annotated[float, Digits(3)] = 0.0
    agreement: Annotated[float, Digits(3)] = 0.0
    n_points: int = 0

    @property
    def words(self) -> Annotated[str, SHOWN]:
        """The verdict for people."""
        if self.verdict is Verdict.PART:
            whole = self.shown >= self.shows
            return (
                f"shows {self.shows:.0%} of it" if whole else f"is {self.shown:.0%} of the picture"
            )
        if self.verdict is Verdict.MIRRORED and self.shows < WHOLE:
            return f"mirrored, shows {self.shows:.0%} of it"
        return _WORDS[self.verdict]

    @property
    def is_same_picture(self) -> bool:
        """Whether the two are one picture, whole or in part."""
        return self.verdict is not Verdict.SIMILAR


_WORDS = {
    Verdict.SAME: "the same picture",
    Verdict.EDITED: "the same picture, edited",
    Verdict.MIRRORED: "mirrored",
    Verdict.SIMILAR: "only similar",
}
ONLY_SIMILAR = Verified(Verdict.SIMILAR)
