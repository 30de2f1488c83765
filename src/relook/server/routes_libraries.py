"""The server itself, its libraries, searches; indexing, uploads and upgrades. Layer: server."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Depends, File, Form, Query, UploadFile
from fastapi.responses import StreamingResponse

import relook
from relook.app.upgrading import UpgradeCost
from relook.app.upgrading import upgrade_cost as cost_of_upgrade
from relook.core.errors import ImageError, QueryError, counted, disk_error
from relook.core.images import decode
from relook.core.json_form import INLINE
from relook.core.leftovers import new_file
from relook.core.sources import mark
from relook.core.types import Page, Part
from relook.core.types import Query as CoreQuery
from relook.feedback.strategies import DEFAULT, STRATEGIES
from relook.library.records import FileFacts, SkippedFile
from relook.people.rights import Right, Who
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
from relook.server.events import event_response
from relook.server.folders import FolderList
from relook.server.jobs import Job, JobAnswer, job_topic, no_job
from relook.server.state import AnswerRoute, ServedLibraryOf, ServerState, State, WhoOf
from relook.serving.libraries import ServedLibrary
from relook.serving.pictures import EXTENSIONS, Stored, safe_stem
from relook.serving.requests import (
    EmbedRequest,
    IndexRequest,
    Limit,
    SearchRequest,
    Words,
    to_query,
)
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


@server_router.get("/events", response_class=StreamingResponse)
async def server_events(state: State) -> StreamingResponse:
    """Server-sent events: `hello`, with the version; the stream ends when the server does."""
    first = [("hello", served(Version(relook.__version__)))]
    return event_response(state.hub, state.hub.listen("server"), first, state.settings.keep_alive_s)


@server_router.get("/strategies", response_model=answer_model(Strategies))
async def strategies() -> dict[str, Any]:
    """The ways of using judgements."""
    lines = [StrategyLine(row.name, row.summary) for row in STRATEGIES.values()]
    return served(Strategies(DEFAULT, tuple(lines)))


@router.get("/libraries", response_model=answer_model(Libraries))
async def libraries(state: State, who: WhoOf) -> dict[str, Any]:
    """Every library of this server that whoever asks may see."""
    seen = [volume for volume in state.libraries if who.right(volume.library_id)]
    answers = [await state.core.run(_library, state, volume, who) for volume in seen]
    return served(Libraries(tuple(answers)))


@router.get("/libraries/{library_id}", response_model=answer_model(LibraryAnswer))
async def library(volume: ServedLibraryOf, state: State, who: WhoOf) -> dict[str, Any]:
    """One library and what it holds."""
    return served(await state.core.run(_library, state, volume, who))


def _library(state: ServerState, volume: ServedLibrary, who: Who) -> LibraryAnswer:
    job_id, right = state.jobs.current(volume.library_id), who.right(volume.library_id)
    may_index = right is Right.INDEX
    folders = tuple(state.folders.of(volume)) if may_index else ()
    shows_folders = state.file_manager.is_here and not who.is_limited
    return LibraryAnswer(volume.facts(), folders, job_id, shows_folders, right.word)


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
    return await state.run_query(_search, volume, body)


def _search(volume: ServedLibrary, body: SearchRequest) -> dict[str, Any]:
    query = to_query(body.query, volume.pictures, volume.reads(body.grammar))
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
    grammar: Annotated[bool | None, Form()] = None,
) -> dict[str, Any]:
    """Finds images like a picture, with words beside it or without."""
    wanted = (query, volume.reads(grammar))
    page = await state.decoding.run(_search_picture, volume, file.file, wanted, limit)
    return served(await state.core.run(PageAnswer.of, volume, page))


def _search_picture(
    volume: ServedLibrary, file: BinaryIO, wanted: tuple[str, bool], limit: int | None
) -> Page:
    stored = volume.pictures.add(file.read())
    words, grammar = wanted
    beside = to_query(words, volume.pictures, grammar).parts if words.strip() else ()
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


_MIN_PX = 256
jobs_router = APIRouter(tags=["indexing"], route_class=AnswerRoute)


@jobs_router.get("/libraries/{library_id}/folders", response_model=answer_model(FolderList))
async def folders(
    volume: ServedLibraryOf,
    state: State,
    who: WhoOf,
    path: Annotated[
        str, Query(max_length=4096, description="A folder; the top when it is empty.")
    ] = "",
) -> dict[str, Any]:
    """Folders that may be indexed: only those below the allowed ones, and no hidden ones."""
    return served(await state.pictures.run(state.folders_for(who).listing, volume, path))


@jobs_router.post(
    "/libraries/{library_id}/index", response_model=answer_model(JobAnswer), status_code=202
)
async def index(
    volume: ServedLibraryOf,
    state: State,
    who: WhoOf,
    body: Annotated[IndexRequest, Checked()] | None = None,
) -> dict[str, Any]:
    """Indexes folders, or brings the library up to date; answers with a job at once."""
    named = body.paths if body else ()
    paths = [await state.core.run(state.folders_for(who).allowed, volume, path) for path in named]
    return served(state.index(volume, paths, text=body is not None and body.text).answer())


@dataclass(frozen=True, slots=True)
class UploadJob:
    """A run of indexing over uploads; `refused` has those that are no pictures."""

    job: Annotated[JobAnswer, INLINE]
    refused: tuple[SkippedFile, ...]


@jobs_router.post(
    "/libraries/{library_id}/uploads", response_model=answer_model(UploadJob), status_code=202
)
async def uploads(
    volume: ServedLibraryOf, state: State, files: Annotated[list[UploadFile], File()]
) -> dict[str, Any]:
    """Stores pictures in the library's folder and indexes them."""
    sources = [(file.filename or "", file.file) for file in files]
    folder, refused = await state.decoding.run(store_uploads, volume, sources)
    return served(UploadJob(state.index(volume, [folder]).answer(), tuple(refused)))


def store_uploads(
    volume: ServedLibrary, files: Sequence[tuple[str, BinaryIO]]
) -> tuple[Path, list[SkippedFile]]:
    """Puts pictures into `<library>/uploads`, each under a new name with its content's suffix.

    Returns:
        The folder, and which files were refused.

    Raises:
        ImageError: when none of them is a picture.
        StorageError: when the disk refuses.
    """
    folder = volume.library.folder / "uploads"
    refused = []
    try:
        folder.mkdir(exist_ok=True)
        mark(folder)
        for name, file in files:
            try:
                _store(folder, name, file.read(), volume)
            except ImageError as error:
                facts = FileFacts(safe_stem(name).encode(), 0, 0)
                refused.append(SkippedFile(facts, error.code, error.message))
    except OSError as error:
        raise disk_error("cannot store it", error) from error
    if len(refused) == len(files):
        first = refused[0]
        raise ImageError(
            first.code, f"no picture among {counted(len(files), 'file')}: {first.message}",
            "send JPEG, PNG, WebP or another raster format",
        )  # fmt: skip
    return folder, refused


def _store(folder: Path, name: str, data: bytes, volume: ServedLibrary) -> None:
    picture = decode(data, _MIN_PX, replace(volume.library.limits, isolate=True))
    suffix = EXTENSIONS.get(picture.format, ".img")
    stem = safe_stem(name) or "picture"
    path = folder / f"{stem}-{uuid.uuid4().hex[:12]}{suffix}"
    with new_file(path) as file:
        file.write(data)


@jobs_router.get("/libraries/{library_id}/upgrade", response_model=answer_model(UpgradeCost))
async def upgrade_cost(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """What an upgrade to the present version of the library's encoder would take; a few seconds."""
    return served(await state.explaining.run(cost_of_upgrade, volume.library))


@jobs_router.post(
    "/libraries/{library_id}/upgrade", response_model=answer_model(JobAnswer), status_code=202
)
async def upgrade(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """Makes all vectors again by the present version of the library's encoder, as a job.

    Searches go on; ids, words, marks and sessions are kept. A job that is stopped, and begun
    again, goes on where it was.
    """
    return served(state.jobs.upgrade(volume).answer())


async def _job(job_id: str, state: State, who: WhoOf) -> Job:
    job = state.jobs.get(job_id)
    if not who.right(job.volume.library_id):
        raise no_job(job_id)
    return job


JobOf = Annotated[Job, Depends(_job)]


@jobs_router.get("/jobs/{job_id}", response_model=answer_model(JobAnswer))
async def show(job: JobOf) -> dict[str, Any]:
    """A job as it is now."""
    return served(job.answer())


@jobs_router.get("/jobs/{job_id}/events", response_class=StreamingResponse)
async def job_events(job: JobOf, state: State) -> StreamingResponse:
    """Server-sent events: `progress`, with the job; the stream ends with the job."""
    channel = state.hub.listen(job_topic(job.job_id))
    first = [("progress", served(job.answer()))]
    if job.is_over:
        channel.put(None)
    return event_response(state.hub, channel, first, state.settings.keep_alive_s)


@jobs_router.post("/jobs/{job_id}/{action}", response_model=answer_model(JobAnswer))
async def act(job: JobOf, action: Literal["pause", "resume", "stop"], who: WhoOf) -> dict[str, Any]:
    """Pauses a job, lets it go on, or stops it at the next batch; what is done is kept."""
    who.check(job.volume.library_id, Right.INDEX)
    {"pause": job.pause, "resume": job.resume, "stop": job.stop}[action]()
    return served(job.answer())
