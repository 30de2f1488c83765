"""Why a hit is there, what a judgement or a round changed, where the query is in a picture.

Layer: search.

Contributions are exact: a linear scorer's vector is the sum of named parts, so a score is
the sum of what each part adds. Influence is exact for every strategy: the fit is done
again as if the judgement had never been made.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from relook.core.converter import JsonValue
from relook.core.errors import InputError, NotFoundError
from relook.core.json_form import Digits
from relook.core.types import Box, Hit
from relook.core.vectors import Floats, Ints, unit
from relook.encoders.base import encode_images
from relook.feedback.scorer import Scorer
from relook.feedback.strategies import STRATEGIES
from relook.search.engine import Engine
from relook.search.judging import Prepared
from relook.search.regions import crop_image
from relook.search.session import Session
from relook.search.session_steps import only_unseen
from relook.search.vectorise import part_vectors, part_weights

_DEPTH = 1000  # places of the ranking before that are looked at


@dataclass(frozen=True, slots=True)
class Reason(JsonValue):
    """What one part of the query added to a hit's score.

    Args:
        name: The words, the picture, or `relevant 3` for a judgement.
        amount: Above zero it raised the hit; the amounts of a hit sum to its score.
        judgement_id: The judgement it comes from, or None.
    """

    name: str
    amount: Annotated[float, Digits(6)]
    judgement_id: int | None = None


@dataclass(frozen=True, slots=True)
class Moved(JsonValue):
    """An image that a judgement moved.

    Args:
        image_id, path: The image.
        change: Score with the judgement minus score without it.
        rank, rank_without: Place among all images, 1 is first.
    """

    image_id: int
    path: Path
    change: Annotated[float, Digits(6)]
    rank: int
    rank_without: int

    def seen(self, n: int) -> str:
        """What somebody sees of the move, with `n` pictures on a page."""
        if self.rank < self.rank_without:
            if self.rank > n:
                return "moved up, not yet on the page"
            return "moved onto the page" if self.rank_without > n else "moved up on the page"
        if self.rank_without > n:
            return "moved further down"
        return "left the page" if self.rank > n else "moved down on the page"


@dataclass(frozen=True, slots=True)
class Influence(JsonValue):
    """The images that one judgement moved most, each list with the largest change first."""

    judgement_id: int
    raised: tuple[Moved, ...]
    lowered: tuple[Moved, ...]


@dataclass(frozen=True, slots=True)
class Change(JsonValue):
    """Places of an image of the current page, 1 is first.

    Args:
        rank: On the page.
        rank_before: Where the ranking of the round before puts it, among the same images;
            None when it is not among the first 1,000.
    """

    rank: int
    rank_before: int | None


def changes(
    session: Session, *, keep_shown: bool | None = None, keep_judged: bool | None = None
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
    rounds = {row.number: row for row in session.rounds}
    if now.parent not in rounds:
        return {}
    before = rounds[now.parent]
    # The judgements behind the new round are no longer waiting, so the round before is fitted
    # with exactly those that its own page was made from.
    known = before.parent is not None and before.strategy in STRATEGIES
    strategy = before.strategy if known else "none"  # unknown: made by another version
    scorer = session.fitted(strategy, at=before.number).scorer
    made = session.fitted(now.strategy, at=now.number) if now.strategy in STRATEGIES else None
    only = only_unseen(
        session, before.number, session.judgements,
        keep_shown=keep_shown, keep_judged=keep_judged, fitted=made,
    )  # fmt: skip
    ranking = session.engine.rank_with(scorer, _DEPTH, only, session.placed)
    places = {image_id: at for at, image_id in enumerate(ranking.image_ids.tolist(), start=1)}
    return {
        image_id: Change(at, places.get(image_id))
        for at, (image_id, _, _) in enumerate(now.hits, start=1)
    }


def why(session: Session, hit: Hit, strategy: str | None = None) -> list[Reason]:
    """What raised and lowered a hit under the judgements so far, strongest first.

    The query's own share is split into its parts.

    Raises:
        InputError: `not_linear` for a strategy whose score is not a sum.
    """
    fitted = session.fitted(strategy)
    scorer = fitted.scorer
    if scorer.vector is None:
        raise InputError(
            "not_linear",
            f"the strategy {fitted.strategy!r} compares whole pictures; its score is not a sum",
            "ask why with another strategy, or for the influence of a judgement",
        )
    if session.query.has_places:
        raise InputError(
            "not_linear",
            "words at places count by tiles there and elsewhere; the score is not a sum",
            "ask for the influence of a judgement, or search without places",
        )
    tile = _tile_vector(session.engine, hit)
    reasons: list[Reason] = []
    for part in scorer.parts:
        amount = float(part.vector @ tile)
        if part.name == "query":
            reasons += _query_reasons(session, part.vector, tile, amount)
        else:
            reasons.append(Reason(part.name, amount, part.judgement))
    return sorted(reasons, key=lambda reason: -abs(reason.amount))


def _query_reasons(
    session: Session, share: np.ndarray[Any, Any], tile: Floats, amount: float
) -> list[Reason]:
    """Splits the first query's share by its parts, where it is a multiple of the query."""
    names = [part.called for part in session.query.parts]
    scale = float(share @ session.vector)
    multiple = np.allclose(share, scale * session.vector, atol=1e-4 * max(abs(scale), 1.0))
    if len(names) == 1 or not multiple:
        return [Reason(", ".join(names), amount)]
    vectors, _ = part_vectors(session.query, session.engine.encoder, session.engine.files)
    engine = session.engine
    weights = part_weights(session.query, engine.acts_by_fit)
    norm = float(np.linalg.norm(weights @ vectors))
    amounts = scale * weights * (vectors @ tile) / norm  # [p]
    return [Reason(name, float(share)) for name, share in zip(names, amounts, strict=True) if share]


def _tile_vector(engine: Engine, hit: Hit) -> Floats:
    records = engine.files.records([hit.image_id])
    if not records:
        raise NotFoundError(
            "no_vectors", f"image {hit.image_id} has no vectors at present",
            "relook index makes them when its picture can be read",
        )  # fmt: skip
    record = records[0]
    row = np.array([record.first_row + hit.tile_number], np.int64)
    weight = engine.encoder.tile_weight if hit.tile_number else 1.0
    vector: Floats = weight * engine.files.vectors.rows(row)[0]
    return vector


def influence(
    session: Session, judgement_id: int, strategy: str | None = None, limit: int = 6
) -> Influence:
    """Which images one judgement moved up and down most, among all images.

    Args:
        session: With the judgement.
        judgement_id: Which one.
        strategy: How judgements are used; as configured when None.
        limit: Length of each list at most.

    Raises:
        InputError: `no_influence` when the judgement does not count on this branch.
    """
    if judgement_id not in {judgement.judgement_id for judgement in session.judgements}:
        raise InputError(
            "no_influence", f"judgement {judgement_id} does not count on the current branch"
        )
    scorer = session.fitted(strategy).scorer
    without = session.fitted(strategy, without=judgement_id).scorer
    return _difference(session, judgement_id, (scorer, without), limit)


def influence_of_proposed(
    session: Session, judging: Prepared, strategy: str | None = None, limit: int = 6
) -> list[Influence]:
    """What each of some judgements would move, were all of them made; nothing is written.

    Args:
        session: On whose current page they would be made.
        judging: What `Session.prepare` made of them.
        strategy: How judgements are used; as configured when None.
        limit: Length of each list at most.

    Returns:
        One for each judgement, in their order, with the number that it has or would have.
    """
    scorer = session.fitted(strategy, judging=judging).scorer
    influences = []
    for judgement in session.numbered(judging):
        number = judgement.judgement_id
        without = session.fitted(strategy, without=number, judging=judging).scorer
        influences.append(_difference(session, number, (scorer, without), limit))
    return influences


def _difference(
    session: Session, judgement_id: int, scorers: tuple[Scorer, Scorer], limit: int
) -> Influence:
    """What a judgement moves, by the scorers with it and without it."""
    engine = session.engine
    with_it, without = (engine.score_with(scorer) for scorer in scorers)
    ids = engine.files.row_table[:, 2]
    if not session.only.is_open:
        chosen = engine.may_show(replace(session.only, away=True))
        ids, with_it, without = ids[chosen], with_it[chosen], without[chosen]
    change = with_it - without  # [n]
    if scorers[0].vector is None:
        change -= change.mean()  # such scores have no level of their own, only an order
    ranks, ranks_without = _ranks(with_it), _ranks(without)
    order = np.argsort(-change, kind="stable")

    def moved(positions: Ints) -> tuple[Moved, ...]:
        at_of = {int(ids[at]): at for at in positions}
        return tuple(
            Moved(r.image_id, r.path, float(change[at]), int(ranks[at]), int(ranks_without[at]))
            for r in engine.files.records(at_of)
            for at in (at_of[r.image_id],)
        )

    raised = [at for at in order[:limit] if change[at] > 0]
    lowered = [at for at in order[::-1][:limit] if change[at] < 0]
    return Influence(
        judgement_id, moved(np.array(raised, np.int64)), moved(np.array(lowered, np.int64))
    )


def _ranks(scores: Floats) -> Ints:
    """[n] place of each, 1 is first."""
    ranks = np.empty(len(scores), np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks


def heat_map(engine: Engine, path: Path, vector: Floats, n_cells: int = 7) -> Floats:
    """Where in a picture a vector is, by sliding a window over the original pixels.

    Args:
        engine: Whose encoder to use.
        path: A picture file.
        vector: [d] what to look for.
        n_cells: Windows along each side; each is a third of the picture wide and high.

    Returns:
        [n_cells, n_cells] cosines, row 0 at the top. A cell is the mean of the windows that
        cover its centre.

    Raises:
        ImageError: when the picture cannot be decoded.
    """
    image = crop_image(path, None, 3 * engine.encoder.input_px, engine.files.limits)
    width, height = image.size
    starts = np.linspace(0, 2 / 3, n_cells)
    boxes = [Box(x, y, min(x + 1 / 3, 1), min(y + 1 / 3, 1)) for y in starts for x in starts]
    crops = [
        image.crop(
            (
                int(box.x0 * width),
                int(box.y0 * height),
                max(round(box.x1 * width), int(box.x0 * width) + 1),
                max(round(box.y1 * height), int(box.y0 * height) + 1),
            )
        )
        for box in boxes
    ]
    scores: Floats = encode_images(engine.encoder, crops) @ unit(vector)  # [n_cells ** 2]
    centres = (np.arange(n_cells) + 0.5) / n_cells
    cover = np.array(
        [
            [box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1 for box in boxes]
            for y in centres
            for x in centres
        ],
        np.float32,
    )  # [cells, windows]
    return np.asarray((cover @ scores / cover.sum(axis=1)).reshape(n_cells, n_cells), np.float32)
