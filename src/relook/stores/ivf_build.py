"""Training an index, adding rows to it, and measuring how far its searches look. Layer: stores.

Rows that came since are added as a segment of their own, and small segments are put together,
so that a library that grows is never indexed anew: only when it has grown to four times of
what the index was trained on, or its new rows fit the lists badly. Everything is written under
new names and comes into use with the card, so searches go on with the old index meanwhile; a run
that was killed is taken up by the next (`ivf_work`).

How many lists a search has to read and how many rows to score again is found by trying. Queries
of two sorts are compared with an exact search over all rows: rows of the library, which lie near
the centres of lists, and words, which do not. For each the cheapest way is taken that finds as
much as is promised, and a little more.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from relook.core.errors import LibraryFormatError
from relook.core.vectors import Floats, Ints
from relook.stores.base import VectorSource
from relook.stores.centres import Report
from relook.stores.exact import exact_search
from relook.stores.faiss_store import search_lists
from relook.stores.ivf_files import (
    Card,
    Probes,
    Segment,
    new_file,
    open_centres,
    open_directions,
    open_segment,
    rows_crc32,
    sweep,
    write_directions,
)
from relook.stores.ivf_lists import (
    FAR_REACH,
    NEAR_REACH,
    Coded,
    Entries,
    Joined,
    Kept,
    Lists,
    train_lists,
    write_lists,
)
from relook.stores.ivf_work import Base, Work, begun, directions_of_codes, remove_work, sort_codes
from relook.stores.plan import KINDS, IndexPlan

_LOG = logging.getLogger(__name__)
Best = Callable[[Floats, int, Ints], Ints]
"""A query [1, d], how many rows and the lists to read [1, p] to the best rows by code [s]."""
_CODED = 16_384  # rows that the codes are learnt from
_FEW = 2_000  # rows that are compared exactly rather than put into a segment
_GROWN = 4  # times the rows it was trained on, and an index is trained anew
_FIT = 2.0  # times as far from the centres as rows were when it was trained
_PUT_TOGETHER = 2  # a segment joins the new one that is half as large


def leave_cores() -> None:
    """Has FAISS train with half the cores: searches and encoding want the others.

    numpy, which puts rows into lists, keeps the number of threads that it has.
    """
    faiss.omp_set_num_threads(max((os.cpu_count() or 2) // 2, 1))


def needs_update(source: VectorSource, folder: Path, number: int, plan: IndexPlan) -> bool:
    """Whether `update_index` would do anything, told without reading the vectors."""
    if not plan.n_lists:
        return False
    card = _usable(source, folder, number, plan)
    return card is None or len(source) - card.n_rows > _FEW


def rows_without(source: VectorSource, folder: Path, number: int, plan: IndexPlan) -> int:
    """How many rows have to be compared exactly for want of the index that is planned."""
    if not plan.n_lists:
        return 0
    card = _usable(source, folder, number, plan)
    return len(source) - (card.n_rows if card else 0)


def update_index(
    source: VectorSource,
    folder: Path,
    number: int,
    plan: IndexPlan,
    texts: Floats | None = None,
    report: Report | None = None,
) -> Card:
    """Brings the index over a source up to date; searches go on with the old one meanwhile.

    Args:
        source: The rows.
        folder: Of the index; made when it is not there.
        number: Of the file of vectors.
        plan: What kind of index; not `exact`.
        texts: [n, d] queries by words to measure with, when there are some.
        report: Told how far it is.

    Raises:
        OSError, RuntimeError: when the disk refuses.
    """
    report = report or (lambda _stage, _done, _total: None)
    card = _usable(source, folder, number, plan)
    if card is not None:
        try:
            return _extend(card, source, folder, number, report)
        except LibraryFormatError as error:
            _LOG.warning("the index is built anew: %s", error)
    return build_index(source, folder, plan, number, texts, report)


def build_index(
    source: VectorSource,
    folder: Path,
    plan: IndexPlan,
    number: int = 0,
    texts: Floats | None = None,
    report: Report | None = None,
) -> Card:
    """Trains an index, fills it with all rows and puts it in the place of the one before.

    Args and errors as for `update_index`.
    """
    report = report or (lambda _stage, _done, _total: None)
    try:
        work = _begun(source, folder, plan, number) or _begin(source, folder, plan, number, report)
        rows, closeness = work.fill(source, report)
        n, tell = len(source), partial(report, "writing the index")
        segment = _segment(source, folder, work, rows, (0, n), closeness, tell)
    except (OSError, RuntimeError):
        remove_work(folder, number)  # a full disk needs the room
        raise
    base = work.base
    plan = replace(plan, n_lists=base.n_lists, n_coded=work.directions.shape[1])
    index = open_segment(folder, segment)
    probes, recall = calibrate(source, work.lists, index, work.directions, plan, texts, report)
    card = Card(
        plan.kind, plan.dim, plan.n_lists, base.centres, base.directions, base.trained_rows,
        closeness, probes, recall, (segment,),
    )  # fmt: skip
    card.write(folder, number)
    sweep(folder, number, card)
    _LOG.info("built an index of %d rows: %s, recall %s", n, plan.factory, recall)
    return card


def _begun(source: VectorSource, folder: Path, plan: IndexPlan, number: int) -> Work | None:
    """The work that a run left, when it is on what is wanted now."""
    base = begun(folder, number)
    if base is None or base.start or (base.kind, base.dim) != (plan.kind, plan.dim):
        return None
    if not base.trained_rows <= len(source) <= _GROWN * base.trained_rows:
        return None
    try:
        return Work(folder, number, base)
    except LibraryFormatError:
        return None


def _begin(
    source: VectorSource, folder: Path, plan: IndexPlan, number: int, report: Report
) -> Work:
    """Learns lists and codes from a sample of the rows."""
    lists = train_lists(source, plan, report)
    chosen = np.random.default_rng(7).choice(len(source), min(plan.n_sample, _CODED), replace=False)
    sample = source.rows(np.sort(chosen).astype(np.int64))
    directions = directions_of_codes(sample)
    plan = replace(plan, n_lists=len(lists), n_coded=directions.shape[1])
    index = faiss.index_factory(plan.n_coded, plan.factory, faiss.METRIC_INNER_PRODUCT)
    index.own_fields, index.quantizer = False, lists.index
    index.by_residual = False  # lists need no centres then to score rows
    if hasattr(index, "pq"):
        index.pq.cp.niter = 10
    index.train(sample @ directions)
    sort_codes(index)
    nothing = Coded(np.zeros(0, np.int32), np.zeros((0, index.code_size), np.uint8), 0)
    trained = new_file(folder, partial(write_lists, index=index, entries=nothing))
    centres = new_file(folder, lists.write, ".centres")
    written = new_file(folder, partial(write_directions, directions=directions), ".directions")
    base = Base(plan.kind, plan.dim, plan.n_lists, 0, len(source), centres, written, trained)
    work = Work(folder, number, base)
    work.keep(source, 0, 0.0)
    return work


def _segment(
    source: VectorSource,
    folder: Path,
    work: Work,
    rows: Entries,
    span: tuple[int, int],
    closeness: float,
    tell: Callable[[int, int], None],
) -> Segment:
    """Writes rows as a segment over a span of them."""
    write = partial(write_lists, index=work.index, entries=rows, tell=tell)
    return Segment(new_file(folder, write), *span, closeness, rows_crc32(source, *span))


def _usable(source: VectorSource, folder: Path, number: int, plan: IndexPlan) -> Card | None:
    """The card of an index that only lacks rows; None where a new one is due."""
    try:
        card = Card.read(folder, number)
        fits = card.dim == source.dim and card.segments and card.n_rows <= len(source)
        if not fits:
            return None
        open_centres(folder, card)
        open_directions(folder, card.directions)
        for segment in card.segments:
            open_segment(folder, segment)
            if rows_crc32(source, segment.start, segment.stop) != segment.rows_crc32:
                return None
    except LibraryFormatError:
        return None
    grown = len(source) > _GROWN * card.trained_rows
    return None if card.kind != plan.kind or grown or _is_strange(card) else card


def _is_strange(card: Card) -> bool:
    """Whether rows that came later, a quarter or more, lie far from the centres of the lists."""
    later = [segment for segment in card.segments if segment.start >= card.trained_rows]
    n_later = sum(segment.stop - segment.start for segment in later)
    if n_later * 4 < card.n_rows:
        return False
    closeness = (
        sum(segment.closeness * (segment.stop - segment.start) for segment in later) / n_later
    )
    return 1 - closeness > _FIT * (1 - card.closeness)


def _extend(card: Card, source: VectorSource, folder: Path, number: int, report: Report) -> Card:
    """Adds the rows that the index lacks, as a segment; small ones before it join in."""
    n, kept = len(source), list(card.segments)
    if n == card.n_rows:
        return card
    joined: list[Segment] = []
    start = card.n_rows
    # The first stays alone: it says how its rows fitted when the index was trained.
    while len(kept) > 1 and kept[-1].stop - kept[-1].start <= _PUT_TOGETHER * (n - start):
        joined.insert(0, kept.pop())
        start = joined[0].start
    base = Base(
        card.kind, card.dim, card.n_lists, card.n_rows, card.trained_rows, card.centres,
        card.directions, card.segments[0].file,
    )  # fmt: skip
    try:
        work = Work(folder, number, base)
        rows, new_closeness = work.fill(source, report)
        parts = Joined([*(Kept(open_segment(folder, old)) for old in joined), rows])
        sizes = [old.stop - old.start for old in joined] + [n - card.n_rows]
        closeness = np.average([*(old.closeness for old in joined), new_closeness], weights=sizes)
        tell = partial(report, "writing the index")
        whole = _segment(source, folder, work, parts, (start, n), float(closeness), tell)
    except (OSError, RuntimeError):
        remove_work(folder, number)
        raise
    card = replace(card, segments=(*kept, whole))
    card.write(folder, number)
    sweep(folder, number, card)
    _LOG.info("the index covers %d rows more, in %d segments", n - start, len(card.segments))
    return card


_N_QUERIES = 96
_N_BEST = 20
_RECALL = 0.995  # above the .99 that is promised: other queries come
_SHORTLISTS = (60, 100, 200, 400, 800)  # times what the kind of index needs
# Microseconds that a row of the shortlist and a byte of codes cost; only their ratio counts.
_SCORE_US, _SCAN_US = 1.5, 1 / 8000
_FEWEST = 2  # lists that are tried
_FAR_SHARE = 1 / 8  # of all lists, where no words were there to measure with
_N_SEEN, _FARTHEST = 2_000, 0.005  # rows, and the share of them that is as far as words may be


def calibrate(
    source: VectorSource,
    lists: Lists,
    index: Any,
    directions: Floats,
    plan: IndexPlan,
    texts: Floats | None,
    report: Report,
    seed: int = 5,
) -> tuple[Probes, dict[str, float]]:
    """Measures how far searches must look.

    Args:
        source: All rows.
        lists: The centres.
        index: The filled index over the rows.
        directions: [d, k] along which rows are coded in it.
        plan: Of it.
        texts: [n, d] queries by words, when there are some.
        report: Told how far it is; may raise to stop.
        seed: Of the rows that stand for queries by pictures.

    Returns:
        How far, and recall@20 of both sorts.
    """
    rng = np.random.default_rng(seed)
    n = len(source)
    rows = np.sort(rng.choice(n, min(_N_QUERIES, n), replace=False)).astype(np.int64)

    def best(query: Floats, n_short: int, probed: Ints) -> Ints:
        return search_lists(index, query @ directions, n_short, probed)[0]

    measure = partial(_measure, source, lists, best, plan, report=report)
    queries = source.rows(rows)
    near, near_recall = measure(queries, rows, NEAR_REACH)
    recall = {"pictures": near_recall}

    def reached(queries: Floats) -> Floats:
        return lists.highest(queries, 1, NEAR_REACH)[0][:, 0]

    if texts is None or not len(texts):
        far = (max(near[0], int(plan.n_lists * _FAR_SHARE)), _SHORTLISTS[-1])
        # Each such query costs as much as hundreds of others, so that few of the rows may be.
        seen = np.sort(rng.choice(n, min(_N_SEEN, n), replace=False)).astype(np.int64)
        edge = float(np.quantile(reached(source.rows(seen)), _FARTHEST))
    else:
        words = np.asarray(texts[rng.permutation(len(texts))[:_N_QUERIES]], np.float32)
        far, recall["words"] = measure(words, None, FAR_REACH)
        far = (max(near[0], far[0]), max(near[1], far[1]))
        edge = float((np.quantile(reached(queries), 0.1) + np.quantile(reached(words), 0.9)) / 2)
    return Probes(*near, *far, edge), recall


def _measure(
    source: VectorSource,
    lists: Lists,
    best: Best,
    plan: IndexPlan,
    queries: Floats,
    itself: Ints | None,
    reach: float,
    *,
    report: Report,
) -> tuple[tuple[int, int], float]:
    """The cheapest lists and shortlist that find so much, and the recall."""
    queries = np.ascontiguousarray(queries, np.float32)
    report("measuring the index", 0, 1)
    right, _ = exact_search(source, queries, _N_BEST + 1)
    if itself is not None:  # a row finds itself in any index
        others = [row[row != own][:_N_BEST] for row, own in zip(right, itself, strict=True)]
        right = np.stack(others)
    right = right[:, :_N_BEST]
    ways: list[tuple[float, int, int, float]] = []  # cost, lists, shortlist, recall
    per_list = len(source) / plan.n_lists * plan.n_coded * KINDS[plan.kind].bytes_per_number
    shortlists = [int(factor * KINDS[plan.kind].shortlist) for factor in _SHORTLISTS]
    n_probe = _FEWEST
    while n_probe <= plan.n_lists:
        report("measuring the index", n_probe, plan.n_lists)
        _, probed = lists.highest(queries, n_probe, reach)
        recalls = _recalls(best, queries, right, probed, shortlists)
        for n_short, recall in zip(shortlists, recalls, strict=True):
            cost = n_probe * per_list * _SCAN_US + n_short * _SCORE_US
            ways.append((cost, n_probe, n_short, float(recall)))
        if recalls[-1] >= 0.999 or recalls[1] >= _RECALL:
            break
        n_probe = max(int(n_probe * 1.25), n_probe + 1)
    good = [way for way in ways if way[3] >= _RECALL]
    chosen = min(good) if good else max(ways, key=lambda way: (way[3], -way[0]))
    return (chosen[1], chosen[2]), round(chosen[3], 4)


def _recalls(
    best: Best, queries: Floats, right: Ints, probed: Ints, shortlists: list[int]
) -> NDArray[np.float64]:
    """Share of the right rows [q, 20] that shortlists of each length of lists [q, p] hold, [s]."""
    places = np.full((len(queries), right.shape[1]), shortlists[-1])  # of right rows in shortlists
    for q in range(len(queries)):
        rows = best(queries[q : q + 1], shortlists[-1], probed[q : q + 1])
        same = right[q][:, None] == rows  # [20, s]
        places[q] = np.where(same.any(axis=1), same.argmax(axis=1), shortlists[-1])
    return np.array([np.mean(places < n_short) for n_short in shortlists])
