"""Memory and time of exporting a library of 1,000,000 images, and of reading it back.

Measures `relook export faiss|npy|parquet` on a synthetic library (random unit vectors, one a
picture), and reading the FAISS files row by row with their paths, each in a fresh process.
Baseline in the same run: the same process with the library open and nothing done.
Read it: peaks are memory of the process's own (RssAnon, sampled every 10 ms); mapped pages of
the vectors, which the system may drop at any time, are left out. Opening reads the table of all
rows at once, which is the baseline's peak. Linux only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from figures import Figure, parser, report, say

from relook.core.types import WHOLE
from relook.encoders.base import Fingerprint
from relook.exchange.export import NewImages
from relook.library.commit import Entry
from relook.library.files import LibraryFiles
from relook.library.lock import WriterLock
from relook.library.records import FileFacts, ImageRecord

DIM = 512
LIMIT_MIB = 512
PROGRAM = """
import json, sys, threading, time
from pathlib import Path
from relook.exchange import export, faiss_import
from relook.library.files import LibraryFiles

def own_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

peak = 0.0
def watch():
    global peak
    while True:
        peak = max(peak, own_mib())
        time.sleep(0.01)

threading.Thread(target=watch, daemon=True).start()
what, library, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
began = time.perf_counter()
if what == "read":
    for paths, vectors in faiss_import.FaissFolder(out).entries():
        pass
else:
    with LibraryFiles.open(library) as files:
        if what == "open":
            time.sleep(0.1)
        else:
            peak, began = 0.0, time.perf_counter()
            getattr(export, f"export_{what}")(files, out / what)
print(json.dumps({"peak_mib": peak, "seconds": time.perf_counter() - began}))
"""


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="relook-exchange-") as name:
        report("exchange", measure(Path(name), options.n_images), options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--n-images", type=int, default=1_000_000)
    return made.parse_args()


def measure(folder: Path, n_images: int) -> list[Figure]:
    """All figures."""
    say(f"writing {n_images:,} images")
    make(folder / "library", n_images)
    opened = _fresh("open", folder)
    figures = [
        Figure("images", n_images),
        Figure("open library: peak", opened["peak_mib"], "MiB", note="baseline"),
    ]
    for what in ("faiss", "npy", "parquet"):
        say(f"exporting {what}")
        found = _fresh(what, folder)
        peak = found["peak_mib"]
        figures.append(Figure(f"export {what}: peak", peak, "MiB", at_most=LIMIT_MIB))
        figures.append(Figure("  wall time", found["seconds"], "s"))
    say("reading the FAISS files")
    read = _fresh("read", folder, folder / "faiss")
    figures.append(Figure("read faiss: peak", read["peak_mib"], "MiB", at_most=LIMIT_MIB))
    figures.append(Figure("  wall time", read["seconds"], "s"))
    return figures


def make(folder: Path, n_images: int) -> None:
    """A library of that many images, one random unit vector each; no picture file is there."""
    rng = np.random.default_rng(7)
    fingerprint = Fingerprint("random", "1", "none", "none", DIM, "float32")
    with LibraryFiles.create(folder, "random", fingerprint) as files, WriterLock(folder):
        writer = NewImages(files, lambda _: (WHOLE,))
        for start in range(0, n_images, 10_000):
            n = min(10_000, n_images - start)
            rows = rng.standard_normal((n, 1, DIM), np.float32)
            rows /= np.linalg.norm(rows, axis=2, keepdims=True)
            images = [image(number) for number in range(start, start + n)]
            writer.commit([Entry(*pair) for pair in zip(images, rows, strict=True)], [])


def image(number: int) -> ImageRecord:
    """What the catalog keeps of one picture, as long as it usually is."""
    path = f"/pictures/of/somebody/{number // 1000:05}/photograph-{number:08}.jpg".encode()
    facts = FileFacts(path, 100_000, 1)
    content = number.to_bytes(16, "little")
    caption = "a caption of about fifty characters, as they are"
    return ImageRecord(facts, content, 640, 480, "JPEG", number, caption=caption)


def _fresh(what: str, folder: Path, out: Path | None = None) -> dict[str, float]:
    """What the program says, run in a process of its own."""
    places = (folder / "library", out or folder)
    command = [sys.executable, "-c", PROGRAM, what, *map(str, places)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    main()
