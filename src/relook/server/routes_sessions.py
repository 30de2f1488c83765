"""Sessions: judge, look again, go back, explain, keep. Layer: server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from relook.core.errors import InputError, NotFoundError
from relook.library.records import printable
from relook.library.session_table import Judgement
from relook.search.engine import Filter
from relook.search.explain import changes, influence, why
from relook.search.judging import JudgementRequest
from relook.server import models
from relook.server.captions import caption_topic
from relook.server.events import event_response
from relook.server.queries import box_of, to_query
from relook.server.requests import (
    JudgeAllBody,
    JudgeBody,
    ReviseBody,
    RoundBody,
    SessionBody,
    SessionChange,
)
from relook.server.state import ServedLibraryOf, ServerState, State
from relook.server.views import judgement_view, line_view, page_view, round_view, session_view
from relook.serving.libraries import ServedLibrary

__all__ = ["router"]

router = APIRouter(tags=["sessions"], prefix="/libraries/{library_id}/sessions")
Strategy = Annotated[
    str | None, Query(max_length=100, description="How judgements are used; as configured if null.")
]


@router.get("", response_model=models.SessionList)
async def sessions(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """The sessions of a library, newest first."""
    rows = await state.core.run(volume.library.sessions)
    return {"sessions": [line_view(row) for row in rows]}


@router.post("", response_model=models.Session, status_code=201)
async def begin(volume: ServedLibraryOf, body: SessionBody, state: State) -> dict[str, Any]:
    """Begins a session: a search that learns from what is marked."""
    return await state.pool_for(body.query).run(_begin, volume, body)


def _begin(volume: ServedLibrary, body: SessionBody) -> dict[str, Any]:
    began = time.perf_counter()
    query = to_query(body.query, volume.pictures)
    only = Filter(body.where, body.path)
    session = volume.begin(query, body.limit, body.name.strip(), only, body.instruction)
    view = session_view(volume, session)
    view["page"]["took_ms"] = _ms_since(began)
    return view


@router.get("/{session_id}", response_model=models.Session)
async def show(volume: ServedLibraryOf, session_id: str, state: State) -> dict[str, Any]:
    """A session as it is now."""
    return await state.core.run(_show, state, volume, session_id)


def _show(state: ServerState, volume: ServedLibrary, session_id: str) -> dict[str, Any]:
    with volume.reading(session_id) as session:
        state.captions.ask(volume, session_id, session.judgements)
        told = [state.captions.view(volume, session_id, one) for one in session.judgements]
        return {**session_view(volume, session), "judgements": told}


@router.patch("/{session_id}", response_model=models.Session)
async def change(
    volume: ServedLibraryOf, session_id: str, body: SessionChange, state: State
) -> dict[str, Any]:
    """Renames a session, or goes to one of its rounds; looking again from there is a branch."""
    return await state.core.run_to_end(_change, volume, session_id, body)


def _change(volume: ServedLibrary, session_id: str, body: SessionChange) -> dict[str, Any]:
    with volume.session(session_id) as session:
        session.change(name=body.name, current_round=body.current_round)
        return session_view(volume, session)


@router.delete("/{session_id}", status_code=204)
async def delete(volume: ServedLibraryOf, session_id: str, state: State) -> Response:
    """Removes a session; the library stays as it is."""
    await state.core.run_to_end(volume.delete_session, session_id)
    return Response(status_code=204)


@router.post("/{session_id}/judgements", response_model=models.Judgement, status_code=201)
async def judge(
    volume: ServedLibraryOf, session_id: str, body: JudgeBody, state: State
) -> dict[str, Any]:
    """Marks an image, or a box in it. A box's caption comes later, as an event."""
    one = await state.core.run_to_end(_judge, volume, session_id, body)
    state.captions.ask(volume, session_id, [one])
    return judgement_view(one)


def _judge(volume: ServedLibrary, session_id: str, body: JudgeBody) -> Judgement:
    return _judge_all(volume, session_id, [body])[0]


@router.post("/{session_id}/judgements/several", response_model=models.Judgements, status_code=201)
async def judge_several(
    volume: ServedLibraryOf, session_id: str, body: JudgeAllBody, state: State
) -> dict[str, Any]:
    """Marks several images and boxes, all of them or none."""
    made = await state.core.run(_judge_all, volume, session_id, body.judgements)
    state.captions.ask(volume, session_id, made)
    return {"judgements": [judgement_view(one) for one in made]}


def _judge_all(
    volume: ServedLibrary, session_id: str, bodies: Sequence[JudgeBody]
) -> list[Judgement]:
    with volume.session(session_id) as session:
        return session.judge_all([_request(body) for body in bodies])


def _request(body: JudgeBody) -> JudgementRequest:
    return JudgementRequest(
        body.image_id, body.relevant, box_of(body.box), body.caption, body.weight
    )


@router.patch("/{session_id}/judgements/{judgement_id}", response_model=models.Judgement)
async def revise(
    volume: ServedLibraryOf,
    session_id: str,
    judgement_id: models.Id,
    body: ReviseBody,
    state: State,
) -> dict[str, Any]:
    """Changes a judgement; another box gets another suggested caption."""
    one = await state.core.run_to_end(_revise, volume, session_id, judgement_id, body)
    state.captions.ask(volume, session_id, [one])
    return judgement_view(one)


def _revise(
    volume: ServedLibrary, session_id: str, judgement_id: int, body: ReviseBody
) -> Judgement:
    with volume.session(session_id) as session:
        return session.revise(
            judgement_id, relevant=body.relevant, box=box_of(body.box), weight=body.weight,
            caption=body.caption,
        )  # fmt: skip


@router.post(
    "/{session_id}/judgements/{judgement_id}/caption",
    response_model=models.Judgement,
    status_code=202,
)
async def caption_again(
    volume: ServedLibraryOf, session_id: str, judgement_id: models.Id, state: State
) -> dict[str, Any]:
    """Has a box's caption written anew; it comes as an event, as the first one did."""
    one = await state.core.run_to_end(_caption_again, volume, session_id, judgement_id)
    state.captions.ask(volume, session_id, [one])
    return judgement_view(one)


def _caption_again(volume: ServedLibrary, session_id: str, judgement_id: int) -> Judgement:
    with volume.session(session_id) as session:
        known = {one.judgement_id: one for one in session.judgements}
        if judgement_id in known and known[judgement_id].box is None:
            raise InputError(
                "no_box", f"judgement {judgement_id} has no box", "captions are of boxes"
            )
        return session.edit_caption(judgement_id, None)


@router.delete("/{session_id}/judgements/{judgement_id}", status_code=204)
async def take_back(
    volume: ServedLibraryOf, session_id: str, judgement_id: models.Id, state: State
) -> Response:
    """Takes a judgement back."""
    await state.core.run_to_end(_take_back, volume, session_id, judgement_id)
    return Response(status_code=204)


def _take_back(volume: ServedLibrary, session_id: str, judgement_id: int) -> None:
    with volume.session(session_id) as session:
        session.remove(judgement_id)


@router.get("/{session_id}/events", response_class=StreamingResponse)
async def events(volume: ServedLibraryOf, session_id: str, state: State) -> StreamingResponse:
    """Server-sent events: `caption`, with a judgement, for every box that has got its words.

    Those that came before are sent first, so that a reader misses none.
    """
    channel = state.hub.listen(caption_topic(volume, session_id))
    written = await state.core.run(_written, state, volume, session_id)
    first = [("caption", state.captions.view(volume, session_id, one)) for one in written]
    return event_response(state.hub, channel, first, state.settings.keep_alive_s)


def _written(state: ServerState, volume: ServedLibrary, session_id: str) -> list[Judgement]:
    with volume.reading(session_id) as session:
        state.captions.ask(volume, session_id, session.judgements)
        return [one for one in session.judgements if one.box and one.caption is not None]


@router.post("/{session_id}/undo", response_model=models.Undone)
async def undo(volume: ServedLibraryOf, session_id: str, state: State) -> dict[str, Any]:
    """Takes the last judgement on this page back, or else the page."""
    return await state.core.run_to_end(_undo, volume, session_id)


def _undo(volume: ServedLibrary, session_id: str) -> dict[str, Any]:
    with volume.session(session_id) as session:
        return {"told": session.undo(), "session": session_view(volume, session)}


@router.post("/{session_id}/rounds", response_model=models.RoundMade)
async def again(
    volume: ServedLibraryOf, session_id: str, body: RoundBody, state: State
) -> dict[str, Any]:
    """Looks again: the next page, from the first query and every judgement on the way here."""
    made = await state.core.run(_again, volume, session_id, body)
    if body.judgements:
        counting = await state.core.run(_counting, volume, session_id)
        state.captions.ask(volume, session_id, counting)
    return made


def _counting(volume: ServedLibrary, session_id: str) -> list[Judgement]:
    with volume.reading(session_id) as session:
        return session.judgements


def _again(volume: ServedLibrary, session_id: str, body: RoundBody) -> dict[str, Any]:
    began = time.perf_counter()
    keep: dict[str, Any] = {"keep_shown": body.keep_shown, "keep_judged": body.keep_judged}
    with volume.session(session_id) as session:
        judging = session.prepare([_request(one) for one in body.judgements])
        page = session.again(
            body.strategy, judging=judging, limit=body.limit, **keep,
            relevant_words=body.relevant_words, irrelevant_words=body.irrelevant_words,
        )  # fmt: skip
        moved = changes(session, **keep)
        view = session_view(volume, session)
        view["page"]["took_ms"] = round(page.took_ms, 2)
        told = {
            str(image_id): {"rank": one.rank, "rank_before": one.rank_before}
            for image_id, one in moved.items()
        }
        row = round_view(session.round)
    return {
        "round": row,
        "page": view["page"],
        "session": view,
        "took_ms": _ms_since(began),
        "changes": told,
    }


@router.get("/{session_id}/rounds/{number}", response_model=models.RoundAnswer)
async def one_round(
    volume: ServedLibraryOf, session_id: str, number: models.Id, state: State
) -> dict[str, Any]:
    """The page of any round; the session stays where it is."""
    return await state.core.run(_one_round, volume, session_id, number)


def _one_round(volume: ServedLibrary, session_id: str, number: int) -> dict[str, Any]:
    with volume.reading(session_id) as session:
        row, page = session.round_at(number)
        return {"round": round_view(row), "page": page_view(volume, page)}


@router.get("/{session_id}/why/{image_id}", response_model=models.Why)
async def reasons(
    volume: ServedLibraryOf,
    session_id: str,
    image_id: models.Id,
    state: State,
    strategy: Strategy = None,
) -> dict[str, Any]:
    """What raised and lowered an image of the current page."""
    return await state.core.run(_why, volume, session_id, image_id, strategy)


def _why(
    volume: ServedLibrary, session_id: str, image_id: int, strategy: str | None
) -> dict[str, Any]:
    with volume.reading(session_id) as session:
        hits = [hit for hit in session.page if hit.image_id == image_id]
        if not hits:
            raise NotFoundError(
                "no_hit", f"image {image_id} is not on the current page", "ask for one that is"
            )
        found = why(session, hits[0], strategy)
    told = [
        {
            "name": printable(one.name),
            "amount": round(one.amount, 6),
            "judgement_id": one.judgement_id,
        }
        for one in found
    ]
    score = round(sum(one.amount for one in found), 6)
    return {"image_id": image_id, "score": score, "reasons": told}


@router.get("/{session_id}/influence/{judgement_id}", response_model=models.Influence)
async def influences(
    volume: ServedLibraryOf,
    session_id: str,
    judgement_id: models.Id,
    state: State,
    strategy: Strategy = None,
) -> dict[str, Any]:
    """Which images a judgement moved most, among all images."""
    return await state.explaining.run(_influence, volume, session_id, judgement_id, strategy)


def _influence(
    volume: ServedLibrary, session_id: str, judgement_id: int, strategy: str | None
) -> dict[str, Any]:
    with volume.reading(session_id) as session:
        found = influence(session, judgement_id, strategy)
    return {
        "judgement_id": judgement_id,
        "raised": [{**one.as_dict(), "path": printable(bytes(one.path))} for one in found.raised],
        "lowered": [{**one.as_dict(), "path": printable(bytes(one.path))} for one in found.lowered],
    }


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1e3, 2)
