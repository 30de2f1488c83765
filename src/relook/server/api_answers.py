"""What the HTTP API answers: the core's values with the addresses of their pictures. Layer: server.

The OpenAPI document has its schemas from these classes. Keys are only ever added.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from relook.core.json_form import INLINE, Digits, JsonShape, Key, Without
from relook.core.types import Hit, Page, Part, Query, Suggestion
from relook.gateway.admission import API
from relook.library.records import ImageRecord, SkippedFile
from relook.library.session_values import Judgement, RoundRow, SessionRow
from relook.people.rights import RightWord
from relook.search.explain import Change
from relook.search.session import Session
from relook.serving.libraries import ServedLibrary
from relook.serving.pictures import QueryPictures
from relook.serving.playing import has_video
from relook.serving.served_values import ErrorBody, ImageFacts, ServedFacts, finite


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """The one shape of every error."""

    error: ErrorBody


@dataclass(frozen=True, slots=True)
class Status:
    """Whether the server answers."""

    status: Literal["ok"] = "ok"


@dataclass(frozen=True, slots=True)
class Version:
    """Which Relook this is, and which API it speaks."""

    version: str
    api: str = API.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class StrategyLine:
    """A way of using judgements."""

    name: str
    summary: str


@dataclass(frozen=True, slots=True)
class Strategies:
    """The ways of using judgements, the default first."""

    default: str
    strategies: tuple[StrategyLine, ...]


@dataclass(frozen=True, slots=True)
class LibraryAnswer:
    """One library and what it holds.

    Args:
        facts: What it holds.
        folders: Folders below which more may be indexed.
        job_id: The job that is changing it now, if there is one.
        shows_folders: Whether a picture's folder can be shown in a file manager here.
        right: What whoever asks may do with it: `view`, `mark` or `index`.
    """

    json_shape: ClassVar = JsonShape(name="Library")

    facts: Annotated[ServedFacts, INLINE]
    folders: tuple[Path, ...]
    job_id: str | None
    shows_folders: bool
    right: RightWord


@dataclass(frozen=True, slots=True)
class Libraries:
    """Every library of this server."""

    libraries: tuple[LibraryAnswer, ...]


@dataclass(frozen=True, slots=True)
class SkippedFiles:
    """Files that could not be indexed."""

    skipped: tuple[SkippedFile, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    """Names that `where` of a search may use."""

    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Unit vectors in the space of a library."""

    dim: int
    vectors: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """A session that came from a file; notes name what of it is not here."""

    session_id: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Where in a picture something is; row 0 of the cells is at the top."""

    cells: Annotated[tuple[tuple[float, ...], ...], Digits(5)]
    min: Annotated[float, Digits(5)]
    max: Annotated[float, Digits(5)]


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """One part of an answer's query: `text`, `picture` or `image_id`, and its weight.

    Args:
        part: The part.
        picture: picture_id of an upload.
    """

    json_shape: ClassVar = JsonShape(leave_out_none=True, name="Part")

    part: Annotated[Part, INLINE, Without("image")]
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class FilePartAnswer:
    """A part that is a picture file and no upload: answers show only its name.

    Args:
        part: The part.
        picture: Always null.
        name: Of the file.
    """

    json_shape: ClassVar = JsonShape(name="FilePart")

    part: Annotated[Part, INLINE, Without("image")]
    picture: None
    name: str


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """Signed, weighted parts that together say what is looked for."""

    json_shape: ClassVar = JsonShape(name="Query")

    parts: tuple[PartAnswer | FilePartAnswer, ...]

    @classmethod
    def of(cls, query: Query, pictures: QueryPictures) -> Self:
        """A query with its uploads by their ids."""
        return cls(tuple(_part(part, pictures) for part in query.parts))


def _part(part: Part, pictures: QueryPictures) -> PartAnswer | FilePartAnswer:
    if part.image is None:
        return PartAnswer(part)
    picture = pictures.picture_id(part.image)
    if picture is None:
        return FilePartAnswer(part, None, part.image.name)
    return PartAnswer(part, picture)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a picture is.

    Args:
        thumbnail: Where its thumbnail is; add &size=160|320|640|1280.
        file: Where the picture itself is.
        video: Where the video is that shows it; null for other pictures.
    """

    thumbnail: str
    file: str
    video: str | None = None

    @classmethod
    def of(cls, volume: ServedLibrary, image_id: int, content: bytes, plays: bool = False) -> Self:
        """The addresses; `v` names the content, so that a browser may keep it for good."""
        base = f"{API}/libraries/{volume.library_id}/images/{image_id}"
        version = f"v={content[:6].hex()}"
        video = f"{base}/video" if plays else None
        return cls(f"{base}/thumbnail?{version}&size=320", f"{base}/file?{version}", video)


@dataclass(frozen=True, slots=True)
class ImageAnswer:
    """What the library knows of an image, and where it is."""

    facts: Annotated[ImageFacts, INLINE]
    addresses: Annotated[Addresses, INLINE]

    @classmethod
    def of(cls, volume: ServedLibrary, record: ImageRecord) -> Self:
        """The answer for a record of the catalog."""
        plays = has_video(record)
        addresses = Addresses.of(volume, record.image_id, record.content, plays)
        return cls(ImageFacts.of(record), addresses)


@dataclass(frozen=True, slots=True)
class HitAnswer:
    """An image that was found.

    Args:
        hit: The image.
        away: Why its file cannot be reached now, if so.
        addresses: Where its picture is.
    """

    json_shape: ClassVar = JsonShape(name="Hit")

    hit: Annotated[Hit, INLINE, Without("away")]
    away: str | None
    addresses: Annotated[Addresses, INLINE]


@dataclass(frozen=True, slots=True)
class SuggestionAnswer:
    """Something else to do about a query; nothing of it happens unless somebody takes it.

    Args:
        suggestion: What it is.
        query: The query to ask instead; left out for `other_model`.
    """

    json_shape: ClassVar = JsonShape(leave_out_none=True, name="Suggestion")

    suggestion: Annotated[Suggestion, INLINE, Without("query", "line")]  # lines name files
    query: QueryAnswer | None

    @classmethod
    def of(cls, suggestion: Suggestion, pictures: QueryPictures) -> Self:
        """A suggestion with its query's uploads by their ids."""
        query = suggestion.query
        return cls(suggestion, None if query is None else QueryAnswer.of(query, pictures))


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """Hits, best first."""

    json_shape: ClassVar = JsonShape(name="Page")

    query: QueryAnswer
    hits: tuple[HitAnswer, ...]
    suggestions: tuple[SuggestionAnswer, ...]
    page: Annotated[Page, INLINE, Without("query", "hits", "suggestions")]

    @classmethod
    def of(cls, volume: ServedLibrary, page: Page) -> Self:
        """A page with the addresses of its pictures."""
        contents = volume.contents([hit.image_id for hit in page])

        def addresses(hit: Hit) -> Addresses:
            content = contents.get(hit.image_id, b"")
            return Addresses.of(volume, hit.image_id, content, hit.time_s is not None)

        hits = [HitAnswer(finite(hit), hit.away, addresses(hit)) for hit in page]
        query = QueryAnswer.of(page.query, volume.pictures)
        offered = [SuggestionAnswer.of(each, volume.pictures) for each in page.suggestions]
        return cls(query, tuple(hits), tuple(offered), page)


@dataclass(frozen=True, slots=True)
class JudgementAnswer:
    """A mark; `caption` null by `captioner` means that it is still being written.

    Args:
        judgement: The mark.
        failure: Why the captioner left `caption` empty, where it failed.
    """

    json_shape: ClassVar = JsonShape(leave_out_none=True, name="Judgement")

    judgement: Annotated[Judgement, INLINE]
    failure: ErrorBody | None = None


@dataclass(frozen=True, slots=True)
class Judgements:
    """Marks, in the order in which they were asked for."""

    judgements: tuple[JudgementAnswer, ...]


@dataclass(frozen=True, slots=True)
class SessionList:
    """The sessions of a library, newest first."""

    sessions: tuple[SessionRow, ...]


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """A search with its rounds and the judgements that count now.

    Args:
        row: Its own line.
        library_id: Where it is kept.
        query: The first query.
        where: Metadata key -> pattern that every page keeps to.
        path: Pattern of the path that every page keeps to.
        min_fit: Least probability, on every page, that an image shows the words.
        rounds: By number.
        judgements: Oldest first.
        page: The current round's.
    """

    json_shape: ClassVar = JsonShape(name="Session")

    row: Annotated[SessionRow, INLINE]
    library_id: str
    query: QueryAnswer
    where: Mapping[str, str]
    path: str | None
    min_fit: float
    rounds: tuple[RoundRow, ...]
    judgements: tuple[JudgementAnswer, ...]
    page: PageAnswer

    @classmethod
    def of(
        cls, volume: ServedLibrary, session: Session, took_ms: float = 0.0, page: Page | None = None
    ) -> Self:
        """A whole session; `took_ms` is how long its page took, `page` itself where it is known."""
        page = replace(session.page if page is None else page, took_ms=took_ms)
        only = session.keeps_to
        return cls(
            session.row, volume.library_id, QueryAnswer.of(session.query, volume.pictures),
            only.where, only.path, only.min_fit, tuple(session.rounds),
            tuple(map(JudgementAnswer, session.judgements)), PageAnswer.of(volume, page),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Undone:
    """What was taken back, in words, and the session without it."""

    undone: Annotated[str, Key("told")]
    session: SessionAnswer


@dataclass(frozen=True, slots=True)
class Redone:
    """What was made again, in words, and the session with it."""

    redone: Annotated[str, Key("told")]
    session: SessionAnswer


@dataclass(frozen=True, slots=True)
class RoundMade:
    """A new round: its page, the session with it, and how its images moved.

    Args:
        round: The round.
        page: What it shows.
        session: As it is now.
        took_ms: How long all of it took.
        changes: Image id -> where it is now, and where the ranking before would have put it.
    """

    round: RoundRow
    page: PageAnswer
    session: SessionAnswer
    took_ms: Annotated[float, Digits(2)]
    changes: Mapping[int, Change]


@dataclass(frozen=True, slots=True)
class RoundAnswer:
    """A round and its page."""

    round: RoundRow
    page: PageAnswer
