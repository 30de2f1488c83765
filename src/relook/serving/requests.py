"""What a served surface may be asked for, each request a value. Layer: serving. It knows no HTTP.

The marks bound what is read; `serving.schemas` makes pydantic check them, and `core.converter`
makes the values.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from relook.core.errors import QueryError, RequestError
from relook.core.json_form import INLINE, Between, Longest, Shortest
from relook.core.types import Box, Part, Query
from relook.library.album_values import MAX_ALBUM_NAME
from relook.library.concept_values import MAX_CONCEPT_NAME
from relook.library.session_rows import Caption, ImageId, LeastFit, OnlyShape, Weight
from relook.search.grammar import parse_query
from relook.search.judging import JudgementRequest
from relook.serving.pictures import QueryPictures
from relook.serving.questions import Question

Words = Annotated[str, Longest(2000)]
PictureId = Annotated[str, Longest(64)]
SessionId = Annotated[str, Longest(64)]
StrategyName = Annotated[str, Longest(100)]
Limit = Annotated[int, Between(1, 1000)]
SessionName = Annotated[str, Longest(200)]
Judgements = Annotated[tuple[JudgementRequest, ...], Longest(1000)]


ConceptName = Annotated[str, Shortest(1), Longest(MAX_CONCEPT_NAME)]


@dataclass(frozen=True, slots=True)
class PartRequest:
    """One part: words, an uploaded picture, an image, a concept, or words in the picture.

    Args:
        text: Words.
        picture: picture_id of an upload.
        image_id: An image of the library.
        box: x0, y0, x1, y1 as shares of the upright picture's width and height.
        weight: How much the part counts; below zero it pushes away.
        concept: Name of what a session learnt.
        place: Where in a picture words must be shown, x0, y0, x1, y1 as shares of it.
        written: Words that must stand in the picture; with a weight below zero, must not.
        literal: Whether words count as they stand: nothing in them is left out or put right.

    Raises:
        RequestError: `bad_request` when it is not exactly one of the five.
    """

    text: Words | None = None
    picture: PictureId | None = None
    image_id: ImageId | None = None
    box: Box | None = None
    weight: Annotated[float, Between(-1000, 1000)] = 1.0
    concept: ConceptName | None = None
    place: Box | None = None
    written: Words | None = None
    literal: bool | None = None

    def __post_init__(self) -> None:
        _exactly_one(
            text=self.text, picture=self.picture, image_id=self.image_id, concept=self.concept,
            written=self.written,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PartsRequest:
    """A query of several parts."""

    parts: Annotated[tuple[PartRequest, ...], Shortest(1), Longest(32)]


QueryRequest = Words | PartsRequest


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search.

    Args:
        query: The one-line language (`dog + 0.5:snow - people`, `id:3`), or parts.
        only: Which images may be found: those whose metadata (key -> pattern) and path fit.
        limit: How many hits at most; as configured when null.
        fold: Whether near-duplicates become one hit; as configured when null.
        grammar: Whether a query of one line is in that language, or words as they stand; as
            configured when null.
        away: Whether pictures whose file cannot be reached now are shown, too.
        min_fit: Least probability that a picture shows the words.
    """

    query: QueryRequest
    only: Annotated[OnlyShape, INLINE]
    limit: Limit | None = None
    fold: bool | None = None
    grammar: bool | None = None
    away: bool = False
    min_fit: LeastFit = 0.0


@dataclass(frozen=True, slots=True)
class FacetsRequest:
    """A filter whose pictures are counted.

    Args:
        only: Those whose metadata (key -> pattern) and path fit.
        away: Whether pictures whose file cannot be reached now count, too.
    """

    only: Annotated[OnlyShape, INLINE]
    away: bool = False


@dataclass(frozen=True, slots=True)
class BrowseRequest:
    """A filter whose pictures are shown, newest first.

    Args:
        only: Those whose metadata (key -> pattern) and path fit.
        limit: How many at most.
        skip: How many newer ones are left out.
        away: Whether pictures whose file cannot be reached now are shown, too.
    """

    only: Annotated[OnlyShape, INLINE]
    limit: Limit = 100
    skip: Annotated[int, Between(0, 2**31)] = 0
    away: bool = False


@dataclass(frozen=True, slots=True)
class ImagesRequest:
    """Some images of a library."""

    image_ids: Annotated[tuple[ImageId, ...], Shortest(1), Longest(1000)]


@dataclass(frozen=True, slots=True)
class AlbumName:
    """What to call an album."""

    name: Annotated[str, Longest(MAX_ALBUM_NAME)]


@dataclass(frozen=True, slots=True)
class AlbumRequest:
    """A new album.

    Args:
        name: What to call it.
        image_ids: Images to put into it.
    """

    name: Annotated[str, Longest(MAX_ALBUM_NAME)]
    image_ids: Annotated[tuple[ImageId, ...], Longest(1000)] = ()


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A new session; its filter holds for every page.

    Args:
        query: As a search has it.
        only: Which images its pages may show: those whose metadata (key -> pattern) and path fit.
        limit: How many hits a page has at most; as configured when null.
        name: What to call it.
        min_fit: Least probability, on every page, that a picture shows the words.
        instruction: What captions of boxes should tell, in the person's own words.
        grammar: As a search has it.
    """

    query: QueryRequest
    only: Annotated[OnlyShape, INLINE]
    limit: Limit | None = None
    name: SessionName = ""
    min_fit: LeastFit = 0.0
    instruction: Annotated[str, Longest(300)] = ""
    grammar: bool | None = None


@dataclass(frozen=True, slots=True)
class SessionChange:
    """What to change of a session; what is absent stays.

    Args:
        name: What to call it.
        current_round: The round to go to.
    """

    name: Annotated[SessionName, Shortest(1)] | None = None
    current_round: ImageId | None = None


@dataclass(frozen=True, slots=True)
class JudgementsRequest:
    """Several marks: all of them are made, or none."""

    judgements: Annotated[Judgements, Shortest(1)]


@dataclass(frozen=True, slots=True)
class RevisionRequest:
    """What to change of a judgement; what is absent stays.

    Args:
        caption: A few words for what is in its box; none when empty.
        relevant: Whether this is what is looked for.
        box: Another region; it gets another suggested caption.
        weight: How much it counts.
    """

    caption: Caption | None = None
    relevant: bool | None = None
    box: Box | None = None
    weight: Weight | None = None


@dataclass(frozen=True, slots=True)
class RoundRequest:
    """How to look again.

    Args:
        strategy: How judgements are used; as configured when null.
        limit: How many hits at most; as many as the first page when null.
        keep_shown: Whether images of earlier pages may appear again; those that fit and are not
            judged when null.
        keep_judged: Whether judged images may; as configured when null.
        relevant_words: What fits, in words without a picture; commas part several.
        irrelevant_words: The same for what does not fit.
        judgements: Marks that are made in the same step, or not at all.
    """

    strategy: StrategyName | None = None
    limit: Limit | None = None
    keep_shown: bool | None = None
    keep_judged: bool | None = None
    relevant_words: Words = ""
    irrelevant_words: Words = ""
    judgements: Judgements = ()


@dataclass(frozen=True, slots=True)
class ConceptRequest:
    """Keep what a session has learnt.

    Args:
        session_id: The session, as it stands.
        name: What to call it; `@name` in a query.
        replace: Whether a concept of this name is replaced.
    """

    session_id: SessionId
    name: ConceptName
    replace: bool = False


@dataclass(frozen=True, slots=True)
class ConceptMerge:
    """Make one concept of two.

    Args:
        first: concept_id of one.
        second: concept_id of the other.
        name: Of the merged one; that of one of the two replaces it.
        replace: Whether another concept of this name is replaced.
    """

    first: ImageId
    second: ImageId
    name: ConceptName
    replace: bool = False


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """What to index.

    Args:
        paths: Folders or files; none: all added before.
        text: Whether the words in pictures are read, too, as `index.text` has it done every time.
    """

    paths: Annotated[
        tuple[Annotated[str, Shortest(1), Longest(4000)], ...], Longest(100)
    ] = ()  # fmt: skip
    text: bool = False


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Words whose vectors are wanted."""

    texts: Annotated[tuple[Words, ...], Shortest(1), Longest(256)]


@dataclass(frozen=True, slots=True)
class AskRequest:
    """A question about an image of a library, an upload, an address, or a picture asked before.

    Args:
        question: What is asked, and with what.
        library_id: Whose image or upload; also what the provider `library` searches.
        image_id: An image of the library.
        picture: picture_id of an upload.
        url: Public http(s) address of a picture.
        ask_id: Of an earlier answer: its picture and evidence, nothing is looked up.
        stream: Answer with server-sent events.

    Raises:
        RequestError: `bad_request` when it does not name exactly one picture.
    """

    question: Annotated[Question, INLINE]
    library_id: Annotated[str, Longest(200)] | None = None
    image_id: ImageId | None = None
    picture: PictureId | None = None
    url: Annotated[str, Longest(4000)] | None = None
    ask_id: Annotated[str, Longest(64)] | None = None
    stream: bool = True

    def __post_init__(self) -> None:
        _exactly_one(image_id=self.image_id, picture=self.picture, url=self.url, ask_id=self.ask_id)


def _exactly_one(**values: Any) -> None:
    if sum(value is not None for value in values.values()) != 1:
        *names, last = values
        raise RequestError("bad_request", f"give exactly one of {', '.join(names)} and {last}")


def to_query(request: QueryRequest, pictures: QueryPictures, grammar: bool = True) -> Query:
    """The query of a request, which names pictures by the id of an upload or of an image.

    Args:
        request: As it was sent.
        pictures: The uploads.
        grammar: Whether a line is in the one-line language; otherwise it is words.

    Raises:
        QueryError: `no_server_files` when it names a file, and what `parse_query` raises.
        NotFoundError: `no_picture`.
    """
    if isinstance(request, str):
        return no_files(parse_query(request, grammar))
    return Query(
        tuple(
            Part(
                part.text, None if part.picture is None else pictures.path(part.picture),
                part.image_id, part.box, part.weight, part.concept, part.place, part.written,
                part.literal,
            )
            for part in request.parts
        )
    )  # fmt: skip


def no_files(query: Query, pictures: QueryPictures | None = None) -> Query:
    """The query, when it names no file but those of `pictures`.

    Raises:
        QueryError: `no_server_files`.
    """
    for part in query.parts:
        is_upload = part.image and pictures and pictures.picture_id(part.image)
        if part.image is not None and not is_upload:
            raise QueryError(
                "no_server_files",
                "image: would read a file of the server, which requests may not",
                "upload the picture (POST .../pictures) and ask with its picture_id",
            )
    return query
