"""Keeping a library up to date while its pictures come, change, move and go. Layer: app.

    for report in watch(library, paths, options):
        ...

Each report is of one pass over everything: unchanged files cost a stat. A pass begins when
the system reports a change below a folder, when a disk comes or goes, or every so many seconds
where no system reports changes (a network drive, a remote store).
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from relook.app.indexing import AddOptions, add
from relook.app.paths import PathLike, absolute
from relook.core.errors import LibraryBusyError, MissingExtraError, StorageError
from relook.core.picture_paths import is_below, is_url
from relook.core.settings import WatchSettings
from relook.library.manifest import Manifest
from relook.library.report import IndexReport

if TYPE_CHECKING:
    from relook.app.facade import Library

_LOOK_S = 0.2
_PLACES_S = 1.0  # between two looks at what causes no event
_MOST_REST_S = 60.0
_MOUNTS = "/proc/self/mountinfo"
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def watch(
    library: Library,
    paths: Sequence[PathLike] = (),
    options: AddOptions | None = None,
    settings: WatchSettings | None = None,
    stop: threading.Event | None = None,
) -> Iterator[IndexReport]:
    """Brings a library up to date now, and again whenever something changes.

    A pass begins no sooner than the one before took, so a large library is not gone over all
    the time.

    Args:
        library: Made when it is not there.
        paths: As for `relook.app.indexing.add`; one that goes away later is waited for.
        options: As there.
        settings: How long to wait for what.
        stop: Ends it when it is set; Ctrl-C does so too, as KeyboardInterrupt between passes.

    Yields:
        A report of the first pass, and of each later one that found something to do.

    Raises:
        MissingExtraError: when events are wanted and watchfiles is not there; StorageError:
        `watch_failed`; and what `add` raises.
    """
    options, settings = options or AddOptions(), settings or WatchSettings()
    stop = stop or threading.Event()
    roots = [absolute(path) for path in paths]
    if not roots and Manifest.exists(library.folder):
        roots = library.files.catalog.roots()
    changes = _Changes(roots, os.fspath(library.folder), settings, stop)
    try:
        began = time.monotonic()
        report = library.add(
            *paths, metadata=options.metadata, settings=options.settings, within=options.within,
            progress=options.progress, ray=options.ray,
        )  # fmt: skip
        changes.look_at(report)
        yield report
        again = replace(options, missing_ok=True)
        while not report.interrupted and changes.wait(time.monotonic() - began):
            began = time.monotonic()
            try:
                report = add(library, library.engine.encoder, paths, again)
            except LibraryBusyError:
                changes.again()  # another process writes: its turn
                continue
            changes.look_at(report)
            if report.interrupted or _found_something(report):
                yield report
    finally:
        changes.close()


def _found_something(report: IndexReport) -> bool:
    changes = (
        report.n_added, report.n_updated, report.n_moved, report.n_removed, report.n_metadata,
        report.n_left, report.n_back,
    )  # fmt: skip
    return any(changes)


class _Changes:
    """Waits for changes below some roots.

    Args:
        roots: Absolute paths and addresses.
        library: A folder whose own changes do not count.
        settings: How long to wait for what.
        stop: Ends the waiting.
    """

    def __init__(
        self,
        roots: Sequence[bytes],
        library: str,
        settings: WatchSettings,
        stop: threading.Event,
    ) -> None:
        self._settings, self._stop = settings, stop
        self._local = [os.fsdecode(root) for root in roots if not is_url(root)]
        self._inside = os.path.join(os.path.realpath(library), "")
        self._poll_s = settings.poll_s
        if not self._poll_s and len(self._local) < len(roots):
            self._poll_s = settings.remote_s
        self._changed = threading.Event()
        self._error: Exception | None = None
        self._places = _WatchedPlaces(roots)
        self._looked_s = time.monotonic()
        self._over: threading.Event | None = None  # of the thread that listens
        self._listen_anew()

    def again(self) -> None:
        """Makes the next `wait` a short one."""
        self._changed.set()

    def wait(self, rest_s: float) -> bool:
        """Waits until something may have changed, and at least a while; False when stopped.

        Raises:
            StorageError: `watch_failed` when the system cannot watch the folders.
        """
        began = time.monotonic()
        until = began + self._poll_s if self._poll_s else float("inf")
        while not self._changed.wait(_LOOK_S) and time.monotonic() < until:
            if self._is_stopped():
                return False
            if self._has_changed_places():
                self._changed.set()
        if self._error is not None:
            raise StorageError(
                "watch_failed",
                f"the system cannot watch the folders: {self._error}",
                "look every so often instead: --poll 30",
            ) from self._error
        rest_until = began + min(rest_s, _MOST_REST_S)
        while time.monotonic() < rest_until and not self._is_stopped():
            self._stop.wait(_LOOK_S)
        self._changed.clear()
        return not self._is_stopped()

    def look_at(self, report: IndexReport) -> None:
        """Looks at the places of a pass whose changes cause no event."""
        self._places.add([*report.links, *(absence.place for absence in report.away)])

    def _has_changed_places(self) -> bool:
        """Whether a disk, a link or a root came or went; then listens to what is there now."""
        now_s = time.monotonic()
        if now_s - self._looked_s < _PLACES_S:
            return False
        self._looked_s = now_s
        if not self._places.changed():
            return False
        self._listen_anew()
        return True

    def _listen_anew(self) -> None:
        if self._over is not None:
            self._over.set()
        there = [path for path in self._local if os.path.exists(path)]
        if there and not self._settings.poll_s:
            self._listen(there)

    def _is_stopped(self) -> bool:
        return self._stop.is_set()

    def _listen(self, paths: list[str]) -> None:
        """Has the system report changes from now on."""
        try:
            import watchfiles
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "missing_extra",
                f"watching for changes needs the package {error.name!r}",
                "pip install 'relook[watch]', or look every so often: --poll 10",
            ) from error

        ready = threading.Event()
        self._over = over = threading.Event()

        def listen() -> None:
            try:
                for changes in watchfiles.watch(
                    *paths, watch_filter=self._counts, stop_event=over,
                    debounce=int(self._settings.debounce_s * 1000), rust_timeout=100,
                    yield_on_timeout=True, raise_interrupt=False, ignore_permission_denied=True,
                ):  # fmt: skip
                    ready.set()
                    if changes:
                        self._changed.set()
            # The edge to the system's events; what went wrong is raised where it is waited for.
            except Exception as error:
                if not over.is_set():
                    self._error = error
                    self._changed.set()
            finally:
                ready.set()

        threading.Thread(target=listen, name="relook-watch", daemon=True).start()
        ready.wait()

    def close(self) -> None:
        """Ends the listening."""
        if self._over is not None:
            self._over.set()

    def _counts(self, _: object, path: str) -> bool:
        return not os.path.join(os.path.realpath(path), "").startswith(self._inside)


class _WatchedPlaces:
    """Folders that may become others without any event: mounts, links, disks that come back.

    Events of the system are about folders that are watched. None comes when a disk is unmounted,
    when the target of a link goes, or when a folder that was not there comes back. Those few
    places are looked at instead.

    Args:
        roots: Absolute paths; addresses are left out.
    """

    def __init__(self, roots: Iterable[bytes]) -> None:
        self._roots = [root for root in roots if not is_url(root)]
        self._places = {root: _identity(root) for root in self._roots}
        self._mounts = _mounts_below(self._roots)

    def add(self, places: Iterable[bytes]) -> None:
        """Looks at these places from now on, and at the roots."""
        wanted = {*self._roots, *(place for place in places if not is_url(place))}
        self._places = {
            place: self._places[place] if place in self._places else _identity(place)
            for place in wanted
        }

    def changed(self) -> bool:
        """Whether any of them is another, gone or back since the last call."""
        now = {place: _identity(place) for place in self._places}
        mounts = _mounts_below(self._roots)
        is_changed = now != self._places or mounts != self._mounts
        self._places, self._mounts = now, mounts
        return is_changed


def _identity(place: bytes) -> tuple[int, int] | int:
    """Device and inode of what is at a path, links followed; the error's number where none is."""
    try:
        facts = os.stat(place)
    except OSError as error:
        return error.errno or -1
    return facts.st_dev, facts.st_ino


def _mounts_below(roots: list[bytes]) -> frozenset[tuple[bytes, bytes]]:
    """Mount points at or below some folders, with the number of each mount; only on Linux."""
    try:
        with open(_MOUNTS, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return frozenset()
    real = [os.path.realpath(root) for root in roots]
    mounts = []
    for line in lines:
        words = line.split(b" ")
        if len(words) > 4:
            point = _ESCAPE.sub(lambda octal: bytes([int(octal[1], 8)]), words[4])
            if any(is_below(point, root) for root in real):
                mounts.append((words[0], point))
    return frozenset(mounts)
