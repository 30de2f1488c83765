"""Steps taken back, and made again. Layer: search.

Nothing that was made is deleted: a page that is taken back stays in the session as a branch, and
a mark that is taken back is kept until other steps are made instead. What may be made again is a
stack; its top counts only while the session stands as it stood when that step was taken back.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from relook.core.converter import from_json
from relook.core.errors import InputError
from relook.core.types import Box
from relook.library.session_table import SessionTable
from relook.library.session_values import Judgement
from relook.search.history import place_of, waiting
from relook.search.session_view import SessionView


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
        undone = f"back on round {now.parent}; round {now.number} is kept"
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
        return f"on round {step['round']} again"
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
