"""Why a hit is where it is, and what a judgement did."""

from pathlib import Path

import numpy as np
import pytest
from session_parts import bars, id_of, library_of_bars  # noqa: F401  (two are fixtures)

import relook
import relook.captioners.base
import relook.feedback.strategies
from relook.core.errors import InputError
from relook.core.types import Box
from relook.search.explain import heat_map, influence, why
from relook.testing.fakes import ColourEncoder, patched


def test_reasons_sum_to_the_score(library: relook.Library) -> None:
    session = library.look("red + 0.5:blue", limit=2)
    session.judge(2, relevant=True)
    session.judge(4, relevant=False)
    for strategy in ("rocchio", "region", "probe", "auto"):
        page = session.again(strategy, limit=2, keep_shown=True, keep_judged=True)
        reasons = why(session, page[0], strategy)
        assert sum(reason.amount for reason in reasons) == pytest.approx(page[0].score, abs=1e-4)
    named = {reason.name: reason for reason in why(session, page[0], "rocchio")}
    assert {"red", "blue"} <= set(named)
    told = [reason for reason in named.values() if reason.judgement_id == 1]
    assert [reason.name for reason in told] == ["relevant 1"]


def test_why_refuses_what_is_no_sum(library: relook.Library) -> None:
    session = library.look("red", limit=2)
    session.judge(2, relevant=True)
    with pytest.raises(InputError) as caught:
        why(session, session.page[0], "bayes")
    assert caught.value.code == "not_linear"


@pytest.mark.parametrize("strategy", ["rocchio", "bayes", "probe"])
def test_influence_is_what_leaving_a_judgement_out_changes(
    library: relook.Library, strategy: str
) -> None:
    session = library.look("red", limit=2)
    session.judge(4, relevant=False)
    one = session.judge(2, relevant=True)
    found = influence(session, one.judgement_id, strategy)
    twin = id_of(library, "3.png")
    changes = {moved.image_id: moved.change for moved in (*found.raised, *found.lowered)}
    assert found.raised[0].image_id in (2, twin)
    assert changes[2] > 0
    assert changes[2] == max(changes.values())
    assert [m.change for m in found.lowered] == sorted(m.change for m in found.lowered)
    session.go(0)
    with pytest.raises(InputError) as caught:
        influence(session, 999, strategy)
    assert caught.value.code == "no_influence"


def test_the_heat_map_points_at_the_thing(tmp_path: Path, library: relook.Library) -> None:
    path = tmp_path / "corner.png"
    patched("black", "yellow", Box(0.7, 0.0, 1.0, 0.3), 300, 300).save(path)
    cells = heat_map(library.engine, path, ColourEncoder().encode_texts(["yellow"])[0], 7)
    assert cells.shape == (7, 7)
    row, column = np.unravel_index(np.argmax(cells), cells.shape)
    assert (row, column) == (0, 6)
    assert cells[6, 0] == pytest.approx(0.0, abs=1e-6)
