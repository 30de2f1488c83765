"""What a step of a session costs: its rows are read once, and read again after any change."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from session_parts import CORNER, bars, library_of_bars  # noqa: F401 -- fixtures

import relook
from relook.core.errors import LibraryError
from relook.search import session_view
from relook.search.explain import changes, influence
from relook.search.session import Session


@contextmanager
def reads(library: relook.Library) -> Iterator[Counter[str]]:
    """Counts the statements that read each table of a session."""
    counted: Counter[str] = Counter()

    def note(statement: str) -> None:
        for table in ("sessions", "rounds", "judgements"):
            if statement.startswith("SELECT") and f"FROM {table} WHERE session_id" in statement:
                counted["one round" if "AND number" in statement else table] += 1

    with library.files.catalog.transaction() as db:
        pass
    db.set_trace_callback(note)
    try:
        yield counted
    finally:
        db.set_trace_callback(None)


def state_of(session: Session) -> list[object]:
    """All of a session's rows, as plain values."""
    rows = session.rows
    return [
        rows.row,
        rows.rounds,
        [
            (judgement.as_dict(), np.asarray(judgement.crop).tolist())
            for judgement in rows.judgements
        ],
        rows.unreadable,
    ]


def test_a_round_with_its_changes_and_page_reads_the_rows_once(library: relook.Library) -> None:
    session = library.look("red", limit=3)
    session.judge(session.page[0], relevant=True)
    session.judge(session.page[1], relevant=False, box=CORNER)
    with reads(library) as counted:
        page = session.again()
        changes(session)
        assert session.page.hits == page.hits
        assert session.problems == ()
        assert len(session.judgements) == len(session.all_judgements) == 2
    # That the number of the new round is free is asked for once more, inside the transaction.
    assert counted == {"sessions": 1, "rounds": 1, "judgements": 1, "one round": 1}


def test_what_is_kept_after_a_round_is_what_the_catalog_has(library: relook.Library) -> None:
    session = library.look("red", limit=3)
    session.judge(session.page[0], relevant=True, box=CORNER, caption="a corner")
    session.again("rocchio")
    session.judge(session.page[0], relevant=False, weight=2.5)
    requests = [relook.JudgementRequest(session.page[1].image_id, True, CORNER)]
    session.again(judging=session.prepare(requests))
    assert state_of(session) == state_of(library.session(session.session_id))


def test_a_change_elsewhere_is_seen(library: relook.Library) -> None:
    session = library.look("red", limit=3)
    session.judge(session.page[0], relevant=True)
    with relook.Library(library.folder, encoder=library.encoder) as other:
        there = other.session(session.session_id)
        there.rename("elsewhere")
        page = there.again()
    assert session.row.name == "elsewhere"
    assert session.round.number == 1
    assert session.page.hits == page.hits


def test_influence_fits_twice_with_and_without(
    library: relook.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = library.look("red", limit=3)
    judgement = session.judge(session.page[0], relevant=True)
    gather, fitted = session_view.gather, []

    def counting(*given: object) -> object:
        fitted.append(given)
        return gather(*given)

    monkeypatch.setattr(session_view, "gather", counting)
    influence(session, judgement.judgement_id)
    assert len(fitted) == 2
    session.again()
    assert len(fitted) == 3


def test_after_the_library_is_closed_a_session_says_so(library: relook.Library) -> None:
    session = library.look("red")
    albums, concepts, image_id = library.albums, library.concepts, session.page[0].image_id
    library.close()
    for step in [
        lambda: session.page, session.again, session.undo, albums.all, concepts.lines,
        lambda: session.judge(image_id, True), lambda: session.rename("x"),
        lambda: albums.add("Trip", [image_id]),
    ]:  # fmt: skip
        with pytest.raises(LibraryError, match="was closed by this program") as refused:
            step()
        assert refused.value.code == "library_closed"
        assert "repair" not in refused.value.hint
