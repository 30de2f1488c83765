"""How cost grows with the size of a library: measured at several sizes, then fitted.

For each size a synthetic library (see synthetic.py) is written and indexed; a fresh process
then opens it, asks words, and goes through rounds of feedback. Each cost is fitted as
a * n^b by least squares on logarithms, with b's 95% interval from resampling the runs; b is
near 0 for what does not grow and 1 for what grows as the library does. Search is fitted over
the sizes that have an index only: below them it is exact and grows as the library does.
Read it: one tile is one vector; an image has six.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from figures import Figure, parser, report, say
from synthetic import build_index, make_library, real_tiles, text_queries

from relook.core.settings import SearchSettings
from relook.encoders.builtin import BuiltinEncoder
from relook.library.files import LibraryFiles

TILES = 6
ROUNDS = 3
COSTS = {  # name -> (unit, what is said about it)
    "index build": ("s", ""),
    "index size": ("MiB", ""),
    "library size": ("MiB", "catalog, vectors, index"),
    "open": ("ms", "files only, imports and model left out"),
    "store, 20 tiles p50": ("ms", "the index and the exact rescoring"),
    "Library.search p50": ("ms", "words, index, records, folding"),
    "filter p50": ("ms", "a tenth of all paths, not asked before: the whole search"),
    "round p50": ("ms", "auto"),
    "private memory": ("MiB", "of the asking process, model and imports included"),
}


def main() -> None:
    """Runs the benchmark, or asks one library in this process."""
    options = arguments()
    if options.ask:
        print(json.dumps(ask(options.ask, options.n_queries)))
        return
    sizes = options.tiles or ([12_000, 60_000, 120_000, 300_000, 600_000, 1_000_000]
                              if options.full else [12_000, 60_000, 120_000, 240_000])  # fmt: skip
    encoder = BuiltinEncoder()
    say("encoding real pictures to draw from")
    drawn = real_tiles(encoder, options.pictures, 2500 if options.full else 400)
    runs = [one_size(encoder, drawn, n, options) for n in sizes]
    figures = [figure for n, run in zip(sizes, runs, strict=True) for figure in _measured(n, run)]
    report("growth", [*figures, *fits(sizes, runs)], options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--tiles", type=int, nargs="*", help="sizes, in tiles")
    made.add_argument("--n-queries", type=int, default=40)
    made.add_argument("--pictures", type=Path, help="photographs to draw vectors from")
    made.add_argument("--ask", type=Path, help=argparse.SUPPRESS)
    return made.parse_args()


def one_size(
    encoder: BuiltinEncoder, drawn: np.ndarray, n_tiles: int, options: argparse.Namespace
) -> dict[str, list[float]]:
    """Every cost of one size; a list has one value a repeat."""
    with tempfile.TemporaryDirectory(prefix="relook-growth-") as name:
        folder = Path(name, "library")
        say(f"writing {n_tiles:,} tiles")
        make_library(folder, encoder, drawn, -(-n_tiles // TILES))
        with LibraryFiles.open(folder) as files:
            began = time.perf_counter()
            if files.needs_index(SearchSettings()):
                build_index(files, encoder)
            build_s = time.perf_counter() - began
            ann = folder / "ann"
            n_index = sum(f.stat().st_size for f in ann.rglob("*")) if ann.is_dir() else 0
            sizes = {"index size": [n_index / 2**20], "library size": [files.n_bytes() / 2**20]}
        command = [sys.executable, __file__, "--ask", str(folder)]
        command += ["--n-queries", str(options.n_queries)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    asked: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return {"index build": [build_s] if n_index else [], **sizes, **asked}


def ask(folder: Path, n_queries: int) -> dict[str, list[float]]:
    """Opens a library and uses it, in this process."""
    from relook import Library  # after the time of opening the files is taken

    opened = []
    for _ in range(5):
        began = time.perf_counter()
        with LibraryFiles.open(folder) as files:
            _ = files.row_table
            opened.append((time.perf_counter() - began) * 1e3)
    queries = text_queries(n_queries)
    with Library(folder, encoder=BuiltinEncoder()) as library:
        words = library.engine.encoder.encode_texts(queries)
        library.search(queries[0])
        store = library.files.store(library.search_settings)
        stored = [_ms(lambda word=word: store.search(word[None], 20)) for word in words]
        searched = [_ms(lambda query=query: library.search(query)) for query in queries]
        patterns = [f"*{number}.jpg" for number in range(10)]  # how a file's number ends
        filtered = [_ms(lambda path=path: library.search(queries[0], path=path))
                    for path in patterns]  # fmt: skip
        rounds = [one for query in queries[:8] for one in _rounds(library, query)]
        return {
            "open": opened,
            "store, 20 tiles p50": stored,
            "Library.search p50": searched,
            "filter p50": filtered,
            "round p50": rounds[ROUNDS:],
            "private memory": [_private_mib()],
        }


def _rounds(library: "Library", query: str) -> list[float]:  # noqa: F821
    drawn = np.random.default_rng(0)
    session = library.look(query, limit=10)
    page, taken = session.page, []
    for _ in range(ROUNDS):
        for hit in page.hits:
            session.judge(hit.image_id, relevant=bool(drawn.random() < 0.4))
        began = time.perf_counter()
        page = session.again()
        taken.append((time.perf_counter() - began) * 1e3)
    return taken


def _ms(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return (time.perf_counter() - began) * 1e3


def _private_mib() -> float:
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise OSError("no RssAnon in /proc/self/status: this benchmark needs Linux")


def _measured(n: int, run: dict[str, list[float]]) -> list[Figure]:
    return [
        Figure(f"{n:,} tiles: {name}", float(np.median(run[name])), unit, note=note)
        for name, (unit, note) in COSTS.items()
        if run[name]
    ]


def fits(sizes: Sequence[int], runs: Sequence[dict[str, list[float]]]) -> list[Figure]:
    """The exponent of each cost, over the sizes that have an index."""
    have = [at for at, run in enumerate(runs) if run["index build"]]
    if len(have) < 2:
        return [Figure("exponents", None, note="needs two sizes that have an index")]
    figures = []
    for name in COSTS:
        n = np.log([sizes[at] for at in have])
        random = np.random.default_rng(0)
        slopes = [
            np.polyfit(n, np.log([np.median(_resampled(runs[at][name], random)) for at in have]), 1)
            for _ in range(400)
        ]
        b = np.polyfit(n, np.log([np.median(runs[at][name]) for at in have]), 1)[0]
        low, high = np.quantile([slope[0] for slope in slopes], [0.025, 0.975])
        note = f"95% {low:.2f} to {high:.2f}; twice the tiles cost {2**b:.2f} times as much"
        figures.append(Figure(f"growth of {name}: exponent", float(b), note=note))
    return figures


def _resampled(values: Sequence[float], random: np.random.Generator) -> np.ndarray:
    return random.choice(np.asarray(values), len(values))


if __name__ == "__main__":
    main()
