"""Rows of sessions in whatever shape they stand in the catalog. Layer: library.

An older or a forged import, or a damaged disk, may have left anything there. What can be
read is read, what cannot is left empty, and a sentence says so: a session is never lost
whole for one value. The dataclasses here are the shapes of stored JSON; a session file is
checked by the same ones.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from relook.core.converter import from_json, salvage
from relook.core.errors import InputError
from relook.core.json_form import Between, FewStars, Longest, OneOf, Shortest
from relook.core.json_writer import to_json
from relook.core.types import Box, Query
from relook.core.vectors import Floats
from relook.library.image_table import MAX_KEY, MAX_PATTERN
from relook.library.session_values import Judgement, RoundRow, SessionRow, page_name

MAX_TEXT = 10_000
MAX_WEIGHT = 1000.0
MAX_PARTS, MAX_PART_WEIGHT, MAX_COPIES = 100, 1e6, 100_000
_MAX_ID = 2**63 - 1
_MAX_ROUND = 999_999
_MAX_TILE = 2**31

Text = Annotated[str, Longest(MAX_TEXT)]
Caption = Text
Weight = Annotated[float, Between(0, MAX_WEIGHT, above=True)]
ImageId = Annotated[int, Between(0, _MAX_ID)]
RoundNumber = Annotated[int, Between(0, _MAX_ROUND)]
Author = Annotated[str, OneOf(("person", "captioner"))]
Copies = Annotated[tuple[ImageId, ...], Shortest(1), Longest(MAX_COPIES)]
"""A hit, and the near-duplicates that it stands for."""
HitRow = tuple[ImageId, float, Annotated[int, Between(0, _MAX_TILE)]]
LeastFit = Annotated[float, Between(0, 1)]
Pattern = Annotated[str, Longest(MAX_PATTERN), FewStars(6)]


@dataclass(frozen=True, slots=True)
class TrialShape:
    """A trial of the gate."""

    strategy: Text = ""
    step: float = 0.0
    gain: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What the gate chose; all of it is empty for strategies that choose nothing."""

    strategy: Text = ""
    step: float = 0.0
    reason: Text = ""
    trials: Annotated[tuple[TrialShape, ...], Longest(1000)] = ()


@dataclass(frozen=True, slots=True)
class OnlyShape:
    """Which images the pages of a session may show."""

    where: Annotated[Mapping[Annotated[str, Longest(MAX_KEY)], Pattern], Longest(8)] = field(
        default_factory=dict
    )
    path: Pattern | None = None


@dataclass(frozen=True, slots=True)
class KeptFilter(OnlyShape):
    """The same, as a session keeps it: images that fit its words less are left out, too."""

    min_fit: LeastFit = 0.0


@dataclass(frozen=True, slots=True)
class RecordShape:
    """What a round says of itself, and the first one of its session."""

    notes: Annotated[tuple[Text, ...], Longest(1000)] = ()
    choice: Choice | None = None
    only: KeptFilter | None = None
    instruction: Text = ""
    relevant_words: Text = ""
    irrelevant_words: Text = ""
    keep_shown: bool | None = None
    keep_judged: bool | None = None
    copies: Annotated[tuple[Copies, ...], Longest(MAX_COPIES)] = ()
    further: Annotated[tuple[ImageId, ...], Longest(1000)] = ()


def _text(column: str) -> str:
    return f"CAST({column} AS BLOB)"  # SQLite refuses a whole answer for one text that is none


def _number(column: str, kinds: str = "'integer'") -> str:
    return f"CASE WHEN typeof({column}) IN ({kinds}) THEN {column} END"


_REAL = "'integer', 'real'"
SESSION = ", ".join(
    [_text("session_id"), _text("name"), _text("query"), _number("current_round"),
     _number("created_s", _REAL)]
)  # fmt: skip
"""The columns that `read_session` reads; text comes as bytes, and a number that is none as NULL."""
ROUND = ", ".join(
    [_number("number"), _number("parent"), _text("strategy"), _text("hits"), _text("record"),
     "parent IS NULL", _number("created_s", _REAL)]
)  # fmt: skip
"""Those of `read_round`."""
JUDGEMENT = ", ".join(
    ["judgement_id", _number("round"), _number("image_id"), _number("relevant"), _text("box"),
     _text("caption"), _text("caption_by"), _number("weight", _REAL),
     "CASE WHEN typeof(crop) = 'blob' THEN crop END", _number("led_to")]
)  # fmt: skip
"""Those of `read_judgement`."""


def read_session(row: tuple[Any, ...]) -> SessionRow:
    """A session's line; its name stands in for a query that cannot be read."""
    session_id, name, query, current_round, created_s = row
    title = _words(name, MAX_TEXT) or "session"
    values, problems = read_json(query), []
    try:
        values = from_json(Query, values, skip_unknown=True).as_dict()
    except InputError as error:
        problems.append(f"its query cannot be read ({error.message}); its name stands here instead")
        values = {"parts": [{"text": title, "weight": 1.0}]}
    is_whole = not problems
    if current_round is None:
        problems.append("its current page cannot be read")
    created = float(created_s) if _is_finite(created_s) else 0.0
    return SessionRow(
        _words(session_id, None), title, values, current_round or 0, created, tuple(problems),
        is_whole,
    )  # fmt: skip


def read_query(data: bytes | None) -> Query | None:
    """A session's query; None for one that cannot be read."""
    try:
        return from_json(Query, read_json(data), skip_unknown=True)
    except InputError:
        return None


def bounded_query(query: Query) -> Query:
    """A query within the bounds that a session's query has."""
    most = MAX_PART_WEIGHT
    parts = (
        replace(
            part,
            text=None if part.text is None else part.text[:MAX_TEXT],
            written=None if part.written is None else part.written[:MAX_TEXT],
            weight=min(max(part.weight, -most), most),
        )
        for part in query.parts[:MAX_PARTS]
    )
    return replace(query, parts=tuple(parts))


def is_text(data: bytes | None, kind: str) -> bool:
    """Whether a column of a type of SQLite's holds a text that a session file may have."""
    try:
        return kind == "text" and len((data or b"").decode("utf-8")) <= MAX_TEXT
    except UnicodeDecodeError:
        return False


def read_round(row: tuple[Any, ...]) -> RoundRow | None:
    """A round with the hits and the record that can be read; None for one without a number."""
    number, parent, strategy, hits, record, is_first, made_s = row
    if number is None or not 0 <= number <= _MAX_ROUND:
        return None
    problems: list[str] = []
    if parent is None and not is_first:
        problems.append(f"{page_name(number)} does not say which page it grew from")
    kept_hits, n_bad = _hits(read_json(hits))
    if n_bad:
        problems.append(f"{n_bad} hits of {page_name(number)} cannot be read")
    kept, wrong = _record(read_json(record))
    problems += [f"{page_name(number)}: {problem}" for problem in wrong]
    made = float(made_s) if _is_finite(made_s) else None
    return RoundRow(number, parent, _words(strategy, 200), kept_hits, kept, tuple(problems), made)


def _hits(values: Any) -> tuple[tuple[tuple[int, float, int], ...], int]:
    """The hits that can be read, and how many cannot."""
    if not isinstance(values, list):
        return (), 1
    kept = [hit for value in values if (hit := _hit(value)) is not None]
    return tuple(kept), len(values) - len(kept)


def _hit(value: Any) -> tuple[int, float, int] | None:
    """One hit, as `HitRow` says; by hand, since a session has thousands of them."""
    if not isinstance(value, list) or len(value) != 3:
        return None
    image_id, score, tile = value
    if type(image_id) is not int or type(tile) is not int or type(score) not in (int, float):
        return None
    if not (0 <= image_id <= _MAX_ID and 0 <= tile <= _MAX_TILE):
        return None
    # Only the order of a page counts, and an infinite score is no JSON.
    return image_id, float(score) if _is_finite(score) else 0.0, tile


def _record(values: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The part of a record that can be read, and a problem for each other part."""
    record, problems = salvage(RecordShape, values)
    if not isinstance(values, Mapping):
        return {}, tuple(f"its record: {problem}" for problem in problems)
    return record_values(record, values), problems


def record_problems(values: Any) -> tuple[str, ...]:
    """What of a round's record cannot be read."""
    return _record(values)[1]


def record_values(record: RecordShape, given: Mapping[str, Any]) -> dict[str, Any]:
    """A record as it is kept: what was given of it, without keys that nobody knows."""
    kept = {key: value for key, value in to_json(record).items() if key in given}
    if isinstance(given.get("choice"), Mapping) and kept.get("choice"):
        choice = kept["choice"]
        kept["choice"] = {key: choice[key] for key in choice if key in given["choice"]}
    return {key: value for key, value in kept.items() if value is not None}


def read_judgement(row: tuple[Any, ...]) -> Judgement | str:
    """A judgement, or what is wrong with it."""
    judgement_id, number, image_id, relevant, box, caption, author, weight, crop, led_to = row
    try:
        if None in (number, image_id, relevant, weight):
            raise _bad_row("a number of it is none")
        return Judgement(
            judgement_id,
            number,
            image_id,
            bool(relevant),
            None if box is None else from_json(Box, read_json(box)),
            None if caption is None else _words(caption, MAX_TEXT),
            "captioner" if author == b"captioner" else "person",
            from_json(Weight, weight),
            _crop(crop),
            led_to,
        )
    except InputError as error:
        return f"judgement {judgement_id} cannot be read, and does not count: {error.message}"


def _bad_row(problem: str) -> InputError:
    return InputError("bad_session", problem)


def _crop(data: bytes | None) -> Floats | None:
    if data is None:
        return None
    if len(data) % 4:
        raise _bad_row("its vector is torn")
    vector = np.frombuffer(data, np.float32)
    if not np.isfinite(vector).all():
        raise _bad_row("its vector is not finite")
    return vector


def read_json(data: bytes | None) -> Any:
    """What a column with JSON text says; a text that is no JSON for one that cannot be read."""
    try:
        return json.loads(data or b"")
    except (ValueError, RecursionError):
        return "no JSON"


def _words(data: bytes | None, longest: int | None) -> str:
    return (data or b"").decode("utf-8", "replace")[:longest]


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**63 and math.isfinite(value)
