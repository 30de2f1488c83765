"""A session's log, run again. Layer: search.

Every round is made again from the page that it grew from, with the marks and words that led to it,
and held against the page that the session kept. Nothing is written.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from relook.core.converter import JsonValue
from relook.core.errors import RelookError
from relook.core.json_form import Digits
from relook.core.settings import FeedbackSettings, SessionLimits
from relook.feedback.strategies import configured
from relook.library.session_values import RoundRow, SessionRows
from relook.search.engine import Engine
from relook.search.judging import counting, path_to
from relook.search.session_steps import Step, next_page
from relook.search.session_view import SessionView
from relook.search.transfer import placed, read_bytes

CLOSE = 1e-4
"""Scores that differ by less are the same: sums are made in another order on other processors."""

_Hits = tuple[tuple[int, float, int], ...]


@dataclass(frozen=True, slots=True)
class RoundAgain(JsonValue):
    """A round that was made again.

    Args:
        number: Of the round.
        n_hits: Hits that the session kept.
        same: Whether it shows the same images in the same order, with the same scores.
        differs_at: The first hit that is another, counted from 1; None where all are the same.
        score_difference: The largest difference of the scores of an image on both pages.
        problem: Why it cannot be made again; empty where it was.
    """

    number: int
    n_hits: int
    same: bool
    differs_at: int | None
    score_difference: Annotated[float, Digits(6)]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Replayed(JsonValue):
    """A session that was run again.

    Args:
        name: What its person calls it.
        same: Whether every round shows what it showed.
        rounds: By number.
        notes: About what of the session this library lacks.
    """

    name: str
    same: bool
    rounds: tuple[RoundAgain, ...]
    notes: tuple[str, ...] = ()


class LoggedSession(SessionView):
    """A session that is kept nowhere: read from a file, to look at.

    Args:
        engine: Of the library.
        rows: The session, with the library's images.
        feedback: How judgements are used; the defaults when None.
    """

    def __init__(
        self, engine: Engine, rows: SessionRows, feedback: FeedbackSettings | None = None
    ) -> None:
        super().__init__(engine, _Rows(rows), "", feedback=feedback)


class _Rows:
    """Where a session that is kept nowhere is read from; what is changed of it is forgotten."""

    def __init__(self, rows: SessionRows) -> None:
        self._rows = rows

    def version(self) -> tuple[int, int]:
        return 0, 0

    def read(self, session_id: str) -> SessionRows:
        return self._rows

    def together(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def change(
        self,
        session_id: str,
        judgement_id: int,
        values: Mapping[str, object],
        expected: Mapping[str, object] | None = None,
    ) -> bool:
        return False


def replay_file(
    engine: Engine, file: Path, limits: SessionLimits, feedback: FeedbackSettings | None = None
) -> Replayed:
    """Runs an exported session again on a library, which keeps nothing of it.

    Raises:
        InputError, TooLargeError: as `relook.search.transfer.placed`.
    """
    session = placed(engine, read_bytes(file, limits), limits, source=str(file))
    return replay(LoggedSession(engine, session.rows, feedback), session.notes)


def replay(session: SessionView, notes: tuple[str, ...] = ()) -> Replayed:
    """Makes every round of a session again; what of it cannot be read is told in the notes.

    A mark that was changed after its page was made counts as it is now.
    """
    session.engine.files.refresh()
    rounds = tuple(_again(session, row) for row in session.rounds)
    same = all(each.same for each in rounds)
    return Replayed(session.row.name, same, rounds, (*notes, *session.problems))


def _again(session: SessionView, row: RoundRow) -> RoundAgain:
    try:
        hits = _first(session, row) if row.parent is None else _next(session, row, row.parent)
    except RelookError as error:
        return RoundAgain(row.number, len(row.hits), False, None, 0.0, error.message)
    return _compared(row, hits)


def _first(session: SessionView, row: RoundRow) -> _Hits:
    page = session.engine.search(session.query, max(len(row.hits), 1), session.only)
    return tuple((hit.image_id, hit.score, hit.tile_number) for hit in page)


def _next(session: SessionView, row: RoundRow, parent: int) -> _Hits:
    known = [judgement for judgement in session.all_judgements if judgement.led_to is not None]
    by_round = configured(session.feedback, row.strategy).is_chained
    step = Step(
        parent,
        row.strategy,
        counting(path_to(session.rounds, row.number), known, by_round=by_round),
        session.typed_at(row.number),
        max(len(row.hits), 1),
        row.record.get("keep_shown"),
        row.record.get("keep_judged"),
    )
    return next_page(session, step)[1].ranking.rows


def _compared(row: RoundRow, hits: _Hits) -> RoundAgain:
    pairs = enumerate(zip(row.hits, hits, strict=False), start=1)
    at = next((number for number, (kept, made) in pairs if kept[0] != made[0]), None)
    if at is None and len(row.hits) != len(hits):
        at = min(len(row.hits), len(hits)) + 1
    now = {image_id: score for image_id, score, _ in hits}
    both = [abs(score - now[image_id]) for image_id, score, _ in row.hits if image_id in now]
    difference = max(both, default=0.0)
    same = at is None and difference <= CLOSE
    return RoundAgain(row.number, len(row.hits), same, at, difference)
