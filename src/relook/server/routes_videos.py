"""The video of a scene, and what moves in a photograph, for a page to play. Layer: server."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from relook.library.session_rows import ImageId
from relook.server.state import AnswerRoute, ServedLibraryOf, State
from relook.serving.playing import is_range, playable

router = APIRouter(tags=["images"], route_class=AnswerRoute)
_ANY_VIDEO = {"video/*": {"schema": {"type": "string", "format": "binary"}}}
_VIDEO: dict[int | str, dict[str, Any]] = {
    200: {"content": _ANY_VIDEO},
    206: {"description": "The bytes that were asked for.", "content": _ANY_VIDEO},
    416: {"description": "The video has no such bytes."},
}


@router.get(
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
