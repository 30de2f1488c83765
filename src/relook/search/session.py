"""One search with its rounds: judge, look again, undo, branch. Layer: search.

Every round is fitted anew from the first query and all judgements on the way to it, so
nothing drifts, undo is exact, and any earlier round can grow a branch. All of it is in the
library's catalog: a session outlives the process.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from relook.core.errors import InputError, LibraryBusyError, is_no
from relook.core.threads import in_one_thread
from relook.core.types import NOTHING_FITS, Box, Hit, Page, Query
from relook.feedback.scorer import Scorer
from relook.library.session_table import SessionTable
from relook.library.session_values import Judgement, RoundRow, page_name
from relook.search.engine import Engine
from relook.search.feedback_evidence import TypedWords
from relook.search.filtering import Filter
from relook.search.judging import (
    INSTRUCTION,
    BoxWords,
    Captioning,
    JudgementRequest,
    Prepared,
    about,
    checked_box,
    checked_caption,
    checked_weight,
    checked_words,
    prepare,
    with_round,
)
from relook.search.ranking import beside_record, checked_limit
from relook.search.regions import check_current, crop_vectors, region, see_boxes
from relook.search.session_steps import Step, next_page, redo, undo
from relook.search.session_view import WORD_KEYS, SessionView, no_judgement, only_record

_MAX_NAME = 10_000


class Session(SessionView):
    """An open session of a library, to judge in, look again and go back."""

    _table: SessionTable

    def judge(
        self,
        image: Hit | int,
        relevant: bool,
        *,
        box: Box | Sequence[float] | None = None,
        caption: str | None = None,
        weight: float = 1.0,
    ) -> Judgement:
        """Marks an image, or a region of it, as relevant or irrelevant.

        A second judgement on the same image, or the same box, replaces the first.

        Args:
            image: A hit or an image id.
            relevant: Or irrelevant.
            box: The region that is meant, in relative coordinates.
            caption: What is in it; suggested by the captioner when None and there is a box.
            weight: How much it counts, above 0 and at most 1000.

        Returns:
            The judgement as it is kept, with the suggested caption if there is one.

        Raises:
            NotFoundError: `no_image` when the library does not have it (any more).
            InputError: `bad_box`, `bad_weight` or `bad_caption`.
            ImageError: when a box was drawn and the picture file cannot be read.
        """
        image_id = image.image_id if isinstance(image, Hit) else image
        place = checked_box(box)
        return self.judge_all([JudgementRequest(image_id, relevant, place, caption, weight)])[0]

    def judge_all(self, requests: Sequence[JudgementRequest] | Prepared) -> list[Judgement]:
        """Makes several judgements, each as `judge` does: all of them, or none after an error.

        Args:
            requests: What to judge, or what `prepare` made of it. An image (or a box) may be
                there twice only when both say the same.

        Returns:
            The judgements as they are kept, in the order of the requests.

        Raises:
            InputError: `bad_mark` naming an image that is judged in two ways; all that `judge`
                raises. Nothing has changed then.
            NotFoundError: `no_image` also when one left the library meanwhile.
            LibraryBusyError: `session_busy` when another process went to another round meanwhile.
        """
        prepared = requests if isinstance(requests, Prepared) else self.prepare(requests)
        with self._table.together():
            return self._put(prepared)

    def prepare(
        self,
        requests: Sequence[JudgementRequest],
        caption: Captioning | None = None,
        progress: Callable[[], None] | None = None,
    ) -> Prepared:
        """Everything of some judgements that can fail or takes time; nothing is written.

        Args:
            requests: As for `judge_all`.
            caption: Puts words to boxes without any; the session's captioner when None.
            progress: Called for each box that is cut.

        Raises:
            InputError, NotFoundError, ImageError: as `judge_all`.
        """
        self._whole_row()
        self.engine.files.refresh()
        first = self._first
        words = BoxWords(
            caption or self._caption, lambda sign: about(self.query, first, sign), progress
        )
        return prepare(self.engine, self.row.current_round, requests, words)

    def _put(self, prepared: Prepared) -> list[Judgement]:
        """Writes what was prepared, in place of what waits at the same places."""
        if not prepared.judgements:
            return []
        if any(judgement.crop is not None for judgement in prepared.judgements):
            check_current(self.engine.files)
        if self.row.current_round != prepared.round:
            raise LibraryBusyError(
                "session_busy",
                f"the session has left {page_name(prepared.round)} meanwhile",
                "look at the session as it is now, and do it again",
            )
        # One may have left the library since: `no_image` then, and nothing is written.
        self.engine.files.catalog.images({judgement.image_id for judgement in prepared.judgements})
        now_s = time.time()
        judgements = [replace(judgement, made_s=now_s) for judgement in self._placed(prepared)]
        ids = self._table.put(self.session_id, judgements)
        return [
            replace(judgement, judgement_id=i) for judgement, i in zip(judgements, ids, strict=True)
        ]

    def edit_caption(self, judgement_id: int, caption: str | None) -> Judgement:
        """Replaces a judgement's caption; an empty one: no words count; None: one is to come.

        Raises:
            NotFoundError: `no_judgement`.
        """
        values = _caption_values(caption)
        self._table.change(self.session_id, judgement_id, values)
        return self._judgement(judgement_id)

    def suggest_caption(self, judgement_id: int, caption: Captioning | str) -> Judgement:
        """Puts words to a judgement's box, unless somebody did meanwhile: for background work.

        Args:
            judgement_id: A judgement without a caption, on a box.
            caption: Puts words to the crop, or the words.

        Raises:
            NotFoundError: `no_judgement`.
            ImageError: when the picture file cannot be read.
        """
        judgement = self._judgement(judgement_id)
        waits = judgement.caption is None and judgement.caption_by == "captioner"
        if judgement.box is not None and waits:
            words = caption if isinstance(caption, str) else self._words(judgement, caption)
            unsaid = {"caption": None, "caption_by": "captioner", "box": judgement.box}
            self._table.change(self.session_id, judgement_id, {"caption": words}, unsaid)
        return self._judgement(judgement_id)

    def _words(self, judgement: Judgement, caption: Captioning) -> str:
        assert judgement.box is not None
        record = self.engine.files.catalog.images([judgement.image_id])[0]
        known = about(self.query, self._first, judgement.relevant)
        return caption(region(record.path, judgement.box, self.engine.files.limits), known)

    def revise(
        self,
        judgement_id: int,
        *,
        relevant: bool | None = None,
        box: Box | None = None,
        weight: float | None = None,
        caption: str | None = None,
    ) -> Judgement:
        """Changes a judgement where it stands; a caption that was suggested goes with its box.

        Raises:
            NotFoundError: `no_judgement`.
            InputError: `bad_weight` or `bad_caption`.
            ImageError: when a box is given and the picture file cannot be read. Nothing has
                changed after any of these.
        """
        judgement = self._judgement(judgement_id)
        values: dict[str, object] = {}
        if relevant is not None:
            values["relevant"] = relevant
        if weight is not None:
            values["weight"] = checked_weight(weight)
        if (box := checked_box(box)) is not None and box != judgement.box:
            self.engine.files.refresh()
            place = (judgement.image_id, box)
            values |= {"box": box, "crop": crop_vectors(self.engine, [place])[place]}
            if judgement.caption_by == "captioner" or judgement.caption is None:
                values |= _caption_values(None)
        if caption is not None:
            values |= _caption_values(caption)
        with self._table.together():
            if "crop" in values:
                check_current(self.engine.files)
            self._table.change(self.session_id, judgement_id, values)
        return self._judgement(judgement_id)

    def remove(self, judgement_id: int) -> None:
        """Takes one judgement back, whichever it is.

        Raises:
            NotFoundError: `no_judgement`.
        """
        if not self._table.remove_judgement(self.session_id, judgement_id):
            raise no_judgement(judgement_id)

    def undo(self) -> str:
        """Takes the last step back: the newest judgement that waits here, or else this page.

        A page that is taken back is kept as a branch; the judgements it was made from wait on the
        page before. `redo` makes the step again.

        Returns:
            What was taken back, in words.

        Raises:
            InputError: `nothing_to_undo` on an unjudged first page.
        """
        with self._table.together():  # others see the step done, or not begun
            return undo(self, self._table)

    def redo(self) -> str:
        """Makes the step again that was taken back last, if none was made since; tells which.

        Raises:
            InputError: `nothing_to_redo`.
        """
        with self._table.together():
            return redo(self, self._table)

    def go(self, number: int) -> Page:
        """Makes an earlier round current; looking again from there grows a branch.

        Raises:
            NotFoundError: `no_round`.
        """
        row = self._round(number)
        self._table.go(self.session_id, number)
        return self._page(row)

    @in_one_thread()
    def again(
        self,
        strategy: str | None = None,
        *,
        judging: Prepared | None = None,
        limit: int | None = None,
        keep_shown: bool | None = None,
        keep_judged: bool | None = None,
        relevant_words: str = "",
        irrelevant_words: str = "",
    ) -> Page:
        """The next page, fitted from the first query and all judgements on the way here.

        Args:
            strategy: A name of `relook.feedback.strategies.STRATEGIES`; the configured one
                when None.
            judging: What `prepare` made of judgements that are made in the same step: they are
                kept when there is a next page, and not otherwise.
            limit: Hits on the page; as many as the first page had when None.
            keep_shown: Whether images that earlier pages showed may appear again; those that fit
                and are not judged when None.
            keep_judged: Whether judged images may. Both are as configured when None.
            relevant_words: What fits, in words; commas part several. They belong to the new
                round, and count for all that grow from it.
            irrelevant_words: The same for what does not fit.

        Raises:
            InputError: `bad_words` for words that are too long; NotFoundError: `unknown_strategy`.
            LibraryBusyError: `session_busy`, as for `judge_all`.
        """
        began = time.perf_counter()
        self._whole_row()
        self.engine.files.refresh()
        now = self.round
        judging = judging or Prepared(now.number)
        see_boxes(self.engine, self._table, self.session_id, self.all_judgements)
        judged = self._judgements_at(now.number, judging, by_round=self._is_chained(strategy))
        typed = TypedWords(
            checked_words(relevant_words), checked_words(irrelevant_words), now.number
        )
        step = Step(
            now.number, strategy, judged, [*self.typed_at(now.number), typed],
            checked_limit(limit or max(len(self._first.hits), 1)), keep_shown, keep_judged,
        )  # fmt: skip
        fitted, shown = next_page(self, step)
        number = max(row.number for row in self.rounds) + 1
        record = {"notes": list(fitted.notes), "choice": _choice_of(fitted.scorer), **step.asked}
        words = zip(WORD_KEYS, (typed.relevant, typed.irrelevant), strict=True)
        record |= {key: text for key, text in words if text} | shown.record
        row = RoundRow(number, now.number, fitted.strategy, shown.ranking.rows, record)
        page = self._page(self._add(row, judging))
        return replace(page, took_ms=(time.perf_counter() - began) * 1e3)

    def _add(self, row: RoundRow, judging: Prepared) -> RoundRow:
        """Writes a round and what is judged in the same step; the session is not read again."""
        with self._table.together():
            before = self.rows
            judged = self._put(judging)
            row = self._table.add_round(self.session_id, row)
            known = self._table.version(), with_round(before, row, judged)
        if not before.row.problems:  # the new round may have mended some of them
            self._known = known
        return row

    def rename(self, name: str) -> None:
        """Gives the session another name.

        Raises:
            InputError: `bad_name` for an empty or a very long one.
        """
        self._table.rename(self.session_id, _checked_name(name))

    def change(self, *, name: str | None = None, current_round: int | None = None) -> None:
        """Renames the session and goes to a round: both, or neither after an error.

        Raises:
            InputError: `bad_name`; NotFoundError: `no_round`.
        """
        with self._table.together():
            if name is not None:
                self.rename(name)
            if current_round is not None:
                self.go(current_round)

    def delete(self) -> None:
        """Removes the session with its rounds and judgements; the library stays as it is."""
        self._table.delete(self.session_id)


def start(
    engine: Engine,
    table: SessionTable,
    query: Query,
    limit: int | None = None,
    name: str = "",
    only: Filter | None = None,
    instruction: str = "",
) -> tuple[str, Page]:
    """Begins a session: asks the first query and keeps its page as round 0; its id and its page.

    Every later page keeps to `only`, too; `instruction` is what its captioner is told.
    """
    only = only or Filter()
    page, further = engine.first_page(query, limit, only)
    session_id = uuid.uuid4().hex[:12]
    hits = tuple((hit.image_id, hit.score, hit.tile_number) for hit in page)
    notes = [note for note in page.notes if note != NOTHING_FITS]  # told of the page as it is shown
    record = {"notes": notes, "choice": {}, **only_record(only)}
    record |= beside_record(((hit.image_id, hit.folded) for hit in page), further)
    if instruction.strip():
        record[INSTRUCTION] = instruction.strip()
    with table.together():  # a session without a page is never there
        table.create(session_id, name or query.called, page.query.as_dict())
        table.add_round(session_id, RoundRow(0, None, "none", hits, record))
    return session_id, replace(page, session_id=session_id)


def _choice_of(scorer: Scorer) -> dict[str, object]:
    """What the gate says of its choice, for strategies that choose."""
    record = getattr(scorer, "record", None)
    return {} if record is None else asdict(record)


def _caption_values(caption: str | None) -> dict[str, object]:
    """The columns of a caption that a person wrote, or, for None, of one that is to come."""
    if caption is None:
        return {"caption": None, "caption_by": "captioner"}
    checked = checked_caption(caption) or ""
    return {"caption": checked.strip(), "caption_by": "person"}


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise InputError("bad_name", is_no(name, "name of a session"), "give it a few letters")
    if len(name) > _MAX_NAME:
        raise InputError("bad_name", f"{len(name):,} characters are too long for a session's name")
    return name.strip()
