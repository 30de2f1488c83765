"""What both served surfaces answer with: values, and what is written of them. Layer: serving."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Self

from relook.app.upkeep import LibraryFacts
from relook.core.converter import JsonValue
from relook.core.errors import NotFoundError, RelookError
from relook.core.json_form import HEX, INLINE, Digits
from relook.core.json_writer import to_json
from relook.core.picture_paths import printable
from relook.core.types import Hit
from relook.library.records import ImageRecord
from relook.search.explain import Reason, why
from relook.search.session import Session


def served(value: object) -> dict[str, Any]:
    """A value as a JSON object for any reader.

    Odd bytes of paths and texts become U+FFFD, numbers without end null.
    """
    answer: dict[str, Any] = to_json(value, text=printable)
    return answer


def finite(hit: Hit) -> Hit:
    """The hit; a score that is no number, as of a torn vector, is 0."""
    return hit if math.isfinite(hit.score) else replace(hit, score=0.0)


@dataclass(frozen=True, slots=True)
class ErrorBody(JsonValue):
    """What happened and what to do next.

    Args:
        code: Stable name, for programs.
        message: What happened, with the value that caused it.
        hint: What to do next; may be empty.
    """

    code: str
    message: str
    hint: str

    @classmethod
    def of(cls, error: RelookError) -> Self:
        """What an error says."""
        return cls(error.code, error.message, error.hint)


@dataclass(frozen=True, slots=True)
class ServedFacts(JsonValue):
    """What a served library holds.

    Args:
        library_id: Its name in addresses.
        name: What a person calls it.
        facts: What it holds.
        limit: Hits of a page, as it is configured.
        strategy: How judgements are used, as it is configured.
        keep_shown: Whether shown images may appear again, as it is configured.
        grammar: Whether a query's line is read, or words as they stand, as it is configured.
    """

    library_id: str
    name: str
    facts: Annotated[LibraryFacts, INLINE]
    limit: int
    strategy: str
    keep_shown: bool
    grammar: bool


@dataclass(frozen=True, slots=True)
class ImageFacts(JsonValue):
    """What the library knows of an image.

    Args:
        image_id: Its identity in the library.
        path: Where the picture file was when it was indexed.
        title, caption, metadata: From sidecars and the file itself.
        width_px, height_px: Of the upright original.
        format: Container, recognised by content.
        size_bytes: Of the file.
        content: Digest of the file, in hexadecimal digits.
    """

    image_id: int
    path: str
    title: str
    caption: str
    width_px: int
    height_px: int
    format: str
    size_bytes: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    content: Annotated[bytes, HEX] = b""

    @classmethod
    def of(cls, record: ImageRecord) -> Self:
        """The facts of a record of the catalog."""
        return cls(
            record.image_id, printable(record.facts.path), record.title, record.caption,
            record.width_px, record.height_px, record.format, record.facts.size_bytes,
            record.metadata, record.content,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Why(JsonValue):
    """Why a hit is where it is.

    Args:
        image_id: The image.
        score: What the reasons' amounts sum to.
        reasons: Strongest first.
    """

    image_id: int
    score: Annotated[float, Digits(6)]
    reasons: tuple[Reason, ...]

    @classmethod
    def of(cls, session: Session, image_id: int, strategy: str | None) -> Self:
        """The reasons for an image of a session's current page.

        Raises:
            NotFoundError: `no_hit` when the page does not show it.
            InputError: as `search.explain.why`.
        """
        hits = [hit for hit in session.page if hit.image_id == image_id]
        if not hits:
            raise NotFoundError(
                "no_hit", f"image {image_id} is not on the current page", "ask for one that is"
            )
        reasons = why(session, hits[0], strategy)
        return cls(image_id, sum(reason.amount for reason in reasons), tuple(reasons))
