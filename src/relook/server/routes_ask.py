"""Questions about pictures over HTTP, with their stages as events. Layer: server.

Bodies, events and the addresses of screenshots; `relook.serving.questions` answers.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, model_validator

from relook.app.asking import subject_of
from relook.core.errors import InputError, RelookError
from relook.core.images import read_bytes
from relook.core.untrusted import limits_at
from relook.gateway.error_answers import internal
from relook.providers import Subject
from relook.rag.ask import Hear
from relook.rag.evidence import Evidence
from relook.server import models
from relook.server.events import event_response
from relook.server.requests import Body, Words
from relook.server.state import ServerState, State
from relook.serving.libraries import ServedLibrary
from relook.serving.questions import Question

__all__ = ["router"]

_LOG = logging.getLogger(__name__)
_LEFT = 499  # for the log only, as nginx has it: the reader is gone
router = APIRouter(tags=["ask"])

Number = Annotated[int, Field(ge=1, le=999)]
Name = Annotated[str, Field(min_length=1, max_length=300)]


class AskBody(Body):
    """A question about an image of a library, an upload, an address, or a picture asked before."""

    library_id: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="Whose image or upload; also what the provider `library` searches."
    )
    image_id: models.Id | None = None
    picture: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="picture_id of an upload."
    )
    url: Annotated[str, Field(max_length=4000)] | None = Field(
        None, description="Public http(s) address of a picture."
    )
    ask_id: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="Of an earlier answer: its picture and evidence, nothing is looked up."
    )
    question: Words = ""
    providers: Annotated[list[Name], Field(max_length=8)] | None = None
    model: Name | None = None
    when: Literal["always", "never", "auto"] | None = None
    form: Literal["text", "sheet", "screenshot"] | None = None
    compare: bool | None = None
    strike: Annotated[list[Number], Field(max_length=100)] = Field(default_factory=list)
    pin: Annotated[list[Number], Field(max_length=100)] = Field(default_factory=list)
    allow_upload: bool = Field(
        False,
        description="Services named here may get a picture of the server's machine, this once; "
        "only on a server that no other machine can reach.",
    )
    stream: bool = Field(True, description="Answer with server-sent events.")

    @model_validator(mode="after")
    def _one_picture(self) -> AskBody:
        named = (self.image_id, self.picture, self.url, self.ask_id)
        if sum(name is not None for name in named) != 1:
            raise ValueError("give exactly one of image_id, picture, url and ask_id")
        return self

    def question_of(self) -> Question:
        """The question, without its picture."""
        return Question(
            self.question, self.providers, self.model, self.when, self.form, self.compare,
            self.strike, self.pin, self.allow_upload,
        )  # fmt: skip


class AskChoice(models.Answer):
    name: str = Field(examples=["library"])
    summary: str
    remote: bool = Field(description="Whether asking it sends something to a third party.")


class AskChoices(models.Answer):
    """What this server may be asked with."""

    providers: list[AskChoice]
    models: list[str]
    hosts: dict[str, str] = Field(
        description="For a model elsewhere: who would get the picture, the question and the "
        "evidence. Models that are not named stay on this machine, or cannot be used."
    )
    default_model: str = Field(examples=["evidence-only"])
    default_providers: list[str]
    may_allow_upload: bool
    consent: list[str] = Field(description="Services that were agreed to before.")


class AskAnswer(models.Answer):
    """An answer; the same object is the event `answer` of a stream."""

    ask_id: str = Field(description="To ask again with the same evidence.")
    question: str
    text: str
    citations: list[int]
    invented: list[int] = Field(description="Numbers it cited that do not exist; taken out.")
    finish: Literal["done", "length", "refused", "cut_off"]
    model: str
    evidence: dict[str, Any]
    without: dict[str, Any] | None
    sent: list[dict[str, Any]]
    stages: dict[str, float]
    took_s: float


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "model": AskAnswer,
        "description": "Events `providers`, `provider`, `evidence`, `model`, `text`, `note`, then "
        "`answer` or `error`; with `stream: false` the answer alone, as JSON.",
    }
}

_PNG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}
_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}  # its name is its content


@router.get("/ask", response_model=AskChoices)
async def choices(state: State) -> dict[str, Any]:
    """Which models and providers this server offers, and who may get pictures."""
    return await state.pictures.run(state.questions.choices)  # it opens the models' clients


@router.post("/ask", response_class=Response, responses=_STREAM)
async def ask(body: AskBody, state: State, request: Request) -> Response:
    """Answers a question about a picture with evidence about it; it ends when the reader leaves."""
    state.questions.configured(body.question_of())  # what may not be asked is refused at once
    picture = await state.asking.run(_picture_of, state, body)
    if not body.stream:
        return await _whole(request, state, lambda hear: _answer(state, body, picture, hear))
    topic = f"ask {uuid.uuid4().hex}"
    channel = state.hub.listen(topic)

    def hear(stage: str, facts: Mapping[str, Any]) -> None:
        if channel.left:
            raise _NobodyListensError
        if stage == "evidence":
            facts = state.screenshots.addressed(facts)
        state.hub.send(topic, stage, facts)

    def work() -> None:
        if channel.left:  # while it waited for a thread
            return
        try:
            event, facts = _last_event(lambda: _answer(state, body, picture, hear))
        except _NobodyListensError:
            _LOG.info("a question was given up: its reader left")
            return
        state.hub.send(topic, event, facts, last=True)

    try:
        state.asking.begin(work)
    except BaseException:
        state.hub.leave(channel)
        raise
    return event_response(state.hub, channel, [], state.settings.keep_alive_s)


@router.get("/ask/screenshots/{name}", response_class=Response, responses=_PNG)
async def screenshot(name: str, state: State) -> Response:
    """A provider's page as evidence shows it, for a while after the question."""
    return Response(state.screenshots.get(name), media_type="image/png", headers=_KEEP)


@dataclass(frozen=True, slots=True)
class _Picture:
    """The picture of a request, and the evidence when it asks again."""

    subject: Subject
    evidence: Evidence | None = None


def _picture_of(state: ServerState, body: AskBody) -> _Picture:
    """The picture that a request asks about; an address is fetched as for a stranger.

    Raises:
        NotFoundError, InputError, AccessError, FetchError, ImageError: when it cannot be had.
    """
    if body.ask_id is not None:
        kept = state.questions.kept(body.ask_id)
        return _Picture(kept.subject, kept.evidence)
    web = state.questions.asking.web
    if body.url is not None:
        return _Picture(subject_of(_address(body.url), None, web))
    volume = _volume_of(state, body)
    if body.image_id is not None:
        return _Picture(subject_of(body.image_id, volume.library, web))
    path = volume.pictures.path(str(body.picture))
    return _Picture(Subject.of(read_bytes(path), name="an upload", limits=limits_at(path)))


def _answer(state: ServerState, body: AskBody, picture: _Picture, hear: Hear) -> dict[str, Any]:
    question = body.question_of()
    needs_library = picture.evidence is None and state.questions.configured(question).needs_library
    library = _volume_of(state, body).library if needs_library else None
    answer = state.questions.answer(question, picture.subject, library, picture.evidence, hear)
    ask_id = state.questions.keep(picture.subject, answer.evidence)
    payload = answer.as_dict(pictures=True)
    payload["evidence"] = state.screenshots.addressed(payload["evidence"])
    return {"ask_id": ask_id, **payload}


def _volume_of(state: ServerState, body: AskBody) -> ServedLibrary:
    """The library that a request names, or the first one."""
    if body.library_id is None:
        return next(iter(state.libraries))
    return state.libraries.get(body.library_id)


def _address(url: str) -> str:
    """An address, and never a file of the server."""
    if not url.lower().startswith(("http://", "https://")):
        raise InputError("bad_url", f"{url[:100]!r} is no http(s) address", "upload a file instead")
    return url


async def _whole(
    request: Request, state: ServerState, work: Callable[[Hear], dict[str, Any]]
) -> Response:
    """The answer in one piece; its stages only check that somebody still waits for it."""
    left = threading.Event()

    def hear(stage: str, facts: Mapping[str, Any]) -> None:
        if left.is_set():
            raise _NobodyListensError

    watch = asyncio.create_task(_watch(request, left))
    try:
        return JSONResponse(await state.asking.run(work, hear))
    except _NobodyListensError:
        _LOG.info("a question was given up: its reader left")
        return Response(status_code=_LEFT)
    finally:
        left.set()  # also when it took too long: nobody gets what comes now
        watch.cancel()


async def _watch(request: Request, left: threading.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    left.set()


class _NobodyListensError(Exception):
    """Raised by a question's next stage when its reader has left; it ends the question."""


def _last_event(work: Callable[[], dict[str, Any]]) -> tuple[str, Mapping[str, Any]]:
    """The last event of a stream, whatever happens, unless its reader has left."""
    try:
        return "answer", work()
    except _NobodyListensError:
        raise
    except RelookError as error:
        return "error", error.as_dict()
    except Exception as error:  # the stream has begun, so only an event can report it
        internal(error)
        fault = RelookError("internal", "the server made a mistake", "its log says more")
        return "error", fault.as_dict()
