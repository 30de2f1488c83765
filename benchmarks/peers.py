"""The same vectors in our store and in other engines: build, latency, recall, memory, disk.

Every engine is built in one process and asked in another, over one file of clustered unit
vectors (as fp16), with queries around the same centres. recall@20 is against brute force. An engine
that can look further is asked with growing depths, and timed with the first that finds .99.
Memory is what the process took for itself (private, from /proc) after the queries, less what it
had before the engine was opened; a mapped file does not count, what is copied out of it does.
An engine that is not installed gets a line that says so: `pip install usearch hnswlib lancedb
qdrant-edge-py pymilvus milvus-lite turbovec scalable-vs` brings all of them.
Read it: parameters are each engine's documented defaults, except where a line names them; compare
latencies only at like recall. On a busy machine look at the CPU time, and at ratios within one run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import Figure, parser, report, say
from peer_engines import ENGINES

from relook.core.vectors import singles

K = 20
RECALL = 0.99


def main() -> None:
    """Runs the benchmark, or one engine of it in this process."""
    options = arguments()
    if options.engine:
        phase = _build if options.phase == "build" else _ask
        print(json.dumps(phase(options.engine, options.data)))
        return
    figures = []
    for n in options.rows or ([10_000, 100_000, 1_000_000] if options.full else [10_000, 100_000]):
        with tempfile.TemporaryDirectory(prefix="relook-peers-", dir=options.folder) as folder:
            say(f"making {n:,} vectors")
            make_data(Path(folder), n, options.dim, options.queries)
            for name in options.only or ENGINES:
                say(f"{name}, {n:,} vectors")
                figures += _figures(name, n, Path(folder), options.timeout_s)
    report("peers", figures, options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--rows", type=int, nargs="*", help="numbers of vectors")
    made.add_argument("--dim", type=int, default=512)
    made.add_argument("--queries", type=int, default=200)
    made.add_argument("--only", nargs="*", choices=list(ENGINES), help="these engines only")
    made.add_argument("--folder", type=Path, help="where files go for a while; a temporary one")
    made.add_argument("--timeout-s", type=float, default=1800, help="of one engine")
    made.add_argument("--engine", help=argparse.SUPPRESS)
    made.add_argument("--phase", choices=("build", "ask"), help=argparse.SUPPRESS)
    made.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    return made.parse_args()


def make_data(folder: Path, n: int, dim: int, n_queries: int) -> None:
    """Writes vectors.npy [n, d], queries.npy [q, d] and the right answers [q, k].

    Rows scatter around n / 100 centres as tiles of like pictures do; queries around the same
    centres, so they are near rows and equal to none.
    """
    random = np.random.default_rng(17)
    centres = random.standard_normal((max(n // 100, 16), dim), np.float32)
    rows = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float16, (n, dim))
    for start in range(0, n, 50_000):
        stop = min(start + 50_000, n)
        rows[start:stop] = _around(centres, stop - start, random)
    queries = _around(centres, n_queries, random)
    np.save(folder / "queries.npy", queries)
    np.save(folder / "answers.npy", _answers(rows, queries))


def _around(centres: np.ndarray, n: int, random: np.random.Generator) -> np.ndarray:
    chosen = centres[random.integers(0, len(centres), n)]
    noisy = chosen + 0.8 * random.standard_normal(chosen.shape, np.float32)
    return np.asarray(noisy / np.linalg.norm(noisy, axis=1, keepdims=True))


def _answers(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """[q, k] the best rows of each query, by brute force in blocks."""
    best = np.zeros((len(queries), 0), np.int64)
    scores = np.zeros((len(queries), 0), np.float32)
    for start in range(0, len(rows), 100_000):
        block = queries @ singles(rows[start : start + 100_000]).T  # [q, b]
        found = np.argpartition(-block, min(K, block.shape[1] - 1), axis=1)[:, :K]
        scores = np.hstack([scores, np.take_along_axis(block, found, axis=1)])
        best = np.hstack([best, found + start])
        order = np.argsort(-scores, axis=1)[:, :K]
        scores, best = (np.take_along_axis(kept, order, axis=1) for kept in (scores, best))
    return best


def _build(name: str, folder: Path) -> dict[str, float]:
    """Builds one engine's files in this process."""
    place = folder / name
    place.mkdir()
    began = time.perf_counter()
    ENGINES[name](place).build(np.load(folder / "vectors.npy", mmap_mode="r"))  # [n, d] halves
    build_s = time.perf_counter() - began
    n_bytes = sum(f.stat().st_size for f in place.rglob("*") if f.is_file())
    return {"build_s": build_s, "build_cpu_s": time.process_time(), "disk_mib": n_bytes / 1024**2}


def _ask(name: str, folder: Path) -> dict[str, float]:
    """Opens what `_build` wrote and asks it, in this process."""
    queries, answers = np.load(folder / "queries.npy"), np.load(folder / "answers.npy")
    engine = ENGINES[name](folder / name)
    before = _private_mib()
    began = time.perf_counter()
    engine.open()
    open_s = time.perf_counter() - began
    for depth in engine.depths:
        engine.depth = depth
        asked = [engine.search(query, K) for query in queries]
        right = sum(len(np.intersect1d(*two)) for two in zip(asked, answers, strict=True))
        if right / answers.size >= RECALL:
            break
    taken, cpu_began = [], time.process_time()
    for query in queries:
        began = time.perf_counter()
        engine.search(query, K)
        taken.append((time.perf_counter() - began) * 1e3)
    return {
        "open_s": open_s,
        "p50_ms": float(np.median(taken)),
        "p95_ms": float(np.quantile(taken, 0.95)),
        "least_ms": float(np.min(taken)),
        "cpu_ms": (time.process_time() - cpu_began) / len(queries) * 1e3,
        "recall": right / answers.size,
        "depth": depth,
        "private_mib": _private_mib() - before,
    }


def _private_mib() -> float:
    """Anonymous memory of this process, in MiB."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise OSError("no RssAnon in /proc/self/status: this benchmark needs Linux")


def _figures(name: str, n: int, folder: Path, timeout_s: float) -> list[Figure]:
    """Runs one engine in a process of its own; one line that says why when it cannot."""
    label, got = f"{n:,} {name}", {}
    for phase in ("build", "ask"):
        command = [sys.executable, __file__, "--engine", name, "--data", str(folder)]
        try:
            done = subprocess.run(
                [*command, "--phase", phase],
                capture_output=True, text=True, timeout=timeout_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return [Figure(f"{label}: p50", None, note=f"{phase} not done after {timeout_s:g} s")]
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return [Figure(f"{label}: p50", None, note=f"{phase}: {said}"[:160])]
        got |= json.loads(done.stdout.splitlines()[-1])
    settings = ENGINES[name].settings.format(depth=got["depth"])
    return [
        Figure(f"{label}: p50", got["p50_ms"], "ms", note=settings),
        Figure(f"{label}: least", got["least_ms"], "ms"),
        Figure(f"{label}: CPU a query", got["cpu_ms"], "ms", note="of all threads"),
        Figure(f"{label}: p95", got["p95_ms"], "ms"),
        Figure(f"{label}: recall@{K}", got["recall"]),
        Figure(f"{label}: build", got["build_s"], "s", note=f"CPU {got['build_cpu_s']:.0f} s"),
        Figure(f"{label}: open", got["open_s"], "s"),
        Figure(f"{label}: private memory", got["private_mib"], "MiB"),
        Figure(f"{label}: disk", got["disk_mib"], "MiB"),
    ]


if __name__ == "__main__":
    main()
