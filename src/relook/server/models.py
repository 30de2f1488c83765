"""What requests and answers look like; the OpenAPI document is made from these. Layer: server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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


class Hit(Answer):
    """An image that was found."""

    image_id: int
    path: str
    score: float = Field(description="Higher is better; comparable within a page only.")
    tile: list[float] = Field(description="The rectangle that won: x0, y0, x1, y1.")
    title: str
    caption: str
    width_px: int
    height_px: int
    folded: list[int] = Field(description="Near-duplicates that this hit stands for.")
    thumbnail: str = Field(description="Where its thumbnail is; add &size=160|320|640|1280.")
    file: str = Field(description="Where the picture itself is.")
    away: str | None = Field(None, description="Why its file cannot be reached now, if so.")


class Page(Answer):
    """Hits, best first."""

    query: Query
    session_id: str | None
    hits: list[Hit]
    notes: list[str]
    took_ms: float


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


class Judgement(Answer):
    """A mark; `caption` null by `captioner` means that it is still being written.

    Where the captioner failed, `caption` is empty and `failure` has code, message and hint.
    """

    judgement_id: int
    round: int
    image_id: int
    relevant: bool
    box: list[float] | None
    caption: str | None
    caption_by: str
    weight: float


class Judgements(Answer):
    judgements: list[Judgement] = Field(description="In the order in which they were asked for.")


class Round(Answer):
    number: int
    parent: int | None
    strategy: str
    n_hits: int
    notes: list[str]
    choice: dict[str, Any]


class Session(Answer):
    """A search with its rounds and the judgements that count now."""

    session_id: str
    library_id: str
    name: str
    query: Query
    where: dict[str, str] = Field(description="Metadata key -> pattern that every page keeps to.")
    path: str | None = Field(description="Pattern of the path that every page keeps to.")
    current_round: int
    created_s: float
    rounds: list[Round]
    judgements: list[Judgement]
    page: Page


class SessionLine(Answer):
    session_id: str
    name: str
    created_s: float
    current_round: int


class SessionList(Answer):
    sessions: list[SessionLine]


class Imported(Answer):
    session_id: str
    notes: list[str]


class Undone(Answer):
    told: str
    session: Session


class Changes(Answer):
    """Where an image is now, and where the ranking before would have put it on this page."""

    rank: int
    rank_before: int | None = Field(description="None: not among the first 1,000.")


class RoundMade(Answer):
    round: Round
    page: Page
    session: Session
    took_ms: float
    changes: dict[str, Changes]


class RoundAnswer(Answer):
    round: Round
    page: Page


class Reason(Answer):
    name: str
    amount: float
    judgement_id: int | None


class Why(Answer):
    image_id: int
    score: float
    reasons: list[Reason]


class Moved(Answer):
    image_id: int
    path: str
    change: float
    rank: int
    rank_without: int


class Influence(Answer):
    judgement_id: int
    raised: list[Moved]
    lowered: list[Moved]


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
