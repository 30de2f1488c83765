"""How much of a kind a session has found, and whether that was all. Layer: search.

"37 found, likely 38 to 44 in all" of the pictures that the session's filter lets through. Copies of
one picture are one picture here: what is said of one is said of them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from relook.core.converter import JsonValue
from relook.core.errors import InputError, counted
from relook.core.json_form import Digits
from relook.core.vectors import Floats, Ints, unit
from relook.feedback.remaining import Doubles, Remaining, features, remaining
from relook.library.session_values import Judgement, RoundRow
from relook.search.engine import Engine
from relook.search.filtering import Filter

NOTHING_RELEVANT = "Nothing is marked relevant yet: mark a picture that fits."
NOTHING_HERE = "There is no picture here to look through."
CONTRADICTORY = (
    "The marks contradict each other: what is marked relevant looks no more alike than what is not."
)
MOST_TO_JUDGE = 1000
_BLOCK = 8192  # pictures whose vectors are in memory at once
_COPIES, _MEAN = "pictures without copies", "mean of different pictures"
_N_MEAN = 5000  # pictures that a library's mean is of
_FEWEST_TO_DOUBT = 3  # marks of each kind from which they may be said to contradict each other

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Candidate(JsonValue):
    """An image that is worth judging.

    Args:
        image_id: Which.
        chance: Probability that it is of the kind, as far as the marks say.
    """

    image_id: int
    chance: Annotated[float, Digits(4)]


@dataclass(frozen=True, slots=True)
class Estimate(JsonValue):
    """How many pictures of a session's kind there are, and how many of them were found.

    Args:
        summary: All of it in one sentence.
        n_found: Pictures marked relevant.
        n_seen: Pictures that were judged, or passed over on a page that others were marked on.
        n_images: Pictures that may be of the kind: all that the session's filter lets through.
        low, high: How many of the kind there are in all: between these, in nine cases of ten.
        expected: How many there are in all, on average.
        chance: Probability that at least nine of ten are found.
        complete: The stop signal. In at least nine of ten searches in which it is given, at
            least nine of ten pictures of the kind are found, as measured on searches that nothing
            was learnt from.
        to_judge: Images that are worth judging next, the likeliest first.
        notes: What the person should know of it.
    """

    summary: str
    n_found: int
    n_seen: int
    n_images: int
    low: int
    high: int
    expected: Annotated[float, Digits(1)]
    chance: Annotated[float, Digits(3)]
    complete: bool
    to_judge: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """Images that were looked at.

    Args:
        relevant: Ids of those that were marked relevant, as a whole or a region of them.
        irrelevant: Of the others that were judged.
        passed: Of those without a mark on pages on which others got one.
    """

    relevant: frozenset[int]
    irrelevant: frozenset[int]
    passed: frozenset[int] = frozenset()

    @classmethod
    def of(
        cls, judgements: Iterable[Judgement], pages: Sequence[RoundRow], passed_over: bool
    ) -> Seen:
        """What was looked at on the way to a round.

        Args:
            judgements: That count there.
            pages: Rounds that were left, from the first on.
            passed_over: Whether what was left without a mark beside marked ones was looked at.
        """
        judged = list(judgements)
        relevant = frozenset(mark.image_id for mark in judged if mark.relevant)
        others = frozenset(mark.image_id for mark in judged) - relevant
        marks = {(mark.round, mark.image_id) for mark in judged}
        shown: set[int] = set()
        for page in pages if passed_over else ():
            on_page = {image_id for image_id, _, _ in page.hits}
            if any((page.number, image_id) in marks for image_id in on_page):
                shown |= on_page
        return cls(relevant, others, frozenset(shown) - relevant - others)

    @property
    def all(self) -> frozenset[int]:
        """Every image that was looked at."""
        return self.relevant | self.irrelevant | self.passed


def estimate(engine: Engine, vector: Floats, only: Filter, seen: Seen, limit: int = 1) -> Estimate:
    """How many pictures of a kind the library holds, and how many of them were found.

    Args:
        engine: Of the library.
        vector: [d] of the first query.
        only: Which images the search keeps to.
        seen: What was looked at.
        limit: How many pictures to name that are worth judging next.

    Raises:
        InputError: `bad_limit` for a limit below 0 or above 1000.
    """
    if not isinstance(limit, int | np.integer) or not 0 <= limit <= MOST_TO_JUDGE:
        raise InputError("bad_limit", f"limit is {limit!r:.80}", f"ask for 0 to {MOST_TO_JUDGE}")
    with engine.files.moment():
        pool = _Pool.of(engine, only, seen)
        if not pool.n:
            return Estimate(NOTHING_HERE, 0, 0, 0, 0, 0, 0.0, 0.0, complete=False)
        scores = engine.score_all(vector[None])[0][pool.rows]  # [n]
        table = features(scores, _likeness(engine, pool), pool.relevant, pool.irrelevant)
    left = remaining(table, pool.relevant, pool.irrelevant)
    unseen = np.where(pool.seen, -1.0, left.chances)
    best = np.argsort(-unseen, kind="stable")[: min(limit, left.n_unseen)]
    named = zip(pool.image_ids[best].tolist(), left.chances[best].tolist(), strict=True)
    return _told(pool, left, table, tuple(Candidate(*pair) for pair in named))


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """The different pictures that may be of the kind.

    Args:
        rows: [n] lines of the library's row table, one of each picture.
        image_ids: [n]
        relevant, irrelevant: Positions among them of those looked at.
        n_copies: Images that are copies of others.
        n_passed: Images that were passed over.
        n_both: Pictures that are marked both ways.
    """

    rows: Ints
    image_ids: Ints
    relevant: Ints
    irrelevant: Ints
    n_copies: int
    n_passed: int
    n_both: int

    @property
    def n(self) -> int:
        """How many pictures there are."""
        return len(self.rows)

    @property
    def seen(self) -> Flags:
        """[n] whether each was looked at."""
        flags = np.zeros(self.n, np.bool_)
        flags[self.relevant] = flags[self.irrelevant] = True
        return flags

    @classmethod
    def of(cls, engine: Engine, only: Filter, seen: Seen) -> _Pool:
        """Those that a filter lets through, and those looked at."""
        table = engine.files.row_table
        allowed = engine.may_show(only)  # [N] by row
        looked_at = np.isin(table[:, 2], list(seen.all)) if len(table) else np.zeros(0, np.bool_)
        rows = np.flatnonzero(allowed | looked_at)
        first_of = _copies(engine)[rows]  # [n images] the line of the first copy
        _, firsts, group = np.unique(first_of, return_index=True, return_inverse=True)
        ids = table[rows, 2]
        relevant = _groups(ids, seen.relevant, group)
        irrelevant = _groups(ids, seen.irrelevant | seen.passed, group)
        marked_against = _groups(ids, seen.irrelevant, group)
        both = np.intersect1d(marked_against, relevant)
        return cls(
            rows[firsts], ids[firsts], relevant, np.setdiff1d(irrelevant, relevant),
            len(rows) - len(firsts), len(seen.passed), len(both),
        )  # fmt: skip


def _groups(ids: Ints, wanted: frozenset[int], group: Ints) -> Ints:
    """Pictures that some images are copies of, by position."""
    return np.unique(group[np.isin(ids, list(wanted))]) if wanted else np.zeros(0, np.int64)


def _copies(engine: Engine) -> Ints:
    """[N] for every image by row: the line of the first image with the very same vector."""
    known: Ints | None = engine.files.derived.get(_COPIES)
    if known is None:
        table, vectors = engine.files.row_table, engine.files.vectors
        odd = np.random.default_rng(0).integers(1, 2**63, vectors.dim, np.uint64) | np.uint64(1)
        sums = np.empty(len(table), np.uint64)
        for at in range(0, len(table), _BLOCK):
            bits = vectors.rows(table[at : at + _BLOCK, 0]).view(np.uint32)
            sums[at : at + _BLOCK] = (bits * odd).sum(axis=1, dtype=np.uint64)
        _, firsts, group = np.unique(sums, return_index=True, return_inverse=True)
        known = engine.files.derived[_COPIES] = firsts[group]
    return known


def _likeness(engine: Engine, pool: _Pool) -> Floats:
    """[n, 2] sums of inner products of vectors without their mean: see `features`."""
    vectors, lines = engine.files.vectors, engine.files.row_table[pool.rows, 0]
    mean = _mean(engine)
    sides = [
        unit(vectors.rows(lines[places]) - mean).sum(axis=0) for places in
        (pool.relevant, pool.irrelevant)
    ]  # fmt: skip
    directions = np.stack([*sides, mean], axis=1).astype(np.float32)  # [d, 3]
    likeness = np.empty((pool.n, 2), np.float32)
    for at in range(0, pool.n, _BLOCK):
        products = vectors.rows(lines[at : at + _BLOCK]) @ directions  # [b, 3]
        length = np.sqrt(np.maximum(1 - 2 * products[:, 2] + float(mean @ mean), 1e-9))
        likeness[at : at + _BLOCK] = (products[:, :2] - mean @ directions[:, :2]) / length[:, None]
    return likeness


def _mean(engine: Engine) -> Floats:
    """[d] mean of the vectors of up to 5,000 different whole pictures, drawn at random."""
    known: Floats | None = engine.files.derived.get(_MEAN)
    if known is None:
        lines = engine.files.row_table[np.unique(_copies(engine)), 0]
        drawn = np.random.default_rng(0).permutation(len(lines))[:_N_MEAN]
        whole = engine.files.vectors.rows(lines[np.sort(drawn)])
        known = engine.files.derived[_MEAN] = np.asarray(whole.mean(axis=0), np.float32)
    return known


def _told(
    pool: _Pool, left: Remaining, table: Doubles, to_judge: tuple[Candidate, ...]
) -> Estimate:
    """The estimate with its sentence and its notes."""
    n_found, n_seen = len(pool.relevant), len(pool.relevant) + len(pool.irrelevant)
    least, most = left.likely()
    low, high = n_found + least, n_found + most
    return Estimate(
        summary=_summary(left, low, high, pool.n),
        n_found=n_found,
        n_seen=n_seen,
        n_images=pool.n,
        low=low,
        high=high,
        expected=n_found + left.expected,
        chance=left.enough_chance if n_found or not left.n_unseen else 0.0,
        complete=left.is_enough,
        to_judge=to_judge,
        notes=tuple(_notes(pool, table)),
    )


def _summary(left: Remaining, low: int, high: int, n_images: int) -> str:
    if not left.n_unseen:
        return f"{left.n_relevant} found: {counted(n_images, 'picture')} looked at, all there are."
    if not left.n_relevant:
        return NOTHING_RELEVANT
    among = f"likely {low}" if low == high else f"likely {low} to {high}"
    enough = " Enough: at least nine of ten are found." if left.is_enough else ""
    return f"{left.n_relevant} found, {among} in all.{enough}"


def _notes(pool: _Pool, table: Doubles) -> Iterator[str]:
    if pool.n_both:
        what = counted(pool.n_both, "picture")
        yield f"{what} marked relevant and, as a copy, not relevant: counted as found."
    if pool.n_passed:
        what = counted(pool.n_passed, "picture")
        yield f"{what} passed over beside marked ones: counted as not of the kind."
    if pool.n_copies:
        yield f"{counted(pool.n_copies, 'copy', 'copies')} counted with the picture they copy."
    if _is_contradictory(pool, table):
        yield CONTRADICTORY


def _is_contradictory(pool: _Pool, table: Doubles) -> bool:
    """Whether what is relevant is no nearer to the query and to itself than what is not is."""
    if min(len(pool.relevant), len(pool.irrelevant)) < _FEWEST_TO_DOUBT:
        return False
    heights = table[:, 1] + table[:, 2]
    return bool(heights[pool.relevant].mean() <= heights[pool.irrelevant].mean())
