"""Bringing a library up to date with folders, archives and addresses. Layer: app.

While pictures are encoded, a thread adds the rows that are committed to the index of the vectors,
so that searches in other processes stay fast. When the run ends, it adds the rest and frees room.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from relook.app.clusters import workers_of
from relook.app.models import LibraryEncoders, remember
from relook.app.paths import PathLike, absolute, expanded
from relook.app.texts import opened_reader, read_texts
from relook.core.errors import NotFoundError
from relook.core.picture_paths import is_url
from relook.core.progress import Progress, ProgressCallback
from relook.core.settings import ImageLimits, IndexSettings, RaySettings, SearchSettings
from relook.core.vectors import Floats
from relook.encoders import Encoder
from relook.library.compaction import compact, is_worthwhile
from relook.library.files import LibraryFiles
from relook.library.image_words import Sidecars
from relook.library.left_out import LeftOut
from relook.library.lock import WriterLock
from relook.library.report import IndexReport, Stop
from relook.library.scan import Scan, check_root
from relook.library.upgrade_staging import settle_upgrade

_MUCH = 0.25  # of the rows lack the index: worth a turn while the run goes on
_LOOK_EVERY_S = 5.0
_NICE = 5


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
        self._error: Exception | None = None
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
        except Exception as error:  # the edge of a thread: raised where it is waited for
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
        this = threading.get_native_id()
        with contextlib.suppress(OSError):  # a system that forbids it: the work is the same
            if os.getpriority(os.PRIO_PROCESS, this) < _NICE:  # a lower one may not be taken back
                os.setpriority(os.PRIO_PROCESS, this, _NICE)
    from relook.stores.ivf_build import leave_cores

    leave_cores()


_N_TEXTS = 96
_INCOMPLETE = (
    "the index is not complete: searches compare with what it lacks, which takes longer;"
    " relook index finishes it"
)


@dataclass(frozen=True, slots=True)
class AddOptions:
    """How pictures are added; fields as the arguments of `Library.add`.

    With `missing_ok` a path that is away keeps its images, and the report has a note about it.
    """

    metadata: Sequence[PathLike] = ()
    settings: IndexSettings | None = None
    within: Sequence[PathLike] | None = None
    progress: ProgressCallback | None = None
    missing_ok: bool = False
    ray: RaySettings | None = None


class IndexedLibrary(Protocol):
    """What indexing needs of a `Library`."""

    encoders: LibraryEncoders
    folder: Path
    limits: ImageLimits
    search_settings: SearchSettings

    def open_or_create(self) -> LibraryFiles: ...


def add(
    library: IndexedLibrary, encoder: Encoder, paths: Sequence[PathLike], options: AddOptions
) -> IndexReport:
    """Brings a library up to date; see `Library.add`.

    Args:
        library: Made when it is not there.
        encoder: The one that made its vectors.
        paths: Folders, files or addresses; everything that was added before when empty.
        options: How.
    """
    from relook.library.build import Builder  # a search does without Pillow

    settings = options.settings or IndexSettings()
    reader = opened_reader(settings) if settings.text else None  # fails before anything is done
    sidecars = Sidecars([expanded(file) for file in options.metadata])
    given = [absolute(path) for path in paths]
    for root in () if options.missing_ok else given:
        check_root(root)  # a mistyped path must not leave an empty library
    files = library.open_or_create()
    files.check_encoder(encoder)
    report_to = options.progress or (lambda _: None)
    with (
        workers_of(options.ray, library.encoders.chosen, encoder, library.limits) as elsewhere,
        WriterLock(library.folder),
    ):
        files.refresh()
        files.check_encoder(encoder)  # another process may just have changed that
        settle_upgrade(files)
        remember(files, encoder)
        scan = scan_of(library.folder, given, options, files.catalog.roots())
        for root in given:
            files.catalog.add_root(root)
        builder = Builder(
            files, encoder, settings, library.limits, sidecars, options.progress, elsewhere
        )
        plans = files.shared is None and library.search_settings.memory_mib > 0
        n_images = _n_listed(scan) if plans else None
        report = run_with_index(
            files, encoder, library.search_settings, n_images, lambda: builder.run(scan), report_to
        )
        if reader is not None and not report.interrupted:
            read_texts(files, reader, library.limits, settings.workers, report, report_to)
        if files.backup.is_wanted(often=options.missing_ok):
            with contextlib.suppress(KeyboardInterrupt, Stop):
                if files.backup.takes_long:
                    report_to(Progress("backing up the catalog"))
                if problem := files.backup.make():
                    report.notes.append(problem)
        return report


def scan_of(
    library: Path, given: Sequence[bytes], options: AddOptions, before: Sequence[bytes] = ()
) -> Scan:
    """The listing of a run.

    Args:
        library: Its folder, which is not entered.
        given: What is listed.
        options: Of the run.
        before: What was added before, which is listed when nothing is given.

    Raises:
        NotFoundError: `no_path` when there is nothing to list.
    """
    roots = given or before
    if not roots:
        raise NotFoundError("no_path", "nothing has been indexed yet", "name a folder of pictures")
    settings = options.settings or IndexSettings()
    return Scan(
        roots,
        avoid=os.fsencode(os.path.realpath(library)),
        hidden=settings.hidden,
        must_exist=bool(given) and not options.missing_ok,
        within=None if options.within is None else _local(options.within),
        connections=settings.connections,
        left_out=LeftOut(settings.exclude, defaults=settings.default_excludes),
    )


def _n_listed(scan: Scan) -> int:
    """How many files a run will meet, for a plan that is made before it; archives count 1."""
    return sum(len(files) for files in scan)


def _local(paths: Sequence[PathLike]) -> list[bytes]:
    """The folders of this machine; no link leads to an address."""
    return [place for place in map(absolute, paths) if not is_url(place)]


def run_with_index(
    files: LibraryFiles,
    encoder: Encoder,
    settings: SearchSettings,
    n_images: int | None,
    run: Callable[[], IndexReport],
    progress: ProgressCallback | None = None,
) -> IndexReport:
    """Runs something that adds images, while the index grows in a thread beside it.

    Args:
        files: The open library. The caller holds the writer's lock.
        encoder: Of the library.
        settings: What kind of index, and what memory it may take.
        n_images: How many images the library will have, about; None when nobody knows yet.
        run: Adds them.
        progress: Called now and then.

    Raises:
        InputError: `memory_limit` before anything is done.
        StorageError: what was committed stays.
    """
    if files.shared is not None:  # its index is Milvus' own, and nothing is left to free
        report = run()
        files.refresh()
        return report
    tell = progress or (lambda _: None)
    if n_images is not None:
        n_new = max(n_images - len(files.row_table), 0)
        files.index_plan(settings, len(files.vectors) + n_new * len(encoder.tiles_for(4, 3)))
    with IndexWorker(files, settings, lambda: text_queries(files, encoder)) as worker:
        report = run()
        files.refresh()
        was_interrupted = report.interrupted
        if not was_interrupted:
            try:
                worker.finish(tell)
            except (KeyboardInterrupt, Stop):
                report.interrupted = True
    files.refresh()
    if report.interrupted and not was_interrupted and files.needs_index(settings):
        report.notes.append(_INCOMPLETE)
    if not report.interrupted and is_worthwhile(files):
        compact(files, lambda done, total: tell(Progress("freeing space", done, total)))
    return report


def text_queries(files: LibraryFiles, encoder: Encoder) -> Floats | None:
    """[n, d] vectors of words as people might search for: captions of the library, phrasings.

    None where neither is known.
    """
    # Ids in a mixed order, the same every time.
    captions = files.catalog.ask(
        "SELECT caption FROM images WHERE caption <> ''"
        " ORDER BY (image_id * 7919) % 1000003 LIMIT ?",
        (_N_TEXTS // 2,),
    )
    parts = [encoder.encode_texts([str(caption) for (caption,) in captions])] if captions else []
    phrasings = encoder.means.phrasings if encoder.means else None
    if phrasings is not None and len(phrasings):
        order = np.random.default_rng(3).permutation(len(phrasings))
        parts.append(phrasings[order[: _N_TEXTS - len(captions)]])
    return np.concatenate(parts).astype(np.float32) if parts else None
