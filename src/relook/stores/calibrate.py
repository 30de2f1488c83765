"""How many lists a search has to read and how many rows to score again, by trying. Layer: stores.

Queries of two sorts are compared with an exact search over all rows: rows of the library, which
lie near the centres of lists, and words, which do not. For each the cheapest way is taken
that finds as much as is promised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relook.core.vectors import Floats, Ints
from relook.stores.base import VectorSource
from relook.stores.exact import exact_search
from relook.stores.faiss_store import search_lists
from relook.stores.ivf_files import Probes
from relook.stores.plan import KINDS, IndexPlan

__all__ = ["calibrate"]

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
    found: list[tuple[float, int, int, float]] = []  # cost, lists, shortlist, recall
    per_list = len(source) / plan.n_lists * plan.dim * KINDS[plan.kind].bytes_per_number
    shortlists = [int(one * KINDS[plan.kind].shortlist) for one in _SHORTLISTS]
    n_probe = max(plan.n_lists // 512, 1)
    while n_probe <= plan.n_lists:
        report("measuring the index", n_probe, plan.n_lists)
        recalls = _recalls(index, queries, right, n_probe, shortlists)
        for n_short, recall in zip(shortlists, recalls, strict=True):
            cost = n_probe * per_list * _SCAN_US + n_short * _SCORE_US
            found.append((cost, n_probe, n_short, float(recall)))
        if recalls[-1] >= 0.999 or recalls[1] >= _RECALL:
            break
        n_probe = max(int(n_probe * 1.42), n_probe + 1)
    good = [one for one in found if one[3] >= _RECALL]
    chosen = min(good) if good else max(found, key=lambda one: (one[3], -one[0]))
    return (chosen[1], chosen[2]), nearness, round(chosen[3], 4)


def _recalls(
    index: Any, queries: Floats, right: Ints, n_probe: int, shortlists: list[int]
) -> NDArray[np.float64]:
    """Share of the right rows [q, 20] that shortlists of each length hold, [s]."""
    near, lists = index.quantizer.search(queries, n_probe)
    places = np.full((len(queries), right.shape[1]), shortlists[-1])  # of right rows in shortlists
    for q in range(len(queries)):
        found, _ = search_lists(
            index, queries[q : q + 1], shortlists[-1], lists[q : q + 1], near[q : q + 1]
        )
        same = right[q][:, None] == found  # [20, s]
        places[q] = np.where(same.any(axis=1), same.argmax(axis=1), shortlists[-1])
    return np.array([np.mean(places < n_short) for n_short in shortlists])
