"""Sessions as files: export, and import into a library that has the same pictures. Layer: search.

Images are known by the digest of their content, so a session finds its pictures again in
another library and under other paths.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relook.core.errors import InputError, counted, unread_file
from relook.core.picture_paths import printable
from relook.core.settings import SessionLimits
from relook.core.types import Query
from relook.library.session_rows import record_values
from relook.library.session_table import SessionTable
from relook.library.session_values import Judgement, RoundRow, SessionRow, SessionRows
from relook.library.tombstones import buried_with, kept_contents, pairs
from relook.search.engine import Engine
from relook.search.ranking import beside_record, kept_copies
from relook.search.regions import check_current, crop_vectors
from relook.search.session import Session
from relook.search.session_file import (
    FORMAT,
    JudgementEntry,
    PictureEntry,
    RoundEntry,
    SessionFile,
    read_file,
)


def export_session(session: Session) -> dict[str, Any]:
    """Everything of a session as a JSON object: query, rounds, judgements, pictures.

    A picture that was deleted is among them, so that its marks count again where it is.
    """
    judgements, rounds = session.all_judgements, session.rounds
    shown = [image_id for row in rounds for image_id, _, _ in row.hits]
    for row in rounds:
        shown += [copy for each in kept_copies(row.record).values() for copy in each]
        shown += row.record.get("further", ())
    example_ids = [part.image_id for part in session.query.parts if part.image_id is not None]
    judged = [judgement.image_id for judgement in judgements]
    named = dict.fromkeys([*example_ids, *shown, *judged])
    catalog = session.engine.files.catalog
    records = catalog.images(named, missing_ok=True)
    pictures = {record.image_id: (record.content, record.facts.path) for record in records}
    pictures |= kept_contents(catalog.ask, named.keys() - pictures.keys())
    file = SessionFile(
        format=FORMAT,
        name=session.row.name,
        query=session.query,
        current_round=session.row.current_round,
        encoder=session.engine.files.manifest.fingerprint.digest,
        images={
            str(image_id): PictureEntry(pictures[image_id][0], printable(pictures[image_id][1]))
            for image_id in named
            if image_id in pictures
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
    return add_session(engine, table, read_bytes(file, limits), limits, source=str(file))


def read_bytes(file: Path, limits: SessionLimits) -> bytes:
    """What a session file holds, as far as it may.

    Raises:
        InputError: `bad_session_file` when it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return stream.read(limits.max_file_bytes + 1)
    except OSError as error:
        raise unread_file("bad_session_file", file, error) from error


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
        The new session's id, and notes, as `placed` gives them.

    Raises:
        InputError, TooLargeError: as `placed`.
    """
    session = placed(engine, data, limits, source=source, check=check)
    rows, session_id = session.rows, uuid.uuid4().hex[:12]
    with table.together():
        check_current(engine.files)
        table.create(session_id, rows.row.name, rows.row.query)
        for row in rows.rounds:
            table.add_round(session_id, row)
        table.put(session_id, [replace(judgement, judgement_id=0) for judgement in rows.judgements])
        table.go(session_id, rows.row.current_round)
    return session_id, session.notes


@dataclass(frozen=True, slots=True)
class Placed:
    """An exported session with the images of a library, written nowhere.

    Args:
        rows: The session.
        notes: About pictures that the library does not have, and about boxes on pictures that
            cannot be read now.
    """

    rows: SessionRows
    notes: tuple[str, ...]


def placed(
    engine: Engine,
    data: bytes,
    limits: SessionLimits,
    *,
    source: str = "it",
    check: Callable[[Query], object] | None = None,
) -> Placed:
    """An exported session with a library's images; arguments as for `add_session`.

    Raises:
        InputError: `bad_session_file` naming the place in the file that is wrong,
            `other_library` when the library has none of its pictures, or lacks one that its
            query names;
        TooLargeError: `session_too_large`.
    """
    file, values = read_file(data, source, limits)
    if check is not None:
        check(file.query)
    ids = _find(engine, {int(key): entry for key, entry in file.images.items()})
    if file.images and not ids:
        raise InputError(
            "other_library",
            f"the library has none of {counted(len(file.images), 'picture')} of this session",
            "import it into a library that has them",
        )
    records = engine.files.catalog.images(ids.values(), missing_ok=True)
    n_tiles = {record.image_id: record.n_tiles for record in records}
    here = {theirs: ours for theirs, ours in ids.items() if ours in n_tiles}
    query = _query(file.query, here)
    rounds = [
        _round_row(row, raw["record"], ids, n_tiles)
        for row, raw in zip(file.rounds, values["rounds"], strict=True)
    ]
    judgements = _judgements(file.judgements, ids, here, engine)
    began_s = next((row.made_s for row in rounds if row.made_s is not None), 0.0)
    line = SessionRow("", file.name, query.as_dict(), file.current_round, began_s)
    rows = SessionRows(line, tuple(rounds), tuple(judgements))
    return Placed(rows, _notes(file, ids, here, judgements))


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
    file: SessionFile,
    ids: Mapping[int, int],
    here: Mapping[int, int],
    judgements: Sequence[Judgement],
) -> tuple[str, ...]:
    n_deleted, gone = len(ids) - len(here), set(ids.values()) - set(here.values())
    n_missing, n_left_out = len(file.images) - len(ids), len(file.judgements) - len(judgements)
    n_blind = sum(
        judgement.box is not None and judgement.crop is None and judgement.image_id not in gone
        for judgement in judgements
    )
    notes = []
    if n_missing:
        what = "picture of the session is", "pictures of the session are"
        notes.append(f"{counted(n_missing, *what)} not in this library")
    if n_deleted:
        what = "picture of the session was", "pictures of the session were"
        notes.append(
            f"{counted(n_deleted, *what)} deleted from this library: marks there count again once"
            " what was deleted is back"
        )
    if n_left_out:
        judgements_are = counted(n_left_out, "judgement is", "judgements are")
        notes.append(f"{judgements_are} left out, on pictures that are not here")
    if n_blind:
        notes.append(
            f"{counted(n_blind, 'box is', 'boxes are')} kept without vectors, on pictures that"
            " cannot be read now: looking again makes the vectors once it can read them"
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
            hits.setdefault(ours, (ours, score, tile if tile < n_tiles.get(ours, 0) else 0))
    kept = record_values(row.record, record)
    copies = [
        (ids[first], sorted({ids[other] for other in others if other in ids} - hits.keys()))
        for first, others in kept_copies(kept).items()
        if first in ids
    ]
    further = dict.fromkeys(
        ids[image_id] for image_id in kept.get("further", ()) if image_id in ids
    )
    kept = {key: value for key, value in kept.items() if key not in ("copies", "further")}
    kept |= beside_record(copies, [image_id for image_id in further if image_id not in hits])
    return RoundRow(
        row.number, row.parent, row.strategy, tuple(hits.values()), kept, made_s=row.made_s
    )


def _judgements(
    entries: Sequence[JudgementEntry],
    ids: Mapping[int, int],
    here: Mapping[int, int],
    engine: Engine,
) -> list[Judgement]:
    """The judgements on this library's images, with the crops' vectors of its encoder.

    A box whose picture cannot be read now, or was deleted, stays without a vector.
    """
    kept = [(entry, ids[entry.image_id]) for entry in entries if entry.image_id in ids]
    places = [
        (image_id, entry.box)
        for entry, image_id in kept
        if entry.box is not None and entry.image_id in here
    ]
    crops = crop_vectors(engine, places, unreadable=lambda error: None)
    return [
        Judgement(
            number, entry.round, image_id, entry.relevant, entry.box, entry.caption,
            entry.caption_by, entry.weight,
            crops.get((image_id, entry.box)) if entry.box else None, entry.led_to, entry.made_s,
        )
        for number, (entry, image_id) in enumerate(kept, start=1)
    ]  # fmt: skip


def _find(engine: Engine, pictures: Mapping[int, PictureEntry]) -> dict[int, int]:
    """Image ids of the file -> image ids of this library, by content.

    Of equal pictures each is the one whose path is most alike. One that was deleted here and
    left a tombstone is found, too.
    """
    catalog = engine.files.catalog
    alike: dict[bytes, list[int]] = defaultdict(list)
    for image_id, entry in pictures.items():
        alike[entry.content].append(image_id)
    ids: dict[int, int] = {}
    for content, theirs in alike.items():
        ours = [(image.image_id, image.facts.path) for image in catalog.images_with(content)]
        ours = ours or buried_with(catalog.ask, content)
        if not ours:
            continue
        paths = [pictures[image_id].path.encode("utf-8", "surrogatepass") for image_id in theirs]
        ids |= dict.fromkeys(theirs, ours[0][0])
        for at, which in pairs(paths, [path for _, path in ours]):
            ids[theirs[at]] = ours[which][0]
    return ids
