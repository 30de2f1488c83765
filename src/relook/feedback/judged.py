"""What a round of feedback is fitted from: the first query and everything judged so far.

Arrays only: who clicked, in which library and with which encoder is the caller's business.
Nothing here reads a file or keeps state. Layer: feedback.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import InputError
from relook.core.vectors import Floats


def _none() -> Floats:
    return np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One judgement with the vectors that it is about.

    Args:
        judgement: Index of the judgement in its session; strategies are blind to it, it
            only names a contribution and fixes an order.
        sign: 1 for relevant, -1 for irrelevant.
        tiles: [k, d] unit vectors that the judgement covers. Row 0 is the one that stands
            for all of it: the whole picture for a click, the crop for a box.
        weight: How much it counts, above zero.
        context: [m, d] the rest of a boxed picture; empty for a click.
        boxed: Whether the person drew a box, so that `tiles[0]` is a crop.
        caption: [d] text vector of what the person says is in it, or None; a unit vector, but
            for a strategy that reads `lengths`.
        caption_weight: How much the caption counts beside the picture.
        round: The round it was made in; only chained updates look at it.
        phrases: [p, d] the same of the caption's parts between commas; empty when it has no
            comma.

    Raises:
        InputError: `bad_judgement` when a sign, a weight or a shape is not usable.
    """

    judgement: int
    sign: int
    tiles: Floats
    weight: float = 1.0
    context: Floats = field(default_factory=_none)
    boxed: bool = False
    caption: Floats | None = None
    caption_weight: float = 1.0
    round: int = 0
    phrases: Floats = field(default_factory=_none)

    def __post_init__(self) -> None:
        if self.sign not in (1, -1):
            raise InputError("bad_judgement", f"sign {self.sign} is neither 1 nor -1")
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise InputError("bad_judgement", f"weight {self.weight} of a judgement is not above 0")
        if not (math.isfinite(self.caption_weight) and self.caption_weight >= 0):
            raise InputError("bad_judgement", f"caption weight {self.caption_weight} is below 0")
        if self.tiles.ndim != 2 or len(self.tiles) == 0:
            shape = self.tiles.shape
            raise InputError("bad_judgement", f"a judgement needs tiles [k, d], not {shape}")


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Words that a person typed about what fits, or what does not, without a picture.

    Args:
        sign: 1 for what fits, -1 for what does not.
        text: The words.
        phrases: [p, d] text vectors of their parts between commas, at least one; unit vectors,
            but for a strategy that reads `lengths`.
        round: The round on whose page they were typed; only chained updates look at it.
    """

    sign: int
    text: str
    phrases: Floats
    round: int = 0


class Summariser(Protocol):
    """Trained weights that read what is shown for a query; the strategy `afs` needs one."""

    def __call__(
        self,
        query: Floats,
        vectors: Floats,
        is_text: NDArray[np.bool_],
        weights: NDArray[np.floating],
    ) -> tuple[Floats, Floats]:
        """What the looked-for picture may be like, and what was looked at.

        Args:
            query: [d] unit vector.
            vectors: [n, d] unit vectors of tiles and captions, in any order.
            is_text: [n] whether each is a caption's.
            weights: [n] how much each counts, above zero.

        Returns:
            A unit vector [d], and the attention [n] that each got; it sums to one.

        Raises:
            NotFoundError: `no_afs` when nothing was trained; EncoderMismatchError, ModelError.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Everything that a strategy may look at.

    Args:
        query: [d] the unit vector of the *first* query of the session.
        items: The judgements; kept in the order of their indices, so that the order in
            which they arrive can never change a result.
        image_mean: [d] mean of the library's whole-picture vectors; zeros when unknown.
        text_mean: [d] mean of ordinary text vectors; zeros when unknown.
        tile_weight: What the scores of tiles other than the whole picture are multiplied by.
        background: [b, d] or [b, t, d] vectors of random pictures of the library (row 0 of
            t the whole picture), the stand-in for what nobody judged.
        first_page: [k, d] whole-picture vectors of the first page, best first.
        covariance: [d, d] of the library's vectors (`metric.covariance`), worked out once
            from a thousand or more; from `background` when None.
        phrasings: [p, d] unit text vectors of how people describe pictures; empty when the
            encoder brings none.
        words: What was typed beside the judgements, oldest first.
        query_length: How long the text tower makes the query, for a strategy that reads `lengths`.
        rounds: Those whose pages were left on the way; only fused updates look at them.
        first_tiles: [t, d] all vectors of each picture of the first page, where they are known;
            the whole pictures stand for them otherwise.
        first_captions: [k, d] unit text vectors of what a captioner says of the first page's
            pictures, zeros for one without words; empty where none was asked.
        summariser: For the strategy `afs`; None where there is none.

    Raises:
        InputError: `bad_evidence` when vectors differ in length or are not finite.
    """

    query: Floats
    items: tuple[Judged, ...] = ()
    image_mean: Floats | None = None
    text_mean: Floats | None = None
    tile_weight: float = 1.0
    background: Floats = field(default_factory=_none)
    first_page: Floats = field(default_factory=_none)
    covariance: NDArray[np.float64] | None = None
    phrasings: Floats = field(default_factory=_none)
    words: tuple[Words, ...] = ()
    query_length: float = 1.0
    rounds: tuple[int, ...] = ()
    first_tiles: tuple[Floats, ...] = ()
    first_captions: Floats = field(default_factory=_none)
    summariser: Summariser | None = None

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.items, key=lambda item: item.judgement))
        object.__setattr__(self, "items", ordered)
        if self.query.ndim != 1:
            raise InputError("bad_evidence", f"the query is one vector, not {self.query.shape}")
        for vectors in self._arrays():
            if vectors.size and vectors.shape[-1] != self.dim:
                raise InputError(
                    "bad_evidence",
                    f"vectors of length {vectors.shape[-1]} beside a query of length {self.dim}",
                    "all of them have to come from one encoder",
                )
            if not np.isfinite(vectors).all():
                raise InputError("bad_evidence", "a vector has values that are not numbers")

    def _arrays(self) -> list[NDArray[np.floating]]:
        optional = (self.image_mean, self.text_mean, self.covariance)
        arrays: list[NDArray[np.floating]] = [value for value in optional if value is not None]
        arrays += [self.query, self.background, self.first_page, self.phrasings]
        arrays += [self.first_captions, *self.first_tiles]
        for item in self.items:
            arrays += [item.tiles, item.context]
            arrays += [] if item.caption is None else [item.caption]
        return arrays

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return len(self.query)

    @property
    def relevant(self) -> tuple[Judged, ...]:
        """The judgements that say "more like this"."""
        return tuple(item for item in self.items if item.sign > 0)

    @property
    def irrelevant(self) -> tuple[Judged, ...]:
        """The judgements that say "not this"."""
        return tuple(item for item in self.items if item.sign < 0)

    def without(self, judgement: int) -> Evidence:
        """The same evidence as if one judgement had never been made."""
        return replace(
            self, items=tuple(item for item in self.items if item.judgement != judgement)
        )
