"""Indexing and uploads, with progress. Layer: server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, UploadFile
from fastapi.responses import StreamingResponse

from relook.server import models
from relook.server.events import event_response
from relook.server.jobs import job_topic
from relook.server.requests import IndexBody
from relook.server.state import ServedLibraryOf, State
from relook.server.uploads import store_uploads

__all__ = ["router"]

router = APIRouter(tags=["indexing"])


@router.post("/libraries/{library_id}/index", response_model=models.Job, status_code=202)
async def index(
    volume: ServedLibraryOf, state: State, body: IndexBody | None = None
) -> dict[str, Any]:
    """Indexes folders, or brings the library up to date; answers with a job at once."""
    asked = body.paths if body else []
    paths = [await state.core.run(state.allowed, volume, path) for path in asked]
    return state.index(volume, paths).view()


@router.post("/libraries/{library_id}/uploads", response_model=models.Job, status_code=202)
async def uploads(
    volume: ServedLibraryOf, state: State, files: Annotated[list[UploadFile], File()]
) -> dict[str, Any]:
    """Stores pictures in the library's folder and indexes them."""
    sources = [(file.filename or "", file.file) for file in files]
    folder, refused = await state.decoding.run(store_uploads, volume, sources)
    return {**state.index(volume, [folder]).view(), "refused": refused}


@router.get("/jobs/{job_id}", response_model=models.Job)
async def job(job_id: str, state: State) -> dict[str, Any]:
    """A job as it is now."""
    return state.jobs.get(job_id).view()


@router.get("/jobs/{job_id}/events", response_class=StreamingResponse)
async def job_events(job_id: str, state: State) -> StreamingResponse:
    """Server-sent events: `progress`, with the job; the stream ends with the job."""
    one = state.jobs.get(job_id)
    channel = state.hub.listen(job_topic(job_id))
    view = one.view()
    if one.is_over:
        channel.put(None)
    return event_response(state.hub, channel, [("progress", view)], state.settings.keep_alive_s)


@router.post("/jobs/{job_id}/{action}", response_model=models.Job)
async def act(
    job_id: str, action: Literal["pause", "resume", "stop"], state: State
) -> dict[str, Any]:
    """Pauses a job, lets it go on, or stops it at the next batch; what is done is kept."""
    one = state.jobs.get(job_id)
    {"pause": one.pause, "resume": one.resume, "stop": one.stop}[action]()
    return one.view()
