"""Which rounds and judgements count at a round: a session is a tree of pages. Layer: search.

Judgements belong to the round that they led to, see docs/decisions/0003. A tree that an older
import left without a root is followed as far as it goes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from relook.core.types import Box
from relook.library.session_values import Judgement, RoundRow, SessionRows

Place = tuple[int, Box | None]
"""An image, or a region of it: what one judgement is about."""


def place_of(judgement: Judgement) -> Place:
    """What a judgement is about."""
    return judgement.image_id, judgement.box


def path_to(rounds: Iterable[RoundRow], number: int) -> list[RoundRow]:
    """The rounds from the first page to the given one."""
    rows = {row.number: row for row in rounds}
    path = [rows.pop(number)]
    while path[-1].parent in rows:
        path.append(rows.pop(path[-1].parent))
    return path[::-1]


def counting(
    path: Sequence[RoundRow], judgements: Iterable[Judgement], *, by_round: bool = False
) -> list[Judgement]:
    """Judgements that a path's last round was made from or that wait on it, oldest first.

    Args:
        path: From the first page to the round.
        judgements: All of the session, oldest first; the latest on a place counts.
        by_round: Whether an earlier round keeps its own judgement on a place that is judged
            again later, as rounds that are chained need.
    """
    on_the_way = {row.number for row in path}
    latest: dict[tuple[Place, int | None], Judgement] = {}
    for judgement in judgements:
        waits = judgement.led_to is None and judgement.round == path[-1].number
        if judgement.led_to in on_the_way or waits:
            latest[place_of(judgement), judgement.led_to if by_round else None] = judgement
    return sorted(latest.values(), key=lambda judgement: judgement.judgement_id)


def waiting(judgements: Iterable[Judgement], number: int) -> list[Judgement]:
    """Judgements made on a round's page that no round was fitted with yet, oldest first."""
    return [
        judgement
        for judgement in judgements
        if judgement.round == number and judgement.led_to is None
    ]


def with_judgements(
    known: Iterable[Judgement], fresh: Iterable[Judgement]
) -> tuple[Judgement, ...]:
    """Judgements with further ones, oldest first; one of the same id is replaced."""
    by_id = {judgement.judgement_id: judgement for judgement in (*known, *fresh)}
    return tuple(by_id[judgement_id] for judgement_id in sorted(by_id))


def with_round(rows: SessionRows, row: RoundRow, judged: Iterable[Judgement]) -> SessionRows:
    """A session after a round was added to it, as `SessionTable.add_round` leaves it.

    Args:
        rows: The session before.
        row: The new round.
        judged: What was judged on its parent's page in the same step.
    """
    judgements = tuple(
        replace(judgement, led_to=row.number)
        if judgement.round == row.parent and judgement.led_to is None
        else judgement
        for judgement in with_judgements(rows.judgements, judged)
    )
    line = replace(rows.row, current_round=row.number)
    return replace(rows, row=line, rounds=(*rows.rounds, row), judgements=judgements)
