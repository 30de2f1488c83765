"""A session's next page: what it is fitted on, and which images it may show. Layer: search."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from relook.library.session_values import Judgement
from relook.search.feedback_evidence import Fitted, TypedWords
from relook.search.filtering import Filter, why_empty
from relook.search.fit import LookedFor, fit_scale, fits_of
from relook.search.fold import Folded, folded_ranking
from relook.search.history import path_to
from relook.search.ranking import Ranking
from relook.search.session_view import SessionView

ALL_SEEN = (
    "every picture that may be shown was on an earlier page, or is marked;"
    " keep_shown (--keep-shown) shows them again"
)
"""The note of a later page without pictures."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step from one round to the next.

    Args:
        number: The round that it is made from.
        strategy: Of the next page; the configured one when None.
        judgements: What counts for it.
        typed: Words that were typed on the way to it.
        limit: Hits on the page.
        keep_shown: Whether images that earlier pages showed may appear again; those that fit and
            are not judged when None.
        keep_judged: Whether judged images may. Both are as configured when None.
    """

    number: int
    strategy: str | None
    judgements: Sequence[Judgement]
    typed: Sequence[TypedWords]
    limit: int
    keep_shown: bool | None = None
    keep_judged: bool | None = None

    @property
    def asked(self) -> dict[str, bool]:
        """What the call said of shown and of judged images, for the round's record."""
        flags = {"keep_shown": self.keep_shown, "keep_judged": self.keep_judged}
        return {key: value for key, value in flags.items() if value is not None}


def next_page(session: SessionView, step: Step) -> tuple[Fitted, Folded]:
    """What a step is fitted to, and the images that its page shows.

    Near-duplicates are one hit, as on a first page, and none is of an image that may not be
    shown again.
    """
    fitted = session.fit(step.strategy, step.judgements, step.typed)
    only = only_unseen(
        session, step.number, step.judgements,
        keep_shown=step.keep_shown, keep_judged=step.keep_judged, fitted=fitted,
    )  # fmt: skip
    engine, earlier = session.engine, only.without - session.only.without

    def rank(limit: int) -> Ranking:
        return engine.rank_with(fitted.scorer, limit, only, session.placed)

    page = folded_ranking(rank, engine.files, engine.settings, step.limit, earlier)
    if not page.records:
        reason = why_empty(engine.files, only) or ALL_SEEN
        away = engine.away_notes(only)
        fitted = replace(fitted, notes=(reason, *fitted.notes, *away))
    return fitted, page


def only_unseen(
    session: SessionView,
    number: int,
    judgements: Sequence[Judgement],
    *,
    keep_shown: bool | None,
    keep_judged: bool | None,
    fitted: Fitted | None = None,
) -> Filter:
    """Which images the next page of a round may show.

    Args:
        session: The session.
        number: The round.
        judgements: What counts for that page.
        keep_shown: Whether images that earlier pages showed may appear again.
        keep_judged: Whether judged images may. Both are as configured when None.
        fitted: What the page is ranked by; images that fit it stay where neither a call nor
            the configuration says whether shown ones may appear again.
    """
    stay, feedback = set(), session.feedback
    if keep_shown is None and not feedback.keep_shown and fitted is not None:
        stay = _staying(session, number, judgements, fitted)
    keep_shown = feedback.keep_shown if keep_shown is None else keep_shown
    keep_judged = feedback.keep_judged if keep_judged is None else keep_judged
    path = [] if keep_shown else path_to(session.rounds, number)
    shown = {image_id for row in path for image_id, _, _ in row.hits}
    judged = {judgement.image_id for judgement in judgements}
    shown -= stay
    left_out = shown - judged if keep_judged else shown | judged
    only = session.only
    return replace(only, without=only.without | left_out)


def _staying(
    session: SessionView, number: int, judgements: Sequence[Judgement], fitted: Fitted
) -> set[int]:
    """Images that were shown on the way to a round, that nobody judged, and that fit.

    None before there is anything to learn from: looking further down the same ranking shows
    nothing twice.
    """
    files, encoder, evidence = session.engine.files, session.engine.encoder, fitted.evidence
    scale, has_learnt = fit_scale(files, encoder), bool(evidence.items or evidence.words)
    if not (session.feedback.keep_fitting and has_learnt and scale.is_known):
        return set()
    shown = {i for row in path_to(session.rounds, number) for i, _, _ in row.hits}
    ids = sorted(shown - {judgement.image_id for judgement in judgements})
    relevant = (item.tiles for item in evidence.relevant)
    learnt = LookedFor.learnt(fitted.scorer.vector, relevant, encoder.tile_weight)
    words, by_marks = (
        None if wanted is None else np.array(fits_of(wanted, ids, files, encoder), np.float32)
        for wanted in (session.wanted, learnt)
    )
    fits = scale.stays(words, by_marks)
    return set() if fits is None else set(np.array(ids, np.int64)[fits].tolist())
