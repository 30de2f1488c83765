"""Word queries over a library of 200,000 tiles, in a warm process; `--rows` for another size.

Measures: p50 and p95 of `Library.search` (encode the words, search, group tiles to images, fold,
read the records), its parts, and recall@20: how many of the 20 best tiles, and of the 20 best
images, the search finds, for words and for tiles of the library. In a process of its own: opening
the library, the first search, and the memory that is the process's alone. Filters; the index
growing by a fiftieth.
Baselines in the same run: a flat float32 FAISS index and numpy brute force, both exact, which
also say what the right answers are; our own index asked by FAISS's Python layer with the same
parameters and its shortlist scored from memory, which says what our side costs; with
`--others`, IVF over 8-bit codes and HNSW (which takes long to build).
Read it: the library is synthetic (see synthetic.py) but the queries are real words through the
text tower. Words lie far from picture tiles in the space, which is where indexes lose recall.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
from figures import Figure, parser, report, say, times_ms
from synthetic import build_index, make_library, real_tiles, text_queries

from relook import Library
from relook.app.upkeep import measure_recall, sample_tiles
from relook.encoders.builtin import BuiltinEncoder
from relook.library.records import FileFacts, ImageRecord
from relook.search.filtering import Filter
from relook.stores.ivf_files import open_centres, open_directions, open_segment

TILES = 6
N_BEST = 20
_OPENING = """
import json, sys, time
from pathlib import Path
import numpy as np
from relook.core.settings import SearchSettings
from relook.library.files import LibraryFiles
from relook.stores.faiss_store import FaissStore
def private():
    with open("/proc/self/smaps_rollup") as file:
        kept = dict(line.split()[:2] for line in file if line.startswith("Private_Dirty"))
    return int(kept["Private_Dirty:"]) / 1024
queries = np.load(sys.argv[2])
before = private()
began = time.perf_counter()
files = LibraryFiles.open(Path(sys.argv[1]))
opened = time.perf_counter()
store = files.store(SearchSettings())
store.search(queries[:1], 20)
first = time.perf_counter()
for query in queries:
    store.search(query[None], 20)
    store.search(query[None], 200)
print(json.dumps([(opened - began) * 1e3, (first - began) * 1e3, private() - before]))
"""


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    encoder = BuiltinEncoder()
    with tempfile.TemporaryDirectory(prefix="relook-search-") as folder:
        say("encoding real pictures to draw from")
        tiles = real_tiles(encoder, options.pictures, 2500 if options.full else 400)
        say(f"writing a library of {options.rows:,} tiles")
        n_images = options.n_images or -(-options.rows // TILES)
        make_library(Path(folder, "library"), encoder, tiles, n_images)
        queries = text_queries(200 if options.full else 100)
        with Library(Path(folder, "library"), encoder=encoder) as library:
            figures = measure(library, encoder, queries, others=options.others)
    report("search", figures, options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--rows", type=int, default=200_000, help="tiles of the library")
    made.add_argument("--n-images", type=int, help="images, with six tiles each, instead")
    made.add_argument("--others", action="store_true", help="also IVF,SQ8 and HNSW of FAISS")
    made.add_argument("--pictures", type=Path, help="photographs to draw vectors from")
    return made.parse_args()


def measure(
    library: Library, encoder: BuiltinEncoder, queries: list[str], *, others: bool
) -> list[Figure]:
    """All figures of one library."""
    files = library.files
    say("building the index")
    began = time.perf_counter()
    build_index(files, encoder, _say_stage)
    build_s = time.perf_counter() - began
    vectors = files.vectors.block(0, len(files.vectors))  # [n, d]
    words = encoder.encode_texts(queries)  # [q, d]
    tiles = sample_tiles(files, len(queries))
    say(f"asking {len(queries)} queries")
    return [
        Figure("vectors", len(vectors)),
        Figure("index build", build_s, "s"),
        Figure("index size", _index_bytes(library) / 1024**2, "MiB"),
        *_whole(library, queries),
        *_parts(library, encoder, queries, words),
        *_recall(library, vectors, words),
        *_of_tiles(library, tiles),
        *_filtered(library, words),
        *_raw(library, words),
        *_opening(library, words),
        *_baselines(vectors, words),
        *(_others(vectors, words) if others else []),
        *_growing(library),
    ]


def _say_stage(stage: str, done: int, total: int) -> None:
    if done in (0, total):
        say(f"{stage} {done:,}/{total:,}")


def _of_tiles(library: Library, tiles: np.ndarray) -> list[Figure]:
    """Queries that lie among the vectors, as those of `similar` do."""
    store = library.files.store(library.search_settings)
    found = measure_recall(library.files, store, tiles)
    return [
        Figure("tiles as queries: store, 20 tiles p50", found.p50_ms, "ms", at_most=3),
        Figure("  recall@20", found.mean, at_least=0.99),
    ]


def _filtered(library: Library, words: np.ndarray) -> list[Figure]:
    """Pages behind filters that let a half, a tenth and a thousandth of the images through."""
    engine, n_images = library.engine, len(library.files.row_table)
    figures = []
    for share in (2, 10, 1000):
        without = frozenset(range(1, n_images // 100)) if share == 2 else frozenset()
        pattern = {2: "*[02468].jpg", 10: "*0.jpg", 1000: "*000.jpg"}[share]
        only = Filter(path=pattern if share > 2 else "*", without=without)
        engine.rank(words[0], N_BEST, only)
        asked = [lambda word=word, only=only: engine.rank(word, N_BEST, only) for word in words]
        n_hits = min(len(engine.rank(word, N_BEST, only)) for word in words[:10])
        name = "all but 1%" if share == 2 else f"one in {share:,}"
        note = f"{n_hits} hits at least"
        figures.append(
            Figure(f"filter, {name}: rank p50", float(np.median(_each(asked))), "ms", note=note)
        )
    return figures


def _raw(library: Library, words: np.ndarray) -> list[Figure]:
    """What our side costs beside FAISS with the same lists and shortlist."""
    store = library.files.store(library.search_settings)
    (segment,) = store.card.segments
    ann = library.folder / "ann"
    directions = open_directions(ann, store.card.directions)  # [d, k]
    raw, centres = open_segment(ann, segment), faiss.IndexFlatIP(directions.shape[1])
    centres.add(open_centres(ann, store.card).centres @ directions)
    raw.own_fields, raw.quantizer = False, centres
    probes, vectors = store.card.probes, library.files.vectors
    n = min(len(vectors), raw.ntotal)
    halves = vectors.halves(slice(0, n))
    wanted = faiss.SearchParametersIVF(nprobe=probes.far_lists)

    def ask(word: np.ndarray) -> None:
        _, rows = raw.search(word[None] @ directions, probes.far_short, params=wanted)
        scores = halves[rows[0]].astype(np.float32) @ word
        np.argpartition(-scores, N_BEST)

    theirs = float(np.median(_each([lambda word=word: ask(word) for word in words])))
    ours = float(
        np.median(_each([lambda word=word: store.search(word[None], N_BEST) for word in words]))
    )
    note = f"{probes.far_lists} of {store.card.n_lists} lists, shortlist {probes.far_short}"
    return [
        Figure("words: store, 20 tiles p50", ours, "ms", at_most=3),
        Figure("  the same index asked by FAISS alone p50", theirs, "ms", note=note),
        Figure("  ours / theirs", ours / theirs, "x", at_most=1.2),
    ]


def _opening(library: Library, words: np.ndarray) -> list[Figure]:
    """In a process of its own, which needs /proc."""
    if not Path("/proc/self/smaps_rollup").exists():
        return [Figure("opening", None, note="needs /proc")]
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "words.npy"), words)
        done = subprocess.run(
            [sys.executable, "-c", _OPENING, str(library.folder), str(Path(folder, "words.npy"))],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    open_ms, first_ms, private_mib = json.loads(done.stdout)
    vectors_mib = len(library.files.vectors) * library.files.vectors.dim * 2 / 1024**2
    return [
        Figure("open", open_ms, "ms", at_most=1000),
        Figure("open and first search", first_ms, "ms", at_most=1000),
        Figure("private memory after searches", private_mib, "MiB"),
        Figure("  of the size of the vectors", private_mib / vectors_mib, "x", at_most=0.8),
    ]


def _others(vectors: np.ndarray, words: np.ndarray) -> list[Figure]:
    """Other indexes of FAISS on the same vectors, each at its first setting that finds .98."""
    right = [_best(vectors @ word, N_BEST) for word in words]
    figures = []
    for name in ("IVF4096,SQ8", "HNSW32"):
        say(f"building {name} ...")
        began = time.perf_counter()
        index = faiss.index_factory(vectors.shape[1], name, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors[:: max(len(vectors) // 160_000, 1)])
        index.add(vectors)
        built = f"built in {time.perf_counter() - began:.0f} s"
        figures.append(_first_good(name, index, words, right, built))
    return figures


def _first_good(
    name: str, index: faiss.Index, words: np.ndarray, right: list[np.ndarray], built: str
) -> Figure:
    """The time of an index at its first depth that finds .98, or at the greatest."""
    for depth in (16, 64, 128, 256, 512, 1024):
        asked = faiss.SearchParametersHNSW(efSearch=depth)
        if name.startswith("IVF"):
            asked = faiss.SearchParametersIVF(nprobe=depth)
        found, taken = [], []
        for word in words:
            began = time.perf_counter()
            found.append(index.search(word[None], N_BEST, params=asked)[1][0])
            taken.append((time.perf_counter() - began) * 1e3)
        shares = [len(np.intersect1d(*two)) / N_BEST for two in zip(right, found, strict=True)]
        if np.mean(shares) >= 0.98:
            break
    note = f"{built}; depth {depth}, recall@20 {np.mean(shares):.4f}"
    return Figure(f"baseline: FAISS {name} p50", float(np.median(taken)), "ms", note=note)


def _growing(library: Library) -> list[Figure]:
    """A fiftieth more rows: the index takes them in without being built anew."""
    files = library.files
    n_more = max(len(files.vectors) // 50, 4_000)
    more = files.vectors.block(0, n_more)
    say(f"adding {n_more:,} rows")
    file = files.writer_vectors()
    first = file.append(more)
    with files.catalog.transaction() as db:
        for row in range(first, first + n_more):
            facts = FileFacts(b"/more/%d.jpg" % row, 1, 1)
            image = ImageRecord(facts, b"%16d" % row, 9, 9, "JPEG", row, row, 1, 1)
            files.catalog.put(db, image)
        files.catalog.bump(db, first + n_more)
    files.refresh()
    began = time.perf_counter()
    files.build_index(library.search_settings)
    return [Figure(f"index takes in {n_more:,} rows more", time.perf_counter() - began, "s")]


def _index_bytes(library: Library) -> int:
    return sum(path.stat().st_size for path in library.folder.joinpath("ann").iterdir())


def _whole(library: Library, queries: list[str]) -> list[Figure]:
    for query in queries[:5]:
        library.search(query)
    used = time.process_time()
    taken = _each([lambda query=query: library.search(query) for query in queries])
    cpu_ms = (time.process_time() - used) / (len(queries) + 1) * 1e3
    return [
        Figure("Library.search p50", float(np.median(taken)), "ms", at_most=10),
        Figure("Library.search p95", float(np.quantile(taken, 0.95)), "ms"),
        Figure("  CPU time a query", cpu_ms, "ms", note="all threads; steadier on a busy machine"),
    ]


def _parts(
    library: Library, encoder: BuiltinEncoder, queries: list[str], words: np.ndarray
) -> list[Figure]:
    encoding = _each([lambda query=query: encoder.encode_texts([query]) for query in queries])
    store = library.files.store(library.search_settings)
    asking = _each([lambda word=word: store.search(word[None], 20) for word in words])
    return [
        Figure("  of it: encoding the words p50", float(np.median(encoding)), "ms"),
        Figure("  of it: store, 20 tiles p50", float(np.median(asking)), "ms"),
        Figure("  of it: store, 20 tiles p95", float(np.quantile(asking, 0.95)), "ms"),
    ]


def _recall(library: Library, vectors: np.ndarray, words: np.ndarray) -> list[Figure]:
    """Of tiles (the store) and of images (the engine), against comparing with everything."""
    store, engine = library.files.store(library.search_settings), library.engine
    table, scores_of_all = library.files.row_table, engine.score_all(words)  # [q, images]
    tiles, images = [], []
    for at, word in enumerate(words):
        right = _best(vectors @ word, 20)
        tiles.append(len(np.intersect1d(right, store.search(word[None], 20)[0][0])) / 20)
        right = table[_best(scores_of_all[at], 20), 2]
        images.append(len(np.intersect1d(right, engine.rank(word, 20).image_ids)) / 20)
    return [
        Figure("recall@20 of tiles", float(np.mean(tiles)), at_least=0.99),
        Figure("  worst query", float(np.min(tiles))),
        Figure("recall@20 of images", float(np.mean(images)), at_least=0.99),
        Figure("  worst query", float(np.min(images))),
    ]


def _baselines(vectors: np.ndarray, words: np.ndarray) -> list[Figure]:
    some = words[:20]
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    faiss_ms = _each([lambda word=word: flat.search(word[None], 20) for word in some])
    numpy_ms = _each([lambda word=word: _best(vectors @ word, 20) for word in some])
    note = "exact, vectors only: no words encoded, no records read"
    return [
        Figure("baseline: FAISS flat float32 p50", float(np.median(faiss_ms)), "ms", note=note),
        Figure("baseline: numpy brute force p50", float(np.median(numpy_ms)), "ms", note=note),
    ]


def _best(scores: np.ndarray, n: int) -> np.ndarray:
    return np.argpartition(-scores, n)[:n]


def _each(runs: list) -> np.ndarray:
    """Milliseconds of each run [n], after one that does not count."""
    runs[0]()
    return np.concatenate([times_ms(run, 1, warm=0) for run in runs])


if __name__ == "__main__":
    main()
