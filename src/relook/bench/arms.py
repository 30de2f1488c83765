"""Feedback against no feedback, on the same tasks at equal views. Layer: bench.

`found` is the share found of what could have been found: relevant images among all shown,
over `min(shown, relevant)`. `harmed` and `helped` are shares of queries whose sequence
average precision falls or rises by more than .02.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from relook.bench.measures import Interval, bootstrap, found_share, ndcg, sequence_ap
from relook.bench.simulate import Fit, Gallery, Mark, Protocol, Task, Trace, play
from relook.core.converter import JsonValue
from relook.core.errors import MissingExtraError
from relook.core.json_form import Key
from relook.core.vectors import Floats, Ints
from relook.feedback.directions import image_pulls
from relook.feedback.gate import AutoOptions
from relook.feedback.judged import Evidence
from relook.feedback.scorer import Contribution, LinearScorer, Scorer, linear
from relook.feedback.strategies import STRATEGIES

MARGIN = 0.02
"""Change of a query's average precision from which it counts as harmed or helped."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stratum:
    """One group of queries.

    Args:
        name: `first hit 2-5`, `relevant 10-49`, `text ap < .5`, ...
        n_queries: How many queries are in it.
        found_none, found, ap_none, ap: Means in the group.
    """

    name: str
    n_queries: int
    found_none: float
    found: float
    ap_none: float
    ap: float


@dataclass(frozen=True, slots=True)
class ArmReport(JsonValue):
    """One strategy against the unchanged query.

    Args:
        strategy: Name of the arm.
        n_queries: How many tasks were played.
        found_none, found: Share found of what could be, without and with feedback.
        ap_none, ap: Sequence average precision.
        harmed, helped: Shares of queries that lose or gain more than `MARGIN` of it.
        found_gain, ap_gain: Paired differences with 95% bootstrap intervals.
        oracle_gain: Gain in `found` of the best linear step that knows all relevant images
            beforehand: per query the best of several lengths along their whitened mean.
        share_of_oracle: `found_gain` as a share of it.
        first_tail: Share of the lower half of the first page that fits.
        second_none, second: Share of the second page that fits, without and with feedback;
            what stays in sight from the first page is on it.
        residual_ndcg_none, residual_ndcg: nDCG@10 of the final rankings over images that
            no arm has shown.
        found_at: `(images, none, arm)`: share found after so many images.
        found_by_s: `(seconds, none, arm)`: share found after so many seconds.
        strata: By first hit, number of relevant images and text-only quality.
    """

    strategy: str
    n_queries: int
    found_none: float
    found: float
    ap_none: float
    ap: float
    harmed: float
    helped: float
    found_gain: Interval
    ap_gain: Interval
    oracle_gain: float
    share_of_oracle: float
    first_tail: float
    second_none: float
    second: float
    residual_ndcg_none: float
    residual_ndcg: float
    found_at: tuple[tuple[int, float, float], ...]
    found_by_s: tuple[tuple[float, float, float], ...]
    strata: tuple[Stratum, ...]


@dataclass(frozen=True, slots=True)
class QueryFigures(JsonValue):
    """What one way of looking found for one query.

    Args:
        share: Share found of what could be; `found` in JSON, as in the whole report.
        ap: Sequence average precision.
        residual_ndcg: nDCG@10 of the final ranking over images that no arm has shown.
        second: Share of the second page that fits.
    """

    share: Annotated[float, Key("found")]
    ap: float
    residual_ndcg: float
    second: float


@dataclass(frozen=True, slots=True)
class PlayedQuery(JsonValue):
    """One query, without feedback and with each strategy.

    Args:
        query: The words.
        n_relevant: How many images of the library are relevant.
        first_hit: Rank of the first relevant image without feedback; 0 when none was shown.
        oracle_found: Share found by the best linear step that knows all relevant images.
        none: Without feedback.
        strategies: Name of the arm -> what it found.
    """

    query: str
    n_relevant: int
    first_hit: int
    oracle_found: float
    none: QueryFigures
    strategies: dict[str, QueryFigures]


class _Measured(NamedTuple):
    """Everything measured for one arm and one query."""

    figures: QueryFigures
    found_at: Values  # [pages]
    found_by_s: Values  # [times]
    tail: float


@dataclass(frozen=True, slots=True, eq=False)
class _Arm:
    """Everything measured for one arm: arrays over queries."""

    found: Values
    ap: Values
    residual: Values
    found_at: Values  # [q, pages]
    found_by_s: Values  # [q, times]
    tail: Values  # [q]
    second: Values  # [q]

    @classmethod
    def of(cls, rows: Sequence[_Measured]) -> Self:
        """The measures of all queries, each as an array."""
        figures, found_at, found_by_s, tail = zip(*rows, strict=True)
        each = [(f.share, f.ap, f.residual_ndcg, f.second) for f in figures]
        shares, ap, residual, second = np.array(each, np.float64).T
        at, by_s = np.array(found_at), np.array(found_by_s)
        return cls(shares, ap, residual, at, by_s, np.array(tail), second)


def compare(
    gallery: Gallery,
    tasks: Sequence[Task],
    arms: Mapping[str, Fit],
    protocol: Protocol,
    progress: Callable[[int, int], None] | None = None,
    each: Callable[[PlayedQuery], None] | None = None,
) -> dict[str, ArmReport]:
    """Plays every task once without feedback and once with each arm.

    Args:
        gallery: What is looked through.
        tasks: What is looked for.
        arms: Name -> strategy with its options bound.
        protocol: How the user behaves.
        progress: Called with (tasks done, tasks) after each.
        each: Called with every task's figures as soon as it was played.

    Returns:
        One report an arm, in the order given.
    """
    every: dict[str, Fit] = {"": STRATEGIES["none"], **arms}
    kept: dict[str, list[_Measured]] = {n: [] for n in every}
    first_hits, best = [], []
    for number, task in enumerate(tasks):
        traces = {name: play(gallery, task, number, fit, protocol) for name, fit in every.items()}
        shown = np.unique(np.concatenate([trace.shown for trace in traces.values()]))
        for name, trace in traces.items():
            kept[name].append(_measure(gallery, task, trace, shown, protocol))
        hits = np.flatnonzero(np.isin(traces[""].shown, task.relevant))
        best.append(oracle(gallery, task, number, protocol))
        first_hits.append(int(hits[0]) + 1 if len(hits) else 0)
        if each is not None:
            now = {name: rows[-1].figures for name, rows in kept.items()}
            none = now.pop("")
            n_relevant = len(task.relevant)
            each(PlayedQuery(task.name, n_relevant, first_hits[-1], best[-1], none, now))
        if progress is not None:
            progress(number + 1, len(tasks))
    measured = {name: _Arm.of(rows) for name, rows in kept.items()}
    groups = _groups(tasks, first_hits, measured[""].ap)
    gain = float(np.mean(np.array(best) - measured[""].found))
    reports = {name: _report(name, measured[""], measured[name], groups, protocol) for name in arms}
    return {
        name: replace(
            report,
            oracle_gain=gain,
            share_of_oracle=report.found_gain.mean / gain if gain > 0 else 0.0,
        )
        for name, report in reports.items()
    }


_STEPS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def oracle(gallery: Gallery, task: Task, number: int, protocol: Protocol) -> float:
    """What is found by the best linear step that knows all relevant images beforehand.

    The step goes along their mean, whitened and centred as `auto` does it, with the best of
    several lengths for this query; the first page is the query's own.
    """
    direction = direction_to(gallery, task.query, task.relevant)
    return max(found_along(gallery, task, number, protocol, direction))


def direction_to(gallery: Gallery, query: Floats, images: Ints) -> NDArray[np.float64]:
    """[d] from a query [d] towards images of a gallery: their mean, whitened and centred."""
    marks = [Mark(int(image), 1) for image in images]
    evidence = gallery.evidence(query, marks, np.zeros(0, np.int64))
    pulls = image_pulls(
        evidence, shrinkage=AutoOptions().shrinkage, caution=1e-9, irrelevant=0.0, part=0.0
    )
    direction: NDArray[np.float64] = pulls.directions(np.ones((1, len(marks)), np.bool_))[0]
    return direction


def found_along(
    gallery: Gallery, task: Task, number: int, protocol: Protocol, direction: NDArray[np.float64]
) -> list[float]:
    """What is found by a step of each of several lengths, from the second page on."""
    shares = []
    for step in _STEPS:
        moved = linear([Contribution("query", task.query + step * direction)])

        def fit(known: Evidence, moved: LinearScorer = moved) -> Scorer:
            return moved if known.items else STRATEGIES["none"](known)

        trace = play(gallery, task, number, fit, replace(protocol, keep_fitting=False))
        hits = np.isin(trace.shown, task.relevant)
        shares.append(found_share(hits, len(task.relevant), len(hits)))
    return shares


def _measure(
    gallery: Gallery, task: Task, trace: Trace, shown: Ints, protocol: Protocol
) -> _Measured:
    fitting = np.isin(trace.shown, task.relevant)  # [s]
    hits = fitting & trace.is_new
    n_relevant = len(task.relevant)
    views = np.arange(1, protocol.rounds + 1) * protocol.page
    at = np.array([found_share(hits, n_relevant, int(n)) for n in views])
    possible = max(min(len(hits), n_relevant), 1)
    by_s = np.array([hits[trace.seconds <= t + 1e-3].sum() / possible for t in _times(protocol)])
    rest = gallery.rank(trace.last, shown, 10)
    left = int((~np.isin(task.relevant, shown)).sum())
    residual = ndcg(np.isin(rest, task.relevant), left, 10)
    figures = QueryFigures(
        found_share(hits, n_relevant, len(hits)),
        sequence_ap(hits, n_relevant),
        residual,
        _share(fitting[trace.pages == 1]),
    )
    return _Measured(figures, at, by_s, _share(fitting[trace.pages == 0][protocol.page // 2 :]))


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _times(protocol: Protocol) -> list[float]:
    """Quarters of the time that looking at everything takes without a single box."""
    whole = protocol.page * protocol.rounds * protocol.view_s
    return [whole * quarter / 4 for quarter in (1, 2, 3, 4)]


def _report(
    name: str, none: _Arm, arm: _Arm, groups: Mapping[str, NDArray[np.bool_]], protocol: Protocol
) -> ArmReport:
    change = arm.ap - none.ap  # [q]
    views = [(n + 1) * protocol.page for n in range(protocol.rounds)]
    pairs = zip(none.found_at.mean(0), arm.found_at.mean(0), strict=True)
    timed = zip(none.found_by_s.mean(0), arm.found_by_s.mean(0), strict=True)
    return ArmReport(
        strategy=name,
        n_queries=len(change),
        found_none=float(none.found.mean()),
        found=float(arm.found.mean()),
        ap_none=float(none.ap.mean()),
        ap=float(arm.ap.mean()),
        harmed=float((change < -MARGIN).mean()),
        helped=float((change > MARGIN).mean()),
        found_gain=bootstrap(arm.found - none.found),
        ap_gain=bootstrap(change),
        oracle_gain=0.0,
        share_of_oracle=0.0,
        first_tail=float(none.tail.mean()),
        second_none=float(none.second.mean()),
        second=float(arm.second.mean()),
        residual_ndcg_none=float(none.residual.mean()),
        residual_ndcg=float(arm.residual.mean()),
        found_at=tuple((n, float(a), float(b)) for n, (a, b) in zip(views, pairs, strict=True)),
        found_by_s=tuple(
            (t, float(a), float(b)) for t, (a, b) in zip(_times(protocol), timed, strict=True)
        ),
        strata=tuple(_stratum(label, flags, none, arm) for label, flags in groups.items()),
    )


def _stratum(name: str, flags: NDArray[np.bool_], none: _Arm, arm: _Arm) -> Stratum:
    columns = (none.found, arm.found, none.ap, arm.ap)
    return Stratum(name, int(flags.sum()), *(float(column[flags].mean()) for column in columns))


def _groups(
    tasks: Sequence[Task], first_hits: Sequence[int], ap: Values
) -> dict[str, NDArray[np.bool_]]:
    """Non-empty groups of queries: name -> [q]."""
    first = np.array(first_hits)
    n_relevant = np.array([len(task.relevant) for task in tasks])
    groups = {
        "first hit 1": first == 1,
        "first hit 2-5": (first >= 2) & (first <= 5),
        "first hit 6 or later": first >= 6,
        "first hit never": first == 0,
        "relevant 1-2": n_relevant <= 2,
        "relevant 3-9": (n_relevant >= 3) & (n_relevant <= 9),
        "relevant 10-49": (n_relevant >= 10) & (n_relevant <= 49),
        "relevant 50 or more": n_relevant >= 50,
        "ap without feedback < .2": ap < 0.2,
        "ap without feedback .2-.5": (ap >= 0.2) & (ap < 0.5),
        "ap without feedback >= .5": ap >= 0.5,
    }
    return {name: flags for name, flags in groups.items() if flags.any()}


def drawing() -> Any:
    """Matplotlib's pyplot, which opens no window.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "missing_extra", "a plot needs the package 'matplotlib'", "pip install 'relook[plot]'"
        ) from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def plot_found(reports: Mapping[str, ArmReport], file: Path) -> None:
    """Draws the share found over images seen, one curve a strategy, into a PNG or SVG file.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    plt = drawing()
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    first = next(iter(reports.values()))
    views = [n for n, _, _ in first.found_at]
    axes.plot(views, [none for _, none, _ in first.found_at], "k--", label="no feedback")
    for name, report in reports.items():
        axes.plot(views, [share for _, _, share in report.found_at], marker="o", label=name)
    axes.set(xlabel="images seen", ylabel="share found", xticks=views)
    axes.legend(fontsize="small")
    figure.savefig(file)
    plt.close(figure)
