"""Pictures, thumbnails, heat maps, videos; sessions and results as files. Layer: server."""

import json
import re
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers, UploadFile, URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from relook.core.errors import AccessError, InputError
from relook.core.images import content_hash
from relook.core.sources import limits_at, read_file
from relook.core.types import Part
from relook.core.types import Query as CoreQuery
from relook.gateway.admission import API, WHO
from relook.library.records import ImageRecord
from relook.library.session_rows import ImageId
from relook.people.rights import Right
from relook.search.explain import heat_map
from relook.search.transfer import export_session
from relook.search.vectorise import query_vector
from relook.server.api_answers import HeatMap, ImageAnswer, Imported, PageAnswer
from relook.server.folders import ShownFolder
from relook.server.state import (
    AnswerRoute,
    ServedLibraryOf,
    ServerState,
    State,
    WhoOf,
    volume_for,
)
from relook.serving.libraries import ServedLibrary
from relook.serving.pictures import (
    browser_picture,
    chunks,
    original,
    results_csv,
    results_zip,
    shrunk,
)
from relook.serving.playing import is_range, playable
from relook.serving.requests import SessionId, Words, no_files
from relook.serving.schemas import answer_model
from relook.serving.served_values import served

images = APIRouter(tags=["images"], route_class=AnswerRoute)
SizePx = Literal["160", "320", "640", "1280"]
IfNoneMatch = Annotated[str | None, Header()]
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "As you have it."},
}
_ANY_VIDEO = {"video/*": {"schema": {"type": "string", "format": "binary"}}}
_VIDEO: dict[int | str, dict[str, Any]] = {
    200: {"content": _ANY_VIDEO},
    206: {"description": "The bytes that were asked for.", "content": _ANY_VIDEO},
    416: {"description": "The video has no such bytes."},
}


@images.get("/libraries/{library_id}/images/{image_id}", response_model=answer_model(ImageAnswer))
async def image(volume: ServedLibraryOf, image_id: ImageId, state: State) -> dict[str, Any]:
    """What the library knows of an image."""
    record = await state.core.run(volume.image, image_id)
    return served(await state.pictures.run(ImageAnswer.of, volume, record))


@images.post(
    "/libraries/{library_id}/images/{image_id}/show-in-folder",
    response_model=answer_model(ShownFolder),
)
async def show_in_folder(
    volume: ServedLibraryOf, image_id: ImageId, state: State, who: WhoOf
) -> dict[str, Any]:
    """Shows the folder of an image in the file manager of the server's machine, on loopback."""
    if who.is_limited:
        raise AccessError(
            "not_here", "people who sign in may sit at another machine", "copy the path instead"
        )
    record = await state.core.run(volume.image, image_id)
    return served(await state.pictures.run(state.file_manager.show, record.facts.path))


@images.get(
    "/libraries/{library_id}/images/{image_id}/file", response_class=Response, responses=PICTURE
)
async def image_file(
    volume: ServedLibraryOf,
    image_id: ImageId,
    state: State,
    if_none_match: IfNoneMatch = None,
    v: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """The picture itself; a JPEG of it where browsers do not show its format."""
    record = await state.core.run(volume.image, image_id)
    tag = f'"{record.content.hex()}"'
    if if_none_match == tag:
        return Response(status_code=304, headers=_caching(record, tag, v))
    data, kind = await state.pictures.run(browser_picture, record, volume.library.limits)
    return Response(data, media_type=kind, headers=_caching(record, tag, v))


@images.get(
    "/libraries/{library_id}/images/{image_id}/thumbnail",
    response_class=Response,
    responses=PICTURE,
)
async def thumbnail(
    volume: ServedLibraryOf,
    image_id: ImageId,
    state: State,
    size: Annotated[SizePx, Query(description="Length of the longer side.")] = "320",
    v: Annotated[str, Query(max_length=64)] = "",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A small JPEG. With `v` of a hit's address a browser may keep it for good."""
    return await _thumbnail(state, volume, image_id, int(size), v, if_none_match)


async def _thumbnail(
    state: ServerState,
    volume: ServedLibrary,
    image_id: int,
    size_px: int,
    version: str,
    known_tag: str | None,
) -> Response:
    # One trip to a thread, not two: a page asks for thirty of these at once.
    record, tag, data = await state.pictures.run(
        thumbnail_of, state, volume, image_id, size_px, known_tag
    )
    headers = _caching(record, tag, version)
    if data is None:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="image/jpeg", headers=headers)


class PlainThumbnails(BaseRoute):
    """Answers for `thumbnail` where an address is as the page has it.

    A page asks for twenty at once, and what FastAPI looks at for each is a third of what one costs
    the server. Who may ask is looked at before any route, and which library is asked for here as
    there. Every other address, and so every mistake in one, is that route's.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is one of these."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return Match.NONE, {}
        path = _PLAIN_PATH.fullmatch(scope["path"])
        query = _PLAIN_QUERY.fullmatch(scope["query_string"])
        if path is None or query is None:
            return Match.NONE, {}
        return Match.FULL, {"path_params": {**path.groupdict(), "v": query[1], "size": query[2]}}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request.

        Raises:
            RelookError: as `thumbnail`.
        """
        parameters, state = scope["path_params"], scope["app"].state.relook
        volume = volume_for(scope[WHO], state, parameters["library_id"], Right.VIEW)
        known_tag = Headers(scope=scope).get("if-none-match")
        version, size_px = parameters["v"].decode(), int(parameters["size"])
        response = await _thumbnail(
            state, volume, int(parameters["image_id"]), size_px, version, known_tag
        )
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Another route has the name."""
        raise NoMatchFound(name, path_params)


_PLAIN_PATH = re.compile(
    rf"{API}/libraries/(?P<library_id>[^/]+)/images/(?P<image_id>[0-9]{{1,18}})/thumbnail"
)
_PLAIN_QUERY = re.compile(rb"v=([0-9a-f]{1,64})&size=(160|320|640|1280)")


def thumbnail_of(
    state: ServerState, volume: ServedLibrary, image_id: int, size_px: int, known_tag: str | None
) -> tuple[ImageRecord, str, bytes | None]:
    """The record, the thumbnail's tag, and the thumbnail unless its tag is known."""
    record, limits = volume.image(image_id), volume.library.limits
    tag = f'"{record.content.hex()}-{size_px}"'
    if known_tag == tag:
        return record, tag, None
    data = state.thumbnails.get(
        record.content,
        size_px,
        lambda: shrunk(original(record, limits), size_px, limits_at(record.facts.path, limits)),
    )
    return record, tag, data


def _caching(record: ImageRecord, tag: str, version: str) -> dict[str, str]:
    is_named = bool(version) and record.content.hex().startswith(version.lower())
    keep = "private, max-age=31536000, immutable" if is_named else "private, no-cache"
    return {"ETag": tag, "Cache-Control": keep}


@images.get(
    "/libraries/{library_id}/pictures/{picture_id}/thumbnail",
    response_class=Response,
    responses=PICTURE,
)
async def picture_thumbnail(
    volume: ServedLibraryOf, picture_id: str, state: State, size: SizePx = "320"
) -> Response:
    """A small JPEG of an uploaded query picture."""
    data = await state.decoding.run(_picture_thumbnail, state, volume, picture_id, int(size))
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(data, media_type="image/jpeg", headers=headers)


def _picture_thumbnail(
    state: ServerState, volume: ServedLibrary, picture_id: str, size_px: int
) -> bytes:
    path = volume.pictures.path(picture_id)
    data, limits = read_file(path), limits_at(path, volume.library.limits)
    return state.thumbnails.get(content_hash(data), size_px, lambda: shrunk(data, size_px, limits))


@images.get(
    "/libraries/{library_id}/images/{image_id}/heatmap", response_model=answer_model(HeatMap)
)
async def heatmap(
    volume: ServedLibraryOf,
    image_id: ImageId,
    state: State,
    text: Words | None = None,
    session: SessionId | None = None,
    cells: Annotated[int, Query(ge=2, le=12)] = 7,
) -> dict[str, Any]:
    """Where in an image words are, or what a session looks for."""
    if (text is None) == (session is None):
        raise InputError("bad_request", "a heat map needs either text or session")
    return await state.explaining.run(_heat_map, volume, image_id, text, session, cells)


def _heat_map(
    volume: ServedLibrary, image_id: int, text: str | None, session_id: str | None, n_cells: int
) -> dict[str, Any]:
    with volume.files.moment():  # words, pictures and vectors are of one encoder
        record = volume.image(image_id)
        if session_id is not None:
            with volume.reading(session_id) as session:
                now = session.round
                strategy = "none" if now.parent is None and not session.judgements else None
                vector = session.fitted(strategy).scorer.vector
                vector = session.vector if vector is None else vector
        else:
            literal = None if volume.reads(None) else True
            query = CoreQuery((Part(text=text, literal=literal),))
            vector, _ = query_vector(query, volume.engine.encoder, volume.files)
        original(record, volume.library.limits)  # raises unless it is the file that was indexed
        cells = heat_map(volume.engine, record.path, vector, n_cells)
    return served(HeatMap(cells.tolist(), float(cells.min()), float(cells.max())))


router = APIRouter(
    tags=["sessions"], prefix="/libraries/{library_id}/sessions", route_class=AnswerRoute
)
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
    return StreamingResponse(chunks(exported), media_type=_TYPES[form], headers=headers)


def _export(volume: ServedLibrary, session_id: str, form: Format, what: What) -> bytes | IO[bytes]:
    with volume.reading(session_id) as session:
        if what == "session":
            return _document(export_session(session))
        page = session.page
    if form == "json":
        return _document(served(PageAnswer.of(volume, page)))
    return results_csv(page) if form == "csv" else results_zip(volume.library, page)


def _document(values: dict[str, Any]) -> bytes:
    return json.dumps(values, indent=2).encode()


@images.get(
    "/libraries/{library_id}/images/{image_id}/video",
    response_class=StreamingResponse,
    responses=_VIDEO,
)
async def image_video(
    volume: ServedLibraryOf,
    image_id: ImageId,
    state: State,
    byte_range: Annotated[str | None, Header(alias="Range")] = None,
) -> Response:
    """The video that shows the picture, or moves in it; a range of its bytes where one is asked."""
    record = await state.core.run(volume.image, image_id)
    video = await state.pictures.run(playable, record, volume.library.limits)
    headers = {
        "ETag": f'"{video.tag}"', "Cache-Control": "private, no-cache", "Accept-Ranges": "bytes",
    }  # fmt: skip
    part = video.part(byte_range)
    if part is None:
        video.file.close()
        headers["Content-Range"] = f"bytes */{video.n_bytes}"
        return Response(status_code=416, headers=headers)
    headers["Content-Length"] = str(len(part))
    is_part = is_range(byte_range)
    if is_part:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{video.n_bytes}"
    status = 206 if is_part else 200
    return StreamingResponse(video.chunks(part), status, headers, video.media_type)
