"""The server itself, its libraries, search, query pictures, embeddings. Layer: server."""

from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, File, Form, UploadFile

import relook
from relook.core.errors import QueryError
from relook.core.types import Page, Part
from relook.core.types import Query as CoreQuery
from relook.feedback.strategies import DEFAULT, STRATEGIES
from relook.search.filtering import Filter
from relook.server.api_answers import (
    Embeddings,
    Fields,
    Libraries,
    LibraryAnswer,
    PageAnswer,
    SkippedFiles,
    Status,
    Strategies,
    StrategyLine,
    Version,
)
from relook.server.state import AnswerRoute, ServedLibraryOf, ServerState, State
from relook.serving.libraries import ServedLibrary
from relook.serving.pictures import Stored
from relook.serving.requests import EmbedRequest, Limit, SearchRequest, Words, to_query
from relook.serving.schemas import Checked, answer_model
from relook.serving.served_values import served

router = APIRouter(tags=["libraries and search"], route_class=AnswerRoute)
server_router = APIRouter(tags=["server"], route_class=AnswerRoute)


@server_router.get("/health", response_model=answer_model(Status))
async def health() -> dict[str, Any]:
    """Whether the server answers. Needs no token."""
    return served(Status())


@server_router.get("/version", response_model=answer_model(Version))
async def version() -> dict[str, Any]:
    """Which Relook this is."""
    return served(Version(relook.__version__))


@server_router.get("/strategies", response_model=answer_model(Strategies))
async def strategies() -> dict[str, Any]:
    """The ways of using judgements."""
    lines = [StrategyLine(row.name, row.summary) for row in STRATEGIES.values()]
    return served(Strategies(DEFAULT, tuple(lines)))


@router.get("/libraries", response_model=answer_model(Libraries))
async def libraries(state: State) -> dict[str, Any]:
    """Every library of this server."""
    answers = [await state.core.run(_library, state, volume) for volume in state.libraries]
    return served(Libraries(tuple(answers)))


@router.get("/libraries/{library_id}", response_model=answer_model(LibraryAnswer))
async def library(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """One library and what it holds."""
    return served(await state.core.run(_library, state, volume))


def _library(state: ServerState, volume: ServedLibrary) -> LibraryAnswer:
    job_id = state.jobs.current(volume.library_id)
    return LibraryAnswer(volume.facts(), tuple(state.folders(volume)), job_id)


@router.get("/libraries/{library_id}/skipped", response_model=answer_model(SkippedFiles))
async def skipped(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """Files that could not be indexed, with reasons."""
    files = await state.core.run(volume.files.catalog.skipped)
    return served(SkippedFiles(tuple(files)))


@router.get("/libraries/{library_id}/fields", response_model=answer_model(Fields))
async def fields(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """Names that `where` of a search may use."""
    return served(Fields(tuple(await state.core.run(volume.fields))))


@router.post("/libraries/{library_id}/search", response_model=answer_model(PageAnswer))
async def search(
    volume: ServedLibraryOf, body: Annotated[SearchRequest, Checked()], state: State
) -> dict[str, Any]:
    """Finds images by words, pictures, or both."""
    return await state.pool_for(body.query).run(_search, volume, body)


def _search(volume: ServedLibrary, body: SearchRequest) -> dict[str, Any]:
    query = to_query(body.query, volume.pictures)
    only = Filter(body.only.where, body.only.path, away=body.away, min_fit=body.min_fit)
    page = volume.search(query, body.limit, only, body.fold)
    return served(PageAnswer.of(volume, page))


@router.post("/libraries/{library_id}/search/picture", response_model=answer_model(PageAnswer))
async def search_picture(
    volume: ServedLibraryOf,
    state: State,
    file: Annotated[UploadFile, File(description="The picture.")],
    query: Annotated[Words, Form(description="Words beside it.")] = "",
    limit: Annotated[Limit | None, Form()] = None,
) -> dict[str, Any]:
    """Finds images like a picture, with words beside it or without."""
    page = await state.decoding.run(_search_picture, volume, file.file, query, limit)
    return served(await state.core.run(PageAnswer.of, volume, page))


def _search_picture(volume: ServedLibrary, file: BinaryIO, words: str, limit: int | None) -> Page:
    stored = volume.pictures.add(file.read())
    beside = to_query(words, volume.pictures).parts if words.strip() else ()
    return volume.search(CoreQuery((Part(image=stored.path), *beside)), limit)


@router.post(
    "/libraries/{library_id}/pictures", response_model=answer_model(Stored), status_code=201
)
async def add_picture(
    volume: ServedLibraryOf, state: State, file: Annotated[UploadFile, File()]
) -> dict[str, Any]:
    """Uploads a picture to search with; it is not indexed."""
    return served(await state.decoding.run(_add_picture, volume, file.file))


def _add_picture(volume: ServedLibrary, file: BinaryIO) -> Stored:
    return volume.pictures.add(file.read())  # here, so that few are in memory at once


@router.post("/libraries/{library_id}/embeddings", response_model=answer_model(Embeddings))
async def embeddings(
    volume: ServedLibraryOf, body: Annotated[EmbedRequest, Checked()], state: State
) -> dict[str, Any]:
    """The unit vectors of words in the library's space."""
    if not all(text.strip() for text in body.texts):
        raise QueryError("empty_query", "a text is empty", "leave it out")
    encoder = volume.encoder
    vectors = await state.core.run(encoder.encode_texts, body.texts)
    return served(Embeddings(encoder.dim, vectors.tolist()))
