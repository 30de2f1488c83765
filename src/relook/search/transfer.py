"""Sessions as files: export, and import into a library that has the same pictures. Layer: search.

Images are known by the digest of their content, so a session finds its pictures again in
another library and under other paths.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from relook.core.errors import InputError
from relook.core.settings import SessionLimits
from relook.core.types import Query
from relook.library.records import printable
from relook.library.session_rows import record_values
from relook.library.session_table import SessionTable
from relook.library.session_values import Judgement, RoundRow
from relook.search.engine import Engine
from relook.search.regions import check_current, crop_vectors
from relook.search.session import Session
from relook.search.session_file import (
    FORMAT,
    JudgementEntry,
    PictureEntry,
    RoundEntry,
    SessionFile,
    bad_file,
    read_file,
)


def export_session(session: Session) -> dict[str, Any]:
    """Everything of a session as a JSON object: query, rounds, judgements, pictures.

    An image that left the library is no longer among the pictures; the session keeps its number.
    """
    judgements, rounds = session.all_judgements, session.rounds
    shown = [image_id for row in rounds for image_id, _, _ in row.hits]
    example_ids = [part.image_id for part in session.query.parts if part.image_id is not None]
    judged = [judgement.image_id for judgement in judgements]
    named = dict.fromkeys([*example_ids, *shown, *judged])
    records = session.engine.files.catalog.images(named, missing_ok=True)
    file = SessionFile(
        format=FORMAT,
        name=session.row.name,
        query=session.query,
        current_round=session.row.current_round,
        encoder=session.engine.files.manifest.fingerprint.digest,
        images={
            str(record.image_id): PictureEntry(record.content, printable(record.facts.path))
            for record in records
        },
        rounds=tuple(map(RoundEntry.of, rounds)),
        judgements=tuple(map(JudgementEntry.of, judgements)),
    )
    problems = list(session.problems)
    return file.as_dict() | ({"problems": problems} if problems else {})


def import_session(
    engine: Engine, table: SessionTable, file: Path, limits: SessionLimits
) -> tuple[str, tuple[str, ...]]:
    """Adds an exported session to a library; as `add_session` for a file."""
    try:
        with file.open("rb") as stream:
            data = stream.read(limits.max_file_bytes + 1)
    except OSError as error:
        raise bad_file(str(file), error) from error
    return add_session(engine, table, data, limits, source=str(file))


def add_session(
    engine: Engine,
    table: SessionTable,
    data: bytes,
    limits: SessionLimits,
    *,
    source: str = "it",
    check: Callable[[Query], object] | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Adds an exported session to a library; all of it is checked before any of it is written.

    Args:
        engine: Of the library.
        table: Where its sessions are kept.
        data: The session as JSON.
        limits: How much it may hold.
        source: What to call it in messages.
        check: Raises when the session's query is not welcome.

    Returns:
        The new session's id, and notes about pictures that this library does not have, and about
        boxes on pictures that cannot be read now.

    Raises:
        InputError: `bad_session_file` naming the place in the file that is wrong,
            `other_library` when the library has none of its pictures, or lacks one that its
            query names;
        TooLargeError: `session_too_large`.
    """
    file, values = read_file(data, source, limits)
    if check is not None:
        check(file.query)
    ids = _find(engine, {int(key): entry.content for key, entry in file.images.items()})
    if file.images and not ids:
        raise InputError(
            "other_library",
            f"the library has none of the {len(file.images)} pictures of this session",
            "import it into a library that has them",
        )
    query = _query(file.query, ids)
    records = engine.files.catalog.images(ids.values())
    n_tiles = {record.image_id: record.n_tiles for record in records}
    rounds = [
        _round_row(row, raw["record"], ids, n_tiles)
        for row, raw in zip(file.rounds, values["rounds"], strict=True)
    ]
    judgements = _judgements(file.judgements, ids, engine)
    session_id = uuid.uuid4().hex[:12]
    with table.together():
        check_current(engine.files)
        table.create(session_id, file.name, query.as_dict())
        for row in rounds:
            table.add_round(session_id, row)
        table.put(session_id, judgements)
        table.go(session_id, file.current_round)
    return session_id, _notes(file, ids, judgements)


def _query(query: Query, ids: Mapping[int, int]) -> Query:
    """The query with this library's images."""
    parts = []
    for part in query.parts:
        if part.image_id is not None and part.image_id not in ids:
            raise InputError(
                "other_library",
                f"the library has not the picture that the session looks for (image"
                f" {part.image_id} of where it comes from)",
                "import it into a library that has the picture",
            )
        parts.append(part if part.image_id is None else replace(part, image_id=ids[part.image_id]))
    return replace(query, parts=tuple(parts))


def _notes(
    file: SessionFile, ids: Mapping[int, int], judgements: Sequence[Judgement]
) -> tuple[str, ...]:
    n_missing, n_left_out = len(file.images) - len(ids), len(file.judgements) - len(judgements)
    n_blind = sum(judgement.box is not None and judgement.crop is None for judgement in judgements)
    notes = []
    if n_missing:
        notes.append(f"{n_missing} pictures of the session are not in this library")
    if n_left_out:
        notes.append(f"{n_left_out} judgements are on pictures that are not here, and left out")
    if n_blind:
        notes.append(
            f"{n_blind} boxes are on pictures that cannot be read now: they are kept without"
            " vectors, which looking again makes once it can read them"
        )
    return tuple(notes)


def _round_row(
    row: RoundEntry, record: Mapping[str, Any], ids: Mapping[int, int], n_tiles: Mapping[int, int]
) -> RoundRow:
    """The round with this library's images; two that are one picture here are one hit."""
    hits: dict[int, tuple[int, float, int]] = {}
    for image_id, score, tile in row.hits:
        if image_id in ids:
            ours = ids[image_id]
            hits.setdefault(ours, (ours, score, tile if tile < n_tiles[ours] else 0))
    kept = record_values(row.record, record)
    return RoundRow(row.number, row.parent, row.strategy, tuple(hits.values()), kept)


def _judgements(
    entries: Sequence[JudgementEntry], ids: Mapping[int, int], engine: Engine
) -> list[Judgement]:
    """The judgements on this library's images, with the crops' vectors of its encoder.

    A box whose picture cannot be read now stays without a vector.
    """
    kept = [(entry, ids[entry.image_id]) for entry in entries if entry.image_id in ids]
    places = [(image_id, entry.box) for entry, image_id in kept if entry.box is not None]
    crops = crop_vectors(engine, places, unreadable=lambda error: None)
    return [
        Judgement(
            0, entry.round, image_id, entry.relevant, entry.box, entry.caption, entry.caption_by,
            entry.weight, crops.get((image_id, entry.box)) if entry.box else None, entry.led_to,
        )
        for entry, image_id in kept
    ]  # fmt: skip


def _find(engine: Engine, contents: Mapping[int, bytes]) -> dict[int, int]:
    """Image ids of the file -> image ids of this library, by content."""
    ids = {}
    for image_id, content in contents.items():
        twins = engine.files.catalog.images_with(content)
        if twins:
            ids[image_id] = twins[0].image_id
    return ids
