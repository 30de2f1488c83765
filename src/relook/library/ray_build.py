"""Bringing a library up to date with the workers of a Ray cluster. Layer: library.

Ray Data hands shards of files to workers with an encoder each and holds them back while the
writer is busy; this process alone writes, in the batches of an ordinary run. What the catalog
holds is done: a driver that is killed and started again asks only for the rest. A shard that
fails (an exception, a killed worker) is tried again, then its files one by one; those that
fail even so are skipped with the reason.

Source: Ray Data, https://docs.ray.io/en/latest/data/ (`map_batches` with a class, streaming
execution and its back-pressure, `DataContext.max_errored_blocks`).
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relook.core.errors import ClusterError
from relook.core.vectors import Floats
from relook.encoders.base import Encoder
from relook.library.build import Builder
from relook.library.ray_work import FAILED, EncodeShard, as_facts, outcomes
from relook.library.reading import Read
from relook.library.records import FileFacts, ImageRecord, SkippedFile
from relook.library.report import Progress

if TYPE_CHECKING:
    from ray.data import Dataset

__all__ = ["RayBuilder", "RayPlan"]

_LOG = logging.getLogger(__name__)
_TRIES_AGAIN = 1


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


class RayBuilder(Builder):
    """A run of indexing whose files are read and encoded elsewhere.

    Args:
        plan: How the cluster is used.
        arguments: As for `Builder`.
        options: As for `Builder`.
    """

    def __init__(self, plan: RayPlan, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._plan = plan

    def _read_all(self, todo: list[FileFacts]) -> None:
        began, n_done = time.monotonic(), 0
        for at in range(0, len(todo), self._plan.window):
            for outcome in self._from_workers(todo[at : at + self._plan.window]):
                self._take_outcome(outcome)
                n_done += 1
                if len(self._entries) + len(self._skips) >= self._settings.commit_every:
                    self._commit()
                if n_done % 64 == 0 or n_done == len(todo):
                    rate = n_done / max(time.monotonic() - began, 1e-9)
                    self._progress(Progress("indexing", n_done, len(todo), rate, self._n_skipped))

    def _from_workers(
        self, files: Sequence[FileFacts]
    ) -> Iterator[tuple[ImageRecord, Floats] | SkippedFile]:
        """Each file's outcome once, in any order."""
        left = {facts.path: facts for facts in files}
        for shard in (self._plan.shard, 1):
            if not left:
                return
            for outcome in self._tried(list(left.values()), shard):
                facts = outcome.facts if isinstance(outcome, SkippedFile) else outcome[0].facts
                if left.pop(facts.path, None) is not None:  # a shard may come twice
                    yield outcome
            if left and shard > 1:
                _LOG.warning("%d files of failed shards are tried one by one", len(left))
        if 1 < len(left) == len(files):
            raise ClusterError(
                "cluster_failed",
                f"the workers failed on all of {len(files):,} files",
                "relook and the encoder must open on every machine: see Ray's logs of the workers",
            )
        for facts in left.values():
            told = f"its worker ended {1 + _TRIES_AGAIN} times, with this file alone"
            yield SkippedFile(facts, FAILED, told)

    def _tried(
        self, files: Sequence[FileFacts], shard: int
    ) -> Iterator[tuple[ImageRecord, Floats] | SkippedFile]:
        from ray.exceptions import RayError

        asked = {facts.path: facts for facts in files}
        try:
            for batch in self._data_set(files, shard).iter_batches(
                batch_size=None, batch_format="numpy", prefetch_batches=1
            ):
                yield from outcomes(batch, asked, self._encoder.dim)
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
                fn_constructor_args=(
                    plan.make, self._limits, self._files.manifest.fingerprint.digest
                ),
                batch_size=shard, batch_format="numpy",
                compute=ray.data.ActorPoolStrategy(min_size=n_min, max_size=n_max),
                num_cpus=plan.cpus, num_gpus=plan.gpus or None,
                max_restarts=-1, max_task_retries=_TRIES_AGAIN,
            )  # fmt: skip

    def _take_outcome(self, outcome: tuple[ImageRecord, Floats] | SkippedFile) -> None:
        if isinstance(outcome, SkippedFile):
            self._skips.append(outcome)
            return
        record, tiles = outcome
        twins = (
            self._files.catalog.images_with(record.content)
            if record.content in self._contents
            else []
        )
        if twins:  # touched, moved, or a copy
            self._take_known(Read(record.facts, record.content), twins)
        else:
            self._enter(record, tiles)


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
    told = f"{type(error).__name__}: {lines[-1] if lines else ''}"[:400]
    return ClusterError(
        "cluster_failed",
        f"the Ray cluster did not do it: {told}",
        "see that it runs (ray status), and run the same command again; what is done is kept",
    )
