"""Training an index, adding rows to it, and measuring how far its searches look. Layer: stores.

Rows that came since are added as a segment of their own, and small segments are put together,
so that a library that grows is never indexed anew: only when it has grown to four times of
what the index was trained on, or its new rows fit the lists badly. Everything is written under
new names and comes into use with the card, so a kill at any moment costs what was not done.

How many lists a search has to read and how many rows to score again is found by trying. Queries
of two sorts are compared with an exact search over all rows: rows of the library, which lie near
the centres of lists, and words, which do not. For each the cheapest way is taken that finds as
much as is promised.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from relook.core.errors import LibraryFormatError
from relook.core.vectors import Floats, Ints, unit
from relook.stores.base import VectorSource
from relook.stores.exact import exact_search
from relook.stores.faiss_store import search_lists
from relook.stores.ivf_files import (
    Card,
    Probes,
    Segment,
    open_segment,
    rows_crc32,
    sweep,
    write_segment,
)
from relook.stores.plan import KINDS, IndexPlan

_LOG = logging.getLogger(__name__)
Report = Callable[[str, int, int], None]
"""Called with a stage and how much of it is done, of how much; may raise to stop."""
_ROUNDS = 6  # of k-means; 25 take four times as long and find no more
_BLOCK = 16_384
_CODED = 16_384  # rows that the codes are learnt from
_FEW = 2_000  # rows that are compared exactly rather than put into a segment
_GROWN = 4  # times the rows it was trained on, and an index is trained anew
_FIT = 2.0  # times as far from the centres as rows were when it was trained
_PUT_TOGETHER = 2  # a segment joins the new one that is half as large


def leave_cores() -> None:
    """Has this thread build with half the cores: searches and encoding want the others."""
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
    n = len(source)
    index = _train(source, plan, report)
    segment = _fill(index, source, folder, 0, n, report)
    try:
        probes, recall = calibrate(source, index, plan, texts, report)
    except BaseException:
        (folder / segment.name).unlink(missing_ok=True)
        raise
    card = Card(plan.kind, plan.dim, plan.n_lists, n, segment.closeness, probes, recall, (segment,))
    card.write(folder, number)
    sweep(folder, number, card)
    _LOG.info("built an index of %d rows: %s, recall %s", n, plan.factory, recall)
    return card


def _usable(source: VectorSource, folder: Path, number: int, plan: IndexPlan) -> Card | None:
    """The card of an index that only lacks rows; None where a new one is due."""
    try:
        card = Card.read(folder, number)
        fits = card.dim == source.dim and card.segments and card.n_rows <= len(source)
        if not fits:
            return None
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
    index = open_segment(folder, (joined or kept)[0], whole=True)
    if not joined:
        index.reset()
    for segment in joined[1:]:
        index.merge_from(open_segment(folder, segment, whole=True), 0)  # ids stay
    new = _fill(index, source, folder, card.n_rows, n, report)
    n_old = sum(old.stop - old.start for old in joined)
    closeness = sum(old.closeness * (old.stop - old.start) for old in joined)
    closeness = (closeness + new.closeness * (n - card.n_rows)) / (n_old + n - card.n_rows)
    whole = replace(new, start=start, closeness=closeness, rows_crc32=rows_crc32(source, start, n))
    card = replace(card, segments=(*kept, whole))
    card.write(folder, number)
    sweep(folder, number, card)
    _LOG.info("the index covers %d rows more, in %d segments", n - start, len(card.segments))
    return card


def _train(source: VectorSource, plan: IndexPlan, report: Report, seed: int = 7) -> Any:
    """An empty index with its lists and codes learnt from a sample."""
    chosen = np.random.default_rng(seed).choice(len(source), plan.n_sample, replace=False)
    sample = source.rows(np.sort(chosen).astype(np.int64))  # [s, d]
    centres = _centres(sample, plan.n_lists, report, seed)
    index = faiss.index_factory(plan.dim, plan.factory, faiss.METRIC_INNER_PRODUCT)
    index.quantizer.add(centres)
    if hasattr(index, "pq"):
        index.pq.cp.niter = 10
    index.train(sample[:: max(len(sample) // _CODED, 1)])
    return index


def _centres(sample: Floats, n_lists: int, report: Report, seed: int) -> Floats:
    """Centres [n_lists, d] of clusters: spherical k-means.

    FAISS has it too, but cannot be stopped in the middle or say how far it is.
    """
    rng = np.random.default_rng(seed)
    centres = sample[rng.permutation(len(sample))[:n_lists]]
    for done in range(_ROUNDS):
        flat = faiss.IndexFlatIP(sample.shape[1])
        flat.add(centres)
        sums = np.zeros_like(centres)
        for at in range(0, len(sample), _BLOCK):
            report("training the index", done * len(sample) + at, _ROUNDS * len(sample))
            block = sample[at : at + _BLOCK]
            lists = flat.search(block, 1)[1][:, 0]
            order = np.argsort(lists, kind="stable")
            which, firsts = np.unique(lists[order], return_index=True)
            sums[which] += np.add.reduceat(block[order], firsts, axis=0)
        empty = np.flatnonzero(~sums.any(axis=1))
        sums[empty] = sample[rng.choice(len(sample), len(empty))]
        centres = unit(sums)
    report("training the index", _ROUNDS * len(sample), _ROUNDS * len(sample))
    return centres


def _fill(
    index: Any, source: VectorSource, folder: Path, start: int, stop: int, report: Report
) -> Segment:
    """Adds rows to an index and writes it as a segment."""
    near: list[Floats] = []
    for at in range(start, stop, _BLOCK):
        report("filling the index", at - start, stop - start)
        end = min(at + _BLOCK, stop)
        block = source.block(at, end)  # [b, d]
        index.add_with_ids(block, np.arange(at, end, dtype=np.int64))
        near.append(index.quantizer.search(np.ascontiguousarray(block[::16]), 1)[0][:, 0])
    report("filling the index", stop - start, stop - start)
    return write_segment(index, folder, source, start, stop, float(np.concatenate(near).mean()))


_N_QUERIES = 96
_N_BEST = 20
_RECALL = 0.992  # a little above the .99 that is promised: other queries come
_SHORTLISTS = (60, 100, 200, 400, 800)  # times what the kind of index needs
# Microseconds that a row of the shortlist and a byte of codes cost; only their ratio counts.
_SCORE_US, _SCAN_US = 1.5, 1 / 8000
_FAR_SHARE = 1 / 8  # of all lists, where no words were there to measure with


def calibrate(
    source: VectorSource,
    index: Any,
    plan: IndexPlan,
    texts: Floats | None,
    report: Callable[[str, int, int], None],
    seed: int = 5,
) -> tuple[Probes, dict[str, float]]:
    """Measures how far searches must look.

    Args:
        source: All rows.
        index: The filled index over them.
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
    near, nearest, near_recall = _measure(source, index, plan, source.rows(rows), rows, report)
    edge, far, recall = -1.0, near, {"pictures": near_recall}
    if texts is None or not len(texts):
        far = (max(near[0], int(plan.n_lists * _FAR_SHARE)), _SHORTLISTS[-1])
        edge = float(np.quantile(nearest, 0.05))
    else:
        chosen = rng.permutation(len(texts))[:_N_QUERIES]
        far, words, recall["words"] = _measure(source, index, plan, texts[chosen], None, report)
        far = (max(near[0], far[0]), max(near[1], far[1]))
        edge = float((np.quantile(nearest, 0.1) + np.quantile(words, 0.9)) / 2)
    return Probes(*near, *far, edge), recall


def _measure(
    source: VectorSource,
    index: Any,
    plan: IndexPlan,
    queries: Floats,
    itself: Ints | None,
    report: Callable[[str, int, int], None],
) -> tuple[tuple[int, int], Floats, float]:
    """The cheapest lists and shortlist, the queries' nearness to centres, and the recall."""
    queries = np.ascontiguousarray(queries, np.float32)
    report("measuring the index", 0, 1)
    right, _ = exact_search(source, queries, _N_BEST + 1)
    if itself is not None:  # a row finds itself in any index
        others = [row[row != own][:_N_BEST] for row, own in zip(right, itself, strict=True)]
        right = np.stack(others)
    right = right[:, :_N_BEST]
    nearness = np.asarray(index.quantizer.search(queries, 1)[0][:, 0], np.float32)
    ways: list[tuple[float, int, int, float]] = []  # cost, lists, shortlist, recall
    per_list = len(source) / plan.n_lists * plan.dim * KINDS[plan.kind].bytes_per_number
    shortlists = [int(factor * KINDS[plan.kind].shortlist) for factor in _SHORTLISTS]
    n_probe = max(plan.n_lists // 512, 1)
    while n_probe <= plan.n_lists:
        report("measuring the index", n_probe, plan.n_lists)
        recalls = _recalls(index, queries, right, n_probe, shortlists)
        for n_short, recall in zip(shortlists, recalls, strict=True):
            cost = n_probe * per_list * _SCAN_US + n_short * _SCORE_US
            ways.append((cost, n_probe, n_short, float(recall)))
        if recalls[-1] >= 0.999 or recalls[1] >= _RECALL:
            break
        n_probe = max(int(n_probe * 1.42), n_probe + 1)
    good = [way for way in ways if way[3] >= _RECALL]
    chosen = min(good) if good else max(ways, key=lambda way: (way[3], -way[0]))
    return (chosen[1], chosen[2]), nearness, round(chosen[3], 4)


def _recalls(
    index: Any, queries: Floats, right: Ints, n_probe: int, shortlists: list[int]
) -> NDArray[np.float64]:
    """Share of the right rows [q, 20] that shortlists of each length hold, [s]."""
    near, lists = index.quantizer.search(queries, n_probe)
    places = np.full((len(queries), right.shape[1]), shortlists[-1])  # of right rows in shortlists
    for q in range(len(queries)):
        rows, _ = search_lists(
            index, queries[q : q + 1], shortlists[-1], lists[q : q + 1], near[q : q + 1]
        )
        same = right[q][:, None] == rows  # [20, s]
        places[q] = np.where(same.any(axis=1), same.argmax(axis=1), shortlists[-1])
    return np.array([np.mean(places < n_short) for n_short in shortlists])
