"""What a new page changed, beside what the ranking before would have shown. Layer: search."""

from __future__ import annotations

from dataclasses import dataclass, replace

from relook.feedback.strategies import STRATEGIES
from relook.search.history import path_to
from relook.search.session import Session

__all__ = ["Change", "changes"]

_DEPTH = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """Places of an image of the current page, 1 is first.

    Args:
        rank: On the page.
        rank_before: Where the ranking of the round before puts it, among the same images;
            None when it is not among the first 1,000.
    """

    rank: int
    rank_before: int | None


def changes(
    session: Session, *, keep_shown: bool = False, keep_judged: bool = False
) -> dict[int, Change]:
    """How the current page came about: image id -> its places; empty for the first page.

    Both rankings leave out the same images, so that a page that only goes further down the
    same ranking shows no change.

    Args:
        session: Just after `again`.
        keep_shown: As it was given to `again`.
        keep_judged: As it was given to `again`.
    """
    now = session.round
    rows = {row.number: row for row in session.rounds}
    if now.parent not in rows:
        return {}
    before = rows[now.parent]
    # Judgements that led to the new round no longer wait on the one before: what counts
    # there is what it was fitted from.
    known = before.parent is not None and before.strategy in STRATEGIES
    strategy = before.strategy if known else "none"  # one of another version says nothing here
    scorer = session.fitted(strategy, at=before.number).scorer
    path = [] if keep_shown else path_to(rows.values(), before.number)
    shown = {image_id for row in path for image_id, _, _ in row.hits}
    judged = {one.image_id for one in session.judgements}
    left_out = shown - judged if keep_judged else shown | judged
    only = replace(session.only, without=frozenset(left_out))
    if scorer.vector is None:
        ranking = session.engine.rank_by(scorer.score, _DEPTH, only)
    else:
        ranking = session.engine.rank(scorer.vector, _DEPTH, only)
    places = {image_id: at for at, image_id in enumerate(ranking.image_ids.tolist(), start=1)}
    return {
        image_id: Change(at, places.get(image_id))
        for at, (image_id, _, _) in enumerate(now.hits, start=1)
    }
