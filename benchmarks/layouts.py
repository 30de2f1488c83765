"""Which thread layout indexes fastest: an experiment, not a figure of the product.

Measures: pictures a second through read, decode, prepare and encode (nothing is written) of
500-px JPEGs, for several ways to share the cores. Baseline: the layout of `library/build.py`,
"main encodes": a pool decodes, the main thread calls the tower, whose own threads split the
work. Others: "in flight": several encode calls at once, one thread each; "whole": each worker
decodes a batch and encodes it. Arms take turns, so that other load hits all alike.
Read it: best is the rate on a machine left alone; CPU time a picture is what an arm wastes.
"""

import argparse
import collections
import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime
from figures import Figure, parser, report, say
from photographs import make_pictures

from relook.core.images import content_hash, decode, dhash
from relook.core.sources import read_file
from relook.encoders.builtin import BuiltinEncoder
from relook.library.picture_facts import embedded_words

T, R = TypeVar("T"), TypeVar("R")


@dataclass(frozen=True, slots=True)
class Arm:
    """One layout.

    Args:
        kind: "main encodes", "in flight" or "whole".
        batch: Pictures in one call of the tower.
        n_threads: Threads inside one call.
        spin: Whether the tower's idle threads spin.
        n_workers: Decoding threads, or workers of "whole".
    """

    kind: str
    batch: int = 16
    n_threads: int = 2
    spin: bool = False
    n_workers: int = 2

    def __str__(self) -> str:
        spin = ", spinning" if self.spin else ""
        return f"{self.kind}, batch {self.batch}, {self.n_threads} in a call{spin}"


ARMS = (
    Arm("main encodes"),
    Arm("main encodes", spin=True),
    Arm("main encodes", batch=8),
    Arm("main encodes", batch=32),
    Arm("main encodes", n_threads=1),
    Arm("in flight", n_threads=1),
    Arm("in flight", n_threads=1, batch=8),
    Arm("whole", n_threads=1, batch=8),
    Arm("whole", n_threads=1),
    Arm("whole", n_threads=1, batch=32),
)


def main() -> None:
    """Runs the experiment."""
    options = arguments()
    n = options.n or (384 if options.full else 96)
    rates: dict[Arm, list[float]] = {arm: [] for arm in ARMS}
    cpu_ms: dict[Arm, list[float]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory(prefix="relook-layouts-") as folder:
        paths = make_pictures(Path(folder), n, 500)
        pipelines = {arm: Pipeline(arm) for arm in ARMS}
        for turn in range(5 if options.full else 2):
            say(f"turn {turn + 1}")
            for arm, pipeline in pipelines.items():
                began, used = time.perf_counter(), time.process_time()
                pipeline.run(paths)
                rates[arm].append(n / (time.perf_counter() - began))
                cpu_ms[arm].append((time.process_time() - used) / n * 1e3)
    figures = [
        Figure(
            str(arm), max(rates[arm]), "pictures/s",
            note=f"median {np.median(rates[arm]):.1f}, CPU {min(cpu_ms[arm]):.2f} ms a picture",
        )
        for arm in ARMS
    ]  # fmt: skip
    report("layouts", figures, options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--n", type=int, help="how many pictures")
    return made.parse_args()


class Pipeline:
    """One arm, ready to run.

    Args:
        arm: Which.
    """

    def __init__(self, arm: Arm) -> None:
        self.arm, self.encoder = arm, BuiltinEncoder()
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = arm.n_threads
        settings.log_severity_level = 3
        settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(arm.spin)))
        self.tower = onnxruntime.InferenceSession(
            str(self.encoder.folder / "image.onnx"), settings, providers=["CPUExecutionProvider"]
        )

    def run(self, paths: list[Path]) -> None:
        """Encodes all pictures."""
        arm, tiles = self.arm, 0
        with ThreadPoolExecutor(arm.n_workers) as pool, ThreadPoolExecutor(2) as encoders:
            if arm.kind == "whole":
                work = _in_order(pool, self._whole, _batches(paths, arm.batch), 2 * arm.n_workers)
            else:
                ready = _in_order(pool, self._read, paths, 2 * arm.batch + arm.n_workers)
                batches = _batches(ready, arm.batch)
                one = arm.kind == "main encodes"
                work = map(self._encode, batches) if one else (
                    _in_order(encoders, self._encode, batches, 3)
                )  # fmt: skip
            tiles = sum(len(batch) for batch in work)
        assert tiles == len(paths)

    def _read(self, path: Path) -> np.ndarray:
        data = read_file(path)
        content_hash(data)
        picture = decode(data, self.encoder.input_px)
        embedded_words(picture)
        dhash(picture.image)
        return self.encoder.prepare(picture.image)

    def _encode(self, prepared: list[np.ndarray]) -> np.ndarray:
        tiles: np.ndarray = self.tower.run(None, {"pixels": np.stack(prepared)})[0]
        return tiles

    def _whole(self, paths: list[Path]) -> np.ndarray:
        return self._encode([self._read(path) for path in paths])


def _batches(items: Iterable[T], n: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(itertools.islice(rest, n)):
        yield batch


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], ahead: int
) -> Iterator[R]:
    """Results in the order of the items, at most `ahead` begun and not taken."""
    pending: collections.deque[Future[R]] = collections.deque()
    for item in items:
        pending.append(pool.submit(work, item))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


if __name__ == "__main__":
    main()
