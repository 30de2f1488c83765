"""Sessions and results as files: export and import. Layer: server."""

from __future__ import annotations

from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import UploadFile

from relook.core.errors import InputError
from relook.server import models
from relook.server.exports import chunks, results_csv, results_json, results_zip, session_json
from relook.server.queries import no_files
from relook.server.state import ServedLibraryOf, State
from relook.serving.libraries import ServedLibrary

__all__ = ["router"]

router = APIRouter(tags=["sessions"], prefix="/libraries/{library_id}/sessions")
Format = Literal["json", "csv", "zip"]
What = Literal["session", "results"]
_TYPES = {"json": "application/json", "csv": "text/csv", "zip": "application/zip"}
_ANY = {"schema": {"type": "string", "format": "binary"}}
_CONTENT: dict[str, Any] = {**dict.fromkeys(_TYPES.values(), _ANY), "application/json": {}}
_FILE: dict[int | str, dict[str, Any]] = {200: {"description": "The file.", "content": _CONTENT}}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


@router.post("/import", response_model=models.Imported, status_code=201, openapi_extra=_BODY)
async def import_session(volume: ServedLibraryOf, request: Request, state: State) -> dict[str, Any]:
    """Adds an exported session; its pictures are found again by their content."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=10) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InputError("bad_session_file", "the form has no file called 'file'")
            data = await file.read()
    else:
        data = await request.body()
    session_id, notes = await state.imports.run(
        volume.add_session, data, lambda query: no_files(query, volume.pictures)
    )
    return {"session_id": session_id, "notes": notes}


@router.get("/{session_id}/export", response_class=Response, responses=_FILE)
async def export(
    volume: ServedLibraryOf,
    session_id: str,
    state: State,
    form: Annotated[Format, Query(alias="format")] = "json",
    what: Annotated[What, Query(description="The session, or its current page.")] = "session",
) -> Response:
    """A session as JSON; its page as JSON, CSV, or a zip of the picture files."""
    if what == "session" and form != "json":
        raise InputError(
            "bad_request", f"a session is not exported as {form}", "ask for what=results"
        )
    made = await state.exports.run(_export, volume, session_id, form, what)
    name = f"relook-{what}-{session_id}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if isinstance(made, bytes):
        return Response(made, media_type=_TYPES[form], headers=headers)
    return StreamingResponse(chunks(made), media_type=_TYPES[form], headers=headers)


def _export(volume: ServedLibrary, session_id: str, form: Format, what: What) -> bytes | IO[bytes]:
    with volume.reading(session_id) as session:
        if what == "session":
            return session_json(session)
        page = session.page
    if form == "json":
        return results_json(volume, page)
    return results_csv(page) if form == "csv" else results_zip(volume, page)
