"""Questions about pictures, with their stages as events. Layer: server."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from relook.app.asking import Asking, edited
from relook.core.errors import RelookError
from relook.rag.ask import Hear
from relook.server import models_ask
from relook.server.asks import Asked, Asks
from relook.server.errors import internal
from relook.server.events import event_response
from relook.server.models_ask import AskBody
from relook.server.state import State

__all__ = ["router"]

_LOG = logging.getLogger(__name__)
_LEFT = 499  # for the log only, as nginx has it: nobody is there to read it
router = APIRouter(tags=["ask"])
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "model": models_ask.AskAnswer,
        "description": "Events `providers`, `provider`, `evidence`, `model`, `text`, `note`, then "
        "`answer` or `error`; with `stream: false` the answer alone, as JSON.",
    }
}

_PNG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}
_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}  # its name is its content


@router.get("/ask", response_model=models_ask.AskChoices)
async def choices(state: State) -> dict[str, Any]:
    """Which models and providers this server offers, and who may get pictures."""
    return await state.pictures.run(state.asks.choices)  # it opens the models' clients


@router.post("/ask", response_class=Response, responses=_STREAM)
async def ask(body: AskBody, state: State, request: Request) -> Response:
    """Answers a question about a picture with evidence about it; who leaves ends it."""
    asks = state.asks
    config = asks.config(body)
    asked = await asks.pool.run(asks.subject, body, config)
    if not body.stream:
        return await _whole(request, asks, lambda hear: _answer(asks, body, config, asked, hear))
    topic = f"ask {uuid.uuid4().hex}"
    channel = state.hub.listen(topic)

    def hear(stage: str, told: Mapping[str, Any]) -> None:
        if channel.left:
            raise _NobodyListensError
        if stage == "evidence":
            told = asks.screenshots.addressed(told)
        state.hub.send(topic, stage, told)

    def work() -> None:
        if channel.left:  # while it waited for a thread
            return
        try:
            event, told = _told(lambda: _answer(asks, body, config, asked, hear))
        except _NobodyListensError:
            _LOG.info("a question was given up: its reader left")
            return
        state.hub.send(topic, event, told, last=True)

    try:
        asks.pool.begin(work)
    except BaseException:
        state.hub.leave(channel)
        raise
    return event_response(state.hub, channel, [], state.settings.keep_alive_s)


@router.get("/ask/screenshots/{name}", response_class=Response, responses=_PNG)
async def screenshot(name: str, state: State) -> Response:
    """A provider's page as evidence shows it, for a while after the question."""
    return Response(state.asks.screenshots.get(name), media_type="image/png", headers=_KEEP)


async def _whole(request: Request, asks: Asks, work: Callable[[Hear], dict[str, Any]]) -> Response:
    """The answer in one piece; its stages only find out whether anybody still waits for it."""
    left = threading.Event()

    def hear(stage: str, told: Mapping[str, Any]) -> None:
        if left.is_set():
            raise _NobodyListensError

    watch = asyncio.create_task(_watch(request, left))
    try:
        return JSONResponse(await asks.pool.run(work, hear))
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


def _answer(
    asks: Asks, body: AskBody, config: Asking, asked: Asked, hear: Hear | None
) -> dict[str, Any]:
    with asks.asker(body, config) as asker:
        answer = asker.ask(
            asked.subject,
            body.question,
            evidence=asked.evidence if body.ask_id is not None else None,
            edit=edited(body.strike, body.pin),
            hear=hear,
        )
    ask_id = asks.keep(asked.subject, answer.evidence)
    told = answer.as_dict(pictures=True)
    told["evidence"] = asks.screenshots.addressed(told["evidence"])
    return {"ask_id": ask_id, **told}


class _NobodyListensError(Exception):
    """Ends a question whose reader left: what it says next is what stops it."""


def _told(work: Callable[[], dict[str, Any]]) -> tuple[str, Mapping[str, Any]]:
    """The last event of a stream, whatever happens, unless nobody would read it."""
    try:
        return "answer", work()
    except _NobodyListensError:
        raise
    except RelookError as error:
        return "error", error.as_dict()
    except Exception as error:  # the stream has begun: this is where it can still be told
        internal(error)
        fault = RelookError("internal", "the server made a mistake", "its log says more")
        return "error", fault.as_dict()
