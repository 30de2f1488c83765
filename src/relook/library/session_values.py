"""What a session is made of, as the catalog gives it. Layer: library."""

from dataclasses import dataclass
from typing import Annotated, Any

from relook.core.converter import JsonValue
from relook.core.json_form import HIDDEN, SHOWN
from relook.core.types import Box
from relook.core.vectors import Floats


def page_name(number: int) -> str:
    """What people read for a round: pages count from 1, and round 0 is `page 1`."""
    return f"page {number + 1 if isinstance(number, int) else repr(number)[:80]}"


@dataclass(frozen=True, slots=True, eq=False)
class Judgement(JsonValue):
    """Relevant or irrelevant, on an image or on a region of it.

    Args:
        judgement_id: Given by the catalog; grows with time.
        round: The round on whose page it was made.
        image_id: The image.
        relevant: Or irrelevant.
        box: The region; None means the whole image.
        caption: What is in it, in words; None when nobody said. Empty means "use none".
        caption_by: `person` or `captioner`.
        weight: How much it counts.
        crop: [d] vector of the region, cut from the original pixels; None for a whole image.
        led_to: The round that was fitted with it for the first time; None while it waits.
        made_s: When it was made; None where nobody kept it.
    """

    judgement_id: int
    round: int
    image_id: int
    relevant: bool
    box: Box | None = None
    caption: str | None = None
    caption_by: str = "captioner"
    weight: float = 1.0
    crop: Annotated[Floats | None, HIDDEN] = None
    led_to: int | None = None
    made_s: Annotated[float | None, HIDDEN] = None


@dataclass(frozen=True, slots=True)
class RoundRow(JsonValue):
    """One page of a session: which round it grew from, how, and what it showed.

    As JSON it has the number of its hits, not the hits.

    Args:
        number: 0 is the first query's own page.
        parent: The round it was refined from; None for round 0.
        strategy: What was asked for ("auto").
        hits: `[image_id, score, tile number]` of each hit, best first.
        record: What the strategy says of itself (what the gate chose, notes).
        problems: What of it cannot be read, in words; that part of it is empty.
        made_s: When it was made; None where nobody kept it.
    """

    number: int
    parent: int | None
    strategy: str
    hits: Annotated[tuple[tuple[int, float, int], ...], HIDDEN]
    record: Annotated[dict[str, Any], HIDDEN]
    problems: Annotated[tuple[str, ...], HIDDEN] = ()
    made_s: Annotated[float | None, HIDDEN] = None

    @property
    def n_hits(self) -> Annotated[int, SHOWN]:
        """How many images it showed, those that left the library since among them."""
        return len(self.hits)

    @property
    def notes(self) -> Annotated[list[str], SHOWN]:
        """What there is to say of it, and what of it cannot be read."""
        return [*map(str, self.record.get("notes", ())), *self.problems]

    @property
    def choice(self) -> Annotated[dict[str, Any], SHOWN]:
        """What the gate chose, and why; empty for strategies that choose nothing."""
        return dict(self.record.get("choice") or {})


@dataclass(frozen=True, slots=True)
class SessionRow(JsonValue):
    """A session's own line.

    Args:
        session_id: Given when it began.
        name: What a person calls it.
        query: The first query, as `Query.as_dict` has it.
        current_round: Where the session is.
        created_s: When it began.
        problems: What of it cannot be read, in words.
        is_whole: Whether the query is the one that was asked; its name stands in for one that
            cannot be read, and nothing can be fitted from that.
    """

    session_id: str
    name: str
    query: Annotated[dict[str, Any], HIDDEN]
    current_round: int
    created_s: float
    problems: Annotated[tuple[str, ...], HIDDEN] = ()
    is_whole: Annotated[bool, HIDDEN] = True


@dataclass(frozen=True, slots=True)
class SessionRows:
    """All of a session, read at one time.

    Args:
        row: Its own line.
        rounds: By number.
        judgements: Those that can be read, oldest first.
        unreadable: What is wrong with each other one, in words.
    """

    row: SessionRow
    rounds: tuple[RoundRow, ...]
    judgements: tuple[Judgement, ...]
    unreadable: tuple[str, ...] = ()
