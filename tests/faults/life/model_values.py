"""What a library holds, as the model writes it down: images, and sessions with their marks."""

from dataclasses import dataclass, field

Words = tuple[str, str]
"""Title and caption."""


class BrokenError(AssertionError):
    """Something that must be true is not."""


@dataclass(frozen=True)
class Image:
    """An image of the library.

    Args:
        place: Where its file was when it was last seen.
        picture: What it shows.
        words: What was said about it.
        state: `here`, `away`, or `gone`: deleted, and kept only for what refers to it.
    """

    place: str
    picture: int
    words: Words = ("", "")
    state: str = "here"

    def __str__(self) -> str:
        return f"{self.place} (picture {self.picture}, {self.state})"


@dataclass(frozen=True)
class Mark:
    """A judgement as the person made it."""

    judgement_id: int
    image_id: int
    relevant: bool
    box: tuple[float, ...] | None
    caption: str | None
    round: int
    led_to: int | None = None


@dataclass(frozen=True)
class Round:
    """A page: which one it grew from, and the images it showed."""

    number: int
    parent: int | None
    hits: tuple[int, ...]


@dataclass
class SessionModel:
    """A session: its pages, and its marks by id."""

    session_id: str
    current: int = 0
    rounds: list[Round] = field(default_factory=list)
    marks: dict[int, Mark] = field(default_factory=dict)
