"""Ranks the images of a library by a query vector. Layer: search.

A score is the inner product of the query with a tile; an image scores as its best tile,
where every tile but the whole picture counts `tile_weight` as much. The engine knows
nothing of sessions or strategies: whoever has a vector can ask it.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from relook.core.errors import NotFoundError
from relook.core.settings import SearchSettings
from relook.core.threads import in_one_thread
from relook.core.types import NOTHING_FITS, Hit, Page, Query, Suggestion
from relook.core.vectors import Floats, Ints, top
from relook.encoders.base import Encoder, unread_of
from relook.feedback.scorer import Scorer
from relook.library.files import LibraryFiles
from relook.library.manifest import Manifest
from relook.library.records import ImageRecord
from relook.library.whereabouts import away_note
from relook.search.filtering import Filter, allowed_rows, file_date_note, only_fitting, why_empty
from relook.search.fit import LookedFor, fit_scale, fits_of, looked_for, n_leading, with_fits
from relook.search.negation import finds_others, shows, with_others
from relook.search.places import Placed, placed_scores, standard
from relook.search.ranking import Ranking, checked_limit, folded_ranking, hit_of
from relook.search.suggestions import suggestions
from relook.search.vectorise import combined, concept_ranker, part_vectors, read_words
from relook.search.written import Lift, Sought, check_read, places_of_written, with_written
from relook.stores.base import Mask

EncoderOf = Callable[[Manifest], Encoder]
"""Opens the encoder that made a library's vectors."""

_AWAY = "away note"


class Engine:
    """Searches one open library.

    Args:
        files: The library.
        encoder_of: Opens the encoder that a manifest names; raises where it cannot be had.
        settings: Defaults of a search.
    """

    def __init__(
        self, files: LibraryFiles, encoder_of: EncoderOf, settings: SearchSettings
    ) -> None:
        self.files, self.encoder_of, self.settings = files, encoder_of, settings

    @property
    def encoder(self) -> Encoder:
        """The encoder that made the vectors of this moment of the files.

        Raises:
            EncoderMismatchError: `other_encoder` when it cannot be had any more.
        """
        return self.encoder_of(self.files.manifest)

    def search(
        self,
        query: Query,
        limit: int | None = None,
        only: Filter | None = None,
        fold_duplicates: bool | None = None,
    ) -> Page:
        """As `first_page`, of which this is the page."""
        return self.first_page(query, limit, only, fold_duplicates)[0]

    @in_one_thread()
    def first_page(
        self,
        query: Query,
        limit: int | None = None,
        only: Filter | None = None,
        fold_duplicates: bool | None = None,
    ) -> tuple[Page, tuple[int, ...]]:
        """Finds the images that fit a query.

        Args:
            query: Signed, weighted parts.
            limit: How many hits.
            only: Which images may be found.
            fold_duplicates: Whether near-duplicates become one hit.

        Returns:
            The page, and ids of the images behind it that decided where its line stands.

        Raises:
            QueryError, ImageError, NotFoundError: when a part cannot be read.
            InputError: `no_fit` when a least fit is asked for and fit is not known.
            EncoderMismatchError: as `encoder`.
        """
        began = time.perf_counter()
        query = with_others(query)
        with self.files.moment():
            unread = check_read(query, self.files)
            vectors, notes = part_vectors(query, self.encoder, self.files)
            lift, placed = Lift.of(query, self.files), Placed.of(query, vectors)
            vector = combined(query, vectors, self.acts_by_fit)
            sought = Sought(self.wanted(query, vectors), placed, lift)
            only = self.keeping_to(query, only or Filter())
            only = only_fitting(only, sought.wanted, self.files, self.encoder)
            page, further = self.page(query, vector, limit, only, fold_duplicates, sought)
            offered = self.suggestions(query)
        notes = (*page.notes, *unread, *notes, *(each.note for each in offered))
        took_ms = (time.perf_counter() - began) * 1e3
        return replace(page, notes=notes, suggestions=offered, took_ms=took_ms), further

    def suggestions(self, query: Query) -> tuple[Suggestion, ...]:
        """What else to ask than a query, for words that are not read as they are."""
        return suggestions(query, self.encoder, self.files)

    @property
    def acts_by_fit(self) -> bool:
        """Whether words to leave out act by their own fit: where fit is known."""
        return fit_scale(self.files, self.encoder).is_known

    def wanted(self, query: Query, vectors: Floats) -> LookedFor | None:
        """What fit is told of, from a query's parts [p, d]; None where it is not known."""
        if finds_others(query):
            return None  # its words name nothing that a picture could show

        def usual_of(name: str) -> float | None:
            return concept_ranker(name, self.files, self.encoder).usual

        looked = looked_for(query, vectors, usual_of)
        texts = [read_words(part) for part in query.parts if part.text and part.weight > 0]
        is_read = not any(unread_of(self.encoder, text).is_all for text in texts)
        return looked if looked is None or is_read else replace(looked, is_read=False)

    def unwanted(self, query: Query) -> tuple[str, ...]:
        """Words of a query, and of its concepts, whose pictures are left out."""
        if not self.acts_by_fit:
            return ()
        unwanted = [text for text in query.unwanted if not unread_of(self.encoder, text).is_all]
        for part in query.parts:
            if part.concept is not None and part.weight > 0:
                with contextlib.suppress(NotFoundError):  # a page of one that is gone is shown
                    unwanted += concept_ranker(part.concept, self.files, self.encoder).unwanted
        return tuple(dict.fromkeys(unwanted))

    def keeping_to(self, query: Query, only: Filter) -> Filter:
        """A filter that also keeps to what a query leaves out, and to words that must stand."""
        only = replace(only, written=query.written, not_written=query.not_written)
        return replace(only, unwanted=self.unwanted(query))

    def page(
        self,
        query: Query,
        vector: Floats,
        limit: int | None = None,
        only: Filter | None = None,
        fold_duplicates: bool | None = None,
        sought: Sought | None = None,
    ) -> tuple[Page, tuple[int, ...]]:
        """Finds the images nearest to a vector [d]; the rest as for `first_page`."""
        sought = sought or Sought()
        limit = checked_limit(self.settings.limit if limit is None else limit)
        folding = self.settings.fold if fold_duplicates is None else fold_duplicates

        def rank(ask: int) -> Ranking:
            ranking = self.rank(vector, ask, only, sought.placed)
            if sought.lift is None:
                return ranking
            may, by = self.may_show(only or Filter()), (self.files, self.encoder.tile_weight)
            return sought.lift.applied(ranking, ask, vector, may, by)

        settings = replace(self.settings, fold=folding)
        deeper = limit + sought.n_further(self.files)
        folded = folded_ranking(rank, self.files, settings, deeper).first(limit)
        reasons = self._reasons(folded.records)
        hits = tuple(
            hit_of(record, (score, tile), self.files, others, reasons.get(record.image_id))
            for record, (_, score, tile), others in zip(
                folded.records, folded.ranking.rows, folded.copies, strict=True
            )
        )
        only = only or Filter()
        reason = file_date_note(folded.records, only.where)
        reason = reason if hits else why_empty(self.files, only)
        notes = (*filter(None, (reason,)), *self.away_notes(only))
        page = self.fitted(Page(query, hits, notes), sought.wanted, only, folded.further)
        return page, folded.further

    def fitted(
        self,
        page: Page,
        wanted: LookedFor | None,
        only: Filter | None = None,
        further: Sequence[int] = (),
    ) -> Page:
        """A page with the fit of its hits, what stands in them, and a note when nothing fits.

        `further` are ids of images behind it, by which it says what a longer one would.
        """
        hits = (*page.hits, *self.hits([(image_id, 0.0, 0) for image_id in further]))
        ids = [hit.image_id for hit in hits]
        outlined, saying = with_written(hits, page.query, self.files)
        scale = fit_scale(self.files, self.encoder).of_part(self._share_searched(only or Filter()))
        level = None if wanted is None else scale.level(wanted.vectors)
        hits = with_fits(outlined, fits_of(wanted, ids, self.files, self.encoder, level))
        nothing, line = scale.line(wanted, level), scale.of_many.line(wanted, level)
        n_fitting = n_leading(hits, nothing, line, saying)
        notes = (NOTHING_FITS, *page.notes) if n_fitting == 0 else page.notes
        n_fitting = None if n_fitting is None else min(n_fitting, len(page))
        return replace(page, hits=hits[: len(page)], notes=notes, n_fitting=n_fitting)

    def _share_searched(self, only: Filter) -> float:
        """The share of the library's images that a filter lets through, but for what they show."""
        place = Filter(where=only.where, path=only.path, away=only.away)
        return self._allowed(place)[1] / max(len(self.files.row_table), 1)

    def _reasons(self, records: Sequence[ImageRecord]) -> dict[int, str]:
        """Why those of some images are away that are."""
        if not self.files.now.n_away:
            return {}
        return self.files.catalog.reasons([record.image_id for record in records])

    def away_notes(self, only: Filter) -> tuple[str, ...]:
        """What is left out of a page because it is away, in a sentence; none when nothing is."""
        if only.away or not self.files.now.n_away:
            return ()
        n_all = self._allowed(replace(only, away=True))[1]
        if n_all == self._allowed(only)[1]:
            return ()
        known = self.files.derived.get(_AWAY)
        if known is None:
            known = self.files.derived[_AWAY] = away_note(self.files.catalog.absences())
        return (known,) if known else ()

    def rank(
        self, vector: Floats, limit: int, only: Filter | None = None, placed: Placed | None = None
    ) -> Ranking:
        """The best `limit` images for a vector [d], each once; with words at places, for both."""
        if placed is not None:
            return self._rank_placed(vector, placed, limit, only)
        allowed, n_images = self._allowed(only or Filter())
        limit = min(limit, n_images)
        store = self.files.store(self.settings)
        ask = min(max(limit * self.files.now.most_tiles, 64), len(store))
        while True:
            rows, scores = store.search(vector[None], ask, allowed)
            ranking = self._by_image(rows[0], scores[0])
            exhausted = ask >= len(store) or rows[0, -1] < 0
            if exhausted or self._n_settled(ranking, float(scores[0, -1])) >= limit:
                return ranking.first(limit)
            ask = min(ask * 4, len(store))

    def _rank_placed(
        self, vector: Floats, placed: Placed, limit: int, only: Filter | None
    ) -> Ranking:
        """By the vector and by each of the words at its place, all in deviations, added."""
        scores, tiles = placed_scores(placed, self.files, self.encoder.tile_weight)
        if not placed.is_all:
            scores += standard(self.score_all(vector[None]))[0]
        may = self.may_show(only or Filter())
        best = top(np.where(may, scores, -np.inf), min(limit, int(may.sum())))
        return Ranking(self.files.row_table[best, 2], scores[best], tiles[best])

    def _n_settled(self, ranking: Ranking, last: float) -> int:
        """How many of the best images no tile outside the shortlist can pass.

        Tiles outside score at most `last`, which a weight below one brings nearer to zero.
        """
        bound = last if last >= 0 else last * self.encoder.tile_weight
        return int(np.count_nonzero(ranking.scores >= bound))

    def score_all(self, vectors: Floats) -> Floats:
        """Scores of every image for several vectors [q, d], as [q, n images by row]."""
        table, weight = self.files.row_table, self.encoder.tile_weight
        best = np.empty((len(vectors), len(table)), np.float32)
        for at in range(0, len(table), 2048):
            some = table[at : at + 2048]
            start, stop = int(some[0, 0]), int(some[-1, 0] + some[-1, 1])
            scores = vectors @ self.files.vectors.block(start, stop).T  # [q, b]
            _, tile, alive = self._owners(np.arange(start, stop))
            scores[:, tile > 0] *= weight
            scores[:, ~alive] = -np.inf
            segments = some[:, 0] - start
            best[:, at : at + len(some)] = np.maximum.reduceat(scores, segments, axis=1)
        return best

    def _owners(self, rows: Ints) -> tuple[Ints, Ints, Mask]:
        """Of rows [n]: their image's position in the table, their tile, whether they count."""
        table = self.files.row_table
        at = np.searchsorted(table[:, 0], rows, side="right") - 1
        tile = rows - table[at, 0]
        return at, tile, (at >= 0) & (tile < table[at, 1])

    def _by_image(self, rows: Ints, scores: Floats) -> Ranking:
        """Each image's best tile, best image first."""
        filled = rows >= 0
        at, tile, alive = self._owners(rows[filled])
        weighted = np.where(tile > 0, scores[filled] * self.encoder.tile_weight, scores[filled])
        order = np.argsort(-weighted[alive], kind="stable")
        owners = self.files.row_table[at[alive][order], 2]
        _, firsts = np.unique(owners, return_index=True)
        firsts.sort()
        return Ranking(owners[firsts], weighted[alive][order][firsts], tile[alive][order][firsts])

    def _allowed(self, only: Filter) -> tuple[Mask | None, int]:
        """Rows that may be found, None for all, and how many images they belong to."""
        shown = [shows(text, self.score_all, self.files, self.encoder) for text in only.unwanted]
        without = only.without
        if shown:
            without |= set(self.files.row_table[np.logical_or.reduce(shown), 2].tolist())
        rows, n_images = allowed_rows(self.files, only.where, only.path, without, only.away)
        if not (only.written or only.not_written):
            return rows, n_images
        images = places_of_written(self.files, only.written, only.not_written)
        written = self.files.now.rows_of_images(images)
        rows = written if rows is None else rows & written
        return rows, int(np.count_nonzero(rows[self.files.row_table[:, 0]]))

    def may_show(self, only: Filter) -> Mask:
        """[n images by row] whether a search may find it."""
        allowed, _ = self._allowed(only)
        firsts = self.files.row_table[:, 0]
        return np.ones(len(firsts), np.bool_) if allowed is None else allowed[firsts]

    def hits(
        self,
        rows: Sequence[tuple[int, float, int]],
        copies: Mapping[int, tuple[int, ...]] | None = None,
    ) -> tuple[Hit, ...]:
        """Hits of `(image_id, score, tile number)` rows; images that are gone are left out.

        The catalog alone decides what is gone: another process may have removed an image
        since the row table was read.

        Args:
            rows: Of the images.
            copies: Image ids of the near-duplicates that some of them stand for.
        """
        copies = copies or {}
        named = {row[0] for row in rows}.union(*copies.values())
        records = self.files.catalog.images(sorted(named), missing_ok=True)
        still = {record.image_id: record for record in records}
        reasons = self._reasons(records)
        return tuple(
            hit_of(
                still[image_id],
                (score, tile),
                self.files,
                tuple(other for other in copies.get(image_id, ()) if other in still),
                reasons.get(image_id),
            )
            for image_id, score, tile in rows
            if image_id in still
        )

    def rank_by(
        self, score: Callable[[Floats], Floats], limit: int, only: Filter | None = None
    ) -> Ranking:
        """The best `limit` images by any score of vectors ([n, d] -> [n]).

        No index helps here: every whole-picture vector that may be found is scored.
        """
        allowed, _ = self._allowed(only or Filter())
        table = self.files.row_table
        if allowed is not None:
            table = table[allowed[table[:, 0]]]
        scores = self._scores(score, table)
        best = top(scores, limit)
        return Ranking(table[best, 2], scores[best], np.zeros(len(best), np.int64))

    def _scores(self, score: Callable[[Floats], Floats], table: Ints) -> Floats:
        """[n] scores of the whole-picture vectors of some lines of the row table."""
        scores = np.empty(len(table), np.float32)
        for at in range(0, len(table), 8192):
            some = table[at : at + 8192, 0]
            scores[at : at + len(some)] = score(self.files.vectors.rows(some))
        return scores

    def rank_with(
        self,
        scorer: Scorer,
        limit: int,
        only: Filter | None = None,
        placed: Placed | None = None,
    ) -> Ranking:
        """The best `limit` images for a fitted strategy: by its vector where it has one."""
        if scorer.vector is None:
            return self.rank_by(scorer.score, limit, only)
        return self.rank(scorer.vector, limit, only, placed)

    def score_with(self, scorer: Scorer) -> Floats:
        """[n] the score by which `rank_with` ranks, for every image, by row."""
        if scorer.vector is None:
            return self._scores(scorer.score, self.files.row_table)
        return np.asarray(self.score_all(scorer.vector[None])[0])
