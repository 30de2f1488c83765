"""Rounds of feedback over a library of 200,000 tiles, in a warm process.

Measures: p50 and p95 of `Session.again` (judgements read, the strategy fitted, the library
searched, the page written down) after every image of the page was marked, over three rounds
each, with the processor's time, which says more on a busy machine; the same for every strategy
that needs no training; and the built-in captioner's time a crop.
Also what telling the fit of a page's hits adds to a search.
Baseline in the same run: `Library.search` with the same words.
Read it: the library is synthetic (see synthetic.py), the queries are real words, the marks are
drawn at random: what is timed does not depend on what is liked.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import Figure, parser, report, say, times_ms
from photographs import variants
from synthetic import build_index, make_library, real_tiles, text_queries

from relook import Library
from relook.captioners.phrases import PhraseCaptioner
from relook.encoders.builtin import BuiltinEncoder
from relook.feedback.strategies import STRATEGIES
from relook.search.fit import LookedFor, fits_of

TILES = 6
ROUNDS = 3
TRAINED = ("afs",)  # strategies that need weights first: relook train


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    encoder = BuiltinEncoder()
    with tempfile.TemporaryDirectory(prefix="relook-rounds-") as folder:
        say("encoding real pictures to draw from")
        tiles = real_tiles(encoder, options.pictures, 2500 if options.full else 400)
        say(f"writing {options.n_images:,} images")
        make_library(Path(folder, "library"), encoder, tiles, options.n_images)
        with Library(Path(folder, "library"), encoder=encoder) as library:
            figures = measure(library, text_queries(30 if options.full else 10))
    report("rounds", [*figures, *captions(encoder)], options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--n-images", type=int, default=-(-200_000 // TILES))
    made.add_argument("--pictures", type=Path, help="photographs to draw vectors from")
    return made.parse_args()


def measure(library: Library, queries: list[str]) -> list[Figure]:
    """Rounds of each strategy, and searches with the same words."""
    build_index(library.files, library.engine.encoder)
    library.search(queries[0])
    searched = [times_ms(lambda query=query: library.search(query), 1, warm=0) for query in queries]
    made = [
        Figure("vectors", len(library.files.vectors)),
        Figure("baseline: Library.search p50", float(np.median(searched)), "ms"),
    ]
    made.append(Figure("fit of a page p50", fit_ms(library, queries), "ms", at_most=1))
    for name in [name for name in STRATEGIES if name not in TRAINED]:
        say(f"{name} ...")
        _rounds(library, queries[0], name)
        taken, cpu = np.hstack([_rounds(library, query, name) for query in queries])
        target = 100 if name == "auto" else None
        made.append(Figure(f"{name}: round p50", float(np.median(taken)), "ms", at_most=target))
        made.append(Figure("  p95", float(np.quantile(taken, 0.95)), "ms"))
        made.append(Figure("  of the processor, p50", float(np.median(cpu)), "ms"))
    return made


def fit_ms(library: Library, queries: list[str]) -> float:
    """Median milliseconds that telling the fit of a page's hits costs, words encoded before."""
    engine, taken = library.engine, []
    for query in queries:
        words = LookedFor.words(engine.encoder.encode_texts([query]))
        ids = [hit.image_id for hit in library.search(query)]
        taken.append(
            times_ms(lambda w=words, i=ids: fits_of(w, i, engine.files, engine.encoder), 9, warm=1)
        )
    return float(np.median(np.concatenate(taken)))


def _rounds(library: Library, query: str, strategy: str) -> np.ndarray:
    """Milliseconds of each round of one session, by the clock and of the processor [2, ROUNDS]."""
    drawn = np.random.default_rng(0)
    session = library.look(query, limit=10)
    page, taken, cpu = session.page, [], []
    for _ in range(ROUNDS):
        for hit in page.hits:
            session.judge(hit.image_id, relevant=bool(drawn.random() < 0.4))
        began, cpu_began = time.perf_counter(), time.process_time()
        page = session.again(strategy)
        taken.append((time.perf_counter() - began) * 1e3)
        cpu.append((time.process_time() - cpu_began) * 1e3)
    return np.array([taken, cpu])


def captions(encoder: BuiltinEncoder) -> list[Figure]:
    """The built-in captioner on crops of photographs."""
    captioner = PhraseCaptioner(encoder=encoder)
    crops = [picture.resize((200, 160)) for picture in variants(24, 500)]
    captioner.caption(crops[:1])
    taken = [times_ms(lambda crop=crop: captioner.caption([crop]), 1, warm=0) for crop in crops]
    return [Figure("caption of one crop p50", float(np.median(taken)), "ms", at_most=50)]


if __name__ == "__main__":
    main()
