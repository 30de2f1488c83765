"""What an exported session is as a file, and the check of one that comes from anywhere.

A file is believed in nothing: every value has its type and its range, every number that names
a round names one that is there, and nothing is used before all of it has been checked.
Layer: search.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Self, cast

from relook.core.converter import JsonValue, from_json
from relook.core.errors import InputError, RelookError, TooLargeError
from relook.core.json_form import HEX, Between, Longest, OneOf
from relook.core.settings import SessionLimits
from relook.core.text_encoding import decoded
from relook.core.types import Box, Query
from relook.feedback.strategies import STRATEGIES
from relook.library.session_rows import (
    MAX_PART_WEIGHT,
    MAX_PARTS,
    MAX_TEXT,
    Author,
    HitRow,
    ImageId,
    RecordShape,
    RoundNumber,
    Text,
    Weight,
)
from relook.library.session_values import Judgement, RoundRow

FORMAT = "relook-session-1"
_MAX_HITS, _MAX_IMAGES = 10_000, 100_000

Seconds = Annotated[float, Between(0, 1e12)]
Digest = Annotated[bytes, HEX, Longest(128)]
StrategyName = Annotated[str, OneOf(tuple(dict.fromkeys(("none", *STRATEGIES))))]


@dataclass(frozen=True, slots=True)
class PictureEntry:
    """A picture of a session, known by its content.

    Args:
        content: Digest of the file.
        path: Where it was: for people, and to tell equal pictures apart.
    """

    content: Digest
    path: Annotated[str, Longest(MAX_TEXT)] = ""


@dataclass(frozen=True, slots=True)
class RoundEntry:
    """A round, as `RoundRow` has it; `made_s` in seconds since 1970, where it was kept."""

    number: RoundNumber
    parent: RoundNumber | None
    strategy: StrategyName
    hits: Annotated[tuple[HitRow, ...], Longest(_MAX_HITS)]
    record: RecordShape
    made_s: Seconds | None = None

    @classmethod
    def of(cls, row: RoundRow) -> Self:
        """A round to be written; its record has the keys that it has in the catalog, no others."""
        record = cast(RecordShape, row.record)
        return cls(row.number, row.parent, row.strategy, row.hits, record, row.made_s)


@dataclass(frozen=True, slots=True)
class JudgementEntry:
    """A judgement, as `Judgement.as_dict` has it."""

    round: RoundNumber
    image_id: ImageId
    relevant: bool
    box: Box | None
    caption: Text | None
    caption_by: Author
    weight: Weight
    led_to: RoundNumber | None
    judgement_id: ImageId | None = None
    made_s: Seconds | None = None

    @classmethod
    def of(cls, judgement: Judgement) -> Self:
        """A judgement to be written."""
        names = (field.name for field in fields(cls))
        return cls(**{name: getattr(judgement, name) for name in names})


@dataclass(frozen=True, slots=True)
class SessionFile(JsonValue):
    """An exported session.

    Args:
        format: Always `relook-session-1`.
        name: What its person calls it.
        query: The first query.
        current_round: Where the session is.
        images: Image id -> picture; ids are of the library that it comes from.
        rounds: By number, a parent before its children.
        judgements: Oldest first.
        encoder: Digest of the fingerprint of that library's encoder.
    """

    format: Annotated[str, OneOf((FORMAT,))]
    name: Text
    query: Query
    current_round: RoundNumber
    images: Annotated[Mapping[str, PictureEntry], Longest(_MAX_IMAGES)]
    rounds: tuple[RoundEntry, ...]
    judgements: tuple[JudgementEntry, ...]
    encoder: Annotated[str, Longest(200)] = ""


def read_file(data: bytes, source: str, limits: SessionLimits) -> tuple[SessionFile, Any]:
    """Reads an exported session and checks all of it.

    Args:
        data: The file.
        source: What to call it in messages.
        limits: How much it may hold.

    Returns:
        The session, and the JSON that it was read from.

    Raises:
        InputError: `bad_session_file`, with the place in the file that is wrong.
        TooLargeError: `session_too_large` for one that holds more than the limits say.
    """
    try:
        values = _json(data, source, limits)
        _check_sizes(values, source, limits)
        file = from_json(SessionFile, values, skip_unknown=True)
        _check_query(file.query)
        _check_images(file.images)
        _check_rounds(file.rounds, file.current_round)
        _check_judgements(file.judgements, {row.number for row in file.rounds})
    except TooLargeError:
        raise
    except RecursionError as error:
        raise _bad_file(source, "it is nested too deeply") from error
    except ValueError as error:
        problem = error.message if isinstance(error, RelookError) else error
        raise _bad_file(source, problem) from error
    return file, values


def _bad_file(source: str, problem: object) -> InputError:
    """The error for what is no exported session."""
    return InputError(
        "bad_session_file",
        f"{source} is not an exported session: {problem}",
        "export it again with: relook session export",
    )


def _json(data: bytes, source: str, limits: SessionLimits) -> Any:
    if len(data) > limits.max_file_bytes:
        raise _too_large(source, f"{len(data):,} bytes", "max_file_bytes", limits.max_file_bytes)
    return json.loads(decoded(data), object_pairs_hook=_object, parse_constant=_refuse_constant)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; one key that stands twice could mean either value."""
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for at, key in enumerate(keys) if key in keys[:at])
        raise ValueError(f"the key {twice!r:.80} stands twice in one object")
    return made


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number that JSON has")


def _check_sizes(values: Any, source: str, limits: SessionLimits) -> None:
    """Counts before anything is built of them."""
    if not isinstance(values, Mapping):
        return
    for key, most in (("judgements", limits.max_judgements), ("rounds", limits.max_rounds)):
        rows = values.get(key)
        if isinstance(rows, list) and len(rows) > most:
            raise _too_large(source, f"{len(rows):,} {key}", f"max_{key}", most)


def _too_large(source: str, held: str, name: str, most: int) -> TooLargeError:
    return TooLargeError(
        "session_too_large",
        f"{source} holds {held}; at most {most:,} are taken",
        f"sessions.{name} in the configuration is the bound",
    )


def _check_query(query: Query) -> None:
    if len(query.parts) > MAX_PARTS:
        raise ValueError(f"query.parts: {len(query.parts)} are more than {MAX_PARTS}")
    for at, part in enumerate(query.parts):
        if abs(part.weight) > MAX_PART_WEIGHT:
            raise ValueError(f"query.parts[{at}].weight: {part.weight:g} is out of range")
        for name, words in (("text", part.text or ""), ("written", part.written or "")):
            if len(words) > MAX_TEXT:
                raise ValueError(f"query.parts[{at}].{name}: {len(words):,} characters, too long")
        if part.image_id is not None and not 0 <= part.image_id < 2**63:
            raise ValueError(f"query.parts[{at}].image_id: {part.image_id} is no image")


def _check_images(images: Iterable[str]) -> None:
    for key in images:
        if not (key.isascii() and key.isdecimal() and len(key) < 20 and str(int(key)) == key):
            raise ValueError(f"images[{key:.40}]: {key!r:.40} is no image id")


def _check_rounds(rounds: Sequence[RoundEntry], current: int) -> None:
    """Refuses rounds whose parents do not lead to round 0."""
    seen: set[int] = set()
    for at, row in enumerate(rounds):
        if row.number in seen:
            raise ValueError(f"rounds[{at}].number: round {row.number} is there already")
        if (row.parent is None) != (row.number == 0):
            raise ValueError(f"rounds[{at}].parent: only round 0, and no other, grew from none")
        if row.parent is not None and row.parent not in seen:
            raise ValueError(f"rounds[{at}].parent: there is no round {row.parent} before it")
        seen.add(row.number)
    if current not in seen:
        raise ValueError(f"current_round: there is no round {current}")


def _check_judgements(judgements: Sequence[JudgementEntry], rounds: set[int]) -> None:
    ids: set[int] = set()
    for at, judgement in enumerate(judgements):
        for name, number in (("round", judgement.round), ("led_to", judgement.led_to)):
            if number is not None and number not in rounds:
                raise ValueError(f"judgements[{at}].{name}: there is no round {number}")
        if judgement.judgement_id in ids:
            name = f"judgements[{at}].judgement_id"
            raise ValueError(f"{name}: judgement {judgement.judgement_id} is there already")
        if judgement.judgement_id is not None:
            ids.add(judgement.judgement_id)
