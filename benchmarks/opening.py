"""A library of 1,000,000 images: opening, filtering, what indexing reads first, the backup.

Measures, each in a process of its own: `LibraryFiles.open` with what the catalog says of every
image, the first time and when the row table is kept beside it; filters; what a run of indexing
loads before it reads a picture; memory; a backup of the catalog, checked and synced.
Baseline in the same run: the row table as Python tuples, as SQLite's module gives it.
Read it: the catalog is real, the vectors are a file of nothing that takes no disk: opening must
not read them. Times are of warm files.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, parser, report, say

from relook.encoders.builtin import BuiltinEncoder
from relook.library.files import LibraryFiles

_PROBE = """
import json, os, resource, sys, time
from pathlib import Path
from relook.library.files import LibraryFiles
from relook.search.filtering import allowed_rows
found = {}
def timed(name, run):
    began, used = time.perf_counter(), time.process_time()
    value = run()
    found[name] = (time.perf_counter() - began) * 1e3
    found[name + " cpu"] = (time.process_time() - used) * 1e3
    return value
def rss():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = rss()
files = timed("open", lambda: LibraryFiles.open(Path(sys.argv[1])))
found["memory"] = rss() - before
what = sys.argv[2]
if what == "filters":
    timed("path", lambda: files.catalog.matching({}, "picture-0012"))
    timed("metadata", lambda: files.catalog.matching({"title": "*lake*"}, None))
elif what in ("typed", "paths"):
    month = {"taken_at>=": "2019-07", "taken_at<": "2019-08"}
    every = [({}, pattern) for pattern in sys.argv[3:]] or [(where, None) for where in (
        month, {"taken_at>=": "2010"},
        {"rating>=": "4"}, {"camera": "*nikon d7*"}, {"place~": "48.85,2.35,50km"},
        {"folder": "*folder-01*"}, {"taken_at>=": "2015", "camera": "*nikon*", "rating>=": "1"},
    )]
    timed("cold", lambda: allowed_rows(files, *every[0]))
    found["warm"] = found["warm cpu"] = 0.0
    for where, path in every:
        files.derived.pop("allowed rows", None)
        name = f"now {path}"
        timed(name, lambda: allowed_rows(files, where, path))
        found["warm"] = max(found["warm"], found[name])
        found["warm cpu"] = max(found["warm cpu"], found[name + " cpu"])
    found["memory"] = rss() - before
elif what == "keywords":
    timed("cold", lambda: allowed_rows(files, {"keywords": "boat*"}, None))
    timed("warm", lambda: allowed_rows(files, {"keywords": "lake 7*"}, None))
elif what == "facets":
    from relook.search.facets import count_facets
    timed("cold", lambda: count_facets(files, {}, None))
    narrowed = {"keywords": "boat 3", "taken_at>=": "2010"}
    timed("warm", lambda: count_facets(files, narrowed, None))
elif what == "indexing":
    from relook.library.known import load_known
    timed("facts", lambda: load_known(files.catalog))
    found["memory"] = rss() - before
elif what == "backup":
    for _ in range(3):
        timed("backup", files.backup.make)
    found["MB"] = files.catalog.path.stat().st_size / 1e6
elif what == "tuples":
    sql = "SELECT first_row, n_tiles, image_id FROM images ORDER BY first_row"
    timed("tuples", lambda: files.catalog.ask(sql))
print(json.dumps(found))
"""
_BLOCK = 50_000
# A rare text, one in every name, one in every folder, one of some folders, one across the last
# `/`, several pieces; last the hardest: short pieces that most names have.
_PATHS = (
    "0012345", "picture-", "picture", "folder-0123", "-0123/picture-01234", "*/folder-01*7.jpg",
    "*2*4*",
)  # fmt: skip


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    n_images = options.n_images or (1_000_000 if options.full else 200_000)
    with tempfile.TemporaryDirectory(prefix="relook-opening-") as folder:
        library = Path(folder, "library")
        say(f"writing a catalog of {n_images:,} images")
        make(library, n_images)
        report("opening", measure(library, n_images), options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--n-images", type=int)
    return made.parse_args()


def make(folder: Path, n_images: int, n_tiles: int = 6) -> None:
    """A library of images with metadata, whose vectors are a hole in a file."""
    encoder = BuiltinEncoder()
    boxes = encoder.tiles_for(1, 1)[:n_tiles]
    with LibraryFiles.create(folder, "builtin", encoder.fingerprint) as files:
        with (folder / "vectors.f16").open("wb") as file:
            file.truncate(n_images * len(boxes) * encoder.dim * 2)
        for start in range(0, n_images, _BLOCK):
            stop = min(start + _BLOCK, n_images)
            with files.catalog.transaction() as db:
                tiling = files.catalog.tiling_id(db, boxes)
                db.executemany(
                    "INSERT INTO images (path, size_bytes, mtime_ns, content, width_px, height_px,"
                    " format, dhash, first_row, n_tiles, tiling_id, title, caption, metadata,"
                    " added_s) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                    (_row(number, len(boxes), tiling) for number in range(start, stop)),
                )
                files.catalog.bump(db, stop * len(boxes))


def _row(number: int, n_tiles: int, tiling: int) -> tuple[object, ...]:
    path = b"/pictures/folder-%04d/picture-%07d.jpg" % (number // 1000, number)
    month, day, hour = 1 + number % 12, 1 + number % 28, number % 24
    known: dict[str, object] = {
        "camera_make": "Nikon", "camera": f"Nikon D{number % 50}",
        "keywords": f"lake {number % 997}, boat {number % 31}, {number % 7919}",
        "taken_at": f"{2000 + number % 25}-{month:02}-{day:02}T{hour:02}:30:00+02:00",
    }  # fmt: skip
    if number % 3 == 0:
        known |= {"latitude": number * 7 % 120 - 60.0, "longitude": number * 13 % 360 - 180.0}
    if number % 4 == 0:
        known["rating"] = 1 + number % 5
    facts = json.dumps(known)
    return (
        path, 100_000 + number, number, number.to_bytes(16, "big"), 500, 375, "JPEG",
        (number * 0x9E3779B97F4A7C15) % 2**63, number * n_tiles, n_tiles, tiling, "",
        f"picture number {number}", facts, time.time(),
    )  # fmt: skip


def measure(library: Path, n_images: int) -> list[Figure]:
    """All figures."""
    first, kept = _probe(library, "open"), _probe(library, "open")
    filters, indexing = _probe(library, "filters"), _probe(library, "indexing")
    for what in ("typed", "keywords"):
        _probe(library, what)  # makes the files of the columns
    gathered = _probe(library, "paths")
    typed, keywords = _probe(library, "typed"), _probe(library, "keywords")
    facets, paths = _probe(library, "facets"), _probe(library, "paths")
    tuples, backup = _probe(library, "tuples"), _probe(library, "backup")
    cpu = "{:.0f} ms of processor time"
    return [
        Figure("images", n_images),
        Figure("open, row table read from the catalog", first["open"], "ms",
               note=cpu.format(first["open cpu"])),
        Figure("open, row table kept", kept["open"], "ms", at_most=1000,
               note=cpu.format(kept["open cpu"])),
        Figure("  memory it takes", kept["memory"], "MiB"),
        Figure("baseline: the row table as tuples", tuples["tuples"], "ms",
               note=cpu.format(tuples["tuples cpu"])),
        Figure("baseline: filter by path, as the catalog compares", filters["path"], "ms",
               note=cpu.format(filters["path cpu"])),
        Figure("filter by path, the first of a process", paths["cold"], "ms", at_most=200,
               note=cpu.format(paths["cold cpu"])),
        Figure("  where they are gathered first", gathered["cold"], "ms",
               note=cpu.format(gathered["cold cpu"])),
        *(Figure(f"  a later one, {pattern!r}", paths[f"now {pattern}"], "ms",
                 at_most=None if pattern == _PATHS[-1] else 50,
                 note=cpu.format(paths[f"now {pattern} cpu"])) for pattern in _PATHS),
        Figure("  memory with the paths", paths["memory"], "MiB"),
        Figure("filter by a field without a column, the first time", filters["metadata"], "ms",
               note=cpu.format(filters["metadata cpu"])),
        Figure("filter by keywords, the first of a process", keywords["cold"], "ms", at_most=200,
               note=cpu.format(keywords["cold cpu"])),
        Figure("  a later one", keywords["warm"], "ms", at_most=50,
               note=cpu.format(keywords["warm cpu"])),
        Figure("what there is, counted for the page, the first of a process", facets["cold"], "ms",
               note=cpu.format(facets["cold cpu"])),
        Figure("  later, narrowed by a keyword and a year", facets["warm"], "ms", at_most=200,
               note=cpu.format(facets["warm cpu"])),
        Figure("filter by time, place, camera, rating or folder, the first of a process",
               typed["cold"], "ms", at_most=200, note=cpu.format(typed["cold cpu"])),
        Figure("  the slowest of seven later ones, each asked for the first time",
               typed["warm"], "ms", at_most=50, note=cpu.format(typed["warm cpu"])),
        Figure("  memory with the columns", typed["memory"], "MiB"),
        Figure("what indexing knows of the files before", indexing["facts"], "ms",
               note=cpu.format(indexing["facts cpu"])),
        Figure("  memory with it", indexing["memory"], "MiB"),
        Figure("a backup of the catalog", backup["backup"], "ms",
               note=f"of {backup['MB']:.0f} MB; " + cpu.format(backup["backup cpu"])),
    ]  # fmt: skip


def _probe(library: Path, what: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, str(library), what, *(_PATHS if what == "paths" else ())],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
