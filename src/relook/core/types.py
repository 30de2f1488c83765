"""The values that travel between layers: boxes, queries, hits, pages. Layer: core.

Frozen dataclasses only: nothing here reads a file or knows an encoder.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, overload

from relook.core.converter import JsonValue
from relook.core.errors import InputError, QueryError, counted, is_no
from relook.core.json_form import HIDDEN, Digits, JsonShape
from relook.core.picture_paths import printable
from relook.core.registry import Adapter, Registry
from relook.core.verdicts import Verified
from relook.core.words import all_others, tokens

NOTHING_FITS = "No close match. Nearest below."
"""The note of a page on which nothing fits."""

_VIEWS = Registry(
    "view",
    {
        "html": Adapter("relook.notebook.page_view:page_html", "a page as a grid of pictures"),
        "text": Adapter("relook.notebook.page_view:page_text", "a page as lines"),
    },
)
"""What draws a page in a notebook; imported when IPython shows one."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of an upright picture in relative coordinates, 0..1 from the top left.

    Raises:
        InputError: `bad_box` when an edge is outside 0..1, not a number, or the
            rectangle has no area (swapped corners included).
    """

    json_shape: ClassVar[JsonShape] = JsonShape(as_list=True, code="bad_box")

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        edges = (self.x0, self.y0, self.x1, self.y1)
        if not all(math.isfinite(edge) and 0.0 <= edge <= 1.0 for edge in edges):
            raise InputError(
                "bad_box",
                f"box ({', '.join(f'{edge:.9g}' for edge in edges)}) is not inside the picture",
                "give x0,y0,x1,y1 as fractions of width and height, between 0 and 1",
            )
        for name, low, high in (("x", self.x0, self.x1), ("y", self.y0, self.y1)):
            if high <= low:
                raise InputError(
                    "bad_box",
                    f"{name}0 {low:.9g} is not below {name}1 {high:.9g}: the box has no area",
                    "x0,y0 is the top left corner and x1,y1 the bottom right one",
                )

    @classmethod
    def parse(cls, text: str) -> Box:
        """Reads `x0,y0,x1,y1`.

        Raises:
            InputError: `bad_box` when the text is not four numbers that make a box.
        """
        try:
            x0, y0, x1, y1 = (float(number) for number in text.split(","))
        except (AttributeError, TypeError, ValueError):
            raise InputError(
                "bad_box", f"{text!r} is not a box", "write it as x0,y0,x1,y1, say 0.1,0.2,0.6,0.9"
            ) from None
        return cls(x0, y0, x1, y1)

    @property
    def area(self) -> float:
        """Share of the picture that the box covers, 0..1."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def intersection(self, other: Box) -> float:
        """Share of the picture that both boxes cover, 0..1."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        return max(width, 0.0) * max(height, 0.0)

    def padded(self, share: float) -> Box:
        """The box grown by `share` of its width and height on every side, cut at the edges."""
        pad_x, pad_y = share * (self.x1 - self.x0), share * (self.y1 - self.y0)
        x0, y0 = max(self.x0 - pad_x, 0.0), max(self.y0 - pad_y, 0.0)
        return Box(x0, y0, min(self.x1 + pad_x, 1.0), min(self.y1 + pad_y, 1.0))

    def as_list(self) -> list[float]:
        """`[x0, y0, x1, y1]`, for JSON."""
        edges = (self.x0, self.y0, self.x1, self.y1)
        return [float(edge) for edge in edges]  # 0 and 0.0 are one edge in the catalog, too


WHOLE = Box(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class WrittenWord(JsonValue):
    """A word that stands in a picture.

    Args:
        text: As it was read.
        box: Where.
    """

    text: str
    box: Box


@dataclass(frozen=True, slots=True)
class Part(JsonValue):
    """One signed, weighted part of a query: words, a file, an image, a concept, written words.

    Args:
        text: Words.
        image: A picture file, inside the library or not.
        image_id: An image of the library.
        box: The region of `image` or `image_id` that is meant; the whole when None.
        weight: How much the part counts; below zero it pushes away.
        concept: Name of what a session learnt (`relook concept save`).
        place: The region of a picture that is found where words or a concept must be shown.
        written: Words that must stand in the picture; with a weight below zero, must not.
        literal: True where words count as they stand: nothing in them is left out or put right.
    """

    json_shape: ClassVar[JsonShape] = JsonShape(
        leave_out_none=True, code="bad_part", error=QueryError
    )

    text: str | None = None
    image: Path | None = None
    image_id: int | None = None
    box: Box | None = None
    weight: float = 1.0
    concept: str | None = None
    place: Box | None = None
    written: str | None = None
    literal: bool | None = None

    def __post_init__(self) -> None:
        kinds = (self.text, self.image, self.image_id, self.concept, self.written)
        if sum(value is not None for value in kinds) != 1:
            raise QueryError(
                "bad_part",
                "a query part is words, a picture file, an image id, a concept or written words",
            )
        if self.written is not None and not tokens(self.written):
            raise QueryError(
                "empty_query", f"text:{self.written!r} has no letter and no digit",
                'write words that stand in the picture: text:"invoice 2021"',
            )  # fmt: skip
        if self.written is not None and self.box is not None:
            raise QueryError("bad_part", f"written words have no region: {self.written!r}")
        if self.concept is not None and not self.concept.strip("@ "):
            raise QueryError("bad_part", "@ names no concept", "relook concept list names them")
        if self.box is not None and self.concept is not None:
            raise QueryError("bad_part", f"a concept has no region: @{self.concept}")
        if not isinstance(self.text, str | None):
            raise QueryError("bad_part", is_no(self.text, "words"), 'as in Part("a dog")')
        if self.text is not None and not self.text.strip():
            raise QueryError("empty_query", "the query has no words", "type what to look for")
        if self.box is not None and self.text is not None:
            raise QueryError(
                "bad_part", f"words have no region: {self.text!r}", "a place is what they have"
            )
        if self.place is not None and not (self.has_name and self.weight > 0):
            raise QueryError(
                "bad_part",
                f"a place is for words to look for, and {self.called} is none",
                "leave the place out: pictures and words to leave out have none",
            )
        if self.literal and self.text is None:
            raise QueryError("bad_part", f"only words are literal, and {self.called} is none")
        if not math.isfinite(self.weight) or self.weight == 0.0:
            raise QueryError("bad_weight", f"weight {self.weight} of a query part is not usable")

    @property
    def called(self) -> str:
        """What it is, in a few words."""
        if self.text is not None:
            return self.text
        if self.concept is not None:
            return f"@{self.concept}"
        if self.written is not None:
            return f"“{self.written}”"
        return f"image {self.image_id}" if self.image is None else str(self.image)

    @property
    def has_name(self) -> bool:
        """Whether it is words or a concept, and no picture."""
        return self.text is not None or self.concept is not None

    @property
    def leaves_out(self) -> bool:
        """Whether it is words for what must not be shown."""
        return self.text is not None and self.weight < 0


@dataclass(frozen=True, slots=True)
class Query(JsonValue):
    """Signed, weighted parts that together say what is looked for.

    Raises:
        QueryError: `empty_query` without parts, `only_negative` when every part pushes away.
    """

    json_shape: ClassVar[JsonShape] = JsonShape(code="bad_query", error=QueryError)

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise QueryError("empty_query", "the query is empty", "type what to look for")
        given = self.parts if isinstance(self.parts, tuple | list) else (self.parts,)
        if not all(isinstance(part, Part) for part in given):
            raise QueryError("bad_query", is_no(self.parts, "tuple of Part"), 'Query((Part("a"),))')
        if all(part.weight < 0 for part in self.parts):
            others = all_others(self.unwanted) if len(self.unwanted) == len(self.parts) else ""
            raise QueryError(
                "only_negative",
                "the query only says what not to show",
                f"add words or a picture of what to look for{others}",
            )

    @property
    def text(self) -> str:
        """The words looked for (positive text parts, joined); empty when there are none."""
        return ", ".join(part.text for part in self.parts if part.text and part.weight > 0)

    @property
    def called(self) -> str:
        """The words and concepts looked for; "picture" when there are none."""
        named = [part.called for part in self.parts if part.weight > 0 and part.has_name]
        return ", ".join(named) or "picture"

    @property
    def has_places(self) -> bool:
        """Whether a part must be shown at a place."""
        return any(part.place is not None for part in self.parts)

    @property
    def written(self) -> tuple[str, ...]:
        """Words that must stand in the picture."""
        return tuple(part.written for part in self.parts if part.written and part.weight > 0)

    @property
    def not_written(self) -> tuple[str, ...]:
        """Words that must not stand in the picture."""
        return tuple(part.written for part in self.parts if part.written and part.weight < 0)

    @property
    def is_written(self) -> bool:
        """Whether nothing is looked for but words that stand in the picture."""
        return all(part.written is not None for part in self.parts if part.weight > 0)

    @property
    def unwanted(self) -> tuple[str, ...]:
        """Words for what must not be shown."""
        return tuple(part.text for part in self.parts if part.text and part.leaves_out)


@dataclass(frozen=True, slots=True)
class Suggestion(JsonValue):
    """Something else to do about a query; nothing of it happens unless somebody takes it.

    Args:
        kind: `leave_out` for words that say what not to show, `did_you_mean` for mistyped ones,
            `other_model` for a language that the library's model does not read.
        label: A few words, as for a button.
        note: A sentence; it is among the page's notes.
        line: The query to ask instead, in the one-line language; a command for `other_model`.
        query: The query to ask instead; None for `other_model`.
    """

    json_shape: ClassVar[JsonShape] = JsonShape(leave_out_none=True)

    kind: str
    label: str
    note: str
    line: str
    query: Query | None = None


@dataclass(frozen=True, slots=True)
class Hit(JsonValue):
    """An image that a search found.

    Args:
        image_id: Identity of the image in its library.
        path: Where the picture file was when it was indexed.
        score: How well the best tile fits; higher is better. Comparable within a page only.
        tile: The rectangle that won.
        title, caption: From metadata; empty when there is none.
        width_px, height_px: Size of the upright original.
        folded: Image ids of near-duplicates that this hit stands for.
        tile_number: Position of `tile` among the image's tiles; 0 is the whole.
        away: Why the file cannot be reached now; None when nobody knows that it cannot.
        fit: Probability, 0 to 1, that the picture shows the words; None where it is not known.
        time_s: When its video shows it, in seconds from the beginning; None for other pictures.
        verified: What comparing it point by point with the asked picture showed; None where that
            was not done.
        written: Words of the query that stand in the picture; None where none does, or none is
            known to.
        metadata: What the file and files beside it say: `taken_at`, `camera`, a caption file's
            columns.
    """

    json_shape: ClassVar[JsonShape] = JsonShape(leave_out_none=True)

    image_id: int
    path: Path
    score: Annotated[float, Digits(6)]
    tile: Box
    title: str = ""
    caption: str = ""
    width_px: int = 0
    height_px: int = 0
    folded: tuple[int, ...] = ()
    tile_number: Annotated[int, HIDDEN] = 0
    away: str | None = None
    fit: Annotated[float | None, Digits(4)] = None
    time_s: Annotated[float | None, Digits(3)] = None
    verified: Verified | None = None
    written: tuple[WrittenWord, ...] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __repr__(self) -> str:
        """What a shell shows: number, file, score and fit."""
        fit = "" if self.fit is None else f", fit {self.fit:.2f}"
        return f"<Hit {self.image_id}: {printable(self.path.name)}, score {self.score:.3f}{fit}>"


@dataclass(frozen=True, slots=True)
class Page(JsonValue, Sequence[Hit]):
    """Ranked hits of one search, best first; behaves as a sequence of them.

    Args:
        query: What was asked.
        hits: Best first.
        notes: Things the person should know ("the query was cut after 64 tokens").
        session_id: The session this page belongs to, or None.
        took_ms: Wall time of the search in milliseconds.
        n_fitting: How many hits stand before the line where pictures stop fitting; 0 when nothing
            fits, None where fit is not known.
        suggestions: What else to ask, for words that are not read as they are.
    """

    query: Query
    hits: tuple[Hit, ...]
    notes: tuple[str, ...] = ()
    session_id: str | None = None
    took_ms: Annotated[float, Digits(2)] = field(default=0.0, compare=False)
    n_fitting: int | None = None
    suggestions: tuple[Suggestion, ...] = ()

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | Sequence[Hit]:
        return self.hits[index]

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __repr__(self) -> str:
        """What a shell shows: the query, how many hits, and the best; `print` shows them all."""
        query = " - ".join((self.query.called, *self.query.unwanted))
        best = f", best {printable(self.hits[0].path.name)}" if self.hits else ""
        return f"<Page {printable(query)!r}: {counted(len(self), 'hit')}{best}>"

    def __str__(self) -> str:
        """A line a hit, and the notes."""
        return str(_VIEWS.load("text")(self))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return str(_VIEWS.load("html")(self))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython shows in a terminal."""
        printer.text(str(self))
