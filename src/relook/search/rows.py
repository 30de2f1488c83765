"""What a round keeps of its ranking and its scorer. Layer: search."""

from __future__ import annotations

from dataclasses import asdict

from relook.feedback.scorer import Scorer
from relook.search.engine import Ranking

__all__ = ["choice_of", "hit_rows"]


def choice_of(scorer: Scorer) -> dict[str, object]:
    """What the gate says of its choice, for strategies that choose."""
    record = getattr(scorer, "record", None)
    return {} if record is None else asdict(record)


def hit_rows(ranking: Ranking) -> tuple[tuple[int, float, int], ...]:
    """The rows of a ranking as a round keeps them."""
    columns = (ranking.image_ids.tolist(), ranking.scores.tolist(), ranking.tiles.tolist())
    return tuple((int(i), float(s), int(t)) for i, s, t in zip(*columns, strict=True))
