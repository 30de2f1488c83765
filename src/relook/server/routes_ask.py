"""Questions about pictures over HTTP, with their stages as events. Layer: server.

Events and the addresses of screenshots; `relook.serving.questions` answers.
"""

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from relook.app.asking import subject_of
from relook.core.converter import JsonValue
from relook.core.errors import InputError, RelookError
from relook.core.json_form import INLINE
from relook.core.json_writer import to_json
from relook.core.picture_paths import printable
from relook.core.sources import limits_at, read_file
from relook.gateway.admission import address_of
from relook.gateway.error_answers import internal
from relook.people.rights import Right, Who
from relook.providers import Subject
from relook.rag.answer import Answer
from relook.rag.answer_report import report_now
from relook.rag.asker import Hear
from relook.rag.evidence import Evidence
from relook.server.events import event_response
from relook.server.state import AnswerRoute, ServerState, State, WhoOf, volume_for
from relook.serving.libraries import ServedLibrary
from relook.serving.questions import Choices, no_consent_here
from relook.serving.requests import AskRequest
from relook.serving.schemas import Checked, answer_model
from relook.serving.served_values import served

_LOG = logging.getLogger(__name__)
_LEFT = 499  # for the log only, as nginx has it: the reader is gone
router = APIRouter(tags=["ask"], route_class=AnswerRoute)


@dataclass(frozen=True, slots=True)
class AskAnswer(JsonValue):
    """An answer; the same object is the event `answer` of a stream.

    Args:
        ask_id: To ask again with the same evidence.
        answer: The answer and what it rests on. A provider's `screenshot` is null, and
            `screenshot_url` says where it is.
    """

    ask_id: str
    answer: Annotated[Answer, INLINE]


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "model": answer_model(AskAnswer),
        "description": "Events `providers`, `provider`, `evidence`, `model`, `thinking`, "
        "`text`, `note`, then "
        "`answer` or `error`; with `stream: false` the answer alone, as JSON.",
    }
}

_PNG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}
_HTML: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}}}}
}
_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}  # its name is its content


@router.get("/ask", response_model=answer_model(Choices))
async def choices(state: State, who: WhoOf) -> dict[str, Any]:
    """Which models and providers this server offers, and who may get pictures."""
    # In a thread: it opens the models' clients.
    offered = await state.pictures.run(state.questions.choices)
    may_allow = offered.may_allow_upload and not who.is_limited
    return served(replace(offered, may_allow_upload=may_allow))


@router.post("/ask", response_class=Response, responses=_STREAM)
async def ask(
    body: Annotated[AskRequest, Checked()], state: State, request: Request, who: WhoOf
) -> Response:
    """Answers a question about a picture with evidence about it; it ends when the reader leaves."""
    if body.question.allow_upload and who.is_limited:
        raise no_consent_here()
    state.questions.configured(body.question)  # what may not be asked is refused at once
    inquiry = _Inquiry(state, body, who, address_of(request.scope))
    picture = await state.asking.run(inquiry.picture)
    if not body.stream:
        return await _whole(request, state, lambda hear: inquiry.answer(picture, hear))
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
            event, facts = _last_event(lambda: inquiry.answer(picture, hear))
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


@router.get("/ask/{ask_id}/report", response_class=Response, responses=_HTML)
async def report(ask_id: str, state: State, who: WhoOf) -> Response:
    """Everything that an answer rests on, as one page to keep; for a while after the question."""
    kept = state.questions.kept(ask_id, who.name)
    page = await state.pictures.run(report_now, kept.answer, kept.subject)
    headers = {"Content-Disposition": 'attachment; filename="relook-report.html"'}
    return Response(page, media_type="text/html", headers=headers)


@dataclass(frozen=True, slots=True)
class _Picture:
    """The picture of a request, and the evidence when it asks again."""

    subject: Subject
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class _Inquiry:
    """A question of somebody.

    Args:
        state: Of the server.
        body: The question.
        who, address: Of whom, and where they are.
    """

    state: ServerState
    body: AskRequest
    who: Who
    address: str

    def picture(self) -> _Picture:
        """The picture that is asked about; an address is fetched as for a stranger.

        Raises:
            NotFoundError, InputError, AccessError, FetchError, ImageError: when it cannot be had.
        """
        state, body = self.state, self.body
        if body.ask_id is not None:
            kept = state.questions.kept(body.ask_id, self.who.name)
            return _Picture(kept.subject, kept.evidence)
        web = state.questions.asking.web
        if body.url is not None:
            return _Picture(subject_of(_address(body.url), None, web))
        volume = self.volume()
        if body.image_id is not None:
            return _Picture(subject_of(body.image_id, volume.library, web))
        path = volume.pictures.path(str(body.picture))
        return _Picture(Subject.of(read_file(path), name="an upload", limits=limits_at(path)))

    def answer(self, picture: _Picture, hear: Hear) -> dict[str, Any]:
        """The answer as JSON; what it sent elsewhere is in the log of people."""
        state, question = self.state, self.body.question
        asks_again = picture.evidence is not None
        needs_library = not asks_again and state.questions.configured(question).needs_library
        library = self.volume().library if needs_library else None
        try:
            answer = state.questions.answer(
                question, picture.subject, library, picture.evidence, hear
            )
        except RelookError:
            if state.questions.asks_elsewhere(question):
                self._note("failed, and something may have been sent")
            raise
        if answer.sent:
            self._note(f"sent to {', '.join(sorted({sent.host for sent in answer.sent}))}")
        ask_id = state.questions.keep(picture.subject, answer, self.who.name)
        payload = to_json(AskAnswer(ask_id, answer), pictures=True, text=printable)
        return {**payload, "evidence": state.screenshots.addressed(payload["evidence"])}

    def volume(self) -> ServedLibrary:
        """The library that a request names, or the first in which whoever asks may mark."""
        library_id = self.body.library_id
        if library_id is None:
            allowed = (
                volume.library_id
                for volume in self.state.libraries
                if self.who.right(volume.library_id) >= Right.MARK
            )
            library_id = next(allowed, "")
        return volume_for(self.who, self.state, library_id, Right.MARK)

    def _note(self, outcome: str) -> None:
        if self.state.people.may_be_there():
            name, library_id = self.who.name or self.who.kind, self.body.library_id or ""
            self.state.people.note(name, self.address, "ask elsewhere", library_id, outcome)


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
