"""Sessions: judge, look again, go back, explain, keep. Layer: server."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from relook.core.errors import InputError
from relook.library.session_rows import ImageId
from relook.library.session_values import Judgement
from relook.search.completeness import MOST_TO_JUDGE, Estimate
from relook.search.explain import Influence, changes, influence
from relook.search.filtering import Filter
from relook.search.judging import JudgementRequest
from relook.server.api_answers import (
    JudgementAnswer,
    Judgements,
    PageAnswer,
    Redone,
    RoundAnswer,
    RoundMade,
    SessionAnswer,
    SessionList,
    Undone,
)
from relook.server.captions import caption_topic
from relook.server.events import event_response
from relook.server.state import AnswerRoute, ServedLibraryOf, ServerState, State
from relook.serving.libraries import ServedLibrary
from relook.serving.requests import (
    JudgementsRequest,
    RevisionRequest,
    RoundRequest,
    SessionChange,
    SessionRequest,
    StrategyName,
    to_query,
)
from relook.serving.schemas import Checked, answer_model
from relook.serving.served_values import Why, served

router = APIRouter(
    tags=["sessions"], prefix="/libraries/{library_id}/sessions", route_class=AnswerRoute
)
Strategy = Annotated[
    StrategyName | None, Query(description="How judgements are used; as configured if null.")
]


@router.get("", response_model=answer_model(SessionList))
async def sessions(volume: ServedLibraryOf, state: State) -> dict[str, Any]:
    """The sessions of a library, newest first."""
    rows = await state.core.run(volume.library.sessions)
    return served(SessionList(tuple(rows)))


@router.post("", response_model=answer_model(SessionAnswer), status_code=201)
async def begin(
    volume: ServedLibraryOf, body: Annotated[SessionRequest, Checked()], state: State
) -> dict[str, Any]:
    """Begins a session: a search that learns from what is marked."""
    return await state.run_query(_begin, volume, body)


def _begin(volume: ServedLibrary, body: SessionRequest) -> dict[str, Any]:
    began = time.perf_counter()
    query = to_query(body.query, volume.pictures, volume.reads(body.grammar))
    only = Filter(body.only.where, body.only.path, min_fit=body.min_fit)
    session = volume.begin(query, body.limit, body.name.strip(), only, body.instruction)
    took_ms = _ms_since(began)
    return served(SessionAnswer.of(volume, session, took_ms, session.first_page))


@router.get("/{session_id}", response_model=answer_model(SessionAnswer))
async def show(volume: ServedLibraryOf, session_id: str, state: State) -> dict[str, Any]:
    """A session as it is now."""
    return await state.core.run(_show, state, volume, session_id)


def _show(state: ServerState, volume: ServedLibrary, session_id: str) -> dict[str, Any]:
    with volume.reading(session_id) as session:
        state.captions.ask(volume, session_id, session.judgements)
        judgements = [
            state.captions.answer(volume, session_id, judgement) for judgement in session.judgements
        ]
        answer = SessionAnswer.of(volume, session)
        return served(replace(answer, judgements=tuple(judgements)))


@router.patch("/{session_id}", response_model=answer_model(SessionAnswer))
async def change(
    volume: ServedLibraryOf,
    session_id: str,
    body: Annotated[SessionChange, Checked()],
    state: State,
) -> dict[str, Any]:
    """Renames a session, or goes to one of its rounds; looking again from there is a branch."""
    return await state.core.run_to_end(_change, volume, session_id, body)


def _change(volume: ServedLibrary, session_id: str, body: SessionChange) -> dict[str, Any]:
    with volume.session(session_id) as session:
        session.change(name=body.name, current_round=body.current_round)
        return served(SessionAnswer.of(volume, session))


@router.delete("/{session_id}", status_code=204)
async def delete(volume: ServedLibraryOf, session_id: str, state: State) -> Response:
    """Removes a session; the library stays as it is."""
    await state.core.run_to_end(volume.delete_session, session_id)
    return Response(status_code=204)


@router.post(
    "/{session_id}/judgements", response_model=answer_model(JudgementAnswer), status_code=201
)
async def judge(
    volume: ServedLibraryOf,
    session_id: str,
    body: Annotated[JudgementRequest, Checked()],
    state: State,
) -> dict[str, Any]:
    """Marks an image, or a box in it. A box's caption comes later, as an event."""
    judgement = await state.core.run_to_end(_judge, volume, session_id, body)
    state.captions.ask(volume, session_id, [judgement])
    return served(JudgementAnswer(judgement))


def _judge(volume: ServedLibrary, session_id: str, body: JudgementRequest) -> Judgement:
    return _judge_all(volume, session_id, [body])[0]


@router.post(
    "/{session_id}/judgements/several", response_model=answer_model(Judgements), status_code=201
)
async def judge_several(
    volume: ServedLibraryOf,
    session_id: str,
    body: Annotated[JudgementsRequest, Checked()],
    state: State,
) -> dict[str, Any]:
    """Marks several images and boxes, all of them or none."""
    judgements = await state.core.run(_judge_all, volume, session_id, body.judgements)
    state.captions.ask(volume, session_id, judgements)
    return served(Judgements(tuple(map(JudgementAnswer, judgements))))


def _judge_all(
    volume: ServedLibrary, session_id: str, requests: Sequence[JudgementRequest]
) -> list[Judgement]:
    with volume.session(session_id) as session:
        return session.judge_all(requests)


@router.patch(
    "/{session_id}/judgements/{judgement_id}", response_model=answer_model(JudgementAnswer)
)
async def revise(
    volume: ServedLibraryOf,
    session_id: str,
    judgement_id: ImageId,
    body: Annotated[RevisionRequest, Checked()],
    state: State,
) -> dict[str, Any]:
    """Changes a judgement; another box gets another suggested caption."""
    judgement = await state.core.run_to_end(_revise, volume, session_id, judgement_id, body)
    state.captions.ask(volume, session_id, [judgement])
    return served(JudgementAnswer(judgement))


def _revise(
    volume: ServedLibrary, session_id: str, judgement_id: int, body: RevisionRequest
) -> Judgement:
    with volume.session(session_id) as session:
        return session.revise(
            judgement_id, relevant=body.relevant, box=body.box, weight=body.weight,
            caption=body.caption,
        )  # fmt: skip


@router.post(
    "/{session_id}/judgements/{judgement_id}/caption",
    response_model=answer_model(JudgementAnswer),
    status_code=202,
)
async def caption_again(
    volume: ServedLibraryOf, session_id: str, judgement_id: ImageId, state: State
) -> dict[str, Any]:
    """Has a box's caption written anew; it comes as an event, as the first one did."""
    judgement = await state.core.run_to_end(_caption_again, volume, session_id, judgement_id)
    state.captions.ask(volume, session_id, [judgement])
    return served(JudgementAnswer(judgement))


def _caption_again(volume: ServedLibrary, session_id: str, judgement_id: int) -> Judgement:
    with volume.session(session_id) as session:
        known = {judgement.judgement_id: judgement for judgement in session.judgements}
        if judgement_id in known and known[judgement_id].box is None:
            raise InputError(
                "no_box", f"judgement {judgement_id} has no box", "captions are of boxes"
            )
        return session.edit_caption(judgement_id, None)


@router.delete("/{session_id}/judgements/{judgement_id}", status_code=204)
async def take_back(
    volume: ServedLibraryOf, session_id: str, judgement_id: ImageId, state: State
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
    first = [
        ("caption", served(state.captions.answer(volume, session_id, judgement)))
        for judgement in written
    ]
    return event_response(state.hub, channel, first, state.settings.keep_alive_s)


def _written(state: ServerState, volume: ServedLibrary, session_id: str) -> list[Judgement]:
    with volume.reading(session_id) as session:
        state.captions.ask(volume, session_id, session.judgements)
        return [
            judgement
            for judgement in session.judgements
            if judgement.box and judgement.caption is not None
        ]


@router.post("/{session_id}/undo", response_model=answer_model(Undone))
async def undo(volume: ServedLibraryOf, session_id: str, state: State) -> dict[str, Any]:
    """Takes the last judgement on this page back, or else the page."""
    return await state.core.run_to_end(_undo, volume, session_id)


def _undo(volume: ServedLibrary, session_id: str) -> dict[str, Any]:
    with volume.session(session_id) as session:
        undone = session.undo()
        return served(Undone(undone, SessionAnswer.of(volume, session)))


@router.post("/{session_id}/redo", response_model=answer_model(Redone))
async def redo(volume: ServedLibraryOf, session_id: str, state: State) -> dict[str, Any]:
    """Makes the step again that was taken back last, while no other was made since."""
    return await state.core.run_to_end(_redo, volume, session_id)


def _redo(volume: ServedLibrary, session_id: str) -> dict[str, Any]:
    with volume.session(session_id) as session:
        redone = session.redo()
        return served(Redone(redone, SessionAnswer.of(volume, session)))


@router.post("/{session_id}/rounds", response_model=answer_model(RoundMade))
async def again(
    volume: ServedLibraryOf, session_id: str, body: Annotated[RoundRequest, Checked()], state: State
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


def _again(volume: ServedLibrary, session_id: str, body: RoundRequest) -> dict[str, Any]:
    began = time.perf_counter()
    keep: dict[str, Any] = {"keep_shown": body.keep_shown, "keep_judged": body.keep_judged}
    with volume.session(session_id) as session:
        judging = session.prepare(body.judgements)
        page = session.again(
            body.strategy, judging=judging, limit=body.limit, **keep,
            relevant_words=body.relevant_words, irrelevant_words=body.irrelevant_words,
        )  # fmt: skip
        moved = changes(session, **keep)
        answer = SessionAnswer.of(volume, session, page.took_ms)
        return served(RoundMade(session.round, answer.page, answer, _ms_since(began), moved))


@router.get("/{session_id}/rounds/{number}", response_model=answer_model(RoundAnswer))
async def one_round(
    volume: ServedLibraryOf, session_id: str, number: ImageId, state: State
) -> dict[str, Any]:
    """The page of any round; the session stays where it is."""
    return await state.core.run(_one_round, volume, session_id, number)


def _one_round(volume: ServedLibrary, session_id: str, number: int) -> dict[str, Any]:
    with volume.reading(session_id) as session:
        row, page = session.round_at(number)
        return served(RoundAnswer(row, PageAnswer.of(volume, page)))


@router.get("/{session_id}/why/{image_id}", response_model=answer_model(Why))
async def reasons(
    volume: ServedLibraryOf,
    session_id: str,
    image_id: ImageId,
    state: State,
    strategy: Strategy = None,
) -> dict[str, Any]:
    """What raised and lowered an image of the current page."""
    return await state.core.run(_why, volume, session_id, image_id, strategy)


def _why(
    volume: ServedLibrary, session_id: str, image_id: int, strategy: str | None
) -> dict[str, Any]:
    with volume.reading(session_id) as session:
        return served(Why.of(session, image_id, strategy))


@router.get("/{session_id}/estimate", response_model=answer_model(Estimate))
async def estimated(
    volume: ServedLibraryOf,
    session_id: str,
    state: State,
    limit: Annotated[
        int, Query(ge=0, le=MOST_TO_JUDGE, description="Images to name for judging.")
    ] = 1,
    passed_over: Annotated[
        bool,
        Query(description="Images without a mark on pages that were marked and left do not fit."),
    ] = True,
) -> dict[str, Any]:
    """How many pictures of the kind there are, how many are found, and what to judge next."""
    return await state.explaining.run(_estimated, volume, session_id, limit, passed_over)


def _estimated(
    volume: ServedLibrary, session_id: str, limit: int, passed_over: bool
) -> dict[str, Any]:
    with volume.reading(session_id) as session:
        return served(session.estimate(limit, passed_over=passed_over))


@router.get("/{session_id}/influence/{judgement_id}", response_model=answer_model(Influence))
async def influences(
    volume: ServedLibraryOf,
    session_id: str,
    judgement_id: ImageId,
    state: State,
    strategy: Strategy = None,
) -> dict[str, Any]:
    """Which images a judgement moved most, among all images."""
    return await state.explaining.run(_influence, volume, session_id, judgement_id, strategy)


def _influence(
    volume: ServedLibrary, session_id: str, judgement_id: int, strategy: str | None
) -> dict[str, Any]:
    with volume.reading(session_id) as session:
        return served(influence(session, judgement_id, strategy))


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1e3
