"""What tools answer, as schemas: the keys of `--json`. Layer: mcp. Keys are only ever added."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "AnswerShape", "ExplanationShape", "InfoShape", "LibrariesShape", "PageShape", "PicturesShape",
    "SessionShape", "SessionsShape",
]  # fmt: skip


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class LibraryLine(_Open):
    library_id: str
    name: str
    n_images: int
    n_away: int = Field(description="Images whose file cannot be reached now.")
    n_skipped: int


class LibrariesShape(_Open):
    """Libraries, and what may be named."""

    libraries: list[LibraryLine]
    folders: list[str] = Field(description="Picture files below may be named as examples.")
    models: list[str] = Field(description="What `ask` may name as model.")
    providers: list[str] = Field(description="What `ask` may name as providers.")
    allow_upload: bool = Field(description="Whether a person agreed to uploads at the start.")


class InfoShape(_Open):
    """What a library holds."""

    library_id: str
    n_images: int
    n_tiles: int
    n_away: int = Field(description="Images whose file cannot be reached now.")
    away: list[dict[str, Any]] = Field(description="place, reason, n.")
    n_skipped: int
    encoder: str
    dim: int
    fields: list[str] = Field(description="Keys for `where`.")
    skipped: list[dict[str, str]] = Field(description="path, code, message; when asked for.")


class HitShape(_Open):
    image_id: int
    path: str
    score: float | None = Field(description="Higher is better; comparable within a page only.")
    fit: float | None = Field(None, description="Probability that it shows the words.")
    tile: list[float] = Field(description="The region that won, x0 y0 x1 y1, 0..1.")
    title: str
    caption: str
    uri: str = Field(description="Resource with everything known of the image.")


class PageShape(_Open):
    """Hits, best first."""

    query: dict[str, Any]
    session_id: str | None
    library_id: str
    hits: list[HitShape]
    notes: list[str]
    n_fitting: int | None = Field(description="Hits before they stop fitting; 0: nothing fits.")


class JudgementShape(_Open):
    judgement_id: int
    image_id: int
    relevant: bool
    box: list[float] | None
    caption: str | None


class SessionShape(PageShape):
    """A session's current page, with what was judged."""

    round: int
    judgements: list[JudgementShape]
    choice: dict[str, Any] = Field(description="What the strategy `auto` chose, and why.")


class SessionLine(_Open):
    session_id: str
    name: str
    created_s: float


class SessionsShape(_Open):
    """Sessions, newest first."""

    library_id: str
    sessions: list[SessionLine]


class PictureLine(_Open):
    image_id: int
    path: str
    n_bytes: int


class PicturesShape(_Open):
    """What the shown pictures are, in their order."""

    library_id: str
    images: list[PictureLine]


class ExplanationShape(_Open):
    """Why a hit is where it is, or what a judgement did."""

    session_id: str
    image_id: int | None = None
    score: float | None = None
    reasons: list[dict[str, Any]] | None = None
    judgement_id: int | None = None
    raised: list[dict[str, Any]] | None = None
    lowered: list[dict[str, Any]] | None = None


class AnswerShape(_Open):
    """An answer with its evidence; `[2]` in its text cites item 2."""

    question: str
    text: str
    citations: list[int]
    model: str
    evidence: dict[str, Any]
    sent: list[dict[str, Any]] = Field(description="What left the machine.")
