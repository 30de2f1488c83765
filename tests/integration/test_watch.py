"""`relook index --watch` in a process of its own: pictures come, change, move and go."""

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest
import watchfiles
from archive_parts import picture, write_tar
from process_parts import PATIENCE_S, started

import relook
from relook.app.indexing import AddOptions
from relook.app.watching import _Changes, watch
from relook.core.errors import MissingExtraError, StorageError
from relook.core.settings import WatchSettings
from relook.library.lock import WriterLock
from relook.testing import noise, solid

WAIT_S = PATIENCE_S


class Watching:
    """A process that watches; `until` reads its reports."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def until(self, **wanted: int) -> None:
        """Adds up the counts of reports until they are these."""
        found = dict.fromkeys(wanted, 0)
        while found != wanted:
            report: dict[str, Any] = json.loads(self._lines.get(timeout=WAIT_S))
            for name in wanted:
                found[name] += report[name]
            assert all(found[name] <= wanted[name] for name in wanted), report


@contextmanager
def watching(library: Path, *paths: object, poll: str = "") -> Iterator[Watching]:
    command = [sys.executable, "-m", "relook", "index", *map(str, paths), "--library", str(library)]
    command += ["--json", "--watch", *(["--poll", poll] if poll else [])]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Watching(process)
        finally:
            process.kill()


@pytest.mark.parametrize("poll", ["", "0.2"], ids=["events", "poll"])
def test_a_library_follows_its_folder(pictures: Path, tmp_path: Path, poll: str) -> None:
    library = pictures / "library"  # its own changes must not wake it
    with watching(library, pictures, poll=poll) as now:
        now.until(n_added=3)
        noise(1).save(pictures / "sub" / "new.png")
        now.until(n_added=1)
        noise(2).save(pictures / "red.png")
        now.until(n_updated=1)
        (pictures / "green.png").rename(pictures / "sub" / "moved.png")
        now.until(n_moved=1)
        (pictures / "deep" / "er").mkdir(parents=True)
        write_tar(pictures / "deep" / "er" / "a.tar", {"1.png": picture(noise(3))})
        now.until(n_added=1)
        (pictures / "sub" / "blue.png").unlink()
        now.until(n_removed=1)
        now.process.send_signal(signal.SIGINT)
        assert now.process.wait(WAIT_S) == 0
        assert now.process.stderr is not None
        assert "stopped watching" in now.process.stderr.read()
    with relook.Library(library) as opened:
        assert len(opened) == 4
    assert not (library / "writer.pid").exists()


def passes(
    library: relook.Library, *paths: object, **how: Any
) -> tuple["queue.Queue[Any]", threading.Event, threading.Thread]:
    """Watches in a thread; its reports, what stops it, and the thread."""
    stop, reports = threading.Event(), queue.Queue()  # type: ignore[var-annotated]
    settings = WatchSettings(**how)

    def run() -> None:
        for report in watch(library, [str(path) for path in paths], AddOptions(), settings, stop):
            reports.put(report)

    thread = threading.Thread(target=run)
    thread.start()
    return reports, stop, thread


def test_a_remote_store_is_looked_at_now_and_then(library: relook.Library) -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/watched/1.png", picture(solid("red")))
    reports, stop, thread = passes(library, "memory://watched", remote_s=0.1)
    try:
        assert reports.get(timeout=WAIT_S).n_added == 1
        store.pipe("/watched/2.png", picture(solid("blue")))
        assert reports.get(timeout=WAIT_S).n_added == 1
    finally:
        stop.set()
        thread.join()
        store.rm("/watched", recursive=True)


def test_a_busy_library_and_an_absent_folder_are_waited_for(
    open_library: Callable[..., relook.Library], pictures: Path, tmp_path: Path
) -> None:
    library = open_library()
    reports, stop, thread = passes(library, pictures, debounce_s=0.05, remote_s=0.1)
    try:
        assert reports.get(timeout=WAIT_S).n_added == 3
        with WriterLock(library.folder):
            noise(1).save(pictures / "new.png")
        assert reports.get(timeout=WAIT_S).n_added == 1
        pictures.rename(tmp_path / "away")
        noise(2).save(tmp_path / "away" / "newer.png")
        (tmp_path / "away").rename(pictures)
        assert reports.get(timeout=WAIT_S).n_added == 1
    finally:
        stop.set()
        thread.join()
    assert len(library) == 5


def test_the_librarys_own_changes_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "link").symlink_to("library")
    stops = (threading.Event(), threading.Event())
    changes = _Changes([], str(tmp_path / "link"), WatchSettings(), stops)
    for name, counts in (
        ("library", False), ("library/vectors.f16", False), ("link/writer.lock", False),
        ("library2/a.png", True), ("a.png", True), ("gone/folder", True),
    ):  # fmt: skip
        assert changes._counts(None, str(tmp_path / name)) is counts, name


def test_a_missing_package_is_named(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(MissingExtraError, match="watchfiles") as raised:
        next(watch(library, [str(pictures)]))
    assert "pip install 'relook[watch]'" in raised.value.hint
    assert next(watch(library, [str(pictures)], settings=WatchSettings(poll_s=5))).n_added == 3


def test_a_system_that_cannot_watch_is_told(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(watchfiles, "watch", refuse)
    reports = watch(library, [str(pictures)])
    assert next(reports).n_added == 3
    with pytest.raises(StorageError, match="watch limit reached") as raised:
        next(reports)
    assert raised.value.hint == "look every so often instead: --poll 30"


def test_e1_a_disk_that_goes_and_comes_while_watching(pictures: Path, tmp_path: Path) -> None:
    """A link leads to the disk, and nobody tells of what is behind a link."""
    disk, aside = tmp_path / "disk", tmp_path / "aside"
    disk.mkdir()
    noise(5).save(disk / "far.png")
    (pictures / "usb").symlink_to(disk)
    with watching(tmp_path / "library", pictures) as now:
        now.until(n_added=4)
        disk.rename(aside)
        now.until(n_away=1, n_removed=0)
        aside.rename(disk)
        now.until(n_back=1, n_removed=0, n_added=0)


def test_e1_a_mount_that_goes_and_comes_while_watching(
    pictures: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    disk, usb = tmp_path / "disk", pictures / "usb"
    disk.mkdir()
    usb.mkdir()
    noise(5).save(disk / "far.png")

    def mount() -> None:
        command = ["mount", "--bind", str(disk), str(usb)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting is refused: {done.stderr.strip()}")

    def unmount() -> None:
        subprocess.run(["umount", "-l", str(usb)], check=False, capture_output=True)

    mount()
    request.addfinalizer(unmount)
    with watching(tmp_path / "library", pictures) as now:
        now.until(n_added=4)
        unmount()
        now.until(n_away=1, n_removed=0)
        mount()
        now.until(n_back=1, n_removed=0, n_added=0)
        noise(6).save(usb / "new.png")  # the disk that came back is listened to again
        now.until(n_added=1)
