"""Word queries over a library of 200,000 vectors, in a warm process.

Measures: p50 and p95 of `Library.search` (the words encoded, the index asked, the shortlist
scored exactly, duplicates folded, records read), the encoding and the index alone, and
recall@20: how many of the 20 best tiles, and of the 20 best images, the search finds.
Baselines in the same run: a flat float32 FAISS index and numpy brute force, both exact,
which also say what the right answers are.
Read it: the library is synthetic (see synthetic.py) but the queries are real words through the
text tower. Words lie far from picture tiles in the space, which is where indexes lose recall.
"""

import argparse
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
from figures import Figure, parser, report, say, times_ms
from synthetic import make_library, real_tiles, text_queries

from relook import Library
from relook.encoders.builtin import BuiltinEncoder

TILES = 6


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    encoder = BuiltinEncoder()
    with tempfile.TemporaryDirectory(prefix="relook-search-") as folder:
        say("encoding real pictures to draw from")
        tiles = real_tiles(encoder, options.pictures, 2500 if options.full else 400)
        say(f"writing {options.n_images:,} images")
        make_library(Path(folder, "library"), encoder, tiles, options.n_images)
        queries = text_queries(200 if options.full else 100)
        with Library(Path(folder, "library"), encoder=encoder) as library:
            figures = measure(library, encoder, queries)
    report("search", figures, options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--n-images", type=int, default=-(-200_000 // TILES))
    made.add_argument("--pictures", type=Path, help="photographs to draw vectors from")
    return made.parse_args()


def measure(library: Library, encoder: BuiltinEncoder, queries: list[str]) -> list[Figure]:
    """All figures of one library."""
    files = library.files
    say("building the index")
    began = time.perf_counter()
    files.build_index()
    build_s = time.perf_counter() - began
    vectors = files.vectors.block(0, len(files.vectors))  # [n, d]
    words = encoder.encode_texts(queries)  # [q, d]
    say(f"asking {len(queries)} queries")
    return [
        Figure("vectors", len(vectors)),
        Figure("index build", build_s, "s"),
        Figure("index size", _index_bytes(library) / 1024**2, "MiB"),
        *_whole(library, queries),
        *_parts(library, encoder, queries, words),
        *_recall(library, vectors, words),
        *_baselines(vectors, words),
    ]


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
