"""Sessions as files: export, and import into a library that has the same pictures. Layer: search.

Images are known by the digest of their content, so a session finds its pictures again in
another library and under other paths.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relook.core.errors import InputError, NotFoundError
from relook.core.types import Box, Query
from relook.library.records import printable
from relook.library.session_table import Judgement, RoundRow, SessionTable
from relook.search.engine import Engine
from relook.search.only import only_of
from relook.search.regions import region_crop
from relook.search.session import Session

__all__ = ["FORMAT", "add_session", "export_session", "import_session"]

FORMAT = "relook-session-1"
_MAX_ROUNDS = 1_000_000


def export_session(session: Session) -> dict[str, Any]:
    """Everything of a session as a JSON object: query, rounds, judgements, pictures."""
    judgements = session.all_judgements
    rounds = session.rounds
    shown = [image_id for row in rounds for image_id, _, _ in row.hits]
    wanted = list(dict.fromkeys([*shown, *(one.image_id for one in judgements)]))
    images = {}
    for image_id in wanted:
        try:
            record = session.engine.files.catalog.images([image_id])[0]
        except NotFoundError:
            continue  # it left the library: the session keeps its number, and has no picture
        images[str(image_id)] = {
            "content": record.content.hex(),
            "path": printable(record.facts.path),
        }
    return {
        "format": FORMAT,
        "name": session.row.name,
        "query": session.query.as_dict(),
        "current_round": session.row.current_round,
        "encoder": session.engine.encoder.fingerprint.digest,
        "images": images,
        "rounds": [
            {
                "number": row.number,
                "parent": row.parent,
                "strategy": row.strategy,
                "hits": [list(hit) for hit in row.hits],
                "record": row.record,
            }
            for row in rounds
        ],
        "judgements": [one.as_dict() for one in judgements],
    }


def import_session(engine: Engine, table: SessionTable, file: Path) -> tuple[str, tuple[str, ...]]:
    """Adds an exported session to a library; as `add_session` for a file."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise _bad_file(str(file), error) from error
    return add_session(engine, table, data, told=str(file))


def add_session(
    engine: Engine,
    table: SessionTable,
    data: bytes,
    *,
    told: str = "it",
    check: Callable[[Query], object] | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Adds an exported session to a library.

    Args:
        engine: Of the library.
        table: Where its sessions are kept.
        data: The session as JSON.
        told: What to call it in messages.
        check: Raises when the session's query is not welcome.

    Returns:
        The new session's id, and notes about pictures that this library does not have.

    Raises:
        InputError: `bad_session_file` when it cannot be read, `other_library` when the
            library has none of its pictures.
    """
    read = _read(data, told)
    if check is not None:
        check(read.query)
    contents = read.contents
    ids = _find(engine, contents)
    if contents and not ids:
        raise InputError(
            "other_library",
            f"the library has none of the {len(contents)} pictures of this session",
            "import it into a library that has them",
        )
    kept = [_renumbered(one, ids, engine) for one in read.judgements if one.image_id in ids]
    n_tiles = {one.image_id: one.n_tiles for one in engine.files.catalog.images(ids.values())}
    session_id = uuid.uuid4().hex[:12]
    with table.together():
        table.create(session_id, read.name, read.query.as_dict())
        for row in read.rounds:
            hits = tuple(
                (ids[i], score, tile if tile < n_tiles[ids[i]] else 0)
                for i, score, tile in row.hits
                if i in ids
            )
            table.add_round(session_id, replace(row, hits=hits))
        table.put(session_id, kept)
        table.go(session_id, read.current)
    n_missing = len(contents) - len(ids)
    notes = (f"{n_missing} pictures of the session are not in this library",) if n_missing else ()
    return session_id, notes


def _bad_file(told: str, error: Exception) -> InputError:
    return InputError(
        "bad_session_file",
        f"{told} is not an exported session: {error}",
        "export it again with: relook session export",
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """A session file, checked."""

    name: str
    query: Query
    rounds: list[RoundRow]
    judgements: list[Judgement]
    contents: dict[int, bytes]
    current: int


def _read(data: bytes, told: str) -> _Read:
    """Reads a session file; raises as `add_session`."""
    try:
        values = json.loads(data.decode("utf-8"))
        # Neither infinities nor half characters can be kept or told again.
        json.dumps(values, ensure_ascii=False, allow_nan=False).encode("utf-8")
        if values["format"] != FORMAT:
            raise ValueError(f"its format is {values['format']!r}, not {FORMAT!r}")
        query = Query.from_dict(values["query"])
        rounds = [_round(row) for row in values["rounds"]]
        judgements = [_judgement(row) for row in values["judgements"]]
        contents = {int(i): bytes.fromhex(v["content"]) for i, v in values["images"].items()}
        current = _check_tree(rounds, judgements, int(values["current_round"]))
        return _Read(str(values["name"]), query, rounds, judgements, contents, current)
    except (
        ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError
    ) as error:  # fmt: skip
        raise _bad_file(told, error) from error


def _round(row: Mapping[str, Any]) -> RoundRow:
    parent = row["parent"]
    number = int(row["number"])
    only_of(row["record"])
    if not 0 <= number < _MAX_ROUNDS:
        raise ValueError(f"round {number} cannot be")
    if any(int(tile) < 0 for _, _, tile in row["hits"]):
        raise ValueError(f"round {number} names a tile below 0")
    return RoundRow(
        number,
        None if parent is None else int(parent),
        str(row["strategy"]),
        tuple((int(i), float(score), int(tile)) for i, score, tile in row["hits"]),
        dict(row["record"]),
    )


def _judgement(row: Mapping[str, Any]) -> Judgement:
    box, caption = row["box"], row["caption"]
    weight = float(row["weight"])
    if not 0 < weight < float("inf"):
        raise ValueError(f"weight {weight} of a judgement is not above 0")
    return Judgement(
        0,
        int(row["round"]),
        int(row["image_id"]),
        bool(row["relevant"]),
        None if box is None else Box(*map(float, box)),
        None if caption is None else str(caption),
        str(row["caption_by"]),
        weight,
        led_to=None if row["led_to"] is None else int(row["led_to"]),
    )


def _check_tree(rounds: list[RoundRow], judgements: list[Judgement], current: int) -> int:
    """Refuses rounds whose parents do not lead to round 0; returns the current round."""
    seen: set[int] = set()
    for row in rounds:
        if (row.parent is None) != (row.number == 0) or row.number in seen:
            raise ValueError(f"round {row.number} has no place in the session")
        if row.parent is not None and row.parent not in seen:
            raise ValueError(f"round {row.number} grew from round {row.parent}, which is not there")
        seen.add(row.number)
    led_to = [one.led_to for one in judgements if one.led_to is not None]
    for number in [current, *led_to, *(one.round for one in judgements)]:
        if number not in seen:
            raise ValueError(f"there is no round {number}")
    return current


def _find(engine: Engine, contents: Mapping[int, bytes]) -> dict[int, int]:
    """Image ids of the file -> image ids of this library, by content."""
    found = {}
    for image_id, content in contents.items():
        twins = engine.files.catalog.images_with(content)
        if twins:
            found[image_id] = twins[0].image_id
    return found


def _renumbered(one: Judgement, ids: Mapping[int, int], engine: Engine) -> Judgement:
    """The judgement on this library's image, with the crop's vector of this encoder."""
    image_id = ids[one.image_id]
    crop = None
    if one.box is not None:
        record = engine.files.catalog.images([image_id])[0]
        crop = region_crop(engine, record.path, one.box)[1]
    return replace(one, image_id=image_id, crop=crop)
