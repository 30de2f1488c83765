"""What a strategy returns: a way to score vectors, and what each judgement added to it.

Layer: feedback.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from relook.core.vectors import Floats

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """One signed addend of a linear scorer's vector.

    Args:
        name: `query`, `relevant 3`, `irrelevant 5`, `caption 3`, `first page`, ...
        vector: [d] float64; its dot product with a hit is what it added to the hit's score.
        judgement: The judgement it comes from, or None.
    """

    name: str
    vector: Doubles
    judgement: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """How one way of using the judgements did on the judgements it was not given.

    Args:
        strategy: `none`, `rocchio`, `probe`, ...
        step: How far along its direction from the query; 0 is the query itself.
        gain: How much better than the query it placed held-out judgements, in standard
            deviations of the library's scores, less what is taken off for doubt.
    """

    strategy: str
    step: float
    gain: float


@dataclass(frozen=True, slots=True)
class GateRecord:
    """What the gate chose, and from what.

    Args:
        strategy: The chosen way; `none` leaves the query alone.
        step: How far it went.
        reason: One sentence for the person.
        trials: Everything that was tried, the unchanged query first.
    """

    strategy: str
    step: float
    reason: str
    trials: tuple[Trial, ...] = ()


class Scorer(Protocol):
    """Scores vectors of the library; higher is better."""

    @property
    def vector(self) -> Floats | None:
        """[d] unit vector when the score is a dot product, so that an index can search it."""

    @property
    def parts(self) -> tuple[Contribution, ...]:
        """What the vector is made of; they sum to it. Empty when the scorer has no vector."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the person should know about the fit."""

    def score(self, vectors: Floats) -> Floats:
        """Scores.

        Args:
            vectors: [n, d]

        Returns:
            [n]
        """


@dataclass(frozen=True, slots=True, eq=False)
class LinearScorer:
    """A unit vector with its addends.

    Args:
        vector: [d] unit float32.
        parts: They sum to `vector` (already divided by `norm`).
        norm: Length of the sum of the addends before it was scaled to one.
        notes: What the person should know about the fit.
        record: What the gate chose, when the gate made this.
    """

    vector: Floats
    parts: tuple[Contribution, ...]
    norm: float = 1.0
    notes: tuple[str, ...] = ()
    record: GateRecord | None = None

    def score(self, vectors: Floats) -> Floats:
        """[n, d] -> [n] dot products."""
        return vectors @ self.vector

    def explain(self, vectors: Floats) -> Doubles:
        """What each part added to each score.

        Args:
            vectors: [n, d]

        Returns:
            [p, n] for p parts; a column sums to that vector's score.
        """
        stacked = np.stack([part.vector for part in self.parts])  # [p, d]
        return stacked @ np.asarray(vectors, dtype=np.float64).T


def linear(
    parts: Sequence[Contribution],
    notes: tuple[str, ...] = (),
    record: GateRecord | None = None,
) -> LinearScorer:
    """Sums contributions and scales the sum, and them with it, to length one.

    A sum of zero (a query cancelled by its feedback) falls back to the first part alone.
    """
    total = np.sum([part.vector for part in parts], axis=0)  # [d]
    norm = float(np.linalg.norm(total))
    if norm < 1e-9:
        cancelled = "the judgements cancel the query; it stands alone"
        return linear(parts[:1], (*notes, cancelled), record)
    scaled = tuple(Contribution(p.name, p.vector / norm, p.judgement) for p in parts)
    return LinearScorer((total / norm).astype(np.float32), scaled, norm, notes, record)
