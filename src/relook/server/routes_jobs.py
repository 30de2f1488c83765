"""Indexing and uploads, with progress. Layer: server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, UploadFile
from fastapi.responses import StreamingResponse

from relook.server.answers import JobAnswer, UploadJob
from relook.server.events import event_response
from relook.server.jobs import job_topic
from relook.server.state import AnswerRoute, ServedLibraryOf, State
from relook.server.uploads import store_uploads
from relook.serving.answers import served
from relook.serving.requests import IndexRequest
from relook.serving.schemas import Checked, answer_model

__all__ = ["router"]

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
