"""Libraries, search, query pictures, embeddings. Layer: server."""

from __future__ import annotations

from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, File, Form, Query, UploadFile

from relook.core.errors import QueryError
from relook.core.types import Page, Part
from relook.core.types import Query as CoreQuery
from relook.library.records import printable
from relook.search.engine import Filter
from relook.server import models
from relook.server.queries import to_query
from relook.server.requests import EmbedBody, SearchBody
from relook.server.state import ServedLibraryOf, ServerState, State
from relook.server.views import page_view
from relook.serving.libraries import ServedLibrary
from relook.serving.query_pictures import Stored

__all__ = ["router"]

router = APIRouter(tags=["libraries and search"])
Size = Annotated[int, Query(ge=1, le=1000)]


@router.get("/libraries", response_model=models.Libraries)
async def libraries(state: State) -> dict[str, Any]:
    """Every library of this server."""
    told = [await state.core.run(_info, state, volume) for volume in state.libraries]
    return {"libraries": told}


@router.get("/libraries/{library_id}", response_model=models.Library)
async def library(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """One library and what it holds."""
    return await state.core.run(_info, state, volume)


def _info(state: ServerState, volume: ServedLibrary) -> dict[str, Any]:
    info = volume.info()
    info["roots"] = [printable(root) for root in info["roots"]]
    info["folders"] = [printable(bytes(folder)) for folder in state.folders(volume)]
    return {**info, "job_id": state.jobs.current(volume.library_id)}


@router.get("/libraries/{library_id}/skipped", response_model=models.SkippedFiles)
async def skipped(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """Files that could not be indexed, with reasons."""
    files = await state.core.run(volume.files.catalog.skipped)
    return {"skipped": [file.as_dict() for file in files]}


@router.get("/libraries/{library_id}/fields", response_model=models.Fields)
async def fields(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """Names that `where` of a search may use."""
    return {"fields": await state.core.run(volume.fields)}


@router.post("/libraries/{library_id}/search", response_model=models.Page)
async def search(volume: ServedLibraryOf, body: SearchBody, state: State) -> dict[str, Any]:
    """Finds images by words, pictures, or both."""
    return await state.pool_for(body.query).run(_search, volume, body)


def _search(volume: ServedLibrary, body: SearchBody) -> dict[str, Any]:
    query = to_query(body.query, volume.pictures)
    only = Filter(body.where, body.path, away=body.away)
    page = volume.search(query, body.limit, only, body.fold)
    return page_view(volume, page)


@router.post("/libraries/{library_id}/search/picture", response_model=models.Page)
async def search_picture(
    volume: ServedLibraryOf,
    state: State,
    file: Annotated[UploadFile, File(description="The picture.")],
    query: Annotated[str, Form(max_length=2000, description="Words beside it.")] = "",
    limit: Annotated[int | None, Form(ge=1, le=1000)] = None,
) -> dict[str, Any]:
    """Finds images like a picture, with words beside it or without."""
    page = await state.decoding.run(_search_picture, volume, file.file, query, limit)
    return await state.core.run(page_view, volume, page)


def _search_picture(volume: ServedLibrary, file: BinaryIO, words: str, limit: int | None) -> Page:
    stored = volume.pictures.add(file.read())
    beside = to_query(words, volume.pictures).parts if words.strip() else ()
    return volume.search(CoreQuery((Part(image=stored.path), *beside)), limit)


@router.post("/libraries/{library_id}/pictures", response_model=models.Picture, status_code=201)
async def add_picture(
    volume: ServedLibraryOf, state: State, file: Annotated[UploadFile, File()]
) -> dict[str, Any]:
    """Uploads a picture to search with; it is not indexed."""
    stored: Stored = await state.decoding.run(_add_picture, volume, file.file)
    return {
        "picture_id": stored.picture_id,
        "width_px": stored.width_px,
        "height_px": stored.height_px,
    }


def _add_picture(volume: ServedLibrary, file: BinaryIO) -> Stored:
    return volume.pictures.add(file.read())  # here, so that few are in memory at once


@router.post("/libraries/{library_id}/embeddings", response_model=models.Embeddings)
async def embeddings(volume: ServedLibraryOf, body: EmbedBody, state: State) -> dict[str, Any]:
    """The unit vectors of words in the library's space."""
    if not all(text.strip() for text in body.texts):
        raise QueryError("empty_query", "a text is empty", "leave it out")
    vectors = await state.core.run(volume.encoder.encode_texts, body.texts)
    return {"dim": volume.encoder.dim, "vectors": vectors.tolist()}
