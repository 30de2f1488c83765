"""One search with its rounds: judge, look again, undo, branch. Layer: search.

Every round is fitted anew from the first query and all judgements on the way to it, so
nothing drifts, undo is exact, and any earlier round can grow a branch. All of it is in the
library's catalog: a session outlives the process.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from relook.core.errors import InputError, NotFoundError
from relook.core.types import Box, Hit, Page, Query
from relook.core.vectors import Floats
from relook.feedback.scorer import Scorer
from relook.feedback.strategies import DEFAULT
from relook.feedback.strategies import strategy as named_strategy
from relook.library.session_table import Judgement, RoundRow, SessionRow, SessionTable
from relook.search.captioning import Captioning, about
from relook.search.engine import Engine, Filter, Ranking
from relook.search.gather import Fitted, gather
from relook.search.only import only_of
from relook.search.regions import region, region_crop
from relook.search.rows import choice_of, hit_rows
from relook.search.vectorise import query_vector

__all__ = ["Session"]


class Session:
    """An open session of a library.

    Args:
        engine: Of the library.
        table: Where sessions are kept.
        session_id: An existing session.
        caption: Puts words to a region; captions are then suggested for boxes.

    Raises:
        NotFoundError: `no_session`.
    """

    def __init__(
        self,
        engine: Engine,
        table: SessionTable,
        session_id: str,
        caption: Captioning | None = None,
    ) -> None:
        self.engine, self._table, self._caption = engine, table, caption
        self.session_id = session_id
        self._row = table.get(session_id)
        self.query = Query.from_dict(self._row.query)
        self._vector: Floats | None = None

    @property
    def row(self) -> SessionRow:
        """Name, age and current round, as the catalog has them now."""
        return self._table.get(self.session_id)

    @property
    def rounds(self) -> list[RoundRow]:
        """Every round, by number."""
        return self._table.rounds(self.session_id)

    @property
    def round(self) -> RoundRow:
        """The current round."""
        return self._round(self.row.current_round)

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
        return self._table.judgements(self.session_id)

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
            weight: How much it counts, above 0.

        Returns:
            The judgement as it is kept, with the suggested caption if there is one.

        Raises:
            NotFoundError: `no_image` when the library does not have it (any more).
            InputError: `bad_box` or `bad_weight`.
            ImageError: when a box was drawn and the picture file cannot be read.
        """
        image_id = image.image_id if isinstance(image, Hit) else int(image)
        record = self.engine.files.catalog.images([image_id])[0]
        weight = _weight(weight)
        place = box if box is None or isinstance(box, Box) else Box(*map(float, box))
        crop, said = None, "person"
        if place is not None:
            cut, crop = region_crop(self.engine, record.path, place)
            said = "captioner" if caption is None else "person"
            if caption is None and self._caption is not None:
                caption = self._caption(cut, about(self.query, self._round(0), relevant))
        before = self._same_place(image_id, place)
        judgement = Judgement(
            before, self.row.current_round, image_id, relevant, place, caption, said, weight, crop
        )
        ids = self._table.put(self.session_id, [judgement])
        return replace(judgement, judgement_id=ids[0])

    def _same_place(self, image_id: int, box: Box | None) -> int:
        """Id of a judgement that waits on the current page at this place; 0 for none."""
        for one in self._waiting():
            if (one.image_id, one.box) == (image_id, box):
                return one.judgement_id
        return 0

    def edit_caption(self, judgement_id: int, caption: str | None) -> Judgement:
        """Replaces a judgement's caption; an empty one: no words count; None: one is to come.

        Raises:
            NotFoundError: `no_judgement`.
        """
        values = {"caption": None, "caption_by": "captioner"}
        if caption is not None:
            values = {"caption": caption.strip(), "caption_by": "person"}
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
        one = self._judgement(judgement_id)
        if one.box is not None and one.caption is None and one.caption_by == "captioner":
            words = caption if isinstance(caption, str) else self._words(one, caption)
            unsaid = {"caption": None, "caption_by": "captioner", "box": one.box}
            self._table.change(self.session_id, judgement_id, {"caption": words}, unsaid)
        return self._judgement(judgement_id)

    def _words(self, one: Judgement, caption: Captioning) -> str:
        assert one.box is not None
        record = self.engine.files.catalog.images([one.image_id])[0]
        known = about(self.query, self._round(0), one.relevant)
        return caption(region(record.path, one.box, self.engine.files.limits), known)

    def revise(
        self,
        judgement_id: int,
        *,
        relevant: bool | None = None,
        box: Box | None = None,
        weight: float | None = None,
    ) -> Judgement:
        """Changes a judgement where it stands; a caption that was suggested goes with its box.

        Raises:
            NotFoundError: `no_judgement`.
            InputError: `bad_weight`.
            ImageError: when a box is given and the picture file cannot be read.
        """
        one = self._judgement(judgement_id)
        values: dict[str, object] = {}
        if relevant is not None:
            values["relevant"] = relevant
        if weight is not None:
            values["weight"] = _weight(weight)
        if box is not None and box != one.box:
            record = self.engine.files.catalog.images([one.image_id])[0]
            values |= {"box": box, "crop": region_crop(self.engine, record.path, box)[1]}
            if one.caption_by == "captioner" or one.caption is None:
                values |= {"caption": None, "caption_by": "captioner"}
        self._table.change(self.session_id, judgement_id, values)
        return self._judgement(judgement_id)

    def remove(self, judgement_id: int) -> None:
        """Takes one judgement back, whichever it is.

        Raises:
            NotFoundError: `no_judgement`.
        """
        self._judgement(judgement_id)
        self._table.remove_judgement(self.session_id, judgement_id)

    def undo(self) -> str:
        """Takes the last step back: the newest judgement that waits here, or else this page.

        After a page is taken back, the judgements it was made from wait on the page before.

        Returns:
            What was taken back, in words.

        Raises:
            InputError: `nothing_to_undo` on an unjudged first page.
        """
        now = self.round
        here = self._waiting()
        if here:
            self._table.remove_judgement(self.session_id, here[-1].judgement_id)
            sign = "relevant" if here[-1].relevant else "irrelevant"
            return f"image {here[-1].image_id} is not {sign} any more"
        if now.parent is None:
            raise InputError("nothing_to_undo", "this is the first page, and nothing is judged")
        if any(one.parent == now.number for one in self.rounds):
            self._table.go(self.session_id, now.parent)
            return f"back on round {now.parent}; round {now.number} is kept, others grew from it"
        self._table.remove_round(self.session_id, now.number, now.parent)
        return f"back on round {now.parent}"

    def go(self, number: int) -> Page:
        """Makes an earlier round current; looking again from there grows a branch.

        Raises:
            NotFoundError: `no_round`.
        """
        row = self._round(number)
        self._table.go(self.session_id, number)
        return self._page(row)

    def again(
        self,
        strategy: str = DEFAULT,
        *,
        limit: int | None = None,
        keep_shown: bool = False,
        keep_judged: bool = False,
    ) -> Page:
        """The next page, fitted from the first query and all judgements on the way here.

        Args:
            strategy: A name of `relook.feedback.strategies.STRATEGIES`.
            limit: Hits on the page; as many as the first page had when None.
            keep_shown: Whether images that earlier pages showed may appear again.
            keep_judged: Whether judged images may.

        Raises:
            NotFoundError: `unknown_strategy`.
        """
        began = time.perf_counter()
        self.engine.files.refresh()
        fitted = self.fitted(strategy)
        now = self.round
        size = limit or max(len(self._round(0).hits), 1)
        only = replace(self.only, without=self._left_out(now.number, keep_shown, keep_judged))
        ranking = self._rank(fitted.scorer, size, only)
        number = max(row.number for row in self.rounds) + 1
        record = {"notes": list(fitted.notes), "choice": choice_of(fitted.scorer)}
        row = RoundRow(number, now.number, strategy, hit_rows(ranking), record)
        self._table.add_round(self.session_id, row)
        took_ms = (time.perf_counter() - began) * 1e3
        return replace(self._page(row), took_ms=took_ms)

    def fitted(
        self, strategy: str = DEFAULT, without: int | None = None, at: int | None = None
    ) -> Fitted:
        """A strategy fitted as for the next page, for explanation.

        Args:
            strategy: Its name.
            without: A judgement to leave out, as if it had never been made.
            at: The round whose next page is meant; the current one when None.
        """
        counting = self.judgements if at is None else self._judgements_at(at)
        judgements = [one for one in counting if one.judgement_id != without]
        first = [image_id for image_id, _, _ in self._round(0).hits]
        evidence, notes = gather(
            self.vector, judgements, first, self.engine.files, self.engine.encoder
        )
        scorer = named_strategy(strategy)(evidence)
        return Fitted(evidence, scorer, (*notes, *scorer.notes))

    @property
    def vector(self) -> Floats:
        """[d] vector of the first query."""
        if self._vector is None:
            self._vector, _ = query_vector(self.query, self.engine.encoder, self.engine.files)
        return self._vector

    @property
    def only(self) -> Filter:
        """Which images its pages may show."""
        return only_of(self._round(0).record)

    def rename(self, name: str) -> None:
        """Gives the session another name.

        Raises:
            InputError: `bad_name` for an empty one.
        """
        if not name.strip():
            raise InputError("bad_name", "a session's name cannot be empty")
        self._table.rename(self.session_id, name.strip())

    def delete(self) -> None:
        """Removes the session with its rounds and judgements; the library stays as it is."""
        self._table.delete(self.session_id)

    def _left_out(self, number: int, keep_shown: bool, keep_judged: bool) -> frozenset[int]:
        out: set[int] = set()
        if not keep_shown:
            for row in self._path(number):
                out.update(image_id for image_id, _, _ in row.hits)
        judged = {one.image_id for one in self._judgements_at(number)}
        return frozenset(out - judged if keep_judged else out | judged)

    def _rank(self, scorer: Scorer, limit: int, only: Filter) -> Ranking:
        if scorer.vector is not None:
            return self.engine.rank(scorer.vector, limit, only)
        return self.engine.rank_by(scorer.score, limit, only)

    def _path(self, number: int) -> list[RoundRow]:
        """The rounds from the first page to the given one."""
        rows = {row.number: row for row in self.rounds}
        path = [rows[number]]
        while path[-1].parent is not None:
            path.append(rows[path[-1].parent])
        return path[::-1]

    def _judgements_at(self, number: int) -> list[Judgement]:
        """Judgements that a round was made from or that wait on it; the latest on a place."""
        on_the_way = {row.number for row in self._path(number)}
        latest: dict[tuple[int, Box | None], Judgement] = {}
        for one in self.all_judgements:
            if one.led_to in on_the_way or (one.led_to is None and one.round == number):
                latest[one.image_id, one.box] = one
        return sorted(latest.values(), key=lambda one: one.judgement_id)

    def _waiting(self) -> list[Judgement]:
        """Judgements made on the current page that no round was fitted with yet."""
        now = self.row.current_round
        return [one for one in self.all_judgements if one.round == now and one.led_to is None]

    def _judgement(self, judgement_id: int) -> Judgement:
        for one in self.all_judgements:
            if one.judgement_id == judgement_id:
                return one
        raise NotFoundError("no_judgement", f"this session has no judgement {judgement_id}")

    def _round(self, number: int) -> RoundRow:
        for row in self.rounds:
            if row.number == number:
                return row
        raise NotFoundError("no_round", f"this session has no round {number}")

    def _page(self, row: RoundRow) -> Page:
        hits = self.engine.hits(row.hits)
        notes = tuple(str(note) for note in row.record.get("notes", ()))
        n_gone = len(row.hits) - len(hits)
        if n_gone:
            notes = (*notes, f"{n_gone} images of this page left the library")
        return Page(self.query, hits, notes, self.session_id)


def _weight(weight: float) -> float:
    if not (np.isfinite(weight) and weight > 0):
        raise InputError("bad_weight", f"weight {weight} is not above 0")
    return weight
