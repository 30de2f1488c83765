"""The beginning of a session. Layer: search."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from relook.core.types import Query
from relook.library.session_table import RoundRow, SessionTable
from relook.search.engine import Engine
from relook.search.session import Session

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["start"]

Captioner = Callable[["Image.Image"], str]


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
