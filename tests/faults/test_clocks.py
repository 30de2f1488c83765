"""Clocks that jump: what counts is whether a file's time changed, not which way."""

import itertools
import os
import time
from pathlib import Path

import pytest

import relook
from relook.library.repair import repair
from relook.testing import ColourEncoder, noise

from .parts import assert_sound, make_album, stored

N = 12
YEAR_NS = 365 * 86_400 * 10**9


@pytest.fixture
def album(tmp_path: Path) -> Path:
    return make_album(tmp_path / "album", N)


def opened(tmp_path: Path) -> relook.Library:
    return relook.Library(tmp_path / "library", encoder=ColourEncoder())


def set_time(path: Path, mtime_ns: int) -> None:
    os.utime(path, ns=(mtime_ns, mtime_ns))


def test_times_in_the_far_past_and_future(tmp_path: Path, album: Path) -> None:
    """1901, 1970, 2200, and what a file system takes beyond."""
    for path, years in zip(sorted(album.iterdir()), (-69, 0, 230, 400, 10**4, 10**9), strict=False):
        set_time(path, years * YEAR_NS)
    with opened(tmp_path) as library:
        assert library.add(album).n_added == N
        assert library.add(album).n_unchanged == N
    assert_sound(tmp_path / "library")


@pytest.mark.parametrize("years", [-30, 30])
def test_a_jump_of_every_time_costs_a_read_and_nothing_else(
    tmp_path: Path, album: Path, years: int
) -> None:
    """As after a copy by a tool that keeps no times, or a wrong time zone of a camera card."""
    with opened(tmp_path) as library:
        library.add(album)
        whole = stored(tmp_path / "library")
        for path in album.iterdir():
            set_time(path, path.stat().st_mtime_ns + years * YEAR_NS)
        report = library.add(album)
        assert (report.n_unchanged, report.n_updated, report.n_added) == (N, 0, 0)
    assert stored(tmp_path / "library") == whole
    assert assert_sound(tmp_path / "library").counts["dead_rows"] == 0


def test_a_picture_that_is_older_than_the_one_it_replaces_is_taken(
    tmp_path: Path, album: Path
) -> None:
    """A backup put back: its time is before the last run."""
    with opened(tmp_path) as library:
        library.add(album)
        path = album / "0003.png"
        noise(99).save(path, compress_level=1)
        set_time(path, 10**18)
        report = library.add(album)
        assert (report.n_updated, report.n_unchanged) == (1, N - 1)
        assert library.similar(path, limit=1)[0].path == path
    assert_sound(tmp_path / "library")


def test_a_clock_that_runs_backwards_meanwhile(
    tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions and images keep their order by number; nothing is lost or refused."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "time", lambda: 2e9 - 86_400.0 * next(ticks))
    with opened(tmp_path) as library:
        library.add(album)
        session = library.look("red", limit=3)
        for _ in range(3):
            session.judge(session.page[0], relevant=True)
            session.again("rocchio")
        session.undo()
        assert [row.number for row in session.rounds] == [0, 1, 2, 3]
        assert [mark.judgement_id for mark in session.all_judgements] == [1, 2, 3, 4]
        assert {row.session_id for row in library.sessions()} == {session.session_id}
    assert_sound(tmp_path / "library")


def test_two_repairs_in_one_second_keep_two_files(
    tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "strftime", lambda _: "20260101T000000")
    with opened(tmp_path) as library:
        library.add(album)
    kept: list[str] = []
    for _ in range(2):
        with open(tmp_path / "library" / "vectors.f16", "r+b") as file:
            file.write(b"\x3c\x11" * 8)
        kept += repair(tmp_path / "library").kept
        with opened(tmp_path) as library:
            library.add()
    assert len(set(kept)) == len(list((tmp_path / "library").glob("*.damaged-*"))) == 2
    assert_sound(tmp_path / "library")
