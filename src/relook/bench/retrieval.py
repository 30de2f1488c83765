"""Caption -> picture retrieval, measured on a library as people search it. Layer: bench.

Each caption is a query; the picture it belongs to is the one right answer among all images
of the library, ranked as `Library.search` ranks them (best tile, weighted), without folding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from relook.bench.query_files import Caption
from relook.core.converter import JsonValue
from relook.core.errors import InputError
from relook.core.json_form import HIDDEN, INLINE, SHOWN, Digits, Key
from relook.core.vectors import Floats, Ints
from relook.search.engine import Engine

_BATCH = 256


@dataclass(frozen=True, slots=True)
class RetrievalResult(JsonValue):
    """How well captions find their pictures.

    Args:
        recall_at: Share of queries whose picture is among the first k, for each k.
        mrr_at_5: Mean of 1/rank, 0 behind rank 5.
        median_rank: Of the right picture, 1 is best.
        n_queries, n_images: Captions asked; images ranked for each.
        n_unmatched: Captions left out since the library has no picture of that name.
    """

    recall_at: Annotated[dict[int, float], HIDDEN]
    mrr_at_5: Annotated[float, Digits(4), Key("mrr@5")]
    median_rank: float
    n_queries: int
    n_images: int
    n_unmatched: int

    @property
    def recalls(self) -> Annotated[dict[str, float], SHOWN, INLINE, Digits(4)]:
        """The recalls under the names they are reported by."""
        return {f"recall@{k}": share for k, share in self.recall_at.items()}


def ranks_of(scores: Floats, right: Ints) -> Ints:
    """Rank of the right item in each row, 1 is best; ties count against it.

    Args:
        scores: [q, n]
        right: [q] column of the right item.
    """
    own = scores[np.arange(len(right)), right][:, None]  # [q, 1]
    ranks: Ints = np.count_nonzero(scores >= own, axis=1).astype(np.int64)
    return ranks


def bench_retrieval(
    engine: Engine, captions: list[Caption], progress: Callable[[int, int], None] | None = None
) -> RetrievalResult:
    """Ranks the whole library for every caption.

    Args:
        engine: Of the library.
        captions: Queries with the names of their pictures.
        progress: Called with captions done and captions in all.

    Raises:
        InputError: `no_match` when no caption's picture is in the library.
    """
    columns = columns_by_name(engine)
    queries = [caption for caption in captions if caption.image in columns]
    if not queries:
        raise InputError(
            "no_match",
            f"none of the {len(captions)} captions is about a picture of this library",
            "captions are matched by file name; index the pictures they are about",
        )
    ranks = []
    for start in range(0, len(queries), _BATCH):
        some = queries[start : start + _BATCH]
        vectors = engine.encoder.encode_texts([caption.text for caption in some])  # [b, d]
        right = np.array([columns[caption.image] for caption in some], np.int64)
        ranks.append(ranks_of(engine.score_all(vectors), right))
        if progress:
            progress(start + len(some), len(queries))
    return _result(np.concatenate(ranks), len(columns), len(captions) - len(queries))


def columns_by_name(engine: Engine) -> dict[str, int]:
    """File name -> position in the row table.

    Raises:
        InputError: `ambiguous_name` when two images share a file name.
    """
    at = {int(image_id): n for n, image_id in enumerate(engine.files.row_table[:, 2])}
    columns: dict[str, int] = {}
    for record in engine.files.catalog.each_image():
        if record.path.name in columns:
            raise InputError(
                "ambiguous_name",
                f"two images are called {record.path.name}; captions are matched by file name",
                "measure on a library where names are unique",
            )
        if record.image_id in at:  # one without vectors cannot be found
            columns[record.path.name] = at[record.image_id]
    return columns


def _result(ranks: Ints, n_images: int, n_unmatched: int) -> RetrievalResult:
    return RetrievalResult(
        recall_at={k: float(np.mean(ranks <= k)) for k in (1, 5, 10)},
        mrr_at_5=float(np.mean(np.where(ranks <= 5, 1.0 / ranks, 0.0))),
        median_rank=float(np.median(ranks)),
        n_queries=len(ranks),
        n_images=n_images,
        n_unmatched=n_unmatched,
    )
