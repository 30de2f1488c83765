"""Learning the centres of an index's lists: spherical k-means over a sample of rows. Layer: stores.

FAISS has it too, but cannot be stopped in the middle or say how far it is. And where there are
more clusters than lists, it takes a dozen rounds until those that got no centre at the start have
come together in one list each (docs/decisions/0018-more-lists.md). So a row that has found its
place is not compared again: one that stayed in its list and stands at least as near to its centre
as rows do on average. A round then takes less than half the time.

Some clusters get no list even so: their rows lie scattered over lists of others, where no search
looks for them. Those rows are far from every centre, and few, so they are told apart and lists are
learnt for them alone, in a moment.
"""

from collections.abc import Callable

import numpy as np

from relook.core.vectors import Floats, Ints, unit
from relook.stores.nearest import Nearest, directions_of
from relook.stores.plan import MORE_LISTS

Report = Callable[[str, int, int], None]
"""Called with a stage and how much of it is done, of how much; may raise to stop."""
ROUNDS = 12
ROUNDS_OF_ALL = 6.5
"""How many rounds over all rows they cost."""
_ROWS_AT_ONCE = 4_096
_FAR = 0.6
"""A row is far from its centre when it stands less near than so much of the mean."""
_FAR_PER_LIST, _MOST_PER_LIST = 10, 30  # far rows that make a list, and that it is learnt from
_SHORTEST = 0.05  # a mean; it must have a direction
_SEEN = 2_048  # rows that tell in how many directions rows differ
_LISTS_TOGETHER = 32  # the number of lists stays a multiple, see `nearest.py`


def learn_centres(sample: Floats, n_lists: int, rng: np.random.Generator, report: Report) -> Floats:
    """Centres of lists [l, d], the means of their rows; l is up to an eighth more than `n_lists`.

    The more the rows of a list differ, the shorter is their mean.

    Args:
        sample: [s, d] rows, unit vectors; at least as many as lists.
        n_lists: How many are planned; rows that lie far from all of them get more.
        rng: Draws the rows to begin with.
        report: Told how far it is; may raise to stop.
    """
    n_rounds = ROUNDS * len(sample)

    def tell(n_compared: int) -> None:
        report("training the index", n_compared, n_rounds)

    centres, near = _learn(sample, n_lists, rng, tell)
    far = np.flatnonzero(near < _FAR * near.mean())
    n_more = int(min(len(far) // _FAR_PER_LIST, n_lists * MORE_LISTS))
    n_more -= n_more % _LISTS_TOGETHER
    if n_more:
        far = rng.permutation(far)[: n_more * _MOST_PER_LIST]
        more, _ = _learn(sample[far], n_more, rng, lambda _n_compared: tell(n_rounds))
        centres = np.concatenate([centres, more])
    tell(n_rounds)
    return centres


def _learn(
    sample: Floats, n_lists: int, rng: np.random.Generator, tell: Callable[[int], None]
) -> tuple[Floats, Floats]:
    """Centres [l, d], and the inner product [s] of each row with its own in the last round.

    Centres are unit vectors while they are learnt, and have the length of a mean in the end.
    """
    n = len(sample)
    centres = sample[rng.permutation(n)[:n_lists]]
    lists, near = np.full(n, -1, np.int64), np.full(n, -1.0, np.float32)
    has_stayed = np.zeros(n, np.bool_)
    for number in range(ROUNDS):
        nearest = Nearest(centres, directions_of(centres))
        is_settled = has_stayed & (near >= near.mean())
        sums = np.zeros_like(centres)
        for start in range(0, n, _ROWS_AT_ONCE):
            tell(number * n + start)
            block = slice(start, start + _ROWS_AT_ONCE)
            rows = start + np.flatnonzero(~is_settled[block])
            near[rows], nearest_lists = nearest.of(sample[rows])
            has_stayed[rows], lists[rows] = lists[rows] == nearest_lists, nearest_lists
            order = np.argsort(lists[block], kind="stable")
            which, firsts = np.unique(lists[block][order], return_index=True)
            sums[which] += np.add.reduceat(sample[block][order], firsts, axis=0)
        empty = np.flatnonzero(~sums.any(axis=1))
        sums[empty] = sample[rng.choice(n, len(empty))]
        centres = unit(sums)
    sizes = np.bincount(lists, minlength=n_lists)
    return centres * _lengths(sums, np.where(sizes > 0, sizes, 1))[:, None], near


def _lengths(sums: Floats, sizes: Ints) -> Floats:
    """How long the means [l] of lists are, from the sums [l, d] of their rows in the sample.

    A mean of few rows is longer than that of all by what they differ by chance: n |mean|^2 is
    expected to be 1 + (n - 1) m^2, and one row more stands in that is as far as all are on average.
    """
    squares = (sums * sums).sum(axis=1) / sizes  # [l] n |mean|^2
    usual = (squares - 1).sum() / max(int((sizes - 1).sum()), 1)
    true = (squares - 1 + usual) / sizes
    lengths: Floats = np.sqrt(true.clip(_SHORTEST**2, 1)).astype(np.float32)
    return lengths


def spread_of(sample: Floats, centres: Floats) -> Floats:
    """How far the scores of a list's rows lie about the score of their mean, [l].

    For a query in a direction in which rows of the library differ, which are fewer than a row has
    numbers: what such a query sees of the length of a difference is measured on some rows.

    Args:
        sample: [s, d] rows, unit vectors.
        centres: [l, d] means of lists.
    """
    directions = unit(centres)
    stride = max(len(sample) // _SEEN, 1)
    some, others = sample[::stride][:_SEEN], sample[stride // 2 :: stride][:_SEEN]  # [n, d]
    _, lists = Nearest(directions, directions_of(directions)).of(some)
    differences = some - centres[lists]
    seen = (differences @ others.T) ** 2  # [n, n]
    share = float(seen.mean() / max(float((differences**2).sum(axis=1).mean()), 1e-9))
    spread: Floats = np.sqrt(share * (1 - (centres**2).sum(axis=1)).clip(0)).astype(np.float32)
    return spread
