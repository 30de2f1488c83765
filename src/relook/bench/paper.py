"""The protocol of arXiv 2511.17255, on any library: one picture is looked for, turn after turn.

A caption is asked; every turn the query is moved by its first pictures and asked again. Nothing is
taken out of the ranking. Figures are the paper's: MRR@5 and Hits@k of the one right picture.
Layer: bench.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from relook.bench.measures import Interval, bootstrap, columns_by_name, ranks_of, versions
from relook.bench.query_files import Caption
from relook.core.converter import JsonValue
from relook.core.errors import InputError
from relook.core.json_form import Digits
from relook.core.progress import check_cancelled
from relook.core.vectors import Floats, Ints, top
from relook.encoders.base import Fingerprint
from relook.feedback.judged import Evidence, Judged, Summariser
from relook.feedback.rocchio import PAPER
from relook.feedback.scorer import Contribution, Scorer, linear
from relook.feedback.strategies import STRATEGIES, strategy
from relook.feedback.summaries import grf
from relook.search.engine import Engine
from relook.search.feedback_evidence import template

ARMS = ("none", "prf", "grf", "afs", "explicit", "marks:rocchio-paper")
"""The paper's, and marks on pictures with its weights."""
_MARKS = "marks:"
_AT = (1, 5, 10)
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class PaperOptions:
    """How it is played.

    Args:
        arms: Of `ARMS`; `marks:STRATEGY` for any way of using marks.
        turns: How often the query is moved.
        page: First pictures that move it, and that are marked.
        chained: Whether a turn starts from the query of the turn before, not from the first one.
        queries: At most so many captions, drawn at random; 0 for all.
        seed: Of what is drawn.
    """

    arms: tuple[str, ...] = ARMS
    turns: int = 5
    page: int = 5
    chained: bool = False
    queries: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TurnFigures(JsonValue):
    """How the right pictures stand after some turns.

    Args:
        turn: 0 is the caption itself.
        mrr_at_5: Mean of 1/rank, 0 behind rank 5.
        hits_at_1, hits_at_5, hits_at_10: Shares of queries whose picture is among the first k.
    """

    turn: int
    mrr_at_5: Annotated[float, Digits(4)]
    hits_at_1: Annotated[float, Digits(4)]
    hits_at_5: Annotated[float, Digits(4)]
    hits_at_10: Annotated[float, Digits(4)]


@dataclass(frozen=True, slots=True)
class ArmFigures(JsonValue):
    """One way of feedback.

    Args:
        arm: Its name.
        turns: Figures after each turn, from 0.
        gain: In MRR@5 over the caption itself, after the first turn; with its 95% interval.
        last_gain: The same after the last turn.
        better, worse: Shares of queries whose picture ranks higher, or lower, after the last turn.
    """

    arm: str
    turns: tuple[TurnFigures, ...]
    gain: Interval
    last_gain: Interval
    better: Annotated[float, Digits(4)]
    worse: Annotated[float, Digits(4)]


@dataclass(frozen=True, slots=True)
class PaperReport(JsonValue):
    """What was measured, and with what.

    Args:
        arms: In the order they were named.
        n_queries, n_images: Captions asked; pictures ranked for each.
        n_unmatched: Captions left out since the library has no picture of that name.
        n_without_others: Captions whose picture has no other one: `explicit` leaves them alone.
        options: How it was played.
        encoder: Its fingerprint.
        afs: What the trained summariser says of itself; empty when none was asked.
        captioner: Whose words `grf` had; empty when none was asked.
        versions: Of the programs.
    """

    arms: tuple[ArmFigures, ...]
    n_queries: int
    n_images: int
    n_unmatched: int
    n_without_others: int
    options: PaperOptions
    encoder: Fingerprint
    afs: dict[str, Any]
    captioner: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class _Hunt:
    """Everything that is looked for in one library.

    Args:
        engine: Of the library.
        queries: [q, d] captions.
        right: [q] rows of the row table.
        others: [q] for each caption, text vectors of its picture's other ones.
        spoken: Image ids -> text vectors of what a captioner says; None without one.
        summariser: For `afs`.
        options: How it is played.
    """

    engine: Engine
    queries: Floats
    right: Ints
    others: Sequence[Floats]
    speak: Callable[[Sequence[int]], Sequence[str]] | None
    summariser: Summariser | None
    options: PaperOptions
    words: dict[int, Floats] = field(default_factory=dict)  # column -> [d]

    def tiles(self, column: int) -> Floats:
        """[t, d] vectors of a picture."""
        first, n, _ = self.engine.files.row_table[column].tolist()
        return self.engine.files.vectors.rows(np.arange(first, first + n))

    def read_page(self, columns: Ints) -> None:
        """Has the captioner speak of pictures that it has not seen yet."""
        new = [column for column in np.unique(columns).tolist() if column not in self.words]
        if not new or self.speak is None:
            return
        texts = list(self.speak(self.engine.files.row_table[new, 2].tolist()))
        vectors = self.engine.encoder.encode_texts([text or "." for text in texts])
        for column, text, vector in zip(new, texts, vectors, strict=True):
            self.words[column] = vector if text else np.zeros_like(vector)

    def evidence(self, query: Floats, page: Ints) -> Evidence:
        """What feedback without a person sees."""
        tiles = tuple(self.tiles(column) for column in page.tolist())
        words = [self.words[column] for column in page.tolist() if column in self.words]
        return Evidence(
            query,
            first_page=np.stack([own[0] for own in tiles]),
            first_tiles=tiles,
            first_captions=np.stack(words) if words else np.zeros((0, 0), np.float32),
            summariser=self.summariser,
        )


Turn = Callable[["_Hunt", int, int, Floats, Ints], Scorer]
"""(hunt, number of the query, turn, vector to start from, all pages so far [t, k]) -> scorer."""


def bench_paper(
    engine: Engine,
    captions: Sequence[Caption],
    options: PaperOptions | None = None,
    *,
    summariser: Summariser | None = None,
    speak: Callable[[Sequence[int]], Sequence[str]] | None = None,
    captioner: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> PaperReport:
    """Plays every arm on the same captions.

    Args:
        engine: Of the library.
        captions: Each looks for its one picture; its picture's other captions are what
            `explicit` is told.
        options: How.
        summariser: Needed by `afs`.
        speak: Image ids -> words, empty for none; needed by `grf`.
        captioner: Its name, for the report.
        progress: Called with (turns of arms done, turns of arms).

    Raises:
        InputError: `bad_arm`; `no_captioner` when `grf` has none; `no_match` when no caption's
            picture is in the library; `ambiguous_name`.
        NotFoundError: `unknown_strategy`; `no_afs`, and what else the summariser raises.
    """
    options = options or PaperOptions()
    plays = {arm: _turn_of(arm) for arm in options.arms}
    if "grf" in plays and speak is None:
        raise InputError("no_captioner", "grf needs a captioner", "name one: --captioner builtin")
    hunt, n_unmatched = _hunt(engine, captions, options)
    hunt = replace(hunt, speak=speak, summariser=summariser)
    n_done, n_turns = 0, len(plays) * (options.turns + 1)

    def tick() -> None:
        nonlocal n_done
        n_done += 1
        if progress is not None:
            progress(n_done, n_turns)

    ranks = {arm: _play(hunt, arm, turn, tick) for arm, turn in plays.items()}  # [t, q] each
    return PaperReport(
        tuple(_figures(arm, rows) for arm, rows in ranks.items()),
        len(hunt.queries), len(engine.files.row_table), n_unmatched,
        sum(not len(others) for others in hunt.others), options, engine.encoder.fingerprint,
        dict(getattr(summariser, "facts", {})) if "afs" in plays else {},
        captioner if "grf" in plays else "", versions(),
    )  # fmt: skip


def _hunt(engine: Engine, captions: Sequence[Caption], options: PaperOptions) -> tuple[_Hunt, int]:
    """What is looked for, and how many captions are of no picture here."""
    columns = columns_by_name(engine)
    matched = [caption for caption in captions if caption.image in columns]
    if not matched:
        raise InputError(
            "no_match",
            f"none of the {len(captions)} captions is about a picture of this library",
            "captions are matched by file name; index the pictures they are about",
        )
    texts = [caption.text for caption in matched]
    rows = [texts[at : at + _AT_ONCE] for at in range(0, len(texts), _AT_ONCE)]
    vectors = np.concatenate([engine.encoder.encode_texts(some) for some in rows])
    right = np.array([columns[caption.image] for caption in matched])
    drawn_rows = np.arange(len(matched))
    if options.queries:
        drawn = np.random.default_rng([options.seed, 0]).permutation(len(matched))
        drawn_rows = np.sort(drawn[: options.queries])
    of: dict[int, list[int]] = {}
    for at, column in enumerate(right.tolist()):
        of.setdefault(column, []).append(at)
    others = [vectors[[o for o in of[int(right[at])] if o != at]] for at in drawn_rows.tolist()]
    hunt = _Hunt(engine, vectors[drawn_rows], right[drawn_rows], others, None, None, options)
    return hunt, len(captions) - len(matched)


def _play(hunt: _Hunt, arm: str, turn_of: Turn, tick: Callable[[], None]) -> Ints:
    """Ranks of the right pictures after each turn: [t, q]."""
    scorers: list[Scorer] = [linear([_part("query", query)]) for query in hunt.queries]
    starts = hunt.queries
    ranks, pages = [], np.zeros((len(starts), 0, hunt.options.page), np.int64)
    for turn in range(hunt.options.turns + 1):
        now, page = _asked(hunt, scorers)
        ranks.append(now)
        tick()
        if turn == hunt.options.turns:
            break
        pages = np.concatenate([pages, page[:, None]], axis=1)  # [q, t, k]
        if arm in ("grf", "afs"):
            hunt.read_page(page)
        scorers = []
        for number, start in enumerate(starts):
            if number % _AT_ONCE == 0:
                check_cancelled()
            scorers.append(turn_of(hunt, number, turn, start, pages[number]))
        if hunt.options.chained and all(scorer.vector is not None for scorer in scorers):
            starts = np.stack([scorer.vector for scorer in scorers])  # type: ignore[misc]
    return np.stack(ranks)


def _part(name: str, vector: Floats, weight: float = 1.0) -> Contribution:
    return Contribution(name, weight * vector.astype(np.float64))


def _asked(hunt: _Hunt, scorers: Sequence[Scorer]) -> tuple[Ints, Ints]:
    """Rank of each right picture [q], and each first page [q, k]."""
    ranks, pages = [], []
    for at in range(0, len(scorers), _AT_ONCE):
        some = scorers[at : at + _AT_ONCE]
        vectors = [scorer.vector for scorer in some if scorer.vector is not None]
        if len(vectors) == len(some):
            scores = hunt.engine.score_all(np.stack(vectors))
        else:
            scores = np.stack([hunt.engine.score_with(scorer) for scorer in some])
        ranks.append(ranks_of(scores, hunt.right[at : at + _AT_ONCE]))
        pages.append(np.stack([top(row, hunt.options.page) for row in scores]))
    return np.concatenate(ranks), np.concatenate(pages)


# ---- what moves the query


def _turn_of(arm: str) -> Turn:
    if arm in _TURNS:
        return _TURNS[arm]
    if not arm.startswith(_MARKS):
        raise InputError(
            "bad_arm", f"there is no arm {arm!r}",
            f"use {', '.join(_TURNS)}, or {_MARKS}STRATEGY with one of {', '.join(STRATEGIES)}",
        )  # fmt: skip
    way = strategy(arm.removeprefix(_MARKS))

    def marked(hunt: _Hunt, number: int, turn: int, start: Floats, pages: Ints) -> Scorer:
        right = int(hunt.right[number])
        seen = dict.fromkeys(pages.reshape(-1).tolist())
        items = tuple(
            Judged(at, 1 if column == right else -1, hunt.tiles(column))
            for at, column in enumerate(seen)
        )
        known = template(hunt.engine.files, hunt.engine.encoder)
        page = hunt.evidence(hunt.queries[number], pages[0])
        return way(
            replace(
                known, query=page.query, items=items, first_page=page.first_page,
                first_tiles=page.first_tiles, summariser=page.summariser,
            )
        )  # fmt: skip

    return marked


def _none(hunt: _Hunt, number: int, turn: int, start: Floats, pages: Ints) -> Scorer:
    return linear([_part("query", hunt.queries[number])])


def _prf(hunt: _Hunt, number: int, turn: int, start: Floats, pages: Ints) -> Scorer:
    return STRATEGIES["prf"](hunt.evidence(start, pages[-1]))


def _grf(hunt: _Hunt, number: int, turn: int, start: Floats, pages: Ints) -> Scorer:
    return grf(hunt.evidence(start, pages[-1]))


def _afs(hunt: _Hunt, number: int, turn: int, start: Floats, pages: Ints) -> Scorer:
    return STRATEGIES["afs"](hunt.evidence(start, pages[-1]))


def _explicit(hunt: _Hunt, number: int, turn: int, start: Floats, pages: Ints) -> Scorer:
    """Another caption of the picture, drawn anew each turn, with the weights of `PAPER`.

    Source: arXiv 2511.17255, explicit feedback; nothing is subtracted.
    """
    parts = [_part("query", start, PAPER.query)]
    if len(others := hunt.others[number]):
        random = np.random.default_rng([hunt.options.seed, 1, number, turn])
        parts.append(_part("words", others[random.integers(len(others))], PAPER.relevant))
    return linear(parts)


_TURNS: Mapping[str, Turn] = {
    "none": _none, "prf": _prf, "grf": _grf, "afs": _afs, "explicit": _explicit,
}  # fmt: skip


def _figures(arm: str, ranks: Ints) -> ArmFigures:
    """Figures of ranks [t, q]."""
    mrr = np.where(ranks <= 5, 1.0 / ranks, 0.0)  # [t, q]
    turns = tuple(
        TurnFigures(turn, float(mrr[turn].mean()), *(float((row <= k).mean()) for k in _AT))
        for turn, row in enumerate(ranks)
    )
    first, last = (bootstrap(mrr[at] - mrr[0]) for at in (1, -1))
    better, worse = ranks[-1] < ranks[0], ranks[-1] > ranks[0]
    return ArmFigures(arm, turns, first, last, float(better.mean()), float(worse.mean()))
