"""Disks that are full, read-only, or give errors: said clearly, and nothing is lost."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import relook
from relook.app.exchange import EXPORTS
from relook.core.errors import StorageError
from relook.core.settings import IndexSettings
from relook.library.check import check
from relook.library.repair import repair
from relook.testing import ColourEncoder

from .parts import assert_sound, make_album, stored, told

N = 60
ERROR_FILE = Path("/proc/self/mem")  # reading its first bytes is an input/output error


def opened(library: Path) -> relook.Library:
    return relook.Library(library, encoder=ColourEncoder())


def mount(*words: str) -> bool:
    done = subprocess.run(["mount", *words], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)):
        pytest.skip("mounting needs root; test_kill.py fills a file up to a limit instead")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    return make_album(tmp_path / "album", N)


def refused(work: Callable[[], object], code: str = "disk_refused") -> str:
    with pytest.raises(StorageError) as raised:
        work()
    assert raised.value.code == code
    return raised.value.message


def fill(disk: Path, left_bytes: int) -> Path:
    """Takes all room of a disk but some."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.truncate(ballast, max(ballast.stat().st_size - left_bytes, 0))
    return ballast


@pytest.mark.parametrize("left_bytes", [0, 4096, 8192, 16_384, 40_960, 81_920])
def test_a_disk_that_fills_while_indexing(small_disk: Path, album: Path, left_bytes: int) -> None:
    """Vectors or SQLite's log, whichever comes first, finds no room."""
    library = small_disk / "library"
    first = make_album(album.parent / "first", 8, start=500)
    with opened(library) as one:
        one.add(first)
    before = stored(library)
    ballast = fill(small_disk, left_bytes)
    settings = IndexSettings(batch=4, commit_every=8, workers=1)

    def add() -> None:
        with opened(library) as one:
            one.add(album, settings=settings)

    message = refused(add)
    assert "No space left" in message or "full" in message or "disk I/O error" in message
    ballast.unlink()
    assert_sound(library)
    after = stored(library)
    assert before.items() <= after.items()
    assert len(after) < len(before) + N
    add()
    assert len(stored(library)) == len(before) + N
    assert_sound(library)


def test_a_full_disk_under_sessions_exports_and_repairs(small_disk: Path, album: Path) -> None:
    library = small_disk / "library"
    with opened(library) as one:
        one.add(album)
        session = one.look("red", limit=4)
        fill(small_disk, 0)

        def judge_on() -> None:
            for hit in list(session.page) * 400:
                session.judge(hit.image_id, relevant=True, caption="x" * 4000)

        assert "full" in refused(judge_on)
        n_marks = len(session.judgements)
        assert len(one.search("red", limit=5)) == 5
        refused(lambda: EXPORTS["npy"](one.files, small_disk / "export", None))
        assert not list((small_disk / "export").glob("*"))
    with open(library / "vectors.f16", "r+b") as file:
        file.write(b"\x3c\x11" * 8)
    assert [one.code for one in check(library).findings] == ["bad_sum"]
    refused(lambda: repair(library))
    assert [one.code for one in check(library).findings] == ["bad_sum"]
    (small_disk / "ballast").unlink()
    assert told(repair(library).after) == []
    with opened(library) as one:
        one.add()
        assert len(one) == N
        assert len(one.session(session.session_id).judgements) == n_marks
    assert_sound(library)


def test_a_file_system_gone_read_only(small_disk: Path, album: Path) -> None:
    library = small_disk / "library"
    with opened(library) as one:
        one.add(album)
        session_id = one.look("red", limit=4).session_id
    assert mount("-o", "remount,ro", str(small_disk))
    with opened(library) as one:
        assert len(one.search("red", limit=9)) == 9
        for change in (
            lambda: one.look("red"), lambda: one.session(session_id).judge(1, relevant=True),
            lambda: one.add(album), lambda: one.forget(album),
        ):  # fmt: skip
            refused(change, "disk_read_only")
    assert_sound(library)
    refused(lambda: repair(library), "disk_read_only")
    assert mount("-o", "remount,rw", str(small_disk))
    with opened(library) as one:
        one.session(session_id).judge(1, relevant=True)
    assert_sound(library)


CODES = {errno.EIO: "disk_failed", errno.EROFS: "disk_read_only"}


@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_any_sync_may_fail(
    tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch, kind: int, nth: int
) -> None:
    """The manifest's, or one of the vectors'."""
    real, calls = os.fsync, []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == nth:
            raise OSError(kind, os.strerror(kind))
        real(descriptor)

    library = tmp_path / "library"
    settings = IndexSettings(batch=4, commit_every=8, workers=1)

    def add() -> None:
        with opened(library) as one:
            one.add(album, settings=settings)

    monkeypatch.setattr(os, "fsync", fsync)
    assert os.strerror(kind) in refused(add, CODES.get(kind, "disk_refused"))
    monkeypatch.undo()
    if nth > 1:
        assert_sound(library)
        assert len(stored(library)) == (nth - 2) * 8
    add()
    assert len(stored(library)) == N
    assert assert_sound(library).counts["dead_rows"] == 0


def test_pictures_that_cannot_be_read_are_told_and_tried_again(tmp_path: Path, album: Path) -> None:
    """An input/output error, a pipe nobody writes to, a link in a circle, a folder of that name."""
    os.symlink(ERROR_FILE, album / "error.png")
    os.mkfifo(album / "pipe.png")
    os.symlink(album / "circle.png", album / "circle.png")
    (album / "folder.png").mkdir()
    library = tmp_path / "library"
    with opened(library) as one:
        report = one.add(album)
        codes = {Path(os.fsdecode(f.facts.path)).name: f.code for f in report.skipped}
        assert codes["error.png"] == "unreadable"
        told_of = {Path(os.fsdecode(f.facts.path)).name: f.message for f in report.skipped}
        assert "Input/output error" in told_of["error.png"]
        assert len(one) == N
    assert_sound(library)
    (album / "error.png").unlink()
    (album / "0000.png").rename(album / "error.png")  # the disk is well again
    with opened(library) as one:
        assert one.add(album).n_moved == 1
    assert_sound(library)


def test_a_picture_that_cannot_be_read_any_more_keeps_its_image(
    tmp_path: Path, album: Path
) -> None:
    library = tmp_path / "library"
    with opened(library) as one:
        one.add(album)
    whole = stored(library)
    (album / "0003.png").unlink()
    os.symlink(ERROR_FILE, album / "0003.png")
    with opened(library) as one:
        report = one.add(album)
        assert [file.code for file in report.skipped] == ["unreadable"]
    assert stored(library) == whole
    assert_sound(library)


def test_vectors_that_the_disk_cannot_read(
    tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad sector: reading fails until it is written again, as disks do."""
    library = tmp_path / "library"
    with opened(library) as one:
        one.add(album, settings=IndexSettings(batch=4, commit_every=8, workers=1))
    whole = stored(library)
    bad, healed = range(5000, 5512), []
    read, write = os.pread, os.pwrite

    def pread(descriptor: int, n_bytes: int, start: int) -> bytes:
        if not healed and start < bad.stop and start + n_bytes > bad.start:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(descriptor, n_bytes, start)

    def pwrite(descriptor: int, data: bytes, start: int) -> int:
        if start < bad.stop and start + len(data) > bad.start:
            healed.append(start)
        return write(descriptor, data, start)

    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(os, "pwrite", pwrite)
    (finding,) = check(library).findings
    assert (finding.code, finding.n, finding.where) == (
        "unreadable_vectors", 80, ("rows 120 to 159", "rows 160 to 199"),
    )  # fmt: skip
    assert "Input/output error" in finding.message
    assert told(repair(library).after) == []
    with opened(library) as one:
        assert one.add().n_added == 16
    assert stored(library) == whole
    assert_sound(library)
