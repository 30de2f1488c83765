"""Indexing and upgrades on request: one at a time for each library, with pause and stop.

Layer: server.
"""

import collections
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from relook.app.facade import Library
from relook.core.errors import NotFoundError, RelookError
from relook.core.json_form import Digits, JsonShape
from relook.core.progress import READING_TEXT, Progress, ProgressCallback
from relook.library.report import IndexReport, Stop
from relook.library.upgrade import UpgradeReport
from relook.server.events import Hub
from relook.serving.libraries import ServedLibrary
from relook.serving.pools import busy
from relook.serving.served_values import ErrorBody, served

_LOG = logging.getLogger(__name__)
Kind = Literal["index", "upgrade"]
_OF_PICTURES = ("indexing", "encoding", READING_TEXT)  # stages that tell how long they take
Run = Callable[[ProgressCallback], IndexReport | UpgradeReport]
"""What a job does."""
State = Literal["running", "paused", "done", "failed", "stopped"]
_QUEUED = 8
_REMEMBERED = 200


def job_topic(job_id: str) -> str:
    """What a stream of a job's progress listens to."""
    return f"job {job_id}"


def no_job(job_id: str) -> NotFoundError:
    """Of a job that there is not, or not for whoever asks."""
    return NotFoundError("no_job", f"there is no job {job_id!r}", "it may be long over")


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """A run of indexing, or an upgrade to another encoder.

    Args:
        job_id: To ask for it by.
        kind: Which of them.
        library_id: What it changes.
        state: What it does.
        stage: Of the run: `waiting`, `listing`, `indexing`, `reading words`; `encoding`, ...
        done: How many files so far.
        total: How many in all; 0 while it is not known.
        rate_per_s: Files a second.
        left_s: Seconds left of the stage, where that can be said.
        n_skipped: Files that could not be used so far.
        report: What `relook index --json`, or `upgrade`, prints, when it is done.
        error: Why it failed.
    """

    json_shape: ClassVar = JsonShape(name="Job")

    job_id: str
    kind: Kind
    library_id: str
    state: State
    stage: str
    done: int
    total: int
    rate_per_s: Annotated[float, Digits(2)]
    left_s: Annotated[float | None, Digits(1)]
    n_skipped: int
    report: Mapping[str, Any] | None
    error: ErrorBody | None


class Job:
    """One run; every method but `run` may be called from any thread.

    Args:
        volume: The library.
        kind: What is done to it.
        run: Does it.
        hub: Sends its progress to the streams that listen.
    """

    def __init__(self, volume: ServedLibrary, kind: Kind, run: Run, hub: Hub) -> None:
        self.job_id = uuid.uuid4().hex[:12]
        self.volume, self.kind, self._run, self._hub = volume, kind, run, hub
        self.state: State = "running"
        self._progress = Progress("waiting")
        self._report: IndexReport | UpgradeReport | None = None
        self._error: RelookError | None = None
        self._may_run = threading.Event()
        self._may_run.set()
        self._stopped = self._has_begun = False
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._began_s, self._paused_s = time.monotonic(), 0.0  # of the stage
        self._ended_s: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "stopped")

    def pause(self) -> None:
        """Holds it at the next batch."""
        self._go("paused")

    def resume(self) -> None:
        """Lets it go on."""
        self._go("running")

    def stop(self) -> None:
        """Ends it at the next batch, one that still waits at once; what was done is kept."""
        with self._lock:
            self._stopped = True
            if not self._has_begun and not self.is_over:
                self.state, self._ended_s = "stopped", time.monotonic()
        self._may_run.set()
        self._send()

    def _go(self, state: Literal["running", "paused"]) -> None:
        with self._lock:
            if self.is_over or self._stopped:
                return
            self.state = state
            (self._may_run.clear if state == "paused" else self._may_run.set)()
        self._send()

    def run(self) -> None:
        """Does it; errors end in the job's own state."""
        with self._lock:
            if self.is_over:
                return
            self._has_begun = True
            self._began_s = time.monotonic()
        state: State = "failed"
        try:
            self._on_progress(Progress("listing"))
            self._report = self._run(self._on_progress)
            self.volume.files.refresh()
            state = "stopped" if self._report.interrupted else "done"
        except Stop:
            state = "stopped"
        except RelookError as error:
            self._error = error
        except Exception:  # this is an edge: the next job must run
            _LOG.exception("a job failed")
            self._error = RelookError("internal", "the server made a mistake", "see its log")
        with self._lock:
            self._ended_s = time.monotonic()
            self.state = state
        self._send()

    def _on_progress(self, progress: Progress) -> None:
        if progress.stage == READING_TEXT != self._progress.stage:  # what came before says nothing
            self._began_s, self._paused_s = time.monotonic(), 0.0
        self._progress = progress
        self._send()
        began_s = time.monotonic()
        self._may_run.wait()
        self._paused_s += time.monotonic() - began_s
        if self._stopped:
            raise Stop

    def _send(self) -> None:
        with self._sending:  # events leave in the order of the states that they show
            answer = served(self.answer())
            self._hub.send(job_topic(self.job_id), "progress", answer, last=self.is_over)

    def answer(self) -> JobAnswer:
        """The job as answers and events have it."""
        now = self._progress
        active_s = (self._ended_s or time.monotonic()) - self._began_s - self._paused_s
        rate = now.done / active_s if now.stage in _OF_PICTURES and active_s > 0 else 0.0
        left_s = (now.total - now.done) / rate if rate and now.total else None
        return JobAnswer(
            job_id=self.job_id,
            kind=self.kind,
            library_id=self.volume.library_id,
            state=self.state,
            stage=now.stage,
            done=now.done,
            total=now.total,
            rate_per_s=rate,
            left_s=None if self.is_over else left_s,
            n_skipped=now.n_skipped,
            report=None if self._report is None else self._report.as_dict(),
            error=None if self._error is None else ErrorBody.of(self._error),
        )


class Jobs:
    """Every job of a server. Each library works off its own, in order."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._jobs: collections.OrderedDict[str, Job] = collections.OrderedDict()
        self._queues: dict[str, collections.deque[Job]] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._closed = False

    def index(
        self,
        volume: ServedLibrary,
        paths: Sequence[Path],
        within: Sequence[Path],
        *,
        text: bool = False,
    ) -> Job:
        """Queues a run of indexing.

        Args:
            volume: The library.
            paths: What to index; everything added before when empty.
            within: Folders that links below them may not lead out of.
            text: Whether the words in pictures are read, too, where it is not configured.

        Raises:
            OverloadError: when too many wait for this library.
        """

        def run(progress: ProgressCallback) -> IndexReport:
            folder, served = volume.files.folder, volume.library
            how = served.index_settings
            how = replace(how, text=True) if text else how
            # A library of its own: searches go on with theirs, and see what is committed.
            with Library(
                folder, encoder=volume.encoder, search=served.search_settings,
                limits=served.limits, index=how,
            ) as own:  # fmt: skip
                return own.add(*paths, within=within, progress=progress)

        return self._start(Job(volume, "index", run, self._hub))

    def upgrade(self, volume: ServedLibrary) -> Job:
        """Queues an upgrade of a library to the present version of its encoder.

        Raises:
            OverloadError: when too many wait for this library.
        """

        def run(progress: ProgressCallback) -> UpgradeReport:
            return volume.library.upgrade(progress=progress)

        return self._start(Job(volume, "upgrade", run, self._hub))

    def _start(self, job: Job) -> Job:
        volume = job.volume
        with self._lock:
            waiting = self._queues.setdefault(volume.library_id, collections.deque())
            if self._closed or len(waiting) >= _QUEUED:
                raise busy("too many jobs wait for this library")
            waiting.append(job)
            self._jobs[job.job_id] = job
            over = [job_id for job_id, known in self._jobs.items() if known.is_over]
            for job_id in over[: max(len(self._jobs) - _REMEMBERED, 0)]:
                del self._jobs[job_id]
            if volume.library_id not in self._threads:
                thread = threading.Thread(
                    target=self._work, args=(volume.library_id,), name="relook-job"
                )
                self._threads[volume.library_id] = thread
                thread.start()
        return job

    def _work(self, library_id: str) -> None:
        """Runs what waits for one library, then ends."""
        while True:
            with self._lock:
                if not self._queues[library_id]:
                    del self._threads[library_id]
                    return
                job = self._queues[library_id][0]
            job.run()
            with self._lock:
                self._queues[library_id].popleft()

    def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            NotFoundError: `no_job`.
        """
        with self._lock:
            if job_id not in self._jobs:
                raise no_job(job_id)
            return self._jobs[job_id]

    def current(self, library_id: str) -> str | None:
        """Id of the job that runs for a library."""
        with self._lock:
            waiting = self._queues.get(library_id)
            return waiting[0].job_id if waiting else None

    def stop(self) -> None:
        """Stops every job at its next batch and takes no more; a second time is fine."""
        with self._lock:
            self._closed = True
            jobs = list(self._jobs.values())
        for job in jobs:
            job.stop()

    def close(self) -> None:
        """Stops every job at its next batch and waits for them; closing twice is fine."""
        self.stop()
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join()
