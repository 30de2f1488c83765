"""Pictures of strangers, decoded where they can do no harm. Layer: core.

Decoders are large C libraries, and a picture made for one of their faults runs code or eats
memory. So what strangers send (uploads, pictures on the web) is decoded in a few processes of
their own: with bounds on memory, processor and wall time, no secrets in their environment, and
only raw pixels and plain metadata coming back, which are checked here. They start when the
first picture comes, and again after one has died.

What is not bounded on a system (memory outside Linux, say) is logged when they start.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import dataclasses
import functools
import json
import logging
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from PIL import Image

from relook.core.decoders import NO_DECODER
from relook.core.errors import ImageError, OverloadError
from relook.core.picture import Picture
from relook.core.progress import CancelledWork, when_cancelled
from relook.core.settings import ImageLimits

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
_COMMAND = (sys.executable, "-P", "-m", "relook.core.isolated_worker")
_MOST = 4
_START_S = 30.0
_N_JOBS = 1000  # pictures after which a worker makes room for a fresh one
_MAX_HEAD_BYTES = _PIPE_BYTES = 1024**2
_CODES = ("not_an_image", "truncated", "too_many_pixels", "undecodable", NO_DECODER)
# Where Python and libraries are. Keys of services, proxies and the like are left out.
_ENVIRONMENT = (
    "PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT",
    "TMPDIR", "TEMP", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH",
)  # fmt: skip


def decode_isolated(data: bytes, min_px: int, limits: ImageLimits) -> Picture:
    """As `core.images.decode`, in a process with bounds.

    Raises:
        ImageError: as `decode`, and `decoder_died`, `decoder_out_of_memory` or
            `decoder_timeout` when the picture took the process down.
        OverloadError: `too_busy` when no process gets free.
        CancelledWork: when it is not wanted any more; its process then ends at once.
    """
    return _workers(os.getpid(), limits.isolated_bytes).decode(data, min_px, limits)


def scenes_isolated(path: bytes, limits: ImageLimits) -> tuple[tuple[float, ...], float]:
    """As `core.video_scenes.find_scenes`, in a process with bounds: times, and the duration.

    Raises:
        ImageError, OverloadError, CancelledWork: as `decode_isolated`.
    """
    job = _Job({"scenes_of": _text(path)}, b"", limits, limits.video_s, _scenes)
    return _workers(os.getpid(), limits.isolated_bytes).work(job)


def scene_isolated(path: bytes, time_s: float, limits: ImageLimits) -> Picture:
    """As `core.video_scenes.picture_at`, in a process with bounds.

    Raises:
        ImageError, OverloadError, CancelledWork: as `decode_isolated`.
    """
    head = {"scene_of": _text(path), "time_s": time_s}
    job = _Job(head, b"", limits, limits.video_s, _picture)
    return _workers(os.getpid(), limits.isolated_bytes).work(job)


def _text(path: bytes) -> str:
    return base64.b64encode(path).decode()


@functools.cache
def _workers(pid: int, max_bytes: int) -> Workers:
    """The processes of this process; a fork gets its own."""
    workers = Workers(max_bytes)
    atexit.register(workers.close)
    return workers


class _EndedError(Exception):
    """The worker ended, or said what no worker says."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Job(Generic[T]):
    """What a worker is asked for.

    Args:
        head: The request.
        data: What comes with it.
        limits: What it may cost.
        seconds: How long it may take.
        read: Makes a value of the answer and the pixels that came with it.
    """

    head: Mapping[str, Any]
    data: bytes
    limits: ImageLimits
    seconds: float
    read: Callable[[Mapping[str, Any], bytes], T]


class Workers:
    """Some decoding processes, safe to use from several threads.

    Args:
        max_bytes: Memory that each may take.
        n_workers: At most so many; a few, and at least two, when 0.
        command: What to start; its last argument is `max_bytes`.
    """

    def __init__(
        self, max_bytes: int, n_workers: int = 0, command: Sequence[str] = _COMMAND
    ) -> None:
        self._command = (*command, str(max_bytes))
        self._n_free = n_workers or max(min(os.cpu_count() or 1, _MOST), 2)
        self._idle: list[_Worker] = []
        self._lock = threading.Condition()
        self._closed = self._told = False

    def decode(self, data: bytes, min_px: int, limits: ImageLimits) -> Picture:
        """As `decode_isolated`."""
        return self.work(_Job({"min_px": min_px}, data, limits, limits.isolated_s, _picture))

    def work(self, job: _Job[T]) -> T:
        """Does a job in one of the processes.

        Raises:
            ImageError, OverloadError, CancelledWork: as `decode_isolated`.
        """
        self._wait(3 * job.seconds)
        try:
            worker = self._take()
            try:
                with when_cancelled(worker.kill):
                    return worker.work(job)
            except CancelledWork:
                worker.is_well = False  # it is killed, if not now then in a moment
                raise
            finally:
                self._give_back(worker)
        finally:
            self._release()

    def close(self) -> None:
        """Ends the processes; closing twice is fine."""
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for worker in idle:
            worker.end()

    def _wait(self, timeout_s: float) -> None:
        """Waits until there is a process for this thread, and takes it."""
        cancelled, taken = threading.Event(), False

        def wake() -> None:
            cancelled.set()
            with self._lock:
                self._lock.notify_all()

        try:
            with when_cancelled(wake), self._lock:
                self._lock.wait_for(lambda: self._n_free or cancelled.is_set(), timeout_s)
                if taken := self._n_free > 0:
                    self._n_free -= 1
        except CancelledWork:
            if taken:
                self._release()
            raise
        if not taken:
            raise OverloadError(
                "too_busy", "too many pictures are being decoded just now", "try again in a moment"
            )

    def _release(self) -> None:
        with self._lock:
            self._n_free += 1
            self._lock.notify()

    def _take(self) -> _Worker:
        while True:
            with self._lock:
                if not self._idle:
                    break
                worker = self._idle.pop()
            if worker.is_alive:
                return worker
            worker.end()
        worker = _Worker(self._command)
        if worker.unbounded and not self._told:
            self._told = True
            what = "pictures of strangers are decoded in processes of their own, but this system"
            _LOG.warning("%s does not bound their: %s", what, ", ".join(worker.unbounded))
        return worker

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            if worker.is_well and not self._closed and worker.n_jobs < _N_JOBS:
                self._idle.append(worker)
                return
        worker.end()


class _Worker:
    """One process; used by one thread at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        env = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**env, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        _widen(self._process)
        self.n_jobs = 0
        self.is_well = True  # idle, and able to take another picture
        with _Deadline(self._process, _START_S):
            try:
                hello, _ = self._read(0)
                self.unbounded = tuple(str(part)[:40] for part in hello["unbounded"][:8])
            except (_EndedError, OSError, KeyError, TypeError) as error:
                self.end()
                raise ImageError(
                    "decoder_died",
                    "the process that decodes pictures of strangers does not start",
                    "the log of the system may say why; too little memory is the usual reason",
                ) from error

    @property
    def is_alive(self) -> bool:
        """Whether its process runs: the system may end one that is idle."""
        return self._process.poll() is None

    def work(self, job: _Job[T]) -> T:
        """One job; any error whose code begins with `decoder_` leaves a worker to end."""
        self.n_jobs += 1
        self.is_well = False
        inner = dataclasses.asdict(dataclasses.replace(job.limits, isolate=False))
        request = {**job.head, "n_bytes": len(job.data), "seconds": job.seconds, "limits": inner}
        refusal: ImageError | None = None
        with _Deadline(self._process, job.seconds) as deadline:
            try:
                self._write(request, job.data)
                reply, pixels = self._read(3 * job.limits.max_decoded_pixels)
                if "code" in reply:
                    refusal = _refusal(reply, job)
                else:
                    result = job.read(reply, pixels)
            except (_EndedError, OSError, ValueError, TypeError, KeyError) as error:
                if deadline.is_over:
                    raise _too_slow(job) from None
                raise ImageError(
                    "decoder_died", f"the picture took down the process that decodes it: {error}"
                ) from None
        if refusal is not None:
            self.is_well = not deadline.is_over and not refusal.code.startswith("decoder_")
            raise refusal
        self.is_well = not deadline.is_over
        return result

    def _write(self, head: Mapping[str, Any], data: bytes) -> None:
        assert self._process.stdin is not None
        line = json.dumps(head).encode()
        self._process.stdin.write(len(line).to_bytes(4, "big") + line)
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _read(self, max_bytes: int) -> tuple[dict[str, Any], bytes]:
        n_head = int.from_bytes(self._exactly(4), "big")
        if n_head > _MAX_HEAD_BYTES:
            raise _EndedError("it says too much")
        reply = json.loads(self._exactly(n_head))
        if not isinstance(reply, dict) or not 0 <= int(reply["n_bytes"]) <= max_bytes:
            raise _EndedError("it says what it should not")
        return reply, self._exactly(int(reply["n_bytes"]))

    def _exactly(self, n_bytes: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(n_bytes)
        if len(data) < n_bytes:
            raise _EndedError(f"it ended with {self._process.wait()}")
        return data

    def kill(self) -> None:
        """Ends the process from another thread; the one that uses it finds that out."""
        self._process.kill()

    def end(self) -> None:
        """Ends the process now."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what it did not take goes with it
                if pipe is not None:
                    pipe.close()


def _widen(process: subprocess.Popen[bytes]) -> None:
    """Lets the pipes hold more at once, where they can (a third of the time for large ones)."""
    if sys.platform != "linux":
        return
    import fcntl

    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(OSError):  # root's limit on all pipes of a person
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


class _Deadline:
    """Kills a process that works too long, which ends whatever waits for its pipes."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._process, self.is_over = process, False
        self._timer = threading.Timer(seconds, self._kill)
        self._timer.daemon = True

    def _kill(self) -> None:
        self.is_over = True
        self._process.kill()

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()  # it has killed the process by now, or never will


def _refusal(reply: Mapping[str, Any], job: _Job[Any]) -> ImageError:
    code, message = str(reply["code"]), str(reply["message"])[:500]
    hint = str(reply.get("hint", ""))[:200]
    if code == "out_of_memory":
        return ImageError(
            "decoder_out_of_memory",
            f"decoding the picture takes more than {job.limits.isolated_bytes:,} bytes of memory",
            "give a smaller picture, or raise images.isolated_bytes",
        )
    return ImageError(code if code in _CODES else "undecodable", message, hint)


def _too_slow(job: _Job[Any]) -> ImageError:
    is_video = "min_px" not in job.head
    what, setting = ("video", "video_s") if is_video else ("picture", "isolated_s")
    return ImageError(
        "decoder_timeout",
        f"decoding the {what} takes more than {job.seconds:g} s",
        f"give a smaller {what}, or raise images.{setting}",
    )


def _scenes(reply: Mapping[str, Any], _: bytes) -> tuple[tuple[float, ...], float]:
    """Times and duration of a video, when they are numbers that can be."""
    times, duration_s = [float(time_s) for time_s in reply["times_s"]], float(reply["duration_s"])
    if not all(map(math.isfinite, (*times, duration_s))) or min(times, default=0.0) < 0:
        raise _EndedError("it says times that no video has")
    return tuple(sorted(times)), duration_s


def _picture(reply: Mapping[str, Any], pixels: bytes) -> Picture:
    """What a worker said, when it fits together."""
    width, height = (int(part) for part in reply["size"])
    width_px, height_px = (int(part) for part in reply["original"])
    if min(width, height, width_px, height_px) < 1 or len(pixels) != 3 * width * height:
        raise _EndedError("its pixels do not fit the size it says")
    return Picture(
        Image.frombytes("RGB", (width, height), pixels),
        width_px,
        height_px,
        exif={int(tag): _value(value) for tag, value in reply["exif"]},
        iptc={(int(record), int(field)): _value(value) for record, field, value in reply["iptc"]},
        format=str(reply["format"])[:20],
        xmp=base64.b64decode(reply["xmp"], validate=True),
        texts={str(key): str(text) for key, text in reply["texts"].items()},
    )


def _value(value: object) -> object:
    if isinstance(value, list):
        return [_value(part) for part in value]
    if isinstance(value, dict):
        return base64.b64decode(value["base64"], validate=True)
    return value
