"""One search with its rounds: judge, look again, undo, branch. Layer: search.

Every round is fitted anew from the first query and all judgements on the way to it, so
nothing drifts, undo is exact, and any earlier round can grow a branch. All of it is in the
library's catalog: a session outlives the process.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from relook.core.errors import InputError, NotFoundError
from relook.core.types import Box, Hit, Page, Query
from relook.core.vectors import Floats
from relook.encoders.base import encode_images
from relook.feedback.evidence import Evidence
from relook.feedback.scorer import Scorer
from relook.feedback.strategies import DEFAULT
from relook.feedback.strategies import strategy as named_strategy
from relook.library.session_table import Judgement, RoundRow, SessionRow, SessionTable
from relook.search.engine import Engine, Filter, Ranking
from relook.search.gather import gather
from relook.search.vectorise import crop_image, query_vector

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Fitted", "Session", "region_crop", "start"]

Captioner = Callable[["Image.Image"], str]
# Share of a box that is added on each side before it is cut out: people draw tightly.
_PADDING = 0.05


@dataclass(frozen=True, slots=True)
class Fitted:
    """A strategy fitted for the next page, with what it was fitted from."""

    evidence: Evidence
    scorer: Scorer
    notes: tuple[str, ...]


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
        caption: Captioner | None = None,
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
        if not (np.isfinite(weight) and weight > 0):
            raise InputError("bad_weight", f"weight {weight} is not above 0")
        region = box if box is None or isinstance(box, Box) else Box(*map(float, box))
        crop, said = None, "person"
        if region is not None:
            cut, crop = region_crop(self.engine, record.path, region)
            if caption is None and self._caption is not None:
                caption, said = self._caption(cut), "captioner"
        before = self._same_place(image_id, region)
        judgement = Judgement(
            before, self.row.current_round, image_id, relevant, region, caption, said, weight, crop
        )
        ids = self._table.put(self.session_id, [judgement])
        return replace(judgement, judgement_id=ids[0])

    def _same_place(self, image_id: int, box: Box | None) -> int:
        """Id of a judgement that waits on the current page at this place; 0 for none."""
        for one in self._waiting():
            if (one.image_id, one.box) == (image_id, box):
                return one.judgement_id
        return 0

    def edit_caption(self, judgement_id: int, caption: str) -> Judgement:
        """Replaces a judgement's caption; an empty one means that no words count.

        Raises:
            NotFoundError: `no_judgement`.
        """
        one = replace(self._judgement(judgement_id), caption=caption.strip(), caption_by="person")
        self._table.put(self.session_id, [one])
        return one

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
        only = Filter(without=self._left_out(now.number, keep_shown, keep_judged))
        ranking = self._rank(fitted.scorer, size, only)
        number = max(row.number for row in self.rounds) + 1
        record = {"notes": list(fitted.notes), "choice": choice_of(fitted.scorer)}
        row = RoundRow(number, now.number, strategy, _hits(ranking), record)
        self._table.add_round(self.session_id, row)
        took_ms = (time.perf_counter() - began) * 1e3
        return replace(self._page(row), took_ms=took_ms)

    def fitted(self, strategy: str = DEFAULT, without: int | None = None) -> Fitted:
        """A strategy fitted as for the next page, for explanation.

        Args:
            strategy: Its name.
            without: A judgement to leave out, as if it had never been made.
        """
        judgements = [one for one in self.judgements if one.judgement_id != without]
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


def region_crop(engine: Engine, path: Path, box: Box) -> tuple[Image.Image, Floats]:
    """What a box shows, cut a little wider from the original pixels, and its vector [d].

    Raises:
        ImageError: when the picture file cannot be decoded.
    """
    image = crop_image(path, box.padded(_PADDING), 0)
    return image, encode_images(engine.encoder, [image])[0]


def choice_of(scorer: Scorer) -> dict[str, object]:
    """What the gate says of its choice, for strategies that choose."""
    record = getattr(scorer, "record", None)
    return {} if record is None else asdict(record)


def start(
    engine: Engine,
    table: SessionTable,
    query: Query,
    limit: int | None = None,
    caption: Captioner | None = None,
    name: str = "",
) -> Session:
    """Begins a session: asks the first query and keeps its page as round 0."""
    page = engine.search(query, limit)
    session_id = uuid.uuid4().hex[:12]
    table.create(session_id, name or query.text or "picture", query.as_dict())
    hits = tuple((hit.image_id, hit.score, hit.tile_number) for hit in page)
    record = {"notes": list(page.notes), "choice": {}}
    table.add_round(session_id, RoundRow(0, None, "none", hits, record))
    return Session(engine, table, session_id, caption)


def _hits(ranking: Ranking) -> tuple[tuple[int, float, int], ...]:
    columns = (ranking.image_ids.tolist(), ranking.scores.tolist(), ranking.tiles.tolist())
    return tuple((int(i), float(s), int(t)) for i, s, t in zip(*columns, strict=True))
