"""Keeping a library up to date while its pictures come, change, move and go. Layer: app.

    for report in watch(library, paths, options):
        ...

Each report is of one pass over everything: unchanged files cost a stat. A pass begins when
the system tells of a change below a folder, or every so many seconds where there is nobody to
tell (a network drive, a remote store).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from relook.app.indexing import AddOptions, add
from relook.app.places import PathLike, absolute
from relook.core.errors import LibraryBusyError, MissingExtraError, StorageError
from relook.core.picture_paths import is_url
from relook.core.settings import WatchSettings
from relook.library.manifest import Manifest
from relook.library.report import IndexReport

if TYPE_CHECKING:
    from relook.app.facade import Library

__all__ = ["watch"]

_LOOK_S = 0.2
_MOST_REST_S = 60.0


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
    own_stop = threading.Event()
    changes = _Changes(roots, os.fspath(library.folder), settings, (stop, own_stop))
    try:
        began = time.monotonic()
        report = library.add(
            *paths, metadata=options.metadata, settings=options.settings, within=options.within,
            progress=options.progress, ray=options.ray,
        )  # fmt: skip
        yield report
        again = replace(options, missing_ok=True)
        while not report.interrupted and changes.wait(time.monotonic() - began):
            began = time.monotonic()
            try:
                report = add(library, library.engine.encoder, paths, again)
            except LibraryBusyError:
                changes.again()  # another process writes: its turn
                continue
            if report.interrupted or _found_something(report):
                yield report
    finally:
        own_stop.set()


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
        stops: Any of them ends the waiting.
    """

    def __init__(
        self,
        roots: Sequence[bytes],
        library: str,
        settings: WatchSettings,
        stops: tuple[threading.Event, ...],
    ) -> None:
        self._settings, self._stops = settings, stops
        self._local = [os.fsdecode(root) for root in roots if not is_url(root)]
        self._inside = os.path.join(os.path.realpath(library), "")
        self._poll_s = settings.poll_s
        if not self._poll_s and len(self._local) < len(roots):
            self._poll_s = settings.remote_s
        self._told, self._ready = threading.Event(), threading.Event()
        self._error: Exception | None = None
        there = [path for path in self._local if os.path.exists(path)]
        if there and not settings.poll_s:
            self._listen(there)

    def again(self) -> None:
        """Makes the next `wait` a short one."""
        self._told.set()

    def wait(self, rest_s: float) -> bool:
        """Waits until something may have changed, and at least a while; False when stopped.

        Raises:
            StorageError: `watch_failed` when the system cannot watch the folders.
        """
        began = time.monotonic()
        if not self._poll_s and not all(map(os.path.exists, self._local)):
            self._poll_s = self._settings.remote_s  # nobody tells when a folder comes back
        until = began + self._poll_s if self._poll_s else float("inf")
        while not self._told.wait(_LOOK_S) and time.monotonic() < until:
            if self._is_stopped():
                return False
        if self._error is not None:
            raise StorageError(
                "watch_failed",
                f"the system cannot watch the folders: {self._error}",
                "look every so often instead: --poll 30",
            ) from self._error
        rest_until = began + min(rest_s, _MOST_REST_S)
        while time.monotonic() < rest_until and not self._is_stopped():
            self._stops[0].wait(_LOOK_S)
        self._told.clear()
        return not self._is_stopped()

    def _is_stopped(self) -> bool:
        return any(stop.is_set() for stop in self._stops)

    def _listen(self, paths: list[str]) -> None:
        """Has the system tell of changes, from now on."""
        try:
            import watchfiles
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "missing_extra",
                f"watching for changes needs the package {error.name!r}",
                "pip install 'relook[watch]', or look every so often: --poll 10",
            ) from error

        def listen() -> None:
            try:
                for changes in watchfiles.watch(
                    *paths, watch_filter=self._counts, stop_event=self._stops[1],
                    debounce=int(self._settings.debounce_s * 1000), rust_timeout=100,
                    yield_on_timeout=True, raise_interrupt=False, ignore_permission_denied=True,
                ):  # fmt: skip
                    self._ready.set()
                    if changes:
                        self._told.set()
            # The edge to the system's events; what went wrong is raised where it is waited for.
            except Exception as error:
                self._error = error
                self._told.set()
            finally:
                self._ready.set()

        threading.Thread(target=listen, name="relook-watch", daemon=True).start()
        self._ready.wait()

    def _counts(self, _: object, path: str) -> bool:
        return not os.path.join(os.path.realpath(path), "").startswith(self._inside)
