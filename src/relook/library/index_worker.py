"""Building the search index in a thread beside a run of indexing. Layer: library.

While pictures are still being encoded, the committed rows are added to the index, so that
searches in other processes stay fast. When the run ends, the remaining rows are added.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

from relook.core.errors import RelookError
from relook.core.progress import Progress, ProgressCallback
from relook.core.settings import SearchSettings
from relook.core.vectors import Floats
from relook.library.files import LibraryFiles
from relook.library.report import Stop

_MUCH = 0.25  # of the rows lack the index: worth a turn while the run goes on
_LOOK_EVERY_S = 5.0


class IndexWorker:
    """Keeps the index of a library up to date. The caller holds the writer's lock meanwhile.

    Args:
        files: The open library; the thread opens files of its own.
        settings: What kind of index, and what memory it may take.
        texts: Returns [n, d] text queries to measure the index with; called when one is built.
    """

    def __init__(
        self,
        files: LibraryFiles,
        settings: SearchSettings,
        texts: Callable[[], Floats | None] = lambda: None,
    ) -> None:
        self._files, self._settings, self._texts = files, settings, texts
        self._ended = threading.Event()  # the run is over: add the remaining rows, and end
        self._stopped = threading.Event()
        self._untold: deque[Progress] = deque()
        self._changed = threading.Condition()  # of what is untold, and of whether work goes on
        self._over = False
        self._error: RelookError | None = None
        self._thread = threading.Thread(target=self._work, name="relook-index", daemon=True)

    def __enter__(self) -> IndexWorker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join()

    def finish(self, progress: ProgressCallback) -> None:
        """Waits until the index has every row; what `progress` raises stops it.

        `progress` is called for every stage, first for those that are over. From then on the
        thread begins a stage only after `progress` has returned, so that an exception from it
        stops the work at that stage.

        Raises:
            StorageError: when the disk refuses.
        """
        self._ended.set()
        while (now := self._next()) is not None:
            progress(now)
            with self._changed:
                self._untold.popleft()
                self._changed.notify_all()
        if self._error is not None:
            raise self._error

    def _next(self) -> Progress | None:
        """Waits for the next stage to report; None when the thread has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._untold or self._over)
            return self._untold[0] if self._untold else None

    def _work(self) -> None:
        try:
            with LibraryFiles.open(self._files.folder) as own:
                while not self._ended.wait(_LOOK_EVERY_S):
                    own.refresh()
                    if self._is_due(own):
                        self._build(own)
                own.refresh()
                if not self._stopped.is_set() and own.needs_index(self._settings):
                    self._build(own)
        except Stop:
            pass
        except RelookError as error:
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _build(self, own: LibraryFiles) -> None:
        _give_way()
        own.build_index(self._settings, self._texts(), self._report)

    def _is_due(self, own: LibraryFiles) -> bool:
        """Whether so many rows lack the index that it should not wait for the end of the run."""
        least = max(_MUCH * len(own.vectors), self._settings.exact_rows / 2)
        return own.rows_without_index(self._settings) > least

    def _report(self, stage: str, done: int, total: int) -> None:
        now = Progress(stage, done, total)
        with self._changed:
            if len(self._untold) > 1 and self._untold[-1].stage == stage:
                self._untold[-1] = now  # of a stage that nobody waits for, the last word is enough
            else:
                self._untold.append(now)
            self._changed.notify_all()
            self._changed.wait_for(self._may_go_on)
        if self._stopped.is_set():
            raise Stop
        time.sleep(0)  # lets the thread that encodes go first

    def _may_go_on(self) -> bool:
        return self._stopped.is_set() or not self._ended.is_set() or not self._untold


def _give_way() -> None:
    """Lets searches and encoding go first, where the system can do that for one thread."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
    from relook.stores.ivf_build import leave_cores

    leave_cores()
