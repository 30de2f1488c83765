"""Judgements: made ready before they are written, and which count at a round. Layer: search.

Everything that can fail does so before anything is written. A session is a tree of pages;
judgements belong to the round that they led to, see docs/decisions/0003. A tree that an older
import left without a root is followed as far as it goes.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relook.captioners.base import About
from relook.core.errors import AnswerError, InputError, is_no
from relook.core.picture_paths import printable
from relook.core.types import Box, Query
from relook.core.vectors import Floats
from relook.library.session_rows import MAX_TEXT, MAX_WEIGHT, Caption, ImageId, Weight
from relook.library.session_values import Judgement, RoundRow, SessionRows
from relook.search.engine import Engine
from relook.search.regions import BoxPlace, crop_vectors

if TYPE_CHECKING:
    from PIL import Image

Place = tuple[int, Box | None]
_REQUESTS = "give JudgementRequests: an image id, and whether it is relevant"
"""An image, or a region of it: what one judgement is about."""
Captioning = Callable[["Image.Image", About], str]
"""Puts words to a crop, knowing what the person looks for."""

INSTRUCTION = "instruction"
"""Key of the first round's record under which a session keeps its instruction."""


def place_of(judgement: Judgement) -> Place:
    """What a judgement is about."""
    return judgement.image_id, judgement.box


def path_to(rounds: Iterable[RoundRow], number: int) -> list[RoundRow]:
    """The rounds from the first page to the given one."""
    rows = {row.number: row for row in rounds}
    path = [rows.pop(number)]
    while path[-1].parent in rows:
        path.append(rows.pop(path[-1].parent))
    return path[::-1]


def counting(
    path: Sequence[RoundRow], judgements: Iterable[Judgement], *, by_round: bool = False
) -> list[Judgement]:
    """Judgements that a path's last round was made from or that wait on it, oldest first.

    Args:
        path: From the first page to the round.
        judgements: All of the session, oldest first; the latest on a place counts.
        by_round: Whether an earlier round keeps its own judgement on a place that is judged
            again later, as rounds that are chained need.
    """
    on_the_way = {row.number for row in path}
    latest: dict[tuple[Place, int | None], Judgement] = {}
    for judgement in judgements:
        waits = judgement.led_to is None and judgement.round == path[-1].number
        if judgement.led_to in on_the_way or waits:
            latest[place_of(judgement), judgement.led_to if by_round else None] = judgement
    return sorted(latest.values(), key=lambda judgement: judgement.judgement_id)


def waiting(judgements: Iterable[Judgement], number: int) -> list[Judgement]:
    """Judgements made on a round's page that no round was fitted with yet, oldest first."""
    return [
        judgement
        for judgement in judgements
        if judgement.round == number and judgement.led_to is None
    ]


def with_judgements(
    known: Iterable[Judgement], fresh: Iterable[Judgement]
) -> tuple[Judgement, ...]:
    """Judgements with further ones, oldest first; one of the same id is replaced."""
    by_id = {judgement.judgement_id: judgement for judgement in (*known, *fresh)}
    return tuple(by_id[judgement_id] for judgement_id in sorted(by_id))


def with_round(rows: SessionRows, row: RoundRow, judged: Iterable[Judgement]) -> SessionRows:
    """A session after a round was added to it, as `SessionTable.add_round` leaves it.

    Args:
        rows: The session before.
        row: The new round.
        judged: What was judged on its parent's page in the same step.
    """
    judgements = tuple(
        replace(judgement, led_to=row.number)
        if judgement.round == row.parent and judgement.led_to is None
        else judgement
        for judgement in with_judgements(rows.judgements, judged)
    )
    line = replace(rows.row, current_round=row.number)
    return replace(rows, row=line, rounds=(*rows.rounds, row), judgements=judgements)


@dataclass(frozen=True, slots=True)
class JudgementRequest:
    """A mark that somebody wants made on an image, or on a region of it.

    Args:
        image_id: An image of the library.
        relevant: Whether this is what is looked for.
        box: The region that is meant, x0, y0, x1, y1 as fractions of the upright picture's width
            and height, from the top left; None for the whole image.
        caption: A few words for what is in it; suggested when None, none when empty.
        weight: How much it counts.
    """

    image_id: ImageId
    relevant: bool
    box: Box | None = None
    caption: Caption | None = None
    weight: Weight = 1.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """Judgements that only have to be written.

    Args:
        round: The round on whose page they are made.
        judgements: Without ids, in the order of the requests.
        notes: Why boxes have no words.
    """

    round: int
    judgements: tuple[Judgement, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class BoxWords:
    """Captions the boxes that are to be captioned, as they are cut.

    Args:
        caption: Puts words to a crop; None where nobody does.
        about: Relevant or not -> what the captioner knows of the search.
        progress: Called for each box that is cut.
    """

    caption: Captioning | None
    about: Callable[[bool], About]
    progress: Callable[[], None] | None = None


def about(query: Query, first: RoundRow, relevant: bool) -> About:
    """What a captioner gets to know with a box of a session.

    Args:
        query: The first query.
        first: The first round, whose record may hold an instruction.
        relevant: How the box is marked.
    """
    return About(query.text, str(first.record.get(INSTRUCTION, "")), relevant)


def prepare(
    engine: Engine, number: int, requests: Sequence[JudgementRequest], box_words: BoxWords
) -> Prepared:
    """Judgements with the vectors and the words of their boxes; nothing is written.

    Args:
        engine: Of the library.
        number: The current round.
        requests: What is to be judged. The same request twice counts once.
        box_words: Puts words to boxes without a caption.

    Raises:
        NotFoundError: `no_image` naming an image that the library does not have (any more).
        InputError: `bad_weight`, `bad_caption`; `bad_mark` naming an image that is judged twice
            in different ways.
        ImageError: when a box is drawn and the picture file cannot be read.
    """
    if not isinstance(requests, Iterable):
        raise InputError("bad_mark", is_no(requests, "list of marks"), _REQUESTS)
    wanted = list(dict.fromkeys(map(_checked, requests)))
    known = engine.files.catalog.images(request.image_id for request in wanted)
    records = {record.image_id: record for record in known}
    _refuse_contradictions(wanted, lambda i: printable(records[i].facts.path))
    boxed: dict[BoxPlace, JudgementRequest] = {
        (request.image_id, request.box): request for request in wanted if request.box is not None
    }
    words: dict[Place, str] = {}
    notes: list[str] = []

    def see(place: BoxPlace, crop: Image.Image) -> None:
        request = boxed[place]
        if request.caption is None and box_words.caption is not None:
            try:
                words[place] = box_words.caption(crop, box_words.about(request.relevant))
            except AnswerError as error:
                notes.append(f"no caption for the box on image {place[0]}: {error.message}")
        if box_words.progress is not None:
            box_words.progress()

    vectors = crop_vectors(engine, boxed, see)
    judgements = [_judgement(request, number, words, vectors) for request in wanted]
    return Prepared(number, tuple(judgements), tuple(notes))


def checked_weight(weight: float) -> float:
    """The weight of a judgement.

    Raises:
        InputError: `bad_weight`.
    """
    if not isinstance(weight, numbers.Real) or not (
        math.isfinite(weight) and 0 < weight <= MAX_WEIGHT
    ):
        raise InputError("bad_weight", f"weight {weight} is not above 0 and at most {MAX_WEIGHT:g}")
    return float(weight)


def checked_caption(caption: str | None) -> str | None:
    """The caption of a judgement.

    Raises:
        InputError: `bad_caption` when it is no text, or a very long one.
    """
    if caption is None:
        return None
    if not isinstance(caption, str) or any("\ud800" <= letter <= "\udfff" for letter in caption):
        raise InputError("bad_caption", f"caption {caption!r:.80} is no text that can be kept")
    if len(caption) > MAX_TEXT:
        raise InputError(
            "bad_caption",
            f"a caption of {len(caption):,} characters is longer than {MAX_TEXT:,}",
            "say what is in the box in a few words",
        )
    return caption


def checked_words(words: str) -> str:
    """Words that are typed without a picture, without blanks around them.

    Raises:
        InputError: `bad_words` when they are no text, or very long.
    """
    if not isinstance(words, str) or any("\ud800" <= letter <= "\udfff" for letter in words):
        raise InputError("bad_words", f"{words!r:.80} is no text that can be kept")
    if len(words) > MAX_TEXT:
        raise InputError(
            "bad_words",
            f"{len(words):,} characters of words are more than {MAX_TEXT:,}",
            "say in a few words what fits, and what does not",
        )
    return words.strip()


def checked_box(box: Box | Sequence[float] | None) -> Box | None:
    """The region of a judgement.

    Raises:
        InputError: `bad_box`.
    """
    if box is None or isinstance(box, Box):
        return box
    edges = list(box) if isinstance(box, Iterable) else []
    if len(edges) != 4 or not all(isinstance(edge, numbers.Real) for edge in edges):
        hint = "give left, top, right and bottom as shares of the picture: (0.1, 0.2, 0.6, 0.9)"
        raise InputError("bad_box", is_no(box, "box"), hint)
    return Box(*map(float, edges))


def _checked(request: JudgementRequest) -> JudgementRequest:
    if not isinstance(request, JudgementRequest):
        raise InputError("bad_mark", is_no(request, "mark"), _REQUESTS)
    try:
        image_id = operator.index(request.image_id)
    except TypeError:
        hint = "give a hit of a page, or its image_id"
        raise InputError("bad_mark", is_no(request.image_id, "image id"), hint) from None
    return JudgementRequest(
        image_id, bool(request.relevant), checked_box(request.box),
        checked_caption(request.caption), checked_weight(request.weight),
    )  # fmt: skip


def _refuse_contradictions(
    requests: Sequence[JudgementRequest], name_of: Callable[[int], str]
) -> None:
    """Raises for a place that is judged twice: neither judgement can be the one that is meant."""
    seen: dict[Place, JudgementRequest] = {}
    for request in requests:
        other = seen.setdefault((request.image_id, request.box), request)
        if other == request:
            continue
        place = f"image {request.image_id} ({name_of(request.image_id)})"
        if request.box is not None:
            edges = ", ".join(f"{edge:g}" for edge in request.box.as_list())
            place = f"the box [{edges}] of {place}"
        if other.relevant != request.relevant:
            message = f"{place} is marked relevant and irrelevant"
        else:
            message = f"{place} is marked twice, with different words or weights"
        raise InputError("bad_mark", message, "decide for one; nothing has been marked")


def _judgement(
    request: JudgementRequest,
    number: int,
    words: Mapping[Place, str],
    vectors: Mapping[BoxPlace, Floats],
) -> Judgement:
    caption, author, crop = request.caption, "person", None
    if request.box is not None:
        place = (request.image_id, request.box)
        crop = vectors[place]
        if caption is None:
            caption, author = words.get(place), "captioner"
    return Judgement(
        0, number, request.image_id, request.relevant, request.box, caption, author,
        request.weight, crop,
    )  # fmt: skip
