"""The pictures of an album, for who has a link to it, and nothing else. Layer: server.

The library and the album are those of the link, never of the request. Pictures are made anew as
small JPEGs: their files, which say where and when, their names and words stay where they are.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from relook.core.errors import NotFoundError, RelookError
from relook.library.session_rows import ImageId
from relook.people.rights import Who
from relook.server.routes_files import PICTURE, IfNoneMatch, SizePx, thumbnail_of
from relook.server.state import AnswerRoute, ServerState, State, WhoOf
from relook.serving.libraries import ServedLibrary
from relook.serving.schemas import answer_model
from relook.serving.served_values import served

router = APIRouter(tags=["people"], route_class=AnswerRoute)


@dataclass(frozen=True, slots=True)
class SharedImage:
    """A picture of the album.

    Args:
        image_id: For the address of its thumbnail.
        width_px, height_px: Of the upright original.
    """

    image_id: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class SharedAlbum:
    """What a link to an album shows.

    Args:
        name: What the album is called.
        ends_s: Until when, in seconds since 1970.
        images: Its pictures, in the order in which they were put there.
    """

    name: str
    ends_s: float
    images: tuple[SharedImage, ...]


@router.get("/shared", response_model=answer_model(SharedAlbum))
async def shared(state: State, who: WhoOf) -> dict[str, Any]:
    """The album of a link, for the browser that opened it."""
    return await state.core.run(_shared, state, who)


def _shared(state: ServerState, who: Who) -> dict[str, Any]:
    volume, name, ids = _album(state, who)
    assert who.album is not None
    records = {r.image_id: r for r in volume.files.catalog.images(ids, missing_ok=True)}
    images = tuple(
        SharedImage(image_id, records[image_id].width_px, records[image_id].height_px)
        for image_id in ids
        if image_id in records
    )
    return served(SharedAlbum(name, who.album.ends_s, images))


@router.get("/shared/images/{image_id}/thumbnail", response_class=Response, responses=PICTURE)
async def thumbnail(
    image_id: ImageId,
    state: State,
    who: WhoOf,
    size: Annotated[SizePx, Query(description="Length of the longer side.")] = "320",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A JPEG of a picture of the album; it is asked for again each time, so that links end."""
    tag, data = await state.pictures.run(_thumbnail, state, who, image_id, int(size), if_none_match)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if data is None:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="image/jpeg", headers=headers)


def _thumbnail(
    state: ServerState, who: Who, image_id: int, size_px: int, known_tag: str | None
) -> tuple[str, bytes | None]:
    volume, _, ids = _album(state, who)
    if image_id not in ids:
        raise _no_image(image_id)
    try:
        _, tag, data = thumbnail_of(state, volume, image_id, size_px, known_tag)
    except RelookError as error:  # its words may say where files lie
        raise _no_image(image_id) from error
    return tag, data


def _album(state: ServerState, who: Who) -> tuple[ServedLibrary, str, list[int]]:
    """The library, the name and the image ids of the album of somebody's link.

    Raises:
        NotFoundError: `no_album`, whichever of them is not there.
    """
    if who.album is not None:
        try:
            volume = state.libraries.get(who.album.library_id)
            album = volume.library.albums.get(who.album.name)
            return volume, album.name, volume.library.albums.image_ids(album.album_id)
        except NotFoundError:
            pass
    raise NotFoundError(
        "no_album", "there is no album here now", "ask whoever sent you the link for another one"
    )


def _no_image(image_id: int) -> NotFoundError:
    return NotFoundError("no_image", f"this album shows no image {image_id}")
