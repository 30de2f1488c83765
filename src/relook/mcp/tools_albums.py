"""Tools for albums: pictures that a person put together, under names. Layer: mcp."""

from dataclasses import dataclass
from typing import Annotated

from mcp.types import CallToolResult
from pydantic import Field

from relook.core.json_form import INLINE, Longest
from relook.library.album_values import Album
from relook.mcp import arguments as given
from relook.mcp.mcp_state import McpState
from relook.mcp.replies import quoted, reply
from relook.serving.schemas import answer_model

_Name = Annotated[str, Longest(200), Field(description="Name of an album: 'Favourites'.")]
_Images = Annotated[list[given.Id], Longest(1000)]


@dataclass(frozen=True, slots=True)
class AlbumsReply:
    """The albums of a library, Favourites first."""

    library_id: str
    albums: tuple[Album, ...]


@dataclass(frozen=True, slots=True)
class AlbumReply:
    """An album, with what it holds.

    Args:
        library_id: Where it is.
        album: The album.
        image_ids: In the order in which they were put there.
    """

    library_id: str
    album: Annotated[Album, INLINE]
    image_ids: tuple[int, ...]


class AlbumTools:
    """The tools, each a method; their docstrings are what agents read.

    Args:
        state: What they work on.
    """

    def __init__(self, state: McpState) -> None:
        self._state = state

    async def list_albums(
        self, offset: given.Offset = 0, library_id: given.LibraryId = ""
    ) -> Annotated[CallToolResult, answer_model(AlbumsReply)]:
        """Lists the albums of a library: images that a person put together, under names.

        Search in one with where: {"album": "NAME"}.
        """
        return await self._state.pool.run(self._list, offset, library_id)

    def _list(self, offset: int, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        albums = tuple(volume.library.albums.all()[offset:])
        text = "\n".join(f"{quoted(album.name)}: {album.n_images} images" for album in albums)
        return reply(text or "no more", AlbumsReply(volume.library_id, albums))

    async def change_album(
        self,
        name: _Name,
        add: Annotated[_Images, Field(description="Images to put into it.")] = [],
        remove: Annotated[_Images, Field(description="Images to take out of it.")] = [],
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(AlbumReply)]:
        """Puts images into an album or takes them out, and shows the ids of what it holds.

        With neither it only shows them. Adding to a new name makes a new album.
        """
        return await self._state.pool.run(self._change, name, add, remove, library_id)

    def _change(
        self, name: str, add: list[int], remove: list[int], library_id: str
    ) -> CallToolResult:
        volume = self._state.volume(library_id)
        table = volume.library.albums
        if add or remove:
            with table.together():
                if add:
                    table.add(name, add)
                if remove:
                    table.remove(name, remove)
        album = table.get(name)
        ids = tuple(table.image_ids(album.album_id))
        shown = ", ".join(map(str, ids)) or "none"
        text = f"{quoted(album.name)}: {album.n_images} images, image_id {shown}"
        return reply(text, AlbumReply(volume.library_id, album, ids))
