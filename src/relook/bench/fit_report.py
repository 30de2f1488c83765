"""Whether fit is calibrated, and whether "nothing fits" is told rightly. Layer: bench.

Every query is asked of the whole library twice: as it is, and with every picture that shows it
taken out. What a picture shows is told by the query file, and by captions where they are given:
then a picture shows a query when one of its captions uses all of its words.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from relook.bench.arms import drawing
from relook.bench.measures import columns_by_name
from relook.bench.query_files import Caption, Wanted
from relook.core.converter import JsonValue
from relook.core.errors import InputError, ModelError
from relook.core.json_form import Digits
from relook.core.vectors import Floats
from relook.search.engine import Engine
from relook.search.fit import FitScale, LookedFor, fit_scale

N_HITS = 40  # hits of a query whose fit is held against the truth
_N_BINS, _N_BACKGROUND = 10, 200
_PARTS, _N_PARTS = (300, 100, 30), 3  # images of a part, and how many parts are drawn
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bin(JsonValue):
    """Hits whose fit lies between two values.

    Args:
        low, high: The values.
        n: How many hits.
        fit: Their mean fit.
        shown: The share that shows the query.
    """

    low: Annotated[float, Digits(2)]
    high: Annotated[float, Digits(2)]
    n: int
    fit: Annotated[float, Digits(4)]
    shown: Annotated[float, Digits(4)]


@dataclass(frozen=True, slots=True)
class PartReport(JsonValue):
    """What is told in small parts of a library, drawn at random: as in a small library.

    Args:
        n_images: How many images a part has.
        told_with: Share of queries with something in a part that are told "nothing fits" there;
            None where none has.
        told_without: The same of queries with nothing in it; None where each has something.
        n_with, n_without: How many such queries there were in all parts.
    """

    n_images: int
    told_with: Annotated[float | None, Digits(4)]
    told_without: Annotated[float | None, Digits(4)]
    n_with: int
    n_without: int


@dataclass(frozen=True, slots=True)
class FitReport(JsonValue):
    """What fit is worth on a library.

    Args:
        bins: The reliability diagram, over each query's first hits.
        calibration_error: Expected calibration error: the bins' mean |fit - shown|, by hits.
        told_with: Share of queries with something here that are told "nothing fits".
        told_without: The same with every picture that shows the query taken out.
        told_absent: The same of queries that nothing here shows; None without any.
        n_queries, n_absent, n_images: What was measured on.
        n_unmatched: Queries left out since no picture here shows them.
        parts: What is told in parts of 300, 100 and 30 images, as far as there are more.
    """

    bins: tuple[Bin, ...]
    calibration_error: Annotated[float, Digits(4)]
    told_with: Annotated[float, Digits(4)]
    told_without: Annotated[float, Digits(4)]
    told_absent: Annotated[float | None, Digits(4)]
    n_queries: int
    n_absent: int
    n_images: int
    n_unmatched: int
    parts: tuple[PartReport, ...] = ()


def bench_fit(
    engine: Engine,
    wanted: Sequence[Wanted],
    captions: Sequence[Caption] = (),
    absent: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> FitReport:
    """Holds fit against what pictures show.

    Args:
        engine: Of the library.
        wanted: Queries and the files that are relevant to them.
        captions: Of the library's pictures.
        absent: Queries that nothing in the library shows.
        progress: Called with how often a query was asked and is to be asked in all.

    Raises:
        InputError: `no_match` when no query's pictures are in the library.
        ModelError: `no_fit` when the library cannot tell fit.
    """
    scale = fit_scale(engine.files, engine.encoder)
    if not scale.is_known:
        raise ModelError("no_fit", "fit is not known here", "measure on 30 pictures or more")
    columns = columns_by_name(engine)
    caption_words = _words_of(captions, columns)
    queries = _matched(wanted, columns, caption_words)
    sizes = [n_images for n_images in _PARTS if n_images < len(columns)]
    step = _Steps(len(queries) * (1 + _N_PARTS * len(sizes)), progress)
    fits, shown, is_told, told_without = [], [], [], []
    for words, truth in queries:
        own, line = _fits(engine, scale, words, np.ones_like(truth))
        first = np.argsort(-own, kind="stable")[:N_HITS]
        fits.append(own[first])
        shown.append(truth[first])
        is_told.append(own[first[0]] < line)
        told_without.append(_is_nothing(engine, scale, words, ~truth))
        step()
    everything = np.ones(len(columns), np.bool_)
    told_absent = [_is_nothing(engine, scale, words, everything) for words in absent]
    bins = reliability(np.concatenate(fits), np.concatenate(shown))
    return FitReport(
        bins=bins,
        calibration_error=calibration_error(bins),
        told_with=float(np.mean(is_told)),
        told_without=float(np.mean(told_without)),
        told_absent=float(np.mean(told_absent)) if told_absent else None,
        n_queries=len(queries),
        n_absent=len(told_absent),
        n_images=len(columns),
        n_unmatched=len(wanted) - len(queries),
        parts=tuple(_part(engine, scale, queries, n_images, step) for n_images in sizes),
    )


@dataclass(slots=True)
class _Steps:
    """Tells how far it is, each time that it is called.

    Args:
        total: How often it will be called.
        progress: Told, if given.
    """

    total: int
    progress: Callable[[int, int], None] | None
    done: int = 0

    def __call__(self) -> None:
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total)


def _matched(
    wanted: Sequence[Wanted],
    columns: Mapping[str, int],
    caption_words: Sequence[Sequence[set[str]]],
) -> list[tuple[str, Flags]]:
    """Queries that some pictures show, and others not, with [n images by row] whether each does."""
    truths = [(query.words, shows(query, columns, caption_words)) for query in wanted]
    queries = [(words, truth) for words, truth in truths if truth.any() and not truth.all()]
    if not queries:
        raise InputError(
            "no_match",
            f"no picture of this library shows any of the {len(wanted)} queries",
            "pictures are matched by file name; index those that the queries are about",
        )
    return queries


def _part(
    engine: Engine,
    scale: FitScale,
    queries: Sequence[tuple[str, Flags]],
    n_images: int,
    step: Callable[[], None],
) -> PartReport:
    """What queries are told in some parts of so many images; `step` counts them."""
    random = np.random.default_rng(n_images)
    nothing: dict[bool, list[bool]] = {True: [], False: []}  # by whether something is there
    for _ in range(_N_PARTS):
        part = np.zeros(len(queries[0][1]), np.bool_)
        part[random.choice(len(part), n_images, replace=False)] = True
        for words, truth in queries:
            nothing[bool((truth & part).any())].append(_is_nothing(engine, scale, words, part))
            step()
    there, missing = nothing[True], nothing[False]
    return PartReport(
        n_images=n_images,
        told_with=float(np.mean(there)) if there else None,
        told_without=float(np.mean(missing)) if missing else None,
        n_with=len(there),
        n_without=len(missing),
    )


def _is_nothing(engine: Engine, scale: FitScale, words: str, kept: Flags) -> bool:
    """Whether "nothing fits" is told of those images of the library that are kept."""
    fits, line = _fits(engine, scale, words, kept)
    return bool(fits.max() < line)


def _fits(engine: Engine, scale: FitScale, words: str, kept: Flags) -> tuple[Floats, float]:
    """[kept] fit of those images of the library that are kept, as if there were no others.

    And the fit that the best must reach for anything to fit.
    """
    vectors = engine.encoder.encode_texts([words])
    scores = engine.score_all(vectors)[:, kept]  # [1, kept]
    drawn = np.random.default_rng(0).permutation(scores.shape[1])[:_N_BACKGROUND]
    level = scale.level(vectors, scores[:, drawn])
    scale = replace(scale, n_images=scores.shape[1])
    fits: Floats = scale.fits(vectors, scores, level)[0]
    return fits, scale.line(LookedFor.words(vectors), level)


def _words_of(captions: Sequence[Caption], columns: Mapping[str, int]) -> list[list[set[str]]]:
    """The words of each caption of each image, by row."""
    caption_words: list[list[set[str]]] = [[] for _ in columns]
    for caption in captions:
        if caption.image in columns:
            words = set(re.findall(r"\w+", caption.text.lower()))
            caption_words[columns[caption.image]].append(words)
    return caption_words


def shows(
    wanted: Wanted, columns: Mapping[str, int], caption_words: Sequence[Sequence[set[str]]]
) -> Flags:
    """[n images by row] whether each shows a query."""
    forms = [{word, f"{word}s", f"{word}es"} for word in wanted.words.lower().split()]
    shown = np.array(
        [any(all(form & words for form in forms) for words in each) for each in caption_words]
    )
    shown[[columns[file] for file in wanted.files if file in columns]] = True
    return shown


def reliability(fits: Floats, shown: Flags) -> tuple[Bin, ...]:
    """Hits by fit, in tenths; tenths without hits are left out.

    Source: Guo et al., "On calibration of modern neural networks" (arXiv 1706.04599), section 2.
    """
    tenth = np.minimum((fits * _N_BINS).astype(int), _N_BINS - 1)
    bins = []
    for at in range(_N_BINS):
        inside = tenth == at
        if inside.any():
            mean, share = float(fits[inside].mean()), float(shown[inside].mean())
            bins.append(Bin(at / _N_BINS, (at + 1) / _N_BINS, int(inside.sum()), mean, share))
    return tuple(bins)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error of a reliability diagram."""
    n_hits = sum(interval.n for interval in bins)
    return sum(interval.n * abs(interval.fit - interval.shown) for interval in bins) / n_hits


def plot_fit(report: FitReport, file: Path) -> None:
    """Draws the reliability diagram as PNG or SVG.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    plot = drawing()
    figure, axes = plot.subplots(figsize=(5, 5))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.plot(
        [interval.fit for interval in report.bins],
        [interval.shown for interval in report.bins],
        marker="o",
    )
    axes.set_xlabel("fit")
    axes.set_ylabel("share of hits that show the query")
    axes.set_title(f"expected calibration error {report.calibration_error:.3f}")
    figure.savefig(file, bbox_inches="tight")
    plot.close(figure)
