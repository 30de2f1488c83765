"""Sessions and results as files: export and import. Layer: server."""

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from typing import IO, Annotated, Any, Literal, cast

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import UploadFile

from relook.core.cancellation import check_cancelled
from relook.core.errors import ImageError, InputError, NotFoundError, TooLargeError
from relook.core.picture_paths import printable
from relook.core.types import Page
from relook.search.transfer import export_session
from relook.server.api_answers import Imported, PageAnswer
from relook.server.state import AnswerRoute, ServedLibraryOf, State
from relook.serving.libraries import ServedLibrary
from relook.serving.pictures import EXTENSIONS, original, safe_stem
from relook.serving.requests import no_files
from relook.serving.schemas import answer_model
from relook.serving.served_values import served

router = APIRouter(
    tags=["sessions"], prefix="/libraries/{library_id}/sessions", route_class=AnswerRoute
)
Format = Literal["json", "csv", "zip"]
What = Literal["session", "results"]
_TYPES = {"json": "application/json", "csv": "text/csv", "zip": "application/zip"}
_ANY = {"schema": {"type": "string", "format": "binary"}}
_CONTENT: dict[str, Any] = {**dict.fromkeys(_TYPES.values(), _ANY), "application/json": {}}
_FILE: dict[int | str, dict[str, Any]] = {200: {"description": "The file.", "content": _CONTENT}}
_COLUMNS = ("rank", "image_id", "score", "fit", "path", "title", "caption", "width_px", "height_px")
_MAX_ZIP_BYTES = 4 * 1024**3
_IN_MEMORY = 16 * 1024**2
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


@router.post("/import", response_model=answer_model(Imported), status_code=201, openapi_extra=_BODY)
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
    return served(Imported(session_id, tuple(notes)))


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
    exported = await state.exports.run(_export, volume, session_id, form, what)
    name = f"relook-{what}-{session_id}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if isinstance(exported, bytes):
        return Response(exported, media_type=_TYPES[form], headers=headers)
    return StreamingResponse(_chunks(exported), media_type=_TYPES[form], headers=headers)


def _export(volume: ServedLibrary, session_id: str, form: Format, what: What) -> bytes | IO[bytes]:
    with volume.reading(session_id) as session:
        if what == "session":
            return _document(export_session(session))
        page = session.page
    if form == "json":
        return _document(served(PageAnswer.of(volume, page)))
    return results_csv(page) if form == "csv" else results_zip(volume, page)


def _document(values: dict[str, Any]) -> bytes:
    return json.dumps(values, indent=2).encode()


def results_csv(page: Page) -> bytes:
    """One line a hit, best first, for a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for rank, hit in enumerate(page, start=1):
        path = printable(bytes(hit.path))
        fit = "" if hit.fit is None else round(hit.fit, 4)
        words = (_cell(path), _cell(hit.title), _cell(hit.caption))
        writer.writerow(
            (rank, hit.image_id, round(hit.score, 6), fit, *words, hit.width_px, hit.height_px)
        )
    return text.getvalue().encode("utf-8")


def _cell(text: str) -> str:
    """Words that a spreadsheet does not take for a formula (OWASP, "CSV Injection")."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def results_zip(volume: ServedLibrary, page: Page) -> IO[bytes]:
    """The picture files of a page with a table of them, as an open temporary file.

    Each is the whole original with everything that its file says, places included. One that is
    gone or changed is left out; `missing.txt` names it.

    Raises:
        TooLargeError: when they have more bytes than are packed at once.
    """
    file = cast(IO[bytes], tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as pack:
            pack.writestr("results.csv", results_csv(page))
            missing = _pack(pack, volume, page)
            if missing:
                pack.writestr("missing.txt", "\n".join(map(printable, missing)) + "\n")
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _pack(pack: zipfile.ZipFile, volume: ServedLibrary, page: Page) -> list[str]:
    """Adds the files of a page; returns why some are missing."""
    missing, n_bytes = [], 0
    for rank, hit in enumerate(page, start=1):
        check_cancelled()
        record = volume.image(hit.image_id)
        n_bytes += record.facts.size_bytes
        if n_bytes > _MAX_ZIP_BYTES:
            raise TooLargeError(
                "zip_too_large",
                f"the pictures have more than {_MAX_ZIP_BYTES:,} bytes",
                "export fewer at once, or take the paths (CSV)",
            )
        name = f"{rank:04d}-{safe_stem(hit.path.name)}{EXTENSIONS.get(record.format, '')}"
        try:
            pack.writestr(name, original(record, volume.library.limits))
        except (NotFoundError, ImageError) as error:
            missing.append(error.message)
    return missing


def _chunks(file: IO[bytes], n_bytes: int = 256 * 1024) -> Iterator[bytes]:
    """The file in pieces; it is closed behind the last, or when nobody reads on."""
    with file:
        while data := file.read(n_bytes):
            yield data
