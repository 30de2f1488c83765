"""Tools for what people keep under names: albums of pictures, and concepts. Layer: mcp."""

from dataclasses import dataclass
from typing import Annotated, Any

from mcp.types import CallToolResult
from pydantic import Field

from relook.core.errors import InputError, counted
from relook.core.json_form import INLINE, Longest
from relook.library.album_values import Album
from relook.library.concept_values import (
    Concept,
    ConceptAlbum,
    ConceptChange,
    ConceptLine,
    ExampleChange,
)
from relook.mcp import arguments as given
from relook.mcp.mcp_state import McpState
from relook.mcp.replies import PageReply, page_text, quoted, reply
from relook.serving.libraries import ServedLibrary
from relook.serving.schemas import answer_model

_AlbumName = Annotated[str, Longest(200), Field(description="Name of an album: 'Favourites'.")]
_Images = Annotated[list[given.Id], Longest(1000)]
_Name = Annotated[str, Longest(200), Field(description="Name of a concept, with or without '@'.")]
_NewName = Annotated[str, Longest(200), Field(description="What to call it: 'our old van'.")]
_Replace = Annotated[bool, Field(description="Whether a concept of that name is replaced.")]
_Examples = Annotated[list[given.Id], Longest(1000)]
_MAX_ALBUM = 100


@dataclass(frozen=True, slots=True)
class AlbumsReply:
    """The albums of a library, Favourites first.

    Args:
        library_id: Where they are.
        albums: Those that there are.
        deleted: Those that can be brought back (30 days), the last deleted first.
    """

    library_id: str
    albums: tuple[Album, ...]
    deleted: tuple[Album, ...]


@dataclass(frozen=True, slots=True)
class AlbumReply:
    """An album, with what it holds.

    Args:
        library_id: Where it is.
        album: The album.
        image_ids: In the order in which they were put there.
        notes: That it is deleted.
    """

    library_id: str
    album: Annotated[Album, INLINE]
    image_ids: tuple[int, ...]
    notes: tuple[str, ...] = ()


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
        table = volume.library.albums
        albums, deleted = tuple(table.all()[offset:]), tuple(table.deleted())
        lines = [f"{quoted(album.name)}: {counted(album.n_images, 'image')}" for album in albums]
        lines += [f"{quoted(album.name)}: deleted; restore brings it back" for album in deleted]
        return reply("\n".join(lines) or "no more", AlbumsReply(volume.library_id, albums, deleted))

    async def change_album(
        self,
        name: _AlbumName,
        add: Annotated[_Images, Field(description="Images to put into it.")] = [],
        remove: Annotated[_Images, Field(description="Images to take out of it.")] = [],
        rename: Annotated[
            str, Longest(200), Field(description="What to call it from now on.")
        ] = "",
        delete: Annotated[
            bool, Field(description="Whether to delete it; its images stay.")
        ] = False,
        restore: Annotated[
            bool, Field(description="Whether to bring it back, deleted up to 30 days ago.")
        ] = False,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(AlbumReply)]:
        """Changes an album and shows its ids: puts images in or out, renames, deletes, restores it.

        With the name alone it only shows them. Adding to a new name makes a new album.
        """
        changes = _AlbumChanges(tuple(add), tuple(remove), rename, restore)
        if delete and changes != _AlbumChanges():
            raise InputError("bad_request", "delete goes with no other change", "make two calls")
        do = self._delete if delete else self._change
        return await self._state.pool.run(do, name, changes, library_id)

    def _change(self, name: str, changes: "_AlbumChanges", library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        if changes == _AlbumChanges():
            return _album(volume, name)
        table = volume.library.albums
        with table.together():  # all of it, or nothing
            if changes.restore:
                table.restore(name)
            if changes.add:
                table.add(name, changes.add)
            if changes.remove:
                table.remove(name, changes.remove)
            if changes.rename:
                table.rename(name, changes.rename)
        return _album(volume, changes.rename or name)

    def _delete(self, name: str, changes: "_AlbumChanges", library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        shown = _album(volume, name, ("it is deleted; restore brings it back for 30 days",))
        volume.library.albums.delete(name)
        return shown


@dataclass(frozen=True, slots=True)
class _AlbumChanges:
    """What one call changes of an album."""

    add: tuple[int, ...] = ()
    remove: tuple[int, ...] = ()
    rename: str = ""
    restore: bool = False


def _album(volume: ServedLibrary, name: str, notes: tuple[str, ...] = ()) -> CallToolResult:
    table = volume.library.albums
    album = table.get(name)
    ids = tuple(table.image_ids(album.album_id))
    shown = ", ".join(map(str, ids)) or "none"
    text = f"{quoted(album.name)}: {counted(album.n_images, 'image')}, image_id {shown}"
    lines = [text, *(f"note: {note}" for note in notes)]
    return reply("\n".join(lines), AlbumReply(volume.library_id, album, ids, notes))


@dataclass(frozen=True, slots=True)
class ConceptsReply:
    """The concepts of a library, by name."""

    library_id: str
    concepts: tuple[ConceptLine, ...]


@dataclass(frozen=True, slots=True)
class ConceptReply:
    """A concept, what it rests on, and what it holds.

    Args:
        library_id: Where it is.
        concept: With its examples.
        notes: What of it does not count.
        album: The pictures that it holds now; when it was asked for.
        n_pictures: How many those are.
        n_new: How many of them are new since a person looked last.
    """

    library_id: str
    concept: Annotated[Concept, INLINE]
    notes: tuple[str, ...] = ()
    album: PageReply | None = None
    n_pictures: int | None = None
    n_new: int | None = None


class ConceptTools:
    """The tools, each a method; their docstrings are what agents read.

    Args:
        state: What they work on.
    """

    def __init__(self, state: McpState) -> None:
        self._state = state

    async def list_concepts(
        self, offset: given.Offset = 0, library_id: given.LibraryId = ""
    ) -> Annotated[CallToolResult, answer_model(ConceptsReply)]:
        """Lists the concepts of a library: what sessions learnt, under names.

        Use one in any query as '@name': '@our van + snow - night'.
        """
        return await self._state.pool.run(self._list, offset, library_id)

    def _list(self, offset: int, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        lines = tuple(volume.library.concepts.lines()[offset:])
        text = "\n".join(
            f"@{quoted(line.name)}: {counted(line.n_relevant, 'example')},"
            f" {'not counted yet' if (n := line.n_pictures) is None else counted(n, 'picture')}"
            for line in lines
        )
        return reply(text or "none yet", ConceptsReply(volume.library_id, lines))

    async def save_concept(
        self,
        session_id: given.SessionId,
        name: _NewName,
        replace: _Replace = False,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(ConceptReply)]:
        """Keeps what a session has learnt under a name, to use in any query as '@name'.

        It needs at least one judgement that says what fits.
        """
        return await self._state.pool.run(self._save, session_id, name, replace, library_id)

    def _save(self, session_id: str, name: str, replace: bool, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.session(session_id) as session:
            concept = volume.library.concepts.save(session, name, replaced=replace)
        return _concept(volume, concept)

    async def show_concept(
        self,
        name: _Name,
        album: Annotated[
            int, Field(ge=0, le=_MAX_ALBUM, description="Show so many of its pictures.")
        ] = 0,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(ConceptReply)]:
        """Shows what a concept rests on, and the pictures that it holds now (album).

        The album fills itself: pictures that came into the library meanwhile are in it.
        """
        return await self._state.pool.run(self._show, name, album, library_id)

    def _show(self, name: str, album: int, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        concepts = volume.library.concepts
        concept = concepts.get(name)
        return _concept(volume, concept, concepts.album(name, limit=album) if album else None)

    async def change_concept(
        self,
        name: _Name,
        rename: _NewName = "",
        relevant: Annotated[_Examples, Field(description="Examples that do show it.")] = [],
        irrelevant: Annotated[_Examples, Field(description="Examples that do not.")] = [],
        without: Annotated[_Examples, Field(description="Examples to take out.")] = [],
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(ConceptReply)]:
        """Changes what a concept is called or rests on; show_concept tells the example_ids."""
        signs = [ExampleChange(number, True) for number in relevant]
        signs += [ExampleChange(number, False) for number in irrelevant]
        change = ConceptChange(rename or None, examples=tuple(signs), without=tuple(without))
        return await self._state.pool.run(self._change, name, change, library_id)

    def _change(self, name: str, change: ConceptChange, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.files.moment():
            return _concept(volume, volume.library.concepts.change(name, change))

    async def merge_concepts(
        self,
        first: _Name,
        second: _Name,
        into: _NewName,
        replace: _Replace = False,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(ConceptReply)]:
        """Makes a concept of what either of two holds. The two stay."""
        return await self._state.pool.run(self._merge, first, second, into, replace, library_id)

    def _merge(
        self, first: str, second: str, into: str, replace: bool, library_id: str
    ) -> CallToolResult:
        volume = self._state.volume(library_id)
        with volume.files.moment():
            concept, notes = volume.library.concepts.merge(first, second, into, replaced=replace)
        return _concept(volume, concept, notes=notes)

    async def delete_concept(
        self, name: _Name, library_id: given.LibraryId = ""
    ) -> Annotated[CallToolResult, answer_model(ConceptReply)]:
        """Removes a concept and shows what it was; pictures and sessions stay."""
        return await self._state.pool.run(self._delete, name, library_id)

    def _delete(self, name: str, library_id: str) -> CallToolResult:
        volume = self._state.volume(library_id)
        concept = volume.library.concepts.get(name)
        volume.library.concepts.delete(concept.concept_id)
        return _concept(volume, concept, notes=("it is removed",))


def _concept(
    volume: ServedLibrary, concept: Concept, album: ConceptAlbum | None = None, notes: Any = ()
) -> CallToolResult:
    examples = [
        f"example {example.example_id}: image_id {example.image_id},"
        f" {'relevant' if example.relevant else 'irrelevant'}"
        for example in concept.examples
    ]
    words = f", words {quoted(concept.query.text)}" if concept.query else ""
    lead = f"@{quoted(concept.name)}{words}, {counted(len(examples), 'example')}"
    lines = [lead, *examples, *(f"note: {note}" for note in notes)]
    if album is None:
        answer = ConceptReply(volume.library_id, concept, tuple(notes))
        return reply("\n".join(lines), answer)
    page = PageReply.of(volume, album.page)
    answer = ConceptReply(
        volume.library_id, concept, tuple(notes), page, album.n_pictures, album.n_new
    )
    return reply(page_text(album.page, "\n".join(lines)), answer)
