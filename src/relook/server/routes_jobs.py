"""Indexing, uploads and upgrades, with progress. Layer: server."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, File, UploadFile
from fastapi.responses import StreamingResponse

from relook.app.upgrading import UpgradeCost
from relook.app.upgrading import upgrade_cost as cost_of_upgrade
from relook.core.errors import ImageError, disk_error
from relook.core.images import decode
from relook.core.json_form import INLINE
from relook.core.leftovers import new_file
from relook.core.untrusted import mark
from relook.library.records import FileFacts, SkippedFile
from relook.server.events import event_response
from relook.server.jobs import JobAnswer, job_topic
from relook.server.state import AnswerRoute, ServedLibraryOf, State
from relook.serving.libraries import ServedLibrary
from relook.serving.pictures import EXTENSIONS, safe_stem
from relook.serving.requests import IndexRequest
from relook.serving.schemas import Checked, answer_model
from relook.serving.served_values import served

_MIN_PX = 256
router = APIRouter(tags=["indexing"], route_class=AnswerRoute)


@router.post(
    "/libraries/{library_id}/index", response_model=answer_model(JobAnswer), status_code=202
)
async def index(
    volume: ServedLibraryOf,
    state: State,
    body: Annotated[IndexRequest, Checked()] | None = None,
) -> dict[str, Any]:
    """Indexes folders, or brings the library up to date; answers with a job at once."""
    named = body.paths if body else ()
    paths = [await state.core.run(state.allowed, volume, path) for path in named]
    return served(state.index(volume, paths).answer())


@dataclass(frozen=True, slots=True)
class UploadJob:
    """A run of indexing over uploads; `refused` has those that are no pictures."""

    job: Annotated[JobAnswer, INLINE]
    refused: tuple[SkippedFile, ...]


@router.post(
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
            first.code, f"no picture among {len(files)} files: {first.message}",
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


@router.get("/libraries/{library_id}/upgrade", response_model=answer_model(UpgradeCost))
async def upgrade_cost(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """What an upgrade to the present version of the library's encoder would take; a few seconds."""
    return served(await state.explaining.run(cost_of_upgrade, volume.library))


@router.post(
    "/libraries/{library_id}/upgrade", response_model=answer_model(JobAnswer), status_code=202
)
async def upgrade(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """Makes all vectors again by the present version of the library's encoder, as a job.

    Searches go on; ids, words, marks and sessions are kept. A job that is stopped, and begun
    again, goes on where it was.
    """
    return served(state.jobs.upgrade(volume).answer())


@router.get("/jobs/{job_id}", response_model=answer_model(JobAnswer))
async def show(job_id: str, state: State) -> dict[str, Any]:
    """A job as it is now."""
    return served(state.jobs.get(job_id).answer())


@router.get("/jobs/{job_id}/events", response_class=StreamingResponse)
async def job_events(job_id: str, state: State) -> StreamingResponse:
    """Server-sent events: `progress`, with the job; the stream ends with the job."""
    job = state.jobs.get(job_id)
    channel = state.hub.listen(job_topic(job_id))
    first = [("progress", served(job.answer()))]
    if job.is_over:
        channel.put(None)
    return event_response(state.hub, channel, first, state.settings.keep_alive_s)


@router.post("/jobs/{job_id}/{action}", response_model=answer_model(JobAnswer))
async def act(
    job_id: str, action: Literal["pause", "resume", "stop"], state: State
) -> dict[str, Any]:
    """Pauses a job, lets it go on, or stops it at the next batch; what is done is kept."""
    job = state.jobs.get(job_id)
    {"pause": job.pause, "resume": job.resume, "stop": job.stop}[action]()
    return served(job.answer())
