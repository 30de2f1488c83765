"""A session's steps: its next page, steps taken back, and made again. Layer: search.

The next page is fitted on what counts on the way to it. Nothing that was made is deleted: a page
that is taken back stays in the session as a branch, and a mark that is taken back is kept until
other steps are made instead. What may be made again is a stack; its top counts only while the
session stands as it stood when that step was taken back.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from relook.core.converter import from_json
from relook.core.errors import InputError
from relook.core.types import Box
from relook.library.session_table import SessionTable
from relook.library.session_values import Judgement, page_name
from relook.search.feedback_evidence import Fitted, TypedWords
from relook.search.filtering import Filter, why_empty
from relook.search.fit import FURTHER, LookedFor, fit_scale, fits_of
from relook.search.judging import path_to, place_of, waiting
from relook.search.ranking import Folded, Ranking, folded_ranking
from relook.search.session_view import SessionView

ALL_SEEN = (
    "every picture that may be shown was on an earlier page, or is marked;"
    " keep_shown (--keep-shown) shows them again"
)
"""The note of a later page without pictures."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step from one round to the next.

    Args:
        number: The round that it is made from.
        strategy: Of the next page; the configured one when None.
        judgements: What counts for it.
        typed: Words that were typed on the way to it.
        limit: Hits on the page.
        keep_shown: Whether images that earlier pages showed may appear again; those that fit and
            are not judged when None.
        keep_judged: Whether judged images may. Both are as configured when None.
    """

    number: int
    strategy: str | None
    judgements: Sequence[Judgement]
    typed: Sequence[TypedWords]
    limit: int
    keep_shown: bool | None = None
    keep_judged: bool | None = None

    @property
    def asked(self) -> dict[str, bool]:
        """What the call said of shown and of judged images, for the round's record."""
        flags = {"keep_shown": self.keep_shown, "keep_judged": self.keep_judged}
        return {key: value for key, value in flags.items() if value is not None}


def next_page(session: SessionView, step: Step) -> tuple[Fitted, Folded]:
    """What a step is fitted to, and the images that its page shows.

    Near-duplicates are one hit, as on a first page, and none is of an image that may not be
    shown again.
    """
    fitted = session.fit(step.strategy, step.judgements, step.typed)
    only = only_unseen(
        session, step.number, step.judgements,
        keep_shown=step.keep_shown, keep_judged=step.keep_judged, fitted=fitted,
    )  # fmt: skip
    engine, earlier = session.engine, only.without - session.only.without

    def rank(limit: int) -> Ranking:
        return engine.rank_with(fitted.scorer, limit, only, session.placed)

    n_further = 0 if session.wanted is None else FURTHER
    deeper = folded_ranking(rank, engine.files, engine.settings, step.limit + n_further, earlier)
    page = deeper.first(step.limit)
    if not page.records:
        reason = why_empty(engine.files, only) or ALL_SEEN
        away = engine.away_notes(only)
        fitted = replace(fitted, notes=(reason, *fitted.notes, *away))
    return fitted, page


def only_unseen(
    session: SessionView,
    number: int,
    judgements: Sequence[Judgement],
    *,
    keep_shown: bool | None,
    keep_judged: bool | None,
    fitted: Fitted | None = None,
) -> Filter:
    """Which images the next page of a round may show.

    Args:
        session: The session.
        number: The round.
        judgements: What counts for that page.
        keep_shown: Whether images that earlier pages showed may appear again.
        keep_judged: Whether judged images may. Both are as configured when None.
        fitted: What the page is ranked by; images that fit it stay where neither a call nor
            the configuration says whether shown ones may appear again.
    """
    stay, feedback = set(), session.feedback
    if keep_shown is None and not feedback.keep_shown and fitted is not None:
        stay = _staying(session, number, judgements, fitted)
    keep_shown = feedback.keep_shown if keep_shown is None else keep_shown
    keep_judged = feedback.keep_judged if keep_judged is None else keep_judged
    path = [] if keep_shown else path_to(session.rounds, number)
    shown = {image_id for row in path for image_id, _, _ in row.hits}
    judged = {judgement.image_id for judgement in judgements}
    shown -= stay
    left_out = shown - judged if keep_judged else shown | judged
    only = session.only
    return replace(only, without=only.without | left_out)


def _staying(
    session: SessionView, number: int, judgements: Sequence[Judgement], fitted: Fitted
) -> set[int]:
    """Images that were shown on the way to a round, that nobody judged, and that fit.

    None before there is anything to learn from: looking further down the same ranking shows
    nothing twice.
    """
    files, encoder, evidence = session.engine.files, session.engine.encoder, fitted.evidence
    scale, has_learnt = fit_scale(files, encoder), bool(evidence.items or evidence.words)
    if not (session.feedback.keep_fitting and has_learnt and scale.is_known):
        return set()
    shown = {i for row in path_to(session.rounds, number) for i, _, _ in row.hits}
    ids = sorted(shown - {judgement.image_id for judgement in judgements})
    relevant = (item.tiles for item in evidence.relevant)
    learnt = LookedFor.learnt(fitted.scorer.vector, relevant, encoder.tile_weight)
    words, by_marks = (
        None if wanted is None else np.array(fits_of(wanted, ids, files, encoder), np.float32)
        for wanted in (session.wanted, learnt)
    )
    fits = scale.stays(words, by_marks)
    return set() if fits is None else set(np.array(ids, np.int64)[fits].tolist())


def undo(session: SessionView, table: SessionTable) -> str:
    """Takes the last step back; see `Session.undo`. Inside a transaction."""
    if not _top(session, table):
        table.drop_undone(session.session_id)  # other steps were made instead
    now, here = session.round, _waiting(session)
    if here:
        last = here[-1]
        table.remove_judgement(session.session_id, last.judgement_id)
        step: dict[str, Any] = {"mark": _packed(last)}
        undone = f"image {last.image_id} is not {_sign(last)} any more"
    elif now.parent is None:
        raise InputError("nothing_to_undo", "this is the first page, and nothing is judged")
    else:
        step = _wait_again(session, table, now.number, now.parent)
        table.go(session.session_id, now.parent)
        undone = f"back on {page_name(now.parent)}; {page_name(now.number)} is kept"
    table.put_undone(session.session_id, {**step, "state": _state(session)})
    return undone


def _wait_again(
    session: SessionView, table: SessionTable, number: int, parent: int
) -> dict[str, Any]:
    """Has what a round was made from wait on its parent's page again, under the same numbers.

    The round, which is kept, gets copies.
    """
    taken = {place_of(judgement) for judgement in waiting(session.all_judgements, parent)}
    marks = [
        judgement for judgement in session.all_judgements
        if judgement.led_to == number and judgement.round == parent
        and place_of(judgement) not in taken
    ]  # fmt: skip
    copies = table.put(session.session_id, [replace(mark, judgement_id=0) for mark in marks])
    for mark in marks:
        table.change(session.session_id, mark.judgement_id, {"led_to": None})
    ids = [mark.judgement_id for mark in marks]
    return {"round": number, "copies": copies, "marks": ids}


def redo(session: SessionView, table: SessionTable) -> str:
    """Makes the step again that was taken back last; see `Session.redo`. Inside a transaction."""
    top = _top(session, table)
    if top is None:
        raise InputError(
            "nothing_to_redo",
            "no step was taken back, or others were made since",
            "pages that were taken back are kept: go to one by its number",
        )
    undo_id, step = top
    table.drop_undone(session.session_id, undo_id)
    if "round" in step:
        for judgement_id in step["copies"]:
            table.remove_judgement(session.session_id, judgement_id)
        for judgement_id in step["marks"]:
            table.change(session.session_id, judgement_id, {"led_to": step["round"]})
        table.go(session.session_id, step["round"])
        return f"on {page_name(step['round'])} again"
    judgement = _unpacked(step["mark"])
    table.put(session.session_id, [judgement])
    return f"image {judgement.image_id} is {_sign(judgement)} again"


def _top(session: SessionView, table: SessionTable) -> tuple[int, dict[str, Any]] | None:
    """The step that may be made again, with its number; None where there is none."""
    top = table.last_undone(session.session_id)
    if top is None or top[1].get("state") != _state(session):
        return None
    step = top[1]
    if isinstance(step.get("mark"), dict):
        return top
    lists = all(isinstance(step.get(key), list) for key in ("copies", "marks"))
    known = {row.number for row in session.rounds}
    return top if lists and step.get("round") in known else None


def _state(session: SessionView) -> str:
    """How a session stands: its round, and what waits there; captions may come meanwhile."""
    rows = [
        (mark.judgement_id, mark.image_id, mark.relevant, mark.weight,
         None if mark.box is None else mark.box.as_list())
        for mark in _waiting(session)
    ]  # fmt: skip
    return json.dumps([session.row.current_round, rows])


def _waiting(session: SessionView) -> list[Judgement]:
    return waiting(session.all_judgements, session.row.current_round)


def _sign(judgement: Judgement) -> str:
    return "relevant" if judgement.relevant else "irrelevant"


def _packed(judgement: Judgement) -> dict[str, Any]:
    crop = judgement.crop
    data = None if crop is None else base64.b64encode(crop.astype("<f4").tobytes()).decode()
    return {**judgement.as_dict(), "crop": data}


def _unpacked(values: Mapping[str, Any]) -> Judgement:
    crop = values["crop"]
    return Judgement(
        values["judgement_id"], values["round"], values["image_id"], values["relevant"],
        None if values["box"] is None else from_json(Box, values["box"]),
        values["caption"], values["caption_by"], values["weight"],
        None if crop is None else np.frombuffer(base64.b64decode(crop), "<f4"),
    )  # fmt: skip
