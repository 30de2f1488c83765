"""Whole processes from nothing: what one command costs a person who types it.

Measures: wall time and CPU time of `relook search "..." --json` and of `import relook`, each as a
new process, n times. Baseline in the same run: an interpreter that does nothing.
Read it: the median is what a person waits; the minimum and the CPU time are what is left when
other work on the machine is taken away. The files are in the page cache (cold process, warm
disk). With --full a library of 200,000 vectors, which needs its index, is searched as well.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import Figure, parser, report, say
from photographs import make_pictures
from synthetic import build_index, make_library, real_tiles

from relook import Library
from relook.encoders.builtin import BuiltinEncoder


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    n = options.n or (20 if options.full else 7)
    with tempfile.TemporaryDirectory(prefix="relook-cold-") as folder:
        small = Path(folder, "small")
        say("indexing 60 pictures")
        with Library(small) as library:
            library.add(*make_pictures(Path(folder, "pictures"), 60, 500))
        commands = {
            "python -c pass (baseline)": ([sys.executable, "-c", "pass"], None),
            "import relook": ([sys.executable, "-c", "import relook"], 150.0),
            "relook search, 60 pictures": (search(small), 1000.0),
        }
        if options.full:
            large = Path(folder, "large")
            _make_large(large)
            commands["relook search, 200,000 vectors"] = (search(large), 1000.0)
        figures = []
        for name, (command, target) in commands.items():
            say(name)
            figures += measure(name, command, n, target)
    report("cold", figures, options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--n", type=int, help="runs of each command")
    return made.parse_args()


def search(library: Path) -> list[str]:
    """The command that searches a library, as installed beside this interpreter."""
    beside = Path(sys.executable).with_name("relook")
    relook = [str(beside)] if beside.exists() else [sys.executable, "-m", "relook"]
    return [*relook, "search", "a cat on a sofa", "--library", str(library), "--json"]


def measure(name: str, command: list[str], n: int, target_ms: float | None) -> list[Figure]:
    """Median, minimum and CPU time of a command, after one run that does not count."""
    wall, cpu = np.empty(n), np.empty(n)
    _run(command)
    for at in range(n):
        wall[at], cpu[at] = _run(command)
    return [
        Figure(f"{name}: median", float(np.median(wall)), "ms", at_most=target_ms),
        Figure("  minimum", float(wall.min()), "ms"),
        Figure("  CPU, median", float(np.median(cpu)), "ms"),
    ]


def _run(command: list[str]) -> tuple[float, float]:
    """Wall and CPU milliseconds of one process."""
    before = _child_cpu_s()
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
    return (time.perf_counter() - began) * 1e3, (_child_cpu_s() - before) * 1e3


def _child_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _make_large(folder: Path) -> None:
    say("writing a library of 200,000 vectors")
    encoder = BuiltinEncoder()
    make_library(folder, encoder, real_tiles(encoder, None, 300), 33_334)
    with Library(folder, encoder=encoder) as library:
        build_index(library.files, encoder)


if __name__ == "__main__":
    main()
