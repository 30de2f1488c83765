"""Memory and disk of a library of 100,000 pictures, tiles included.

Measures, each in a fresh process: the peak of `relook index` when it adds one picture and builds
the index of everything, the peak and the time of opening and searching, and the size on disk.
Baseline in the same run: the same process with an empty library (interpreter, ONNX Runtime,
FAISS and the towers), and what the vectors alone would take as float32.
Read it: peaks are the process's largest resident set, mapped file pages included, though the
system may drop those at any time. The library is synthetic (see synthetic.py).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import Figure, parser, report, say
from photographs import make_pictures
from synthetic import make_library, real_tiles

from relook.encoders.builtin import BuiltinEncoder
from relook.library.files import LibraryFiles

LIMIT_MIB = 1024
# What the fresh processes run; each prints one JSON object. The peak is VmHWM (Linux): what
# getrusage tells a new process contains the peak of the one that started it.
HEAD = """
import json, sys, time
from pathlib import Path
from relook import Library
def peak_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
began = time.perf_counter()
"""
ADD = (
    HEAD
    + """
with Library(sys.argv[1]) as library:
    library.add(sys.argv[2])
print(json.dumps({"peak_mib": peak_mib(), "seconds": time.perf_counter() - began}))
"""
)
SEARCH = (
    HEAD
    + """
with Library(sys.argv[1]) as library:
    library.files.row_table
    opened_ms = (time.perf_counter() - began) * 1e3
    library.search("a dog on a beach")
    first_ms = (time.perf_counter() - began) * 1e3
    for word in ("cat", "horse", "boat", "snow", "church", "violin", "truck", "baby", "child"):
        library.search(f"a {word}")
print(json.dumps({"peak_mib": peak_mib(), "opened_ms": opened_ms, "first_ms": first_ms}))
"""
)


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="relook-memory-") as name:
        folder = Path(name)
        report("memory", measure(folder, options.n_images), options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--n-images", type=int, default=100_000)
    return made.parse_args()


def measure(folder: Path, n_images: int) -> list[Figure]:
    """All figures, in the order of a library's life."""
    encoder = BuiltinEncoder()
    tiles = real_tiles(encoder, None, 300)
    say(f"writing {n_images:,} images")
    make_library(folder / "library", encoder, tiles, n_images)
    pictures = make_pictures(folder / "pictures", 2, 500)
    say("adding one picture, which builds the index")
    added = _fresh(ADD, folder / "library", pictures[0])
    say("adding one picture to an empty library")
    alone = _fresh(ADD, folder / "empty", pictures[0])
    say("opening and searching")
    found = _fresh(SEARCH, folder / "library")
    base = _fresh(SEARCH, folder / "empty")
    with LibraryFiles.open(folder / "library") as files:
        n_bytes, n_rows, dim = files.n_bytes(), len(files.vectors), files.vectors.dim
    return [
        Figure("images", n_images),
        Figure("vectors", n_rows),
        Figure("index: peak", added["peak_mib"], "MiB", at_most=LIMIT_MIB),
        Figure("  baseline: empty library", alone["peak_mib"], "MiB"),
        Figure("  wall time", added["seconds"], "s", note="one picture and the whole index"),
        Figure("open and search: peak", found["peak_mib"], "MiB", at_most=LIMIT_MIB),
        Figure("  baseline: empty library", base["peak_mib"], "MiB"),
        Figure("  library open after", found["opened_ms"], "ms", note="imports included"),
        Figure("  first page after", found["first_ms"], "ms", note="imports, model and index"),
        Figure("on disk", n_bytes / 1024**2, "MiB", note="catalog, vectors, index"),
        Figure("  baseline: vectors as float32", n_rows * dim * 4 / 1024**2, "MiB"),
    ]


def _fresh(program: str, *arguments: Path) -> dict[str, float]:
    """What a program says that runs in a process of its own."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    main()
