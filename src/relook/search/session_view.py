"""A session as it stands: its rounds, its pages, and what counts for the next one. Layer: search.

A session that an older import or a torn disk damaged is shown with what can be read of it;
its `problems` say what cannot.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol

from relook.core.converter import from_json
from relook.core.errors import ImageError, InputError, NotFoundError, counted
from relook.core.picture_paths import printable
from relook.core.settings import FeedbackSettings
from relook.core.types import Box, Page, Query
from relook.core.vectors import Floats
from relook.feedback.strategies import configured, unused
from relook.library.session_rows import KeptFilter
from relook.library.session_values import Judgement, RoundRow, SessionRow, SessionRows, page_name
from relook.search.completeness import Estimate, Seen, estimate
from relook.search.engine import Engine
from relook.search.feedback_evidence import Fitted, TypedWords, gather
from relook.search.filtering import Filter, only_fitting
from relook.search.fit import LookedFor
from relook.search.judging import (
    Captioning,
    Prepared,
    counting,
    path_to,
    place_of,
    waiting,
    with_judgements,
)
from relook.search.negation import finds_others
from relook.search.places import Placed
from relook.search.ranking import kept_copies
from relook.search.regions import check_current, crop_vectors
from relook.search.vectorise import part_vectors, query_length, query_vector

WORD_KEYS = ("relevant_words", "irrelevant_words")
"""Keys of a round's record under which it keeps the words that were typed for it."""


class KeptSessions(Protocol):
    """What is read of the table of sessions to look at one (`SessionTable`)."""

    def version(self) -> tuple[int, int]: ...

    def read(self, session_id: str) -> SessionRows: ...

    def together(self) -> AbstractContextManager[Any]: ...

    def change(
        self,
        session_id: str,
        judgement_id: int,
        values: Mapping[str, object],
        expected: Mapping[str, object] | None = None,
    ) -> bool: ...


class SessionView:
    """An open session to look at; nothing here changes it.

    Args:
        engine: Of the library.
        table: Where sessions are kept.
        session_id: An existing session.
        caption: Puts words to a region; captions are then suggested for boxes.
        feedback: How judgements are used where a call does not say; the defaults when None.

    Raises:
        NotFoundError: `no_session`.
    """

    def __init__(
        self,
        engine: Engine,
        table: KeptSessions,
        session_id: str,
        caption: Captioning | None = None,
        feedback: FeedbackSettings | None = None,
    ) -> None:
        self.engine, self._table, self._caption = engine, table, caption
        self.feedback = feedback or FeedbackSettings()
        self.session_id = session_id
        self._known: tuple[tuple[int, int], SessionRows] | None = None
        self.query = Query.from_dict(self.rows.row.query)
        self._vector: tuple[int, Floats] | None = None  # and the number of its encoder
        self._wanted: tuple[int, LookedFor | None] | None = None  # the same of what is looked for

    def __repr__(self) -> str:
        """What a shell shows: id, name, page and marks."""
        row = self.row
        n_marks = len(self.judgements)
        return (
            f"<{type(self).__name__} {self.session_id} {printable(row.name)!r}:"
            f" {page_name(row.current_round)}, {counted(n_marks, 'mark')}>"
        )

    @property
    def rows(self) -> SessionRows:
        """The session as the catalog has it now; it is read again only after a change."""
        version = self._table.version()
        if self._known is None or self._known[0] != version:
            self._known = version, self._table.read(self.session_id)
        return self._known[1]

    @property
    def row(self) -> SessionRow:
        """Name, age and current round."""
        return self.rows.row

    @property
    def rounds(self) -> list[RoundRow]:
        """Every round, by number; an empty one for a session that has lost them all."""
        return list(self.rows.rounds) or [RoundRow(0, None, "none", (), {})]

    @property
    def problems(self) -> tuple[str, ...]:
        """What of the session cannot be read, in words; nothing but for a damaged one."""
        rounds = [problem for row in self.rounds for problem in row.problems]
        return (*self.row.problems, *rounds, *self.rows.unreadable)

    @property
    def round(self) -> RoundRow:
        """The current round."""
        return self._round(self.row.current_round)

    @property
    def _first(self) -> RoundRow:
        """The first query's own page."""
        return self.rounds[0]

    @property
    def page(self) -> Page:
        """The current round's page; images that left the library since are left out."""
        return self._page(self.round)

    def round_at(self, number: int) -> tuple[RoundRow, Page]:
        """Any round and its page; the session stays where it is.

        Raises:
            NotFoundError: `no_round`.
        """
        row = self._round(number)
        return row, self._page(row)

    @property
    def judgements(self) -> list[Judgement]:
        """What counts for the next page: all on the way to the current round, oldest first."""
        return self._judgements_at(self.row.current_round)

    @property
    def all_judgements(self) -> list[Judgement]:
        """Every judgement of every branch, oldest first."""
        return list(self.rows.judgements)

    def fitted(
        self,
        strategy: str | None = None,
        without: int | None = None,
        at: int | None = None,
        judging: Prepared | None = None,
    ) -> Fitted:
        """A strategy fitted as for the next page, for explanation.

        Args:
            strategy: Its name; the configured one when None.
            without: A judgement to leave out, as if it had never been made.
            at: The round whose next page is meant; the current one when None.
            judging: Judgements that count as if they had been made.
        """
        self.engine.files.refresh()
        number = self.row.current_round if at is None else at
        known = self._judgements_at(number, judging, by_round=self._is_chained(strategy))
        judgements = [judgement for judgement in known if judgement.judgement_id != without]
        return self.fit(strategy, judgements, self.typed_at(number))

    @property
    def typed(self) -> list[TypedWords]:
        """Words that were typed on the way to the current round, oldest first."""
        return self.typed_at(self.row.current_round)

    def typed_at(self, number: int) -> list[TypedWords]:
        """Words that were typed on the way to a round."""
        return [typed_words(row) for row in path_to(self.rounds, number)]

    def fit(
        self, strategy: str | None, judgements: Sequence[Judgement], typed: Sequence[TypedWords]
    ) -> Fitted:
        """A strategy fitted on the first query, these judgements and these words."""
        chosen, encoder = configured(self.feedback, strategy), self.engine.encoder
        first = [image_id for image_id, _, _ in self._first.hits]
        evidence, notes = gather(
            self.vector, self._with_crops(judgements), typed, first, self.engine.files, encoder,
            self.feedback.afs, query_length(self.query, encoder) if chosen.reads_lengths else None,
        )  # fmt: skip
        check_current(self.engine.files)  # else the boxes may be of another encoder than the rest
        scorer = chosen(evidence)
        notes = (*notes, *scorer.notes, *unused(self.feedback, chosen.name))
        return Fitted(chosen.name, evidence, scorer, notes)

    def _with_crops(self, judgements: Sequence[Judgement]) -> list[Judgement]:
        """The judgements, with vectors for boxes that an upgrade of the library left without."""
        return [
            self._with_crop(judgement, judgement.box)
            if judgement.box is not None and judgement.crop is None
            else judgement
            for judgement in judgements
        ]

    def _with_crop(self, judgement: Judgement, box: Box) -> Judgement:
        files = self.engine.files
        if not files.records([judgement.image_id]):
            return judgement
        place = (judgement.image_id, box)
        try:
            crop = crop_vectors(self.engine, [place])[place]
        except ImageError:
            return judgement  # the tiles that the box covers stand for it
        if files.catalog.writable:
            with self._table.together():
                check_current(files)
                still = {"box": box, "crop": None}
                self._table.change(self.session_id, judgement.judgement_id, {"crop": crop}, still)
        return replace(judgement, crop=crop)

    @property
    def vector(self) -> Floats:
        """[d] vector of the first query.

        Raises:
            InputError: `bad_session` when the query cannot be read.
        """
        number = self.engine.files.manifest.fingerprint.number
        if self._vector is None or self._vector[0] != number:
            self._whole_row()
            vector, _ = query_vector(self.query, self.engine.encoder, self.engine.files)
            self._vector = number, vector
        return self._vector[1]

    @property
    def placed(self) -> Placed | None:
        """Words of the first query that must be shown at their places."""
        if not self.query.has_places:
            return None
        vectors, _ = part_vectors(self.query, self.engine.encoder, self.engine.files)
        placed = Placed.of(self.query, vectors)
        return placed and replace(placed, is_all=False)  # marks make a vector to rank by, too

    @property
    def wanted(self) -> LookedFor | None:
        """What fit is told of; None where more than words and concepts is looked for."""
        sought = [part for part in self.query.parts if part.weight > 0 and part.written is None]
        if not sought or not all(part.has_name for part in sought) or finds_others(self.query):
            return None
        number = self.engine.files.manifest.fingerprint.number
        if self._wanted is None or self._wanted[0] != number:
            try:
                query = Query(tuple(sought))
                vectors, _ = part_vectors(query, self.engine.encoder, self.engine.files)
                self._wanted = number, self.engine.wanted(query, vectors)
            except NotFoundError:
                return None  # a concept that is gone: its page is shown all the same
        return self._wanted[1]

    @property
    def keeps_to(self) -> Filter:
        """The filter that it began with."""
        return _only_of(self._first.record)

    @property
    def only(self) -> Filter:
        """Which images its pages may show; InputError `no_fit` as for a search."""
        kept = self.engine.keeping_to(self.query, self.keeps_to)
        wanted = self.wanted if kept.min_fit else None
        return only_fitting(kept, wanted, self.engine.files, self.engine.encoder)

    def estimate(self, limit: int = 1, *, passed_over: bool = True) -> Estimate:
        """How many pictures of this kind the library holds, and how many of them are found.

        Args:
            limit: How many images to name that are worth judging next, 0 to 1000.
            passed_over: Whether pictures without a mark, on pages that were left and on which
                others were marked, count as looked at and not of the kind.

        Raises:
            InputError: `bad_limit`; `bad_session` when the query cannot be read.
        """
        self.engine.files.refresh()
        pages = path_to(self.rounds, self.row.current_round)[:-1]
        seen = Seen.of(self.judgements, pages, passed_over)
        return estimate(self.engine, self.vector, self.only, seen, limit)

    def _placed(self, prepared: Prepared) -> list[Judgement]:
        """Prepared judgements with the ids of those that wait at their places; 0 for none."""
        ids = {place_of(earlier): earlier.judgement_id for earlier in self._waiting()}
        return [
            replace(judgement, judgement_id=ids.get(place_of(judgement), 0))
            for judgement in prepared.judgements
        ]

    def numbered(self, judging: Prepared) -> list[Judgement]:
        """Prepared judgements with the ids that they have, or would have, in their order."""
        last = max((judgement.judgement_id for judgement in self.all_judgements), default=0)
        return [
            judgement if judgement.judgement_id else replace(judgement, judgement_id=last + n)
            for n, judgement in enumerate(self._placed(judging), start=1)
        ]

    def _is_chained(self, strategy: str | None) -> bool:
        return configured(self.feedback, strategy).is_chained

    def _judgements_at(
        self, number: int, judging: Prepared | None = None, *, by_round: bool = False
    ) -> list[Judgement]:
        """What counts for a round's next page, with what is judged in the same step."""
        kept = self.all_judgements
        if judging is not None:
            kept = list(with_judgements(kept, self.numbered(judging)))
        return counting(path_to(self.rounds, number), kept, by_round=by_round)

    def _waiting(self) -> list[Judgement]:
        """Judgements made on the current page that no round was fitted with yet."""
        return waiting(self.all_judgements, self.row.current_round)

    def _whole_row(self) -> SessionRow:
        """The session's line, where something can be fitted from it.

        Raises:
            InputError: `bad_session`.
        """
        row = self.row
        if not row.is_whole:
            raise InputError(
                "bad_session",
                f"session {self.session_id} is damaged: {'; '.join(row.problems)}",
                "look at it or export it, and begin a new one; relook doctor --check says more",
            )
        return row

    def _judgement(self, judgement_id: int) -> Judgement:
        for judgement in self.all_judgements:
            if judgement.judgement_id == judgement_id:
                return judgement
        raise no_judgement(judgement_id)

    def _round(self, number: int) -> RoundRow:
        for row in self.rounds:
            if row.number == number:
                return row
        hint = "pages count from 1; in JSON, `number` and `current_round` are one less"
        raise NotFoundError("no_round", f"this session has no {page_name(number)}", hint)

    def _page(self, row: RoundRow) -> Page:
        hits = self.engine.hits(row.hits, kept_copies(row.record))
        notes = tuple(str(note) for note in row.record.get("notes", ()))
        if n_gone := len(row.hits) - len(hits):
            notes = (*notes, f"{counted(n_gone, 'image')} of this page left the library")
        notes = (*notes, *row.problems, *self.row.problems, *self.rows.unreadable)
        offered = self.engine.suggestions(self.query) if row.parent is None else ()
        page = Page(self.query, hits, notes, self.session_id, suggestions=offered)
        return self.engine.fitted(page, self.wanted, self.keeps_to, row.record.get("further", ()))


def typed_words(row: RoundRow) -> TypedWords:
    """The words that a round was made with, as its record keeps them."""
    relevant, irrelevant = (str(row.record.get(key, "")) for key in WORD_KEYS)
    return TypedWords(relevant, irrelevant, row.parent or 0)


def no_judgement(judgement_id: int) -> NotFoundError:
    """The error for a judgement that the session does not have."""
    return NotFoundError("no_judgement", f"this session has no judgement {judgement_id}")


def only_record(only: Filter) -> dict[str, Any]:
    """A filter as a round's record keeps it; empty when every image may be found.

    Raises:
        InputError: `bad_filter` for one that would cost too much to compare, page after page.
    """
    kept = {"where": dict(only.where), "path": only.path, "min_fit": only.min_fit}
    if not any(kept.values()):
        return {}
    try:
        from_json(KeptFilter, kept)
    except InputError as error:
        message = f"a session cannot keep this filter: {error.message}"
        raise InputError("bad_filter", message) from error
    return {"only": kept}


def _only_of(record: Mapping[str, Any]) -> Filter:
    """The filter of a round's record, as `SessionTable.rounds` reads it."""
    kept = record.get("only", {})
    where, least = dict(kept.get("where") or {}), kept.get("min_fit") or 0.0
    return Filter(where, kept.get("path") or None, min_fit=least)
