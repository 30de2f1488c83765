"""Albums, which a person fills: list, change, delete, take away. Layer: server.

Their pictures are found with the filter `album` (`where`) of a search, of facets and of browsing.
"""

from dataclasses import dataclass
from typing import IO, Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Query, Response

from relook.core.json_form import INLINE, JsonShape
from relook.library.album_values import Album, AlbumChange
from relook.library.session_rows import ImageId
from relook.server.routes_browse import file_answer, taken_away
from relook.server.state import AnswerRoute, ServedLibraryOf, State
from relook.serving.libraries import ServedLibrary
from relook.serving.requests import AlbumName, AlbumRequest, ImagesRequest
from relook.serving.schemas import Checked, answer_model
from relook.serving.served_values import served


@dataclass(frozen=True, slots=True)
class AlbumList:
    """The albums of a library.

    Args:
        albums: Favourites first, then by name.
        deleted: Those that were deleted and can be brought back, the last one first.
    """

    albums: tuple[Album, ...]
    deleted: tuple[Album, ...]


@dataclass(frozen=True, slots=True)
class AlbumAnswer:
    """An album, with what it holds.

    Args:
        album: The album.
        image_ids: In the order in which they were put there.
    """

    json_shape: ClassVar = JsonShape(name="AlbumContents")

    album: Annotated[Album, INLINE]
    image_ids: tuple[int, ...]


router = APIRouter(
    tags=["albums"], prefix="/libraries/{library_id}/albums", route_class=AnswerRoute
)


@router.get("", response_model=answer_model(AlbumList))
async def albums(
    volume: ServedLibraryOf,
    state: State,
    image_id: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="Only albums that hold this image.")
    ] = None,
) -> dict[str, Any]:
    """The albums of a library; Favourites is always there."""
    return await state.core.run(_list, volume, image_id)


def _list(volume: ServedLibrary, image_id: int | None) -> dict[str, Any]:
    table = volume.library.albums
    return served(AlbumList(tuple(table.all(holding=image_id)), tuple(table.deleted())))


@router.post("", response_model=answer_model(AlbumChange), status_code=201)
async def create(
    volume: ServedLibraryOf, body: Annotated[AlbumRequest, Checked()], state: State
) -> dict[str, Any]:
    """Makes an album, with pictures in it perhaps; its name must be free."""
    return await state.core.run_to_end(_create, volume, body)


def _create(volume: ServedLibrary, body: AlbumRequest) -> dict[str, Any]:
    table = volume.library.albums
    with table.together():  # without its pictures there is no album
        album = table.create(body.name)
        return served(table.add(album.album_id, body.image_ids))


@router.get("/{album_id}", response_model=answer_model(AlbumAnswer))
async def show(volume: ServedLibraryOf, album_id: ImageId, state: State) -> dict[str, Any]:
    """An album, with the ids of its pictures."""
    return await state.core.run(_show, volume, album_id)


def _show(volume: ServedLibrary, album_id: int) -> dict[str, Any]:
    table = volume.library.albums
    return served(AlbumAnswer(table.get(album_id), tuple(table.image_ids(album_id))))


@router.post("/{album_id}/images", response_model=answer_model(AlbumChange))
async def add(
    volume: ServedLibraryOf,
    album_id: ImageId,
    body: Annotated[ImagesRequest, Checked()],
    state: State,
) -> dict[str, Any]:
    """Puts pictures into an album: all of them, or none."""
    return served(await state.core.run_to_end(volume.library.albums.add, album_id, body.image_ids))


@router.post("/{album_id}/images/remove", response_model=answer_model(AlbumChange))
async def remove(
    volume: ServedLibraryOf,
    album_id: ImageId,
    body: Annotated[ImagesRequest, Checked()],
    state: State,
) -> dict[str, Any]:
    """Takes pictures out of an album; they stay in the library."""
    return served(
        await state.core.run_to_end(volume.library.albums.remove, album_id, body.image_ids)
    )


@router.patch("/{album_id}", response_model=answer_model(Album))
async def rename(
    volume: ServedLibraryOf,
    album_id: ImageId,
    body: Annotated[AlbumName, Checked()],
    state: State,
) -> dict[str, Any]:
    """Calls an album something else; sessions that keep to it follow."""
    return served(await state.core.run_to_end(volume.library.albums.rename, album_id, body.name))


@router.delete("/{album_id}", response_model=answer_model(Album))
async def delete(volume: ServedLibraryOf, album_id: ImageId, state: State) -> dict[str, Any]:
    """Deletes an album; its pictures stay. It can be brought back for 30 days."""
    return served(await state.core.run_to_end(volume.library.albums.delete, album_id))


@router.post("/{album_id}/restore", response_model=answer_model(Album))
async def restore(volume: ServedLibraryOf, album_id: ImageId, state: State) -> dict[str, Any]:
    """Brings a deleted album back, with all that it held."""
    return served(await state.core.run_to_end(volume.library.albums.restore, album_id))


@router.get("/{album_id}/export", response_class=Response)
async def export(
    volume: ServedLibraryOf,
    album_id: ImageId,
    state: State,
    form: Annotated[Literal["zip", "csv", "paths"], Query(alias="format")] = "zip",
) -> Response:
    """An album to take away: a zip of the files, a table, or their paths, one a line."""
    name, exported = await state.exports.run(_export, volume, album_id, form)
    return file_answer(exported, form, f"relook-album-{name}")


def _export(volume: ServedLibrary, album_id: int, form: str) -> tuple[str, bytes | IO[bytes]]:
    album = volume.library.albums.get(album_id)
    ids = volume.library.albums.image_ids(album_id)
    records = volume.files.catalog.images(ids, missing_ok=True)
    return album.name.replace("/", "-").replace("\\", "-"), taken_away(volume, records, form)
