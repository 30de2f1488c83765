"""What requests and answers look like; the OpenAPI document is made from these. Layer: server."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model

from relook.core import types
from relook.core.json_form import json_entries, shape_of
from relook.core.types import Box
from relook.library import session_values
from relook.search import explain

__all__ = [
    "Changes", "Embeddings", "ErrorAnswer", "Fields", "HeatMap", "Hit", "ImageAnswer", "Imported",
    "Influence", "Job", "Judgement", "Judgements", "Libraries", "Library", "Page", "Part",
    "Picture", "Round", "RoundAnswer", "RoundMade", "Session", "SessionList", "SkippedFiles",
    "Status", "Strategies", "Undone", "Version", "Why",
]  # fmt: skip

_MAX_ID = 2**63 - 1
Id = Annotated[int, Field(ge=0, le=_MAX_ID)]
Edge = Annotated[float, Field(ge=0, le=1)]
Edges = Annotated[
    list[Edge],
    Field(
        min_length=4,
        max_length=4,
        description="x0, y0, x1, y1 as shares of the upright picture's width and height.",
        examples=[[0.1, 0.2, 0.6, 0.9]],
    ),
]


class Answer(BaseModel):
    """Answers may gain keys; none is ever taken away."""

    model_config = ConfigDict(extra="allow")


def answer(name: str, doc: str | None = None, /, **kinds: Any) -> type[Answer]:
    """An answer of its keys and their types; dataclasses inside them as `answer_of` has them.

    A type beside None is of a key that is left out for None.
    """
    fields: dict[str, Any] = {
        key: (_answered(kind[0]), kind[1]) if isinstance(kind, tuple) else (_answered(kind), ...)
        for key, kind in kinds.items()
    }
    model: type[Answer] = create_model(
        name, __base__=Answer, __doc__=doc and inspect.cleandoc(doc), **fields
    )
    return model


def answer_of(
    cls: Any,
    doc: str | None = None,
    *,
    name: str = "",
    more: Mapping[str, Any] | None = None,
    **descriptions: str,
) -> Any:
    """The answer that a dataclass is as JSON: the keys and types that the converter writes.

    Args:
        cls: The dataclass.
        doc: What people read of it.
        name: In the OpenAPI document; that of the class when empty.
        more: Further keys, with their types.
        descriptions: Key -> what people read of it.
    """
    kinds: dict[str, Any] = {}
    for entry in json_entries(cls):
        kinds[entry.key] = Annotated[entry.kind, Field(description=descriptions.get(entry.key))]
        if shape_of(cls).leave_out_none and NoneType in get_args(entry.kind):
            kinds[entry.key] = (kinds[entry.key], None)
    model = answer(name or cls.__name__, doc, **kinds, **(more or {}))
    _ANSWERS[cls] = model
    return model


_ANSWERS: dict[Any, Any] = {Box: list[float], Path: str}
"""What describes a value as JSON; `answer_of` adds the dataclasses."""


def _answered(kind: Any) -> Any:
    """A type as its JSON is described, whatever stands inside it."""
    origin, members = get_origin(kind), get_args(kind)
    if origin is None:
        return _ANSWERS.get(kind, kind)
    if origin is Annotated:
        return Annotated[_answered(members[0]), *members[1:]]
    inner = tuple(_answered(member) for member in members)
    if origin is tuple:
        return list[inner[0]]  # type: ignore[valid-type]
    return Union[inner] if origin in (UnionType, Union) else origin[inner]  # noqa: UP007


class ErrorBody(BaseModel):
    """What happened and what to do next."""

    code: str = Field(description="Stable name, for programs.", examples=["no_image"])
    message: str = Field(examples=["the library has no image 7"])
    hint: str = Field(examples=["it may have been removed"])


class ErrorAnswer(BaseModel):
    """The one shape of every error."""

    error: ErrorBody


class Status(Answer):
    status: Literal["ok"]


class Version(Answer):
    version: str = Field(examples=["0.1.0"])
    api: str = Field(examples=["v1"])


class StrategyLine(Answer):
    name: str = Field(examples=["auto"])
    summary: str


class Strategies(Answer):
    default: str = Field(examples=["auto"])
    strategies: list[StrategyLine]


class Absence(Answer):
    """Pictures that are away for one reason."""

    place: str = Field(description="The folder, archive, file or address.")
    reason: str = Field(examples=["is not there"])
    n: int


class Library(Answer):
    """One library and what it holds."""

    library_id: str = Field(examples=["holiday-2026"])
    name: str
    n_images: int
    n_tiles: int
    n_away: int = Field(description="How many of the images are away: not to be reached now.")
    away: list[Absence]
    n_skipped: int
    encoder: str = Field(examples=["builtin"])
    dim: int
    roots: list[str] = Field(description="Folders and files that were indexed.")
    folders: list[str] = Field(description="Folders below which more may be indexed.")
    n_bytes: int
    job_id: str | None = Field(description="The job that is changing it now, if there is one.")
    limit: int = Field(description="Hits of a page, as the server is configured.")
    strategy: str = Field(description="How judgements are used, as the server is configured.")
    keep_shown: bool = Field(description="Whether shown images may appear again, as configured.")


class Libraries(Answer):
    libraries: list[Library]


class SkippedFile(Answer):
    path: str
    code: str = Field(examples=["truncated"])
    message: str


class SkippedFiles(Answer):
    skipped: list[SkippedFile]


class Fields(Answer):
    fields: list[str] = Field(examples=[["title", "caption", "format", "city"]])


class Part(Answer):
    """One part of an answer's query: `text`, `picture` or `image_id`, and its weight."""

    weight: float


class Query(Answer):
    parts: list[Part]


Hit = answer_of(
    types.Hit,
    """An image that was found.""",
    more={
        "thumbnail": Annotated[
            str, Field(description="Where its thumbnail is; add &size=160|320|640|1280.")
        ],
        "file": Annotated[str, Field(description="Where the picture itself is.")],
    },
    score="Higher is better; comparable within a page only.",
    tile="The rectangle that won: x0, y0, x1, y1.",
    folded="Near-duplicates that this hit stands for.",
    away="Why its file cannot be reached now, if so.",
)
_ANSWERS[types.Query] = Query
Page = answer_of(types.Page, """Hits, best first.""")


class ImageAnswer(Answer):
    """What the library knows of an image."""

    image_id: int
    path: str
    title: str
    caption: str
    width_px: int
    height_px: int
    format: str
    size_bytes: int
    metadata: dict[str, Any]
    content: str = Field(description="Digest of the file, in hexadecimal digits.")
    thumbnail: str
    file: str


class Picture(Answer):
    """A picture that was uploaded to search with."""

    picture_id: str
    width_px: int
    height_px: int


class HeatMap(Answer):
    cells: list[list[float]] = Field(description="Row 0 is at the top.")
    min: float
    max: float


class Imported(Answer):
    session_id: str
    notes: list[str]


Judgement = answer_of(
    session_values.Judgement,
    """A mark; `caption` null by `captioner` means that it is still being written.

    Where the captioner failed, `caption` is empty and `failure` has code, message and hint.
    """,
)
Judgements = answer(
    "Judgements",
    judgements=Annotated[
        list[session_values.Judgement],
        Field(description="In the order in which they were asked for."),
    ],
)
Round = answer_of(session_values.RoundRow, name="Round")
SessionLine = answer_of(session_values.SessionRow, name="SessionLine")
Session = answer(
    "Session",
    """A search with its rounds and the judgements that count now.""",
    session_id=str,
    library_id=str,
    name=str,
    query=Query,
    where=Annotated[
        dict[str, str], Field(description="Metadata key -> pattern that every page keeps to.")
    ],
    path=Annotated[str | None, Field(description="Pattern of the path that every page keeps to.")],
    current_round=int,
    created_s=float,
    rounds=list[session_values.RoundRow],
    judgements=list[session_values.Judgement],
    page=Page,
)
SessionList = answer("SessionList", sessions=list[session_values.SessionRow])
Undone = answer("Undone", told=str, session=Session)
Changes = answer_of(
    explain.Change,
    """Where an image is now, and where the ranking before would have put it on this page.""",
    name="Changes",
    rank_before="None: not among the first 1,000.",
)
RoundMade = answer(
    "RoundMade",
    round=session_values.RoundRow,
    page=Page,
    session=Session,
    took_ms=float,
    changes=dict[str, explain.Change],
)
RoundAnswer = answer("RoundAnswer", round=session_values.RoundRow, page=Page)
Reason = answer_of(explain.Reason)
Why = answer("Why", image_id=int, score=float, reasons=list[explain.Reason])
Moved = answer_of(explain.Moved)
Influence = answer_of(explain.Influence)


class Job(Answer):
    """A run of indexing."""

    job_id: str
    library_id: str
    state: Literal["running", "paused", "done", "failed", "stopped"]
    stage: str = Field(examples=["indexing"])
    done: int
    total: int = Field(description="0 while it is not known.")
    rate_per_s: float
    left_s: float | None
    n_skipped: int
    report: dict[str, Any] | None
    error: ErrorBody | None


class Embeddings(Answer):
    dim: int
    vectors: list[list[float]]
