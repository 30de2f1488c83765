"""Reading the words that stand in a library's pictures. Layer: app.

Pictures that are away wait until they are back; one that cannot be read now is tried again by the
next run. What is read is kept every few seconds: a run may be stopped or killed at any time.
"""

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np

from relook.core.errors import ImageError, RelookError, counted
from relook.core.images import content_of, decode
from relook.core.picture_paths import printable
from relook.core.progress import READING_TEXT, Progress, ProgressCallback
from relook.core.settings import ImageLimits, IndexSettings
from relook.core.sources import limits_at, read_bytes
from relook.core.vectors import Ints
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord
from relook.library.report import IndexReport, Stop
from relook.library.text_table import TextTable
from relook.readers import READERS, TextLine, TextReader

LONGEST_PX = 2000
"""Longest side, in pixels, of a picture that a reader gets."""
_N_TRIED = 8  # pictures from all over the library, which tell how long the rest takes
_MOST_THREADS = 4  # each has an engine of its own
_KEEP_S, _KEEP_N = 5.0, 64  # seconds, and pictures, after which what is read is kept
_LOG = logging.getLogger(__name__)
Text = tuple[bytes, list[TextLine]]


def opened_reader(settings: IndexSettings) -> TextReader:
    """The reader that is set.

    Raises:
        MissingExtraError: with the command that installs it; NotFoundError: `unknown_reader`.
        ModelError: when it cannot be used.
    """
    name, _, spec = settings.reader.partition(":")
    reader: TextReader = READERS.open(name, spec)
    return reader


def read_texts(
    files: LibraryFiles,
    reader: TextReader,
    limits: ImageLimits,
    n_threads: int,
    report: IndexReport,
    progress: ProgressCallback,
) -> None:
    """Reads the words in pictures in which they were not read. The writer's lock is held.

    Args:
        files: The library.
        reader: Closed at the end.
        limits: What a picture may cost.
        n_threads: Pictures read at once; one a core, at most 4, when 0.
        report: Gets the counts, and the time.
        progress: Called with how far it is; may raise `Stop`.

    Raises:
        StorageError: when the disk refuses; what was kept before stays.
    """
    began_s = time.monotonic()
    reading = _Reading(files, reader, limits, report, progress)
    try:
        reading.run(n_threads or min(os.cpu_count() or 1, _MOST_THREADS))
    finally:
        reader.close()
    report.seconds += time.monotonic() - began_s


class _Reading:
    def __init__(
        self,
        files: LibraryFiles,
        reader: TextReader,
        limits: ImageLimits,
        report: IndexReport,
        progress: ProgressCallback,
    ) -> None:
        self._files, self._reader, self._limits = files, reader, limits
        self._report, self._progress = report, progress
        self._table = TextTable(files.catalog)
        self._kept_s, self._unkept = time.monotonic(), list[Text]()
        self._unread: list[str] = []

    def run(self, n_threads: int) -> None:
        """Reads everything that is to be read."""
        todo = self._table.unread()
        if not len(todo):
            return
        self._table.make()
        try:
            self._run(tried_first(todo), n_threads)
        except (KeyboardInterrupt, Stop):
            self._report.interrupted = True
        self._keep()
        if self._unread:
            pictures = counted(len(self._unread), "picture")
            self._report.notes.append(
                f"the words of {pictures} could not be read, and are tried"
                f" again by the next run: {self._unread[0]}"
            )

    def _run(self, todo: Ints, n_threads: int) -> None:
        pool = ThreadPoolExecutor(n_threads, thread_name_prefix="relook-text")
        began_s, n_done = time.monotonic(), 0
        pictures, pending = self._pictures(todo), list[Future[Text | str | None]]()
        self._progress(Progress(READING_TEXT, 0, len(todo)))
        try:
            while True:
                for picture in islice(pictures, 2 * n_threads - len(pending)):
                    pending.append(pool.submit(self._read, picture))
                if not pending:
                    return
                self._take(pending.pop(0).result())
                n_done += 1
                if n_done >= min(_N_TRIED, len(todo)):  # before that no rate is worth telling
                    rate = n_done / max(time.monotonic() - began_s, 1e-9)
                    self._progress(Progress(READING_TEXT, n_done, len(todo), rate))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _pictures(self, todo: Ints) -> Iterator[ImageRecord]:
        for at in range(0, len(todo), 500):
            yield from self._files.catalog.images(todo[at : at + 500].tolist(), missing_ok=True)

    def _read(self, image: ImageRecord) -> Text | str | None:
        """What stands in a picture, or why that could not be read; None for another picture."""
        path = image.facts.path
        try:
            data = read_bytes(path, self._limits)
            if content_of(path, data) != image.content:
                return None  # it has just changed: the next run reads it
            picture = decode(data, LONGEST_PX, limits_at(path, self._limits)).image
            picture.thumbnail((LONGEST_PX, LONGEST_PX))
            return image.content, self._reader.read(picture)
        except ImageError as error:
            return f"{printable(path)}: {error.message}"
        except RelookError:
            raise
        except Exception as error:  # the edge of one picture: the others are read all the same
            _LOG.warning("reading the words of %s failed", printable(path), exc_info=True)
            return f"{printable(path)}: {type(error).__name__}: {error}"

    def _take(self, text: Text | str | None) -> None:
        if isinstance(text, str):
            self._unread.append(text)
        elif text is not None:
            self._unkept.append(text)
        if len(self._unkept) >= _KEEP_N or time.monotonic() - self._kept_s >= _KEEP_S:
            self._keep()

    def _keep(self) -> None:
        texts, self._unkept = self._unkept, []
        if texts:
            self._table.put(texts, self._reader.name)
            self._report.n_text_read += len(texts)
            self._report.n_text_found += sum(bool(lines) for _, lines in texts)
        self._kept_s = time.monotonic()


def tried_first(todo: Ints) -> Ints:
    """[n] the same ids, with a few from all over the library in front."""
    some = np.unique(np.linspace(0, len(todo) - 1, min(_N_TRIED, len(todo))).astype(np.int64))
    return np.concatenate([todo[some], np.delete(todo, some)])
