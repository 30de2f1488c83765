"""What indexing costs is said once, and only where it is long."""

import pytest

from relook.cli import index_cost
from relook.core.progress import Progress


class Tiled:
    n_passes, tiles, place = 5, "grid", "cpu float32"


def test_passes_are_said_first_and_the_time_when_the_rate_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(index_cost.time, "monotonic", lambda: now[0])
    seen: list[Progress] = []
    tell = index_cost.telling_cost(Tiled, seen.append)
    tell(Progress("listing"))
    for now[0] in (0.0, 4.0, 9.0, 14.0):
        tell(Progress("indexing", done=100, total=100_100, rate_per_s=2.0))
    assert len(seen) == 5
    assert capsys.readouterr().err.splitlines() == [
        "note: 5 forward passes a picture (--tiles grid; none 1, pyramid 14), on cpu float32",
        "note: about 13 h 53 min for 100,000 more pictures at 2.0 a second;"
        " Ctrl-C keeps what is done",
    ]


def test_short_work_and_fixed_tiles_cost_no_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(index_cost.time, "monotonic", lambda: now[0])
    tell = index_cost.telling_cost(object, None)
    for now[0] in (0.0, 9.0):
        tell(Progress("indexing", done=1, total=50, rate_per_s=1.0))
    assert capsys.readouterr().err == ""


def test_a_rate_that_is_not_known_gives_no_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(index_cost.time, "monotonic", lambda: now[0])
    tell = index_cost.telling_cost(object, None)
    for now[0] in (0.0, 9.0):
        tell(Progress("indexing", done=1, total=50))
    assert capsys.readouterr().err == ""
