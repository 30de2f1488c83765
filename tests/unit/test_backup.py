"""The backup of a catalog: when it is made, and that a bad one never replaces a good one."""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import filelock
import pytest

import relook
from relook.cli.main import main
from relook.library import backup as backup_module
from relook.library.backup import Backup, backup_age_s, backup_fault
from relook.testing import ColourEncoder, noise

HOUR_S = 3600


@pytest.fixture(autouse=True)
def half_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between backups: more than any test takes."""
    monkeypatch.setattr(backup_module, "_LEAST_S", HOUR_S / 2)


def opened(folder: Path) -> relook.Library:
    return relook.Library(folder, encoder=ColourEncoder())


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "album").mkdir()
    for seed in range(6):
        noise(seed).save(tmp_path / "album" / f"{seed}.png")
    with opened(tmp_path / "library") as one:
        one.add(tmp_path / "album")
    return tmp_path / "library"


def rows(library: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(library / "backup.sqlite3")) as db:
        return db.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()


def made(library: Path) -> int:
    return (library / "backup.sqlite3").stat().st_mtime_ns


def grow_old(library: Path, age_s: float) -> int:
    then = time.time() - age_s
    os.utime(library / "backup.sqlite3", (then, then))
    return made(library)


def mark(one: relook.Library) -> None:
    session = one.look("red", limit=3, captions=False)
    session.judge(1, relevant=True)


def test_a_run_that_changes_something_makes_a_backup(library: Path, tmp_path: Path) -> None:
    assert backup_fault(library) == ""
    assert len(rows(library, "images")) == 6
    before = grow_old(library, HOUR_S)
    with opened(library) as one:
        one.add()
    assert made(library) == before
    noise(9).save(tmp_path / "album" / "9.png")
    with opened(library) as one:
        one.add()
        assert len(rows(library, "images")) == 7
        one.move(tmp_path / "album" / "9.png", moved(tmp_path))
        assert rows(library, "images")[-1][1] == bytes(tmp_path / "album" / "x.png")
    assert sorted(os.listdir(library)) == [
        "backup.lock", "backup.sqlite3", "catalog.sqlite3", "manifest.json", "vectors.f16",
        "writer.lock",
    ]  # fmt: skip


def moved(folder: Path) -> Path:
    return (folder / "album" / "9.png").rename(folder / "album" / "x.png")


def test_marks_are_backed_up_when_the_last_backup_is_old_enough(library: Path) -> None:
    with opened(library) as one:
        mark(one)
    with closing(sqlite3.connect(library / "backup.sqlite3")) as db:
        assert not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'judgements'").fetchall()
    grow_old(library, HOUR_S)
    with opened(library) as one:
        assert len(one.search("red")) == 6
    assert not any(name == "judgements" for (name,) in tables(library))  # a search changes nothing
    with opened(library) as one:
        mark(one)
    assert len(rows(library, "judgements")) == 2
    grow_old(library, -HOUR_S)  # the clock was set back
    with opened(library) as one:
        mark(one)
    assert len(rows(library, "judgements")) == 3


def tables(library: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(library / "backup.sqlite3")) as db:
        return db.execute("SELECT name FROM sqlite_master").fetchall()


def test_a_library_that_stays_open_is_backed_up_in_a_thread(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every so often, not with every mark; what comes meanwhile is in the next one."""
    monkeypatch.setattr(backup_module, "_SETTLE_S", 0.0)
    real, done, names = Backup.make, threading.Semaphore(0), []

    def make(backup: Backup) -> str:
        names.append(threading.current_thread().name)
        result = real(backup)
        done.release()
        return result

    monkeypatch.setattr(Backup, "make", make)
    grow_old(library, HOUR_S)
    with opened(library) as one:
        mark(one)
        assert done.acquire(timeout=60)
        mark(one)
        mark(one)  # not due, nor at the end
    assert len(names) == 1
    assert names[0] != threading.main_thread().name
    assert len(rows(library, "judgements")) in (0, 1)


def test_damage_does_not_reach_the_backup(library: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = (library / "backup.sqlite3").read_bytes()
    with open(library / "catalog.sqlite3", "r+b") as file:
        file.seek(4096 * 2)
        file.write(b"\xff" * 4096)
    assert Backup(library / "catalog.sqlite3").make().startswith("there is no new backup of the")
    assert "there is no new backup of" in caplog.text
    (library / "catalog.sqlite3").unlink()
    assert "unable to open" in Backup(library / "catalog.sqlite3").make()
    assert (library / "backup.sqlite3").read_bytes() == before
    assert not list(library.glob("*.new"))


def full(_: Path) -> None:
    raise OSError(28, "No space left on device")


def locked(_: Path) -> None:
    raise filelock.Timeout("backup.lock")


@pytest.mark.parametrize("fail", [full, locked])
def test_a_run_without_a_new_backup_says_so_and_is_done(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: Callable[[Path], None]
) -> None:
    before = (library / "backup.sqlite3").read_bytes()
    noise(9).save(tmp_path / "album" / "9.png")
    monkeypatch.setattr(backup_module, "_sync", fail)
    with opened(library) as one:
        report = one.add()
        assert (report.n_added, len(one)) == (1, 7)
    [note] = report.notes
    assert note.startswith("there is no new backup of the catalog: ")
    assert (library / "backup.sqlite3").read_bytes() == before
    assert not list(library.glob("*.new"))
    monkeypatch.undo()
    with opened(library) as one:
        mark(one)
        assert one.files.backup.make() == ""
    assert len(rows(library, "images")) == 7


def test_two_processes_make_no_backup_at_once(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_module, "_LOCKED_S", 0.0)
    with filelock.FileLock(library / "backup.lock"):
        assert "backup.lock" in Backup(library / "catalog.sqlite3").make()
    assert Backup(library / "catalog.sqlite3").make() == ""


def test_what_is_forgotten_is_not_in_the_backup(library: Path, tmp_path: Path) -> None:
    (tmp_path / "words.csv").write_text("path,caption\nalbum/3.png,a secret\n")
    with opened(library) as one:
        one.add(metadata=tmp_path / "words.csv")
        assert any("a secret" in row for row in rows(library, "images"))
        one.forget(tmp_path / "album" / "3.png")
        assert not any("a secret" in row for row in rows(library, "images"))


def test_the_age_is_told(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grow_old(library, 2.5 * HOUR_S)
    age_s = backup_age_s(library)
    assert age_s is not None
    assert 2.5 * HOUR_S <= age_s < 2.6 * HOUR_S
    for words in (["info"], ["doctor"], ["doctor", "--check"]):
        assert main([*words, "--library", str(library)]) == 0
        assert "2 hours ago" in capsys.readouterr().out, words
    for words in (["info"], ["doctor", "--check"]):
        assert main([*words, "--library", str(library), "--json"]) == 0
        told_s = json.loads(capsys.readouterr().out)["backup_age_s"]
        assert 2.5 * HOUR_S <= told_s < 2.6 * HOUR_S, words
    (library / "backup.sqlite3").unlink()
    assert main(["info", "--library", str(library)]) == 0
    assert "none yet" in capsys.readouterr().out
