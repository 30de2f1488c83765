"""A library without a search: counts, pictures by time, copies. Layer: server."""

import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Annotated, Any, ClassVar, Literal, Self

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from relook.core.errors import InputError
from relook.core.json_form import INLINE, JsonShape
from relook.library.records import ImageRecord
from relook.search.copies import Copy, CopyGroup, find_copies, group_of
from relook.search.copy_list import FORMATS
from relook.search.facets import Facets, browse, count_facets
from relook.server.api_answers import Addresses, ImageAnswer
from relook.server.state import AnswerRoute, ServedLibraryOf, State
from relook.serving.libraries import ServedLibrary
from relook.serving.pictures import chunks, page_of, paths_of, results_csv, results_zip
from relook.serving.requests import BrowseRequest, FacetsRequest, ImagesRequest
from relook.serving.schemas import Checked, answer_model
from relook.serving.served_values import served

router = APIRouter(tags=["browsing"], route_class=AnswerRoute)


@dataclass(frozen=True, slots=True)
class BrowsedAnswer:
    """Images that fit a filter, newest first.

    Args:
        n_images: How many fit.
        images: Those of the wanted part.
    """

    json_shape: ClassVar = JsonShape(name="Browsed")

    n_images: int
    images: tuple[ImageAnswer, ...]


@dataclass(frozen=True, slots=True)
class CopyAnswer:
    """One picture of a group of copies, and where it is."""

    json_shape: ClassVar = JsonShape(name="Copy")

    copy: Annotated[Copy, INLINE]
    addresses: Annotated[Addresses, INLINE]


@dataclass(frozen=True, slots=True)
class CopyGroupAnswer:
    """Pictures that are copies of each other, the one to keep first.

    Args:
        copies: At least one.
        why: Why the first is suggested; empty when they are alike in everything.
        differs: In what they differ.
        n_bytes: What the others take.
    """

    json_shape: ClassVar = JsonShape(name="CopyGroup")

    copies: tuple[CopyAnswer, ...]
    why: str
    differs: tuple[str, ...]
    n_bytes: int

    @classmethod
    def of(cls, volume: ServedLibrary, group: CopyGroup) -> Self:
        """A group with the addresses of its pictures."""
        contents = volume.contents([copy.image_id for copy in group.copies])
        copies = tuple(
            CopyAnswer(copy, Addresses.of(volume, copy.image_id, contents.get(copy.image_id, b"")))
            for copy in group.copies
        )
        return cls(copies, group.why, group.differs, group.n_bytes)


@dataclass(frozen=True, slots=True)
class CopiesAnswer:
    """The groups of copies of a library, those that take most first.

    Args:
        n_groups: How many there are.
        n_others: How many pictures are not the one to keep of their group.
        n_bytes: What these take.
        groups: The wanted part.
    """

    json_shape: ClassVar = JsonShape(name="Copies")

    n_groups: int
    n_others: int
    n_bytes: int
    groups: tuple[CopyGroupAnswer, ...]


@router.post("/libraries/{library_id}/facets", response_model=answer_model(Facets))
async def facets(
    volume: ServedLibraryOf, body: Annotated[FacetsRequest, Checked()], state: State
) -> dict[str, Any]:
    """Counts the pictures that fit a filter: by month, camera, lens, folder, rating, place."""
    return served(await state.core.run(_facets, volume, body))


def _facets(volume: ServedLibrary, body: FacetsRequest) -> Facets:
    with volume.files.moment():
        return count_facets(volume.files, body.only.where, body.only.path, body.away)


@router.post("/libraries/{library_id}/browse", response_model=answer_model(BrowsedAnswer))
async def browsed(
    volume: ServedLibraryOf, body: Annotated[BrowseRequest, Checked()], state: State
) -> dict[str, Any]:
    """Pictures that fit a filter, newest first; no words are needed."""
    return served(await state.core.run(_browsed, volume, body))


def _browsed(volume: ServedLibrary, body: BrowseRequest) -> BrowsedAnswer:
    with volume.files.moment():
        only = body.only
        part = browse(volume.files, only.where, only.path, body.limit, body.skip, body.away)
    images = tuple(ImageAnswer.of(volume, record) for record in part.records)
    return BrowsedAnswer(part.n_images, images)


Skip = Annotated[int, Query(ge=0, le=2**31)]


@router.get("/libraries/{library_id}/copies", response_model=answer_model(CopiesAnswer))
async def copies(
    volume: ServedLibraryOf,
    state: State,
    equal: Annotated[bool, Query(description="Only the same file, byte for byte.")] = False,
    limit: Annotated[int, Query(ge=1, le=100, description="How many groups.")] = 20,
    skip: Skip = 0,
) -> dict[str, Any]:
    """Groups of equal and near-equal pictures, with which to keep and why. Nothing is deleted."""
    return served(await state.explaining.run(_copies, volume, equal, limit, skip))


def _copies(volume: ServedLibrary, equal: bool, limit: int, skip: int) -> CopiesAnswer:
    with volume.files.moment():
        copies = find_copies(
            volume.files, volume.library.search_settings, equal_only=equal, limit=limit, skip=skip,
            measure=True,
        )  # fmt: skip
    groups = tuple(CopyGroupAnswer.of(volume, group) for group in copies.groups)
    return CopiesAnswer(copies.n_groups, copies.n_others, copies.n_bytes, groups)


@router.get("/libraries/{library_id}/copies/list", response_class=Response)
async def copies_list(
    volume: ServedLibraryOf,
    state: State,
    form: Annotated[Literal["csv", "json", "sh"], Query(alias="format")] = "csv",
    equal: bool = False,
) -> Response:
    """All groups as a table, as JSON, or as a script that moves the others into a folder."""
    data = await state.explaining.run(_copies_list, volume, form, equal)
    kind = {"csv": "text/csv", "json": "application/json", "sh": "application/x-sh"}[form]
    name = f'attachment; filename="copies.{form}"'
    return Response(data, media_type=kind, headers={"Content-Disposition": name})


def _copies_list(volume: ServedLibrary, form: str, equal: bool) -> bytes:
    with volume.files.moment():
        settings = volume.library.search_settings
        return FORMATS[form](find_copies(volume.files, settings, equal_only=equal))


@router.post("/libraries/{library_id}/copies/group", response_model=answer_model(CopyGroupAnswer))
async def copies_group(
    volume: ServedLibraryOf, body: Annotated[ImagesRequest, Checked()], state: State
) -> dict[str, Any]:
    """What differs of some pictures that stand for each other, as a hit and its `folded` do."""
    return served(await state.explaining.run(_group, volume, body))


def _group(volume: ServedLibrary, body: ImagesRequest) -> CopyGroupAnswer:
    with volume.files.moment():
        return CopyGroupAnswer.of(volume, group_of(volume.files, body.image_ids))


_MOST_CHOSEN = 1000


@router.get("/libraries/{library_id}/selection", response_class=Response)
async def selection(
    volume: ServedLibraryOf,
    state: State,
    ids: Annotated[
        str, Query(max_length=20_000, pattern=r"^\d{1,18}(,\d{1,18})*$", description="Image ids.")
    ],
    form: Annotated[Literal["zip", "csv", "paths"], Query(alias="format")] = "zip",
) -> Response:
    """Chosen pictures: a zip of the files, a table, or their paths, one a line."""
    image_ids = list(dict.fromkeys(map(int, ids.split(","))))
    if len(image_ids) > _MOST_CHOSEN:
        raise InputError("bad_request", f"{len(image_ids):,} pictures are too many at once",
                         f"choose at most {_MOST_CHOSEN:,}")  # fmt: skip
    exported = await state.exports.run(_selection, volume, image_ids, form)
    return file_answer(exported, form, "pictures")


def _selection(volume: ServedLibrary, image_ids: list[int], form: str) -> bytes | IO[bytes]:
    return taken_away(volume, volume.files.catalog.images(image_ids), form)


def file_answer(exported: bytes | IO[bytes], form: str, stem: str) -> Response:
    """Pictures to take away as a download.

    Args:
        exported: From `taken_away`.
        form: What it is: zip, csv or paths.
        stem: What to call it; may hold any letters.
    """
    suffix = "txt" if form == "paths" else form
    name = urllib.parse.quote(f"{stem}.{suffix}", safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    kind = {"zip": "application/zip", "csv": "text/csv", "paths": "text/plain; charset=utf-8"}[form]
    if isinstance(exported, bytes):
        return Response(exported, media_type=kind, headers=headers)
    return StreamingResponse(chunks(exported), media_type=kind, headers=headers)


def taken_away(
    volume: ServedLibrary, records: Sequence[ImageRecord], form: str
) -> bytes | IO[bytes]:
    """Pictures as a zip of the files, a table, or their paths, one a line."""
    if form == "paths":
        return paths_of(records)
    page = page_of(records)
    return results_csv(page) if form == "csv" else results_zip(volume.library, page)
