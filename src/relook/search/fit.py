"""Fit: the probability that a picture shows what was asked. Layer: search.

A score orders one page; what it is worth differs from query to query and from library to
library. Fit reads it by four things: where the library's pictures score for these words
(the background), how near the words are to how people describe pictures, what a picture that
shows such words usually scores, and a logistic map learnt on captioned pictures; another such map
says whether anything fits. An encoder without is read by the background alone, which is weaker.

Sources: Platt, "Probabilistic outputs for support vector machines" (1999), the logistic map;
Arampatzis and Robertson, "Modeling score distributions in information retrieval" (2011).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from relook.core.types import Box, Hit, Query
from relook.core.vectors import Floats
from relook.encoders.base import Encoder, Means
from relook.library.files import LibraryFiles
from relook.search.background import background, distinct
from relook.search.places import tilings, within
from relook.stores.base import Mask

_SCALE = "fit scale"
_SHOWS = 0.3  # chosen on training pictures
_NEAR = 10  # phrasings that say how people describe such pictures
_PRIOR = 30  # pictures that the usual background counts as
_LEARNT_ON = 30, 3000  # images: the smallest and largest galleries of training/fit.py
_FEWEST = 30  # pictures from which scores alone can be read
FURTHER = 20
"""Images behind a page that decide where its line stands; behind so many in a row that do not fit
nothing counts. It is a page of the usual length, which so says what a longer one does."""
# By the background alone: logistic in the score's deviations from its mean, and the fit
# below which nothing fits. Chosen by hand, on the built-in encoder with its map left out.
_BY_SCORE_SLOPE, _BY_SCORE_MIDDLE, _BY_SCORE_NOTHING = 1.0, 4.0, 0.1

# Of a concept: logistic in how far a picture stands from the library's mean (0) towards what
# the concept's relevant examples score (1), and the fit below which nothing fits. Learnt on
# training pictures of Flickr8k by benchmarks/concepts.py.
_CONCEPT_SLOPE, _CONCEPT_BIAS, _CONCEPT_NOTHING = 6.94, -6.49, 0.15
# Fits from which a shown picture stays on a session's next page: by its words and by what was
# learnt, and by what was learnt where nothing else tells. Chosen on training pictures.
_STAYS_WORDS, _STAYS_BY_SCORE, _STAYS_LEARNT, _STAYS_LEARNT_ALONE = 0.6, 0.5, 0.25, 0.75


@dataclass(frozen=True, slots=True)
class LookedFor:
    """What fit is told of.

    Args:
        vectors: [w, d] of words and concepts that are looked for.
        usual: [w] what relevant examples of a concept score; not a number for words.
        places: Of each the place where it must be shown, None for anywhere; empty for all of them.
        is_read: Whether the encoder reads all of it; nothing fits what it does not.
    """

    vectors: Floats
    usual: Floats
    places: tuple[Box | None, ...] = ()
    is_read: bool = True

    @classmethod
    def words(cls, vectors: Floats) -> LookedFor:
        """Of words alone, [w, d]."""
        return cls(vectors, np.full(len(vectors), np.nan, np.float32))

    @classmethod
    def learnt(
        cls, vector: Floats | None, relevant: Iterable[Floats], tile_weight: float
    ) -> LookedFor | None:
        """Of what marks have made of a query.

        Args:
            vector: [d] what is ranked by; None for a way that has no vector.
            relevant: [k, d] tiles of each example that fits, row 0 for all of it.
            tile_weight: Factor on every tile but the first.

        Returns:
            None without a vector, or without an example that fits.
        """
        usual = usual_score(vector, relevant, tile_weight)
        if vector is None or usual is None:
            return None
        return cls(vector[None], np.array([usual], np.float32))

    @property
    def are_concepts(self) -> bool:
        """Whether nothing but concepts is looked for."""
        return bool(np.isfinite(self.usual).all())


def usual_score(
    vector: Floats | None, relevant: Iterable[Floats], tile_weight: float
) -> float | None:
    """What examples that fit score in the mean, each by its best tile; None without any."""
    scores = []
    if vector is None:
        return None
    for tiles in relevant:
        each = tiles @ vector  # [k]
        each[1:] *= tile_weight
        scores.append(float(each.max()))
    return float(np.mean(scores)) if scores else None


@dataclass(frozen=True, slots=True)
class Level:
    """What is known of words or concepts before any picture is scored.

    Args:
        mean, deviation: [q] of the library's scores.
        words: What the map reads of each, [q] each: how near the nearest phrasings are, at most
            and in the mean, and what a picture usually scores; empty without a map.
    """

    mean: Floats
    deviation: Floats
    words: tuple[Floats, ...] = ()


@dataclass(frozen=True, slots=True)
class FitScale:
    """Reads scores of one library, or of a part of it, for one encoder.

    Args:
        background: [b, t, d] tiles of pictures of the library, drawn at random, no two alike.
        tile_weight: Factor on every tile but the first.
        means: What the encoder knows of its space.
        n_images: Images that a search looks through, as far as no two are alike: the best of few
            stands lower than that of many, and fits as well.
    """

    background: Floats
    tile_weight: float
    means: Means | None
    n_images: int

    @property
    def is_known(self) -> bool:
        """Whether fit can be told at all: by a map, or by pictures enough."""
        return self.has_map or len(self.background) >= _FEWEST

    @property
    def has_map(self) -> bool:
        """Whether a map learnt on captioned pictures reads scores, not the background alone."""
        return self.means is not None and self.means.fit is not None

    def best(self, vectors: Floats, tiles: Floats) -> Floats:
        """[q, n] each picture's best weighted tile, of vectors [q, d] and tiles [n, t, d]."""
        scores = np.einsum("ntd,qd->qnt", tiles, vectors, optimize=True)  # [q, n, t]
        scores[:, :, 1:] *= self.tile_weight
        best: Floats = scores.max(axis=2)
        return best

    def of_part(self, share: float) -> FitScale:
        """The same for a search through a share of the images."""
        return replace(self, n_images=round(self.n_images * share))

    @property
    def of_many(self) -> FitScale:
        """The same for a search through a thousand images at least."""
        return replace(self, n_images=max(self.n_images, 1000))

    def line(self, wanted: LookedFor | None, level: Level | None = None) -> float:
        """The fit that the best picture must reach for anything to fit what is looked for.

        With a map each query has its own, never above a half, several parts the lowest of theirs;
        `level` as for `fits`.
        """
        if wanted is None or self.means is None or self.means.fit is None:
            only = wanted is not None and wanted.are_concepts
            return _CONCEPT_NOTHING if only else _BY_SCORE_NOTHING
        learnt = self.means.fit
        level = level or self.level(wanted.vectors)
        read = features(np.zeros((len(level.mean), 1), np.float32), level)[:, 0]  # [w, 6]
        bias = learnt.line_bias + learnt.line_size * thousands(self.n_images)
        score = -(read @ learnt.line + bias) / learnt.line[0]  # [w]
        of_words = _logistic(read @ learnt.weights + score * learnt.weights[0] + learnt.bias)
        lines = np.where(np.isfinite(wanted.usual), _CONCEPT_NOTHING, of_words)
        return float(lines.min(initial=0.5))

    def stays(self, words: Floats | None, learnt: Floats | None) -> Mask | None:
        """[k] whether shown pictures fit so well that the next page keeps them.

        Args:
            words: [k] their fit to the first query; None where that is not known.
            learnt: [k] their fit to what the marks made of it; None where nothing fits yet.

        Returns:
            None where neither is known.
        """
        line = _STAYS_WORDS if self.has_map else _STAYS_BY_SCORE
        if learnt is None:
            return None if words is None else np.asarray(words >= line)
        if words is None:
            return np.asarray(learnt >= _STAYS_LEARNT_ALONE)
        return np.asarray((words >= line) & (learnt >= _STAYS_LEARNT))

    def fits_wanted(self, wanted: LookedFor, scores: Floats, level: Level | None = None) -> Floats:
        """Probabilities [w, k] for the scores [w, k] of words and concepts; `level` as `fits`."""
        level = level or self.level(wanted.vectors)
        if not np.isfinite(wanted.usual).any():
            return self.fits(wanted.vectors, scores, level)
        fits = scores if wanted.are_concepts else self.fits(wanted.vectors, scores, level)
        mean = level.mean
        above = (scores - mean[:, None]) / np.maximum(wanted.usual - mean, 1e-6)[:, None]
        learnt = _logistic(_CONCEPT_SLOPE * above + _CONCEPT_BIAS)
        return np.where(np.isfinite(wanted.usual)[:, None], learnt, fits)

    def fits(self, vectors: Floats, scores: Floats, level: Level | None = None) -> Floats:
        """Probabilities [q, k] for the scores [q, k] of words with the vectors [q, d].

        `level` is theirs, where it is known already.
        """
        level = level or self.level(vectors)
        if self.means is not None and self.means.fit is not None:
            learnt = self.means.fit
            return _logistic(features(scores, level) @ learnt.weights + learnt.bias)
        above = (scores - level.mean[:, None]) / np.maximum(level.deviation, 1e-6)[:, None]
        return _logistic(_BY_SCORE_SLOPE * (above - _BY_SCORE_MIDDLE))

    def shown(self, vectors: Floats, scores: Floats) -> Mask:
        """[q, k] whether pictures with the scores [q, k] show words [q, d] that are left out.

        A lower line than for what is looked for, that small people go, too: some way from the
        library's mean to what a picture that shows the words usually scores.
        """
        if self.means is not None and self.means.fit is not None:
            learnt = self.means.fit
            expected = vectors @ learnt.expected + learnt.expected_bias  # [q]
            mean, _ = self._scores(vectors)
            return np.asarray(scores >= (mean + _SHOWS * (expected - mean))[:, None])
        return np.asarray(self.fits(vectors, scores) >= _BY_SCORE_NOTHING)

    def level(self, vectors: Floats, against: Floats | None = None) -> Level:
        """Of words [q, d]; `against` [q, b] are the background's scores where they are known."""
        mean, deviation = self._scores(vectors, against)
        if self.means is None or self.means.fit is None:
            return Level(mean, deviation)
        learnt = self.means.fit
        assert self.means.phrasings is not None
        described = vectors @ self.means.phrasings.T  # [q, p]
        near = np.partition(described, -_NEAR, axis=1)[:, -_NEAR:]  # [q, 10]
        expected = vectors @ learnt.expected + learnt.expected_bias
        return Level(mean, deviation, (near.max(axis=1), near.mean(axis=1), expected))

    def _scores(self, vectors: Floats, against: Floats | None = None) -> tuple[Floats, Floats]:
        """Mean and deviation [q] of the background's scores; few pictures count as few."""
        if against is None:
            against = self.best(vectors, self.background)
        n = against.shape[1]
        if not n:
            against = np.zeros((len(vectors), 1), np.float32)
        mean, deviation = against.mean(axis=1), against.std(axis=1)
        if self.means is None or self.means.fit is None:
            return mean, deviation
        usual, share = self.means.fit.usual, n / (n + _PRIOR)
        return (
            np.asarray(share * mean + (1 - share) * usual[0], np.float32),
            np.asarray(share * deviation + (1 - share) * usual[1], np.float32),
        )


def features(scores: Floats, level: Level) -> Floats:
    """What the map reads of scores [q, k], as [q, k, 6]: see `FitMap.weights` for the columns."""
    per_query = (level.mean, level.deviation, *level.words)
    columns = [scores, *(np.broadcast_to(values[:, None], scores.shape) for values in per_query)]
    stacked: Floats = np.stack(columns, axis=-1).astype(np.float32)
    return stacked


def thousands(n_images: int) -> float:
    """The logarithm of how many thousand images, as far as the line was learnt on so many."""
    return float(np.log(np.clip(n_images, *_LEARNT_ON) / 1000))


def fit_scale(files: LibraryFiles, encoder: Encoder) -> FitScale:
    """The scale of an open library; made once a moment of its files."""
    known: FitScale | None = files.derived.get(_SCALE)
    if known is None:
        drawn = background(files)
        unlike = distinct(drawn)
        n_images = round(len(files.row_table) * len(unlike) / max(len(drawn), 1))
        known = FitScale(unlike, encoder.tile_weight, encoder.means, n_images)
        files.derived[_SCALE] = known
    return known


def looked_for(
    query: Query, vectors: Floats, usual_of: Callable[[str], float | None]
) -> LookedFor | None:
    """What of a query's parts [p, d] is looked for; None unless all of it has a fit.

    Args:
        query: The query.
        vectors: [p, d] of its parts.
        usual_of: What relevant examples of a concept score; None for one without any.
    """
    at = [n for n, part in enumerate(query.parts) if part.weight > 0 and part.written is None]
    parts = [query.parts[number] for number in at]
    if not parts or not all(part.has_name for part in parts):
        return None
    usual = [None if part.concept is None else usual_of(part.concept) for part in parts]
    numbers = [np.nan if value is None else value for value in usual]
    places = tuple(part.place for part in parts) if query.has_places else ()
    return LookedFor(vectors[at], np.array(numbers, np.float32), places)


def fits_of(
    wanted: LookedFor | None,
    image_ids: Sequence[int],
    files: LibraryFiles,
    encoder: Encoder,
    level: Level | None = None,
) -> list[float | None]:
    """Of images, the probability that each shows all that is wanted; None where it is not known.

    Args:
        wanted: As `looked_for` gives it.
        image_ids: Images of the library.
        files: The library.
        encoder: Its encoder.
        level: Of what is wanted, where it is known already.
    """
    scale = fit_scale(files, encoder)
    if wanted is None or not scale.is_known or not (image_ids and wanted.is_read):
        return [None if wanted is None or wanted.is_read else 0.0] * len(image_ids)
    places = files.now.places(np.array(image_ids, np.int64))
    there = np.flatnonzero(places >= 0)
    fits: list[float | None] = [None] * len(image_ids)
    if not len(there):
        return fits
    table = files.row_table[places[there]]  # [n, 3]
    starts = np.cumsum(table[:, 1]) - table[:, 1]
    tile = np.arange(int(table[:, 1].sum())) - np.repeat(starts, table[:, 1])  # [r]
    vectors = files.vectors.rows(np.repeat(table[:, 0], table[:, 1]) + tile)  # [r, d]
    scores = wanted.vectors @ vectors.T  # [w, r]
    scores[:, tile > 0] *= encoder.tile_weight
    for number, place in enumerate(wanted.places):
        if place is not None:
            kinds = tilings(files)[places[there]]
            scores[number, ~within(place, kinds, table[:, 1], files)] = -1.0
    best = np.maximum.reduceat(scores, starts, axis=1)  # [w, n]
    worst = scale.fits_wanted(wanted, best, level).min(axis=0)
    for at, fit in zip(there.tolist(), worst.tolist(), strict=True):
        fits[at] = fit
    return fits


def with_fits(hits: Sequence[Hit], fits: Sequence[float | None]) -> tuple[Hit, ...]:
    """The hits, each with its fit."""
    return tuple(replace(hit, fit=fit) for hit, fit in zip(hits, fits, strict=True))


def n_leading(
    hits: Sequence[Hit], nothing: float, line: float, saying: frozenset[int] = frozenset()
) -> int | None:
    """How many hits stand before the line where they stop fitting; None where nobody knows.

    Neither the best fit nor the line depends on how long the page is, if `FURTHER` hits more are
    given: the best is one of so many, and behind so many that do not fit nothing is looked at.

    Args:
        hits: Of a page, and those behind it.
        nothing: The fit that the best of so few or many images must reach for anything to fit.
        line: The fit that others must reach, or that of the best where this is less.
        saying: Image ids that fit: all the words that are looked for stand in them.
    """
    if not any(hit.fit is not None for hit in hits):
        return None
    best = max(hit.fit or 0.0 for hit in hits[:FURTHER])
    enough = min(line, best) if best >= nothing else np.inf
    last = 0
    for at, hit in enumerate(hits, start=1):
        if at - last > FURTHER:
            break
        if (hit.fit or 0.0) >= enough or hit.image_id in saying:
            last = at
    return last


def _logistic(values: npt.NDArray[np.floating[Any]]) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -30, 30))), np.float32)
