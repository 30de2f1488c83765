"""Figures of rankings and of images shown, and with what they were measured. Layer: bench.

Captions are measured as people search: each is a query, and the picture it belongs to is the one
right answer among all images of the library, ranked as `Library.search` ranks them (best tile,
weighted), without folding.
"""

import hashlib
import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from relook.bench.query_files import Caption
from relook.core.converter import JsonValue
from relook.core.errors import InputError
from relook.core.json_form import HIDDEN, INLINE, SHOWN, Digits, Key
from relook.core.vectors import Floats, Ints
from relook.encoders.base import Fingerprint
from relook.search.engine import Engine

Flags = NDArray[np.bool_]
_BATCH = 256


def found_share(hits: Flags, n_relevant: int, n: int) -> float:
    """Share of the images that could be found among the first `n` shown, that were.

    Args:
        hits: [s] whether each shown image is relevant, in the order shown.
        n_relevant: How many images of the collection are relevant.
        n: How many shown images count.

    Returns:
        Found divided by `min(n, n_relevant)`; 0 when nothing is relevant.
    """
    possible = min(n, n_relevant)
    return float(hits[:n].sum()) / possible if possible else 0.0


def sequence_ap(hits: Flags, n_relevant: int) -> float:
    """Average precision of everything shown, in the order shown, over all pages.

    Args:
        hits: [s] whether each shown image is relevant, in the order shown.
        n_relevant: How many images of the collection are relevant.

    Returns:
        The precision at each relevant image, summed and divided by `min(s, n_relevant)`.

    Source: SeeSaw (arXiv 2208.06497, section 5), whose R is min(10, n_relevant) because
        its user stops at ten; this one looks at every page.
    """
    possible = min(len(hits), n_relevant)
    if not possible:
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)  # [s]
    return float(precision[hits].sum()) / possible


def ndcg(hits: Flags, n_relevant: int, n: int) -> float:
    """Normalised discounted cumulative gain of the first `n`, with binary gains.

    Args:
        hits: [s] whether each ranked image is relevant, best first.
        n_relevant: How many of the ranked collection are relevant.
        n: Cut.

    Source: Järvelin and Kekäläinen 2002, with the usual log2(rank + 1) discount.
    """
    discount = 1.0 / np.log2(np.arange(2, n + 2))  # [n]
    best = discount[: min(n, n_relevant)].sum()
    gains = hits[:n].astype(np.float64)
    return float((gains * discount[: len(gains)]).sum() / best) if best else 0.0


@dataclass(frozen=True, slots=True)
class Interval(JsonValue):
    """A mean with its paired bootstrap interval."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: NDArray[np.float64], *, n_samples: int = 2000, share: float = 0.95, seed: int = 0
) -> Interval:
    """The mean of per-query values (or paired differences) and its percentile interval.

    Args:
        values: [q] one number a query.
        n_samples: How many times the queries are drawn with replacement.
        share: Mass inside the interval.
        seed: Of the draws.

    Source: Efron's percentile bootstrap over queries; differences of two arms on the same
        queries make it paired.
    """
    if not len(values):
        return Interval(0.0, 0.0, 0.0)
    draws = np.random.default_rng(seed).integers(0, len(values), (n_samples, len(values)))
    means = values[draws].mean(axis=1)  # [n_samples]
    tail = (1.0 - share) / 2
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Interval(float(values.mean()), float(low), float(high))


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


@dataclass(frozen=True, slots=True)
class MeasuredOn(JsonValue):
    """What must be equal for two reports to be comparable.

    Args:
        n_images: Images of the library.
        n_tiles: Vectors that are searched.
        pictures: Sixteen hexadecimal digits that stand for the contents of all picture files,
            wherever they are and in whatever order they were indexed.
        encoder: The library's encoder.
        versions: Of the programs.
    """

    n_images: int
    n_tiles: int
    pictures: str
    encoder: Fingerprint
    versions: dict[str, str]

    @classmethod
    def of(cls, engine: Engine) -> "MeasuredOn":
        """The library behind an engine, as it is now."""
        contents = sorted(record.content for record in engine.files.catalog.each_image())
        digest = hashlib.sha256(b"".join(contents)).hexdigest()[:16]
        n_tiles = int(engine.files.row_table[:, 1].sum())
        return cls(len(contents), n_tiles, digest, engine.encoder.fingerprint, versions())


def versions() -> dict[str, str]:
    """Program -> version, of those that figures depend on."""
    return {
        "relook": importlib.metadata.version("relook"), "python": platform.python_version(),
        "numpy": np.__version__, "onnxruntime": importlib.metadata.version("onnxruntime"),
    }  # fmt: skip
