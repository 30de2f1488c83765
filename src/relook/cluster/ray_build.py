"""Bringing a library up to date with the workers of a Ray cluster. Layer: cluster.

Ray Data hands shards of files to workers with an encoder each and holds them back while the
writer is busy; this process alone writes, in the batches of an ordinary run. What the catalog
holds is done: a driver that is killed and started again asks only for the rest. A shard that
fails (an exception, a killed worker, a lost node) is tried again, then its files in smaller shards
and one by one; those that fail even so are skipped with the reason.

A worker needs nothing of Ray itself. It opens an encoder of its own, once. A picture that cannot be
read or encoded is an outcome like any other; only the end of the process ends a shard.

Source: Ray Data, https://docs.ray.io/en/latest/data/ (`map_batches` with a class, streaming
execution and its back-pressure, `DataContext.max_errored_blocks`).
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relook.core.errors import ClusterError, EncoderMismatchError
from relook.core.settings import ImageLimits
from relook.core.vectors import Floats
from relook.encoders.base import Encoder, Fingerprint
from relook.library.image_words import Beside
from relook.library.reading import Outcomes, PictureReader, Read
from relook.library.records import FileFacts, ImageRecord, SkippedFile, Words
from relook.library.survey import Survey

if TYPE_CHECKING:
    from ray.data import Dataset


FAILED = "worker_failed"
"""Code of a file on which a worker failed, by an error or by its end."""
Columns = Mapping[str, Sequence[Any]]


class EncodeShard:
    """Encodes the files of a shard; made once on each worker.

    Args:
        make: Opens the encoder.
        limits: What a picture may cost.
        digest: Of the fingerprint that the library's encoder has.

    Raises:
        EncoderMismatchError: when the encoder that opens here is another one.
    """

    def __init__(self, make: Callable[[], Encoder], limits: ImageLimits, digest: str) -> None:
        self._encoder = make()
        self._reader = PictureReader(self._encoder, limits)
        fingerprint = self._encoder.fingerprint
        if fingerprint.digest != digest:
            raise EncoderMismatchError(
                "other_encoder",
                f"a worker opened {fingerprint.told}; the library was made by {digest}",
                "install the same relook and the same model on every machine",
            )

    def __call__(self, batch: Columns) -> dict[str, Any]:
        """Files as `as_facts` names them to outcomes as `outcomes` reads them."""
        files = [
            FileFacts(bytes(path), int(size), int(mtime))
            for path, size, mtime in zip(
                batch["path"], batch["size_bytes"], batch["mtime_ns"], strict=True
            )
        ]
        results: list[dict[str, Any]] = []
        step = max(self._encoder.batch, 1)
        for at in range(0, len(files), step):
            results += self._outcomes(files[at : at + step])
        return as_columns(results)

    def _outcomes(self, files: list[FileFacts]) -> list[dict[str, Any]]:
        """What came of some files; an error that nobody foresaw is told of its file alone."""
        try:
            return self._encoded([self._reader.read(facts) for facts in files])
        except Exception as error:  # an edge: one file must not end the others
            if len(files) > 1:
                return [line for facts in files for line in self._outcomes([facts])]
            why = f"a worker failed on it: {type(error).__name__}: {error}"[:500]
            return [_refused(SkippedFile(files[0], FAILED, why))]

    def _encoded(self, reads: list[Read | SkippedFile]) -> list[dict[str, Any]]:
        good = [read for read in reads if isinstance(read, Read)]
        prepared = [read.prepared for read in good if read.prepared is not None]
        tiles = iter(self._encoder.encode_prepared(prepared))
        return [
            _told(read, read.record, next(tiles))
            if isinstance(read, Read) and read.record is not None
            else _refused(read)
            for read in reads
        ]


def as_facts(files: Sequence[FileFacts]) -> list[dict[str, Any]]:
    """Files as the lines of a data set."""
    return [
        {"path": file.path, "size_bytes": file.size_bytes, "mtime_ns": file.mtime_ns}
        for file in files
    ]


def _told(read: Read, record: ImageRecord, tiles: Floats) -> dict[str, Any]:
    rest = {
        "width_px": record.width_px, "height_px": record.height_px, "format": record.format,
        "dhash": record.dhash, "title": record.title, "caption": record.caption,
        "metadata": record.metadata, "n_tiles": len(tiles),
        "words": None if read.beside.words is None else asdict(read.beside.words),
        "unread": dict(read.beside.unread),
    }  # fmt: skip
    return {
        "path": read.facts.path, "content": record.content, "tiles": tiles.tobytes(),
        "told": json.dumps(rest, default=str), "code": "", "message": "",
    }  # fmt: skip


def _refused(outcome: Read | SkippedFile) -> dict[str, Any]:
    assert isinstance(outcome, SkippedFile)  # what is read here is never known already
    return {
        "path": outcome.facts.path, "content": b"", "tiles": b"", "told": "{}",
        "code": outcome.code, "message": outcome.message,
    }  # fmt: skip


def as_columns(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Outcomes as columns; bytes stay objects, which keep their trailing zeros."""
    names = ("path", "content", "tiles", "told", "code", "message")
    return {name: np.array([line[name] for line in lines], object) for name in names}


def outcomes(
    batch: Columns, files: Mapping[bytes, FileFacts], dim: int
) -> list[Read | SkippedFile]:
    """Outcomes of workers: pictures that were read and encoded, and files that they skipped.

    Args:
        batch: Columns as a worker made them.
        files: What was asked for, by path.
        dim: Length d of a vector.
    """
    results: list[Read | SkippedFile] = []
    columns = (batch[name] for name in ("path", "content", "tiles", "told", "code", "message"))
    for path, content, tiles, rest, code, message in zip(*columns, strict=True):
        facts = files[bytes(path)]
        if code:
            results.append(SkippedFile(facts, str(code), str(message)))
            continue
        values = json.loads(rest)
        n_tiles, words_given = values.pop("n_tiles"), values.pop("words")
        words = None if words_given is None else Words(**words_given)
        beside = Beside(words, unread=values.pop("unread"))
        record = ImageRecord(facts, bytes(content), **values)
        rows = np.frombuffer(bytes(tiles), np.float32).reshape(n_tiles, dim)
        results.append(Read(facts, record.content, beside, record=record, tiles=rows))
    return results


_LOG = logging.getLogger(__name__)
_TRIES_AGAIN = 1
_WAIT_S = 0.2  # for the listing, before the person is told that it goes on


@dataclass(frozen=True, slots=True)
class RayPlan:
    """How a cluster is used. Ray is connected already.

    Args:
        make: Opens the encoder on a worker; sent there, so it holds plain values only.
        n_workers: Workers at once; 0 means as many as the cluster has room for.
        shard: Files in one shard.
        cpus, gpus: What one worker takes of its machine.
        window: Files that are handed to Ray at once.
    """

    make: Callable[[], Encoder]
    n_workers: int = 0
    shard: int = 256
    cpus: float = 1.0
    gpus: float = 0.0
    window: int = 200_000


class RayWorkers:
    """Reads and encodes what a survey finds, elsewhere; see `reading.ReadElsewhere`.

    Args:
        plan: How the cluster is used.
        fingerprint: Of the library's encoder.
        limits: What a picture may cost.
    """

    def __init__(self, plan: RayPlan, fingerprint: Fingerprint, limits: ImageLimits) -> None:
        self._plan, self._fingerprint, self._limits = plan, fingerprint, limits

    def __call__(self, survey: Survey, tell: Callable[[], None]) -> Outcomes:
        while files := self._window(survey, tell):
            yield from self._from_workers(files)

    def _window(self, survey: Survey, tell: Callable[[], None]) -> list[FileFacts]:
        """The next files to read, as many as are handed to Ray at once."""
        files: list[FileFacts] = []
        while len(files) < self._plan.window:
            facts = survey.next(_WAIT_S)
            if facts is not None:
                files.append(facts)
            elif survey.is_exhausted():
                break
            else:
                tell()
        return files

    def _from_workers(self, files: Sequence[FileFacts]) -> Iterator[Read | SkippedFile]:
        """Each file's outcome once, in any order."""
        left = {facts.path: facts for facts in files}
        whole = self._plan.shard
        # A lost node leaves whole shards behind, and a file alone costs as much waiting as many.
        for shard in sorted({whole, max(whole // 16, 1), 1}, reverse=True):
            if not left:
                return
            if len(left) < len(files):
                _LOG.warning("%d files of failed shards are tried again by %d", len(left), shard)
            for outcome in self._tried(list(left.values()), shard):
                if left.pop(outcome.facts.path, None) is not None:  # a shard may come twice
                    yield outcome
        if 1 < len(left) == len(files):
            raise ClusterError(
                "cluster_failed",
                f"the workers failed on all of {len(files):,} files",
                "relook and the encoder must open on every machine: see Ray's logs of the workers",
            )
        # A file that ended its worker may have taken with it the files that waited there behind it.
        for facts in list(left.values()):
            for outcome in self._tried([facts], 1):
                if left.pop(outcome.facts.path, None) is not None:
                    yield outcome
        for facts in left.values():
            why = f"its worker ended {1 + _TRIES_AGAIN} times, with this file alone"
            yield SkippedFile(facts, FAILED, why)

    def _tried(self, files: Sequence[FileFacts], shard: int) -> Iterator[Read | SkippedFile]:
        from ray.exceptions import RayError

        by_path = {facts.path: facts for facts in files}
        try:
            for batch in self._data_set(files, shard).iter_batches(
                batch_size=None, batch_format="numpy", prefetch_batches=1
            ):
                yield from outcomes(batch, by_path, self._fingerprint.dim)
        except RayError as error:
            raise _cluster_error(error) from error

    def _data_set(self, files: Sequence[FileFacts], shard: int) -> Dataset:
        import ray.data
        from ray.util.annotations import RayDeprecationWarning

        plan = self._plan
        n_shards = -(-len(files) // shard)
        n_max = min(plan.n_workers or _room(plan), n_shards)
        n_min = n_max if plan.n_workers else 1
        context = ray.data.DataContext.get_current().copy()
        context.max_errored_blocks = -1  # a bad shard does not end the others
        context.enable_progress_bars = False
        with ray.data.DataContext.current(context), warnings.catch_warnings():
            # How often a task is tried again has no named argument up to Ray 2.63, and a file
            # that ends its worker would be tried for ever.
            warnings.simplefilter("ignore", RayDeprecationWarning)
            lines = ray.data.from_items(as_facts(files), override_num_blocks=n_shards)
            return lines.map_batches(
                EncodeShard,
                fn_constructor_args=(plan.make, self._limits, self._fingerprint.digest),
                batch_size=shard, batch_format="numpy",
                compute=ray.data.ActorPoolStrategy(min_size=n_min, max_size=n_max),
                num_cpus=plan.cpus, num_gpus=plan.gpus or None,
                max_restarts=-1, max_task_retries=_TRIES_AGAIN,
            )  # fmt: skip


def _room(plan: RayPlan) -> int:
    """Workers that the cluster has room for now."""
    import ray

    has = ray.cluster_resources()
    room = has.get("CPU", 1.0) / plan.cpus
    if plan.gpus:
        room = min(room, has.get("GPU", 0.0) / plan.gpus)
    return max(int(room), 1)


def _cluster_error(error: Exception) -> ClusterError:
    """What Ray says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    why = f"{type(error).__name__}: {lines[-1] if lines else ''}"[:400]
    return ClusterError(
        "cluster_failed",
        f"the Ray cluster did not do it: {why}",
        "see that it runs (ray status), and run the same command again; what is done is kept",
    )
