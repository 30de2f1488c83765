"""The life suite finds faults that are planted: a suite that cannot fail proves nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relook.core.errors import RelookError
from relook.library import catalog
from relook.library.homes import Homes
from relook.library.missing import Missing
from relook.library.session_table import SessionTable
from relook.library.session_values import Judgement
from relook.search.session import Session

from .model_values import BrokenError
from .sequences import Failure, draw_and_run, run, script, shorten

Plant = Callable[[pytest.MonkeyPatch], None]
FIRST, MOST_LIVES = 12, 40


def deleted_instead_of_away(patch: pytest.MonkeyPatch) -> None:
    """What cannot be reached is taken for deleted."""
    sort = Missing.sort

    def deleting(missing: Missing, images: Any) -> Any:
        outcome = sort(missing, images)
        outcome.gone += [image_id for image_id, *_ in outcome.away]
        outcome.away.clear()
        return outcome

    patch.setattr(Missing, "sort", deleting)


def new_id_after_a_move(patch: pytest.MonkeyPatch) -> None:
    """A picture at another path is another image."""
    patch.setattr(Homes, "may_move", lambda homes, image: False)


def new_id_after_a_deletion(patch: pytest.MonkeyPatch) -> None:
    """A marked picture that comes back is another image."""
    patch.setattr(catalog, "returning", lambda db, record: (record, None))


def mark_lost_by_a_rollback(patch: pytest.MonkeyPatch) -> None:
    """A call that fails takes its marks back one by one, also those that were there before."""
    judge_all = Session.judge_all

    def one_by_one(session: Session, requests: Any) -> list[Judgement]:
        made: list[Judgement] = []
        try:
            for request in requests:
                made += judge_all(session, [request])
        except RelookError:
            for judgement in made:
                session.remove(judgement.judgement_id)
            raise
        return made

    patch.setattr(Session, "judge_all", one_by_one)


def mark_lost_by_looking_again(patch: pytest.MonkeyPatch) -> None:
    """A page takes the oldest mark with it."""
    add_round = SessionTable.add_round

    def clearing(table: SessionTable, session_id: str, row: Any) -> Any:
        kept = add_round(table, session_id, row)
        for judgement in table.judgements(session_id)[:1] if row.number else ():
            table.remove_judgement(session_id, judgement.judgement_id)
        return kept

    patch.setattr(SessionTable, "add_round", clearing)


FAULTS: tuple[Plant, ...] = (
    deleted_instead_of_away,
    new_id_after_a_move,
    new_id_after_a_deletion,
    mark_lost_by_a_rollback,
)


def first_failure(base: Path) -> Failure:
    """The first sequence that fails."""
    failures = (draw_and_run(seed, base) for seed in range(FIRST, FIRST + MOST_LIVES))
    return next(failure for failure in failures if failure is not None)


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    failure = first_failure(tmp_path / "life")
    assert isinstance(failure.error, BrokenError)
    monkeypatch.undo()
    assert run(failure.steps, tmp_path / "life") is None, "it is the planted fault that was found"


def test_a_sequence_that_fails_is_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_lost_by_looking_again(monkeypatch)
    failure = first_failure(tmp_path / "life")
    shortest = shorten(failure, tmp_path / "life")
    names = [step.name for step in shortest.steps]
    assert names == ["add_picture", "index", "begin", "mark", "again"]
    assert [line.strip() for line in script(shortest).splitlines()[:5]] == [
        *map(str, shortest.steps)
    ]
