"""The beginning of a session. Layer: search."""

from __future__ import annotations

import uuid

from relook.core.types import Query
from relook.library.session_table import RoundRow, SessionTable
from relook.search.captioning import INSTRUCTION, Captioning
from relook.search.engine import Engine, Filter
from relook.search.only import only_record
from relook.search.session import Session

__all__ = ["start"]


def start(
    engine: Engine,
    table: SessionTable,
    query: Query,
    limit: int | None = None,
    caption: Captioning | None = None,
    name: str = "",
    only: Filter | None = None,
    instruction: str = "",
) -> Session:
    """Begins a session: asks the first query and keeps its page as round 0.

    Every later page keeps to `only`, too; `instruction` is what its captioner is told.
    """
    only = only or Filter()
    page = engine.search(query, limit, only)
    session_id = uuid.uuid4().hex[:12]
    hits = tuple((hit.image_id, hit.score, hit.tile_number) for hit in page)
    record = {"notes": list(page.notes), "choice": {}, **only_record(only)}
    if instruction.strip():
        record[INSTRUCTION] = instruction.strip()
    with table.together():  # a session without a page is never there
        table.create(session_id, name or query.text or "picture", query.as_dict())
        table.add_round(session_id, RoundRow(0, None, "none", hits, record))
    return Session(engine, table, session_id, caption)
