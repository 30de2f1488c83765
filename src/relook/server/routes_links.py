"""Links to one album, made and ended on the page; who may index the library may. Layer: server."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from relook.core.errors import InputError, NotFoundError
from relook.core.json_form import Between
from relook.library.session_rows import ImageId
from relook.people.passes import Pass
from relook.people.people_file import LONGEST_S
from relook.people.rights import Who
from relook.server.state import AnswerRoute, ServedLibraryOf, ServerState, State, WhoOf
from relook.serving.libraries import ServedLibrary
from relook.serving.schemas import Checked, answer_model
from relook.serving.served_values import served

router = APIRouter(tags=["people"], prefix="/libraries/{library_id}", route_class=AnswerRoute)


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """A new link.

    Args:
        lasts_s: In how many seconds it ends: a minute to 366 days.
    """

    lasts_s: Annotated[int, Between(60, LONGEST_S)]


@dataclass(frozen=True, slots=True)
class Link:
    """A link that has not ended.

    Args:
        name: To end it by.
        album: Which album it shows; none for the whole library.
        is_there: Whether the library has an album of that name now; without one the link shows
            nothing.
        made_by: Name of a person, `token`, or `console` for the command line.
        created_s, ends_s: Seconds since 1970.
    """

    name: str
    album: str | None
    is_there: bool
    made_by: str
    created_s: float
    ends_s: float


@dataclass(frozen=True, slots=True)
class LinkList:
    """The links of a library.

    Args:
        links: The next to end first.
    """

    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A link, and the only time that its address is told.

    Args:
        link: The link.
        path: Its address on this server, with its secret.
    """

    link: Link
    path: str


@router.get("/links", response_model=answer_model(LinkList))
async def links(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """The links that show this library or an album of it, and have not ended."""
    return await state.core.run(_list, state, volume)


def _list(state: ServerState, volume: ServedLibrary) -> dict[str, Any]:
    if not state.people.may_be_there():
        return served(LinkList(()))
    made = state.people.passes.links(volume.library_id)
    return served(LinkList(tuple(_link(volume, *each) for each in made)))


@router.post("/albums/{album_id}/links", response_model=answer_model(MadeLink), status_code=201)
async def share(
    volume: ServedLibraryOf,
    album_id: ImageId,
    body: Annotated[LinkRequest, Checked()],
    state: State,
    who: WhoOf,
) -> dict[str, Any]:
    """Makes a link that shows the pictures of an album to whoever has it, and nothing else."""
    return await state.core.run_to_end(_share, state, volume, album_id, body.lasts_s, who)


def _share(
    state: ServerState, volume: ServedLibrary, album_id: int, lasts_s: int, who: Who
) -> dict[str, Any]:
    if not state.people.links_open():
        raise InputError(
            "no_people",
            "this server knows nobody, and a link would open nothing",
            "on its machine run: relook user add NAME --right mark",
        )
    album = volume.library.albums.get(album_id).name
    made, token = state.people.passes.share_album(
        volume.library_id, album, lasts_s, who.name or who.kind
    )
    return served(MadeLink(_link(volume, made, album), f"/?{urlencode({'link': token})}"))


@router.delete("/links/{name}", status_code=204)
async def end(volume: ServedLibraryOf, name: str, state: State) -> Response:
    """Ends a link of this library now."""
    await state.core.run_to_end(_end, state, volume.library_id, name)
    return Response(status_code=204)


def _end(state: ServerState, library_id: str, name: str) -> None:
    known = state.people.passes.links(library_id) if state.people.may_be_there() else []
    if name not in {made.name for made, _ in known}:
        raise NotFoundError(
            "no_pass", f"this library has no link {name[:100]!r}", "it may have ended already"
        )
    state.people.passes.revoke(name)


def _link(volume: ServedLibrary, made: Pass, album: str) -> Link:
    is_there = True
    if album:
        try:
            volume.library.albums.get(album)
        except NotFoundError:
            is_there = False
    return Link(made.name, album or None, is_there, made.made_by, made.created_s, made.ends_s)
