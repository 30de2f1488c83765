"""Whether estimates of complete sets hold, and what a complete set costs. Layer: bench.

A simulated person looks for everything of a kind: some pages with feedback, then picture after
picture that the estimate names, until it says that this was enough.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from relook.bench.simulate import Fit, Gallery, Mark, Protocol, Task, labels
from relook.core.converter import JsonValue
from relook.core.errors import InputError
from relook.core.json_form import Digits
from relook.core.vectors import Floats, Ints, top, unit
from relook.feedback.remaining import (
    RECALL,
    USUAL,
    Doubles,
    Remaining,
    UsualMap,
    features,
    remaining,
)
from relook.feedback.strategies import STRATEGIES

Flags = NDArray[np.bool_]
_NONE: Ints = np.zeros(0, np.int64)
_TOLD_AT = (10, 20, 40, 60, 80, 120, 160, 240, 320, 480, 640)  # pictures looked at
_STEP = 10  # pictures that are judged between two estimates, after the pages
_LATER, _LATER_STEP = 200, 20  # from so many pictures on, so many at once


@dataclass(frozen=True, slots=True)
class At(JsonValue):
    """Estimates after so many pictures.

    Args:
        looked: How many pictures were looked at.
        n_queries: Searches that got so far without the signal.
        coverage: Share of these whose true number lies in the likely range.
        below, above: Share whose true number is below the range, or above.
        width: Mean width of the range.
    """

    looked: int
    n_queries: int
    coverage: Annotated[float, Digits(3)]
    below: Annotated[float, Digits(3)]
    above: Annotated[float, Digits(3)]
    width: Annotated[float, Digits(1)]


@dataclass(frozen=True, slots=True)
class SetRow(JsonValue):
    """One search for everything of a kind.

    Args:
        words: The query.
        n_relevant: How many pictures there are.
        n_after_rounds, low, high: Found after the pages, and the likely range then.
        looked: Pictures looked at until the signal; all of them where it was never given.
        n_found: Pictures found until then.
        signalled: Whether the signal was given before everything had been looked at.
        looked_for_recall: Pictures that had to be looked at, in the same order, for nine of ten.
    """

    words: str
    n_relevant: int
    n_after_rounds: int
    low: int
    high: int
    looked: int
    n_found: int
    signalled: bool
    looked_for_recall: int


@dataclass(frozen=True, slots=True)
class SetsReport(JsonValue):
    """What estimates of complete sets are worth on a library.

    Args:
        n_queries, n_images: What was measured on.
        seed, noise: Of the labels of the simulated person.
        coverage: Share of searches whose true number lies in the likely range after the pages.
        coverage_until: The same over all estimates until the signal.
        promise: Share of searches in which at least nine of ten were found at the signal, or when
            everything had been looked at.
        signalled: Share in which it was given before everything had been looked at.
        recall: Mean share found at the signal.
        looked, looked_median: Pictures looked at until the signal.
        everything: Pictures that looking at everything takes.
        looked_for_recall: Mean of pictures that nine of ten take where somebody knows when to stop.
        at: Estimates on the way.
        queries: Every search.
    """

    n_queries: int
    n_images: int
    seed: int
    noise: float
    coverage: Annotated[float, Digits(3)]
    coverage_until: Annotated[float, Digits(3)]
    promise: Annotated[float, Digits(3)]
    signalled: Annotated[float, Digits(3)]
    recall: Annotated[float, Digits(3)]
    looked: Annotated[float, Digits(1)]
    looked_median: Annotated[float, Digits(1)]
    everything: int
    looked_for_recall: Annotated[float, Digits(1)]
    at: tuple[At, ...]
    queries: tuple[SetRow, ...]


@dataclass(frozen=True, slots=True)
class _Point:
    """An estimate on the way of one search."""

    looked: int
    n_found: int
    low: int
    high: int

    def holds(self, n_relevant: int) -> bool:
        """Whether the true number lies in the likely range."""
        return self.low <= n_relevant <= self.high


def bench_sets(
    gallery: Gallery,
    tasks: Sequence[Task],
    fit: Fit = STRATEGIES["auto"],
    protocol: Protocol | None = None,
    usual: UsualMap = USUAL,
    progress: Callable[[int, int], None] | None = None,
) -> SetsReport:
    """Plays every task until the signal.

    Args:
        gallery: What is looked through.
        tasks: What is looked for.
        fit: The strategy of the first pages.
        protocol: How many pages of which size come first, and how the person labels.
        usual: What estimates know before anything is marked.
        progress: Called with (tasks done, tasks) after each.

    Raises:
        InputError: `no_match` without tasks.
    """
    protocol = protocol or Protocol()
    if not tasks:
        raise InputError("no_match", "there is nothing to look for", "give queries with pictures")
    centred = unit(gallery.tiles[:, 0] - gallery.tiles[:, 0].mean(axis=0))  # [n, d]
    searches = []
    for number, task in enumerate(tasks):
        label = labels(gallery.n_images, task, number, protocol) > 0
        search = Search(gallery, centred, task, label, protocol, usual)
        search.run(fit)
        searches.append(search)
        if progress is not None:
            progress(number + 1, len(tasks))
    return _report(gallery.n_images, searches, [each.row() for each in searches], protocol)


class Search:
    """One simulated person who wants everything of one kind.

    Args:
        gallery: What is looked through.
        centred: [n, d] its whole pictures without their mean, scaled to length one.
        task: What is looked for.
        label: [n] what the person says of each picture.
        protocol: How many pages come first.
        usual: What estimates know before anything is marked.
    """

    def __init__(
        self, gallery: Gallery, centred: Floats, task: Task, label: Flags, protocol: Protocol,
        usual: UsualMap,
    ) -> None:  # fmt: skip
        self.gallery, self.centred, self.task, self.label = gallery, centred, task, label
        self.protocol, self.usual = protocol, usual
        self.truth = np.zeros(gallery.n_images, np.bool_)
        self.truth[task.relevant] = True
        self.shown: Ints = _NONE
        self.looked, self.signalled = 0, False
        self.points: list[_Point] = []

    def run(self, fit: Fit) -> None:
        """Looks until the signal, or at everything; then on until nine of ten are found."""
        scores = self.gallery.scores(fit(self.gallery.evidence(self.task.query, (), _NONE)))
        left = self._first_pages(scores, fit)
        while not left.is_enough and left.n_unseen:
            self._look_further(left)
            left = self.estimated(scores)
        self.looked, self.signalled = len(self.shown), left.n_unseen > 0
        while self.truth[self.shown].sum() < RECALL * self.truth.sum():
            self._look_further(left)
            left = self.estimated(scores)

    def _first_pages(self, scores: Floats, fit: Fit) -> Remaining:
        """The pages with feedback."""
        page = top(scores, self.protocol.page)
        first_page = page
        for number in range(self.protocol.rounds):
            self.shown = np.concatenate([self.shown, page])
            left = self.estimated(scores)
            if number + 1 < self.protocol.rounds:
                marks = [Mark(int(i), 1 if self.label[i] else -1) for i in self.shown]
                scorer = fit(self.gallery.evidence(self.task.query, marks, first_page))
                page = self.gallery.rank(scorer, self.shown, self.protocol.page)
        return left

    def _look_further(self, left: Remaining) -> None:
        """The pictures that an estimate names next."""
        unseen = left.chances.copy()
        unseen[self.shown] = -1.0
        step = _STEP if len(self.shown) < _LATER else _LATER_STEP
        named = np.argsort(-unseen, kind="stable")[: min(step, left.n_unseen)]
        self.shown = np.concatenate([self.shown, named])

    def sides(self) -> tuple[Ints, Ints]:
        """What was looked at: what is called relevant, and the rest."""
        flags = self.label[self.shown]
        return self.shown[flags], self.shown[~flags]

    def table(self, scores: Floats) -> Doubles:
        """[n, 4] what the map reads of each picture now."""
        sums = [self.centred[side].sum(axis=0) for side in self.sides()]
        return features(scores, self.centred @ np.stack(sums, axis=1), *self.sides())

    def estimated(self, scores: Floats) -> Remaining:
        """An estimate from what was looked at, and keeps its range."""
        relevant, irrelevant = self.sides()
        left = remaining(self.table(scores), relevant, irrelevant, self.usual)
        least, most = (len(relevant) + n_left for n_left in left.likely())
        self.points.append(_Point(len(self.shown), len(relevant), least, most))
        return left

    def row(self) -> SetRow:
        """What came of it."""
        hits = np.cumsum(self.truth[self.shown])
        after = self.points[self.protocol.rounds - 1]
        enough = np.flatnonzero(hits >= RECALL * self.truth.sum())
        return SetRow(
            self.task.name, int(self.truth.sum()), after.n_found, after.low, after.high,
            self.looked, int(hits[self.looked - 1]), self.signalled, int(enough[0]) + 1,
        )  # fmt: skip


def _report(
    n_images: int, searches: Sequence[Search], rows: Sequence[SetRow], protocol: Protocol
) -> SetsReport:
    until = [point.holds(row.n_relevant) for search, row in zip(searches, rows, strict=True)
             for point in search.points if point.looked <= row.looked]  # fmt: skip
    kept = [row.n_found >= RECALL * row.n_relevant for row in rows]
    looked = [row.looked for row in rows]
    return SetsReport(
        n_queries=len(rows),
        n_images=n_images,
        seed=protocol.seed,
        noise=protocol.noise,
        coverage=float(np.mean([row.low <= row.n_relevant <= row.high for row in rows])),
        coverage_until=float(np.mean(until)),
        promise=float(np.mean(kept)),
        signalled=float(np.mean([row.signalled for row in rows])),
        recall=float(np.mean([row.n_found / row.n_relevant for row in rows])),
        looked=float(np.mean(looked)),
        looked_median=float(np.median(looked)),
        everything=n_images,
        looked_for_recall=float(np.mean([row.looked_for_recall for row in rows])),
        at=tuple(_on_the_way(searches, rows)),
        queries=tuple(rows),
    )


def _on_the_way(searches: Sequence[Search], rows: Sequence[SetRow]) -> Iterator[At]:
    """Estimates after as many pictures, while there are searches enough without the signal."""
    known: dict[int, list[tuple[_Point, int]]] = {}
    for search, row in zip(searches, rows, strict=True):
        for point in search.points:
            if point.looked <= row.looked:
                known.setdefault(point.looked, []).append((point, row.n_relevant))
    for looked in (number for number in _TOLD_AT if number in known):
        some = known[looked]
        yield At(
            looked, len(some),
            float(np.mean([point.holds(n) for point, n in some])),
            float(np.mean([n < point.low for point, n in some])),
            float(np.mean([n > point.high for point, n in some])),
            float(np.mean([point.high - point.low for point, _ in some])),
        )  # fmt: skip
