"""Arguments of tools with what an agent must know of them. Layer: mcp."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from relook.feedback.strategies import STRATEGIES
from relook.server.requests import Pattern

__all__ = [
    "MAX_LIMIT",
    "Away",
    "BoxMark",
    "Boxes",
    "Edges",
    "Example",
    "ExampleId",
    "Fold",
    "ImageId",
    "ImageIds",
    "Images",
    "LibraryId",
    "Limit",
    "Numbers",
    "PathPattern",
    "Region",
    "SessionId",
    "StrategyName",
    "When",
    "Where",
    "Without",
    "Words",
]  # fmt: skip

_MAX_ID = 2**53
MAX_LIMIT = 100
_STRATEGIES = "; ".join(f"{name}: {one.summary}" for name, one in STRATEGIES.items())

Id = Annotated[int, Field(ge=1, le=_MAX_ID)]
Edges = Annotated[
    list[Annotated[float, Field(ge=0, le=1)]],
    Field(
        min_length=4,
        max_length=4,
        description="x0, y0, x1, y1 as fractions of the upright picture's width and height, from "
        "the top left.",
    ),
]
LibraryId = Annotated[
    str,
    Field(max_length=200, description="From list_libraries; the first library when empty."),
]
Words = Annotated[
    str,
    Field(
        max_length=2000,
        description="What to look for, in words: 'dog on a beach'. Parts are added and taken away "
        "with + and - between spaces: 'dog + snow - people'. Leave it empty to search with "
        "pictures only.",
    ),
]
ImageId = Annotated[int, Field(ge=1, le=_MAX_ID, description="An image of the library.")]
ExampleId = Annotated[
    Id | None, Field(description="An image of the library, instead of a picture file.")
]
Region = Annotated[
    Edges | None,
    Field(description="Only this region: x0, y0, x1, y1 as fractions, from the top left."),
]
ImageIds = Annotated[
    list[Id], Field(max_length=32, description="Images of the library that it should look like.")
]
Images = Annotated[
    list[Annotated[str, Field(max_length=4000)]],
    Field(
        max_length=16,
        description="Paths of picture files that it should look like; only below the folders that "
        "list_libraries tells.",
    ),
]
Example = Annotated[
    str, Field(max_length=4000, description="Path of a picture file, instead of image_id.")
]
Without = Annotated[
    list[Annotated[str, Field(max_length=500)]],
    Field(max_length=16, description="Words for what should not be shown, each without a 'not'."),
]
Where = Annotated[
    dict[str, Pattern],
    Field(
        description="Only images whose metadata fits: key -> pattern, * and ? stand for anything. "
        "library_info tells the keys."
    ),
]
PathPattern = Annotated[
    Pattern, Field(description="Only images whose path fits, for example '*/2019/*'.")
]
Limit = Annotated[
    int, Field(ge=0, le=MAX_LIMIT, description="How many images at most; 0: as configured.")
]
Fold = Annotated[
    bool | None, Field(description="Whether near-duplicates become one hit; null: as configured.")
]
Away = Annotated[
    bool, Field(description="Whether images whose file cannot be reached now are shown, too.")
]
SessionId = Annotated[str, Field(min_length=1, max_length=64, description="From begin_session.")]
StrategyName = Annotated[
    str,
    Field(
        max_length=40,
        description=f"How judgements are used; as configured when empty. {_STRATEGIES}.",
    ),
]
When = Annotated[
    Literal["", "always", "never", "auto"],
    Field(
        description="Use evidence always, never, or when the answer without it is unsure (auto)."
    ),
]
Numbers = Annotated[list[Annotated[int, Field(ge=1, le=999)]], Field(max_length=100)]


class BoxMark(BaseModel):
    """A judgement on a region of an image."""

    model_config = ConfigDict(extra="forbid")

    image_id: ImageId
    box: Edges
    relevant: bool = Field(True, description="Whether this is what is looked for.")
    caption: str | None = Field(
        None,
        max_length=500,
        description="A few words for what is in it; suggested when left out, none when empty.",
    )


Boxes = Annotated[
    list[BoxMark],
    Field(max_length=32, description="Regions that show what is looked for, or what is not."),
]
