"""Concepts: save what a session learnt, look at it, change, merge, share. Layer: server.

Its answers are defined here, beside the routes.
"""

import json
import urllib.parse
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import UploadFile

from relook.core.errors import InputError
from relook.core.json_form import INLINE, JsonShape, Without
from relook.library.concept_values import (
    Concept,
    ConceptAlbum,
    ConceptChange,
    ConceptExample,
    ConceptLine,
)
from relook.library.session_rows import ImageId
from relook.people.rights import Right
from relook.search.concept_file import add_concept, export_concept
from relook.search.concepts import MAX_ALBUM
from relook.server.api_answers import Addresses, PageAnswer, QueryAnswer
from relook.server.state import AnswerRoute, ServedLibraryOf, State, WhoOf
from relook.serving.libraries import ServedLibrary
from relook.serving.requests import ConceptMerge, ConceptRequest
from relook.serving.schemas import Checked, answer_model
from relook.serving.served_values import served


@dataclass(frozen=True, slots=True)
class ConceptList:
    """The concepts of a library, by name."""

    concepts: tuple[ConceptLine, ...]


@dataclass(frozen=True, slots=True)
class ExampleAnswer:
    """A picture that a concept rests on.

    Args:
        example: The picture.
        thumbnail: Where its thumbnail is; null when the library has it not.
    """

    json_shape: ClassVar = JsonShape(name="ConceptExample")

    example: Annotated[ConceptExample, INLINE]
    thumbnail: str | None


@dataclass(frozen=True, slots=True)
class ConceptAnswer:
    """What a session learnt, under a name, with what it rests on."""

    json_shape: ClassVar = JsonShape(name="Concept")

    concept: Annotated[Concept, INLINE, Without("query", "examples")]
    query: QueryAnswer | None
    examples: tuple[ExampleAnswer, ...]

    @classmethod
    def of(cls, volume: ServedLibrary, concept: Concept) -> Self:
        """A concept with the addresses of its pictures."""
        ids = [example.image_id for example in concept.examples if example.image_id]
        contents = volume.contents(ids)
        query = None if concept.query is None else QueryAnswer.of(concept.query, volume.pictures)
        examples = []
        for example in concept.examples:
            content = contents.get(example.image_id or 0)
            address = content and Addresses.of(volume, example.image_id or 0, content).thumbnail
            examples.append(ExampleAnswer(example, address or None))
        return cls(concept, query, tuple(examples))


@dataclass(frozen=True, slots=True)
class ConceptAdded:
    """A concept that was merged or imported; notes name what of it does not count here."""

    concept: ConceptAnswer
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlbumAnswer:
    """The pictures that a concept holds now."""

    json_shape: ClassVar = JsonShape(name="ConceptAlbum")

    page: PageAnswer
    album: Annotated[ConceptAlbum, INLINE, Without("page")]

    @classmethod
    def of(cls, volume: ServedLibrary, album: ConceptAlbum) -> Self:
        """An album with the addresses of its pictures."""
        return cls(PageAnswer.of(volume, album.page), album)


router = APIRouter(
    tags=["concepts"], prefix="/libraries/{library_id}/concepts", route_class=AnswerRoute
)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


@router.get("", response_model=answer_model(ConceptList))
async def concepts(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """The concepts of a library by name, with how many pictures each holds now."""
    return await state.core.run(_list, volume)


def _list(volume: ServedLibrary) -> dict[str, Any]:
    return served(ConceptList(tuple(volume.library.concepts.lines())))


@router.post("", response_model=answer_model(ConceptAnswer), status_code=201)
async def save(
    volume: ServedLibraryOf, body: Annotated[ConceptRequest, Checked()], state: State
) -> dict[str, Any]:
    """Keeps what a session has learnt, as it stands, under a name."""
    return await state.core.run_to_end(_save, volume, body)


def _save(volume: ServedLibrary, body: ConceptRequest) -> dict[str, Any]:
    with volume.session(body.session_id) as session:
        concept = volume.library.concepts.save(session, body.name, replaced=body.replace)
    return _answer(volume, concept)


@router.post("/import", response_model=answer_model(ConceptAdded), status_code=201,
             openapi_extra=_BODY)  # fmt: skip
async def import_concept(
    volume: ServedLibraryOf,
    request: Request,
    state: State,
    name: Annotated[str, Query(max_length=200, description="Its own name when empty.")] = "",
    replace: Annotated[bool, Query(description="Whether one of that name is replaced.")] = False,
) -> dict[str, Any]:
    """Adds an exported concept; one of another encoder is fitted again from its examples."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=10) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InputError("bad_concept_file", "the form has no file called 'file'")
            data = await file.read()
    else:
        data = await request.body()
    return await state.imports.run(_import, volume, data, name, replace)


def _import(volume: ServedLibrary, data: bytes, name: str, replaced: bool) -> dict[str, Any]:
    with volume.files.moment():
        made = add_concept(volume.library.concepts, data, name=name, replaced=replaced)
    return _added(volume, *made)


@router.post("/merge", response_model=answer_model(ConceptAdded), status_code=201)
async def merge(
    volume: ServedLibraryOf, body: Annotated[ConceptMerge, Checked()], state: State
) -> dict[str, Any]:
    """Makes a concept of what either of two holds; the two stay."""
    return await state.core.run_to_end(_merge, volume, body)


def _merge(volume: ServedLibrary, body: ConceptMerge) -> dict[str, Any]:
    with volume.files.moment():
        made = volume.library.concepts.merge(
            body.first, body.second, body.name, replaced=body.replace
        )
    return _added(volume, *made)


@router.get("/{concept_id}", response_model=answer_model(ConceptAnswer))
async def show(volume: ServedLibraryOf, concept_id: ImageId, state: State) -> dict[str, Any]:
    """What a concept rests on: its words and its examples."""
    return await state.core.run(_show, volume, concept_id)


def _show(volume: ServedLibrary, concept_id: int) -> dict[str, Any]:
    return _answer(volume, volume.library.concepts.get(concept_id))


@router.patch("/{concept_id}", response_model=answer_model(ConceptAnswer))
async def change(
    volume: ServedLibraryOf,
    concept_id: ImageId,
    body: Annotated[ConceptChange, Checked()],
    state: State,
) -> dict[str, Any]:
    """Changes what a concept is called or rests on, and fits it again."""
    return await state.core.run_to_end(_change, volume, concept_id, body)


def _change(volume: ServedLibrary, concept_id: int, body: ConceptChange) -> dict[str, Any]:
    with volume.files.moment():
        return _answer(volume, volume.library.concepts.change(concept_id, body))


@router.delete("/{concept_id}", status_code=204)
async def delete(volume: ServedLibraryOf, concept_id: ImageId, state: State) -> Response:
    """Removes a concept; pictures and sessions stay."""
    await state.core.run_to_end(_delete, volume, concept_id)
    return Response(status_code=204)


def _delete(volume: ServedLibrary, concept_id: int) -> None:
    volume.library.concepts.delete(concept_id)


@router.get("/{concept_id}/album", response_model=answer_model(AlbumAnswer))
async def album(
    volume: ServedLibraryOf,
    concept_id: ImageId,
    state: State,
    who: WhoOf,
    limit: Annotated[int, Query(ge=1, le=MAX_ALBUM)] = 200,
    seen: Annotated[
        bool, Query(description="Whether what is there now is not new the next time.")
    ] = False,
) -> dict[str, Any]:
    """The pictures that a concept holds now, those that came in meanwhile among them."""
    seen = seen and who.right(volume.library_id) >= Right.MARK
    return await state.core.run(_album, volume, concept_id, limit, seen)


def _album(volume: ServedLibrary, concept_id: int, limit: int, seen: bool) -> dict[str, Any]:
    made: ConceptAlbum = volume.library.concepts.album(concept_id, limit=limit, seen=seen)
    return served(AlbumAnswer.of(volume, made))


@router.get("/{concept_id}/export", response_class=Response)
async def export(volume: ServedLibraryOf, concept_id: ImageId, state: State) -> Response:
    """A concept as a file to share: vectors, words and examples, but no picture."""
    name, data = await state.exports.run(_export, volume, concept_id)
    quoted = urllib.parse.quote(f"relook-concept-{name}.json", safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quoted}"}
    return Response(data, media_type="application/json", headers=headers)


def _export(volume: ServedLibrary, concept_id: int) -> tuple[str, bytes]:
    with volume.files.moment():
        values = export_concept(volume.library.concepts, concept_id)
    return str(values["name"]), json.dumps(values, indent=2).encode()


def _answer(volume: ServedLibrary, concept: Concept) -> dict[str, Any]:
    return served(ConceptAnswer.of(volume, concept))


def _added(
    volume: ServedLibrary, concept: Concept, notes: tuple[str, ...]
) -> dict[str, Any]:  # fmt: skip
    return served(ConceptAdded(ConceptAnswer.of(volume, concept), notes))
