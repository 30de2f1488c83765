"""The core's values as answers. Layer: server."""

from __future__ import annotations

import math
from typing import Any

from relook.core.types import Hit, Page
from relook.gateway.guard import API
from relook.library.records import ImageRecord, printable
from relook.library.session_table import Judgement, RoundRow, SessionRow
from relook.search.session import Session
from relook.server.queries import query_dict
from relook.serving.libraries import ServedLibrary

__all__ = ["image_view", "judgement_view", "line_view", "page_view", "round_view", "session_view"]


def page_view(volume: ServedLibrary, page: Page) -> dict[str, Any]:
    """A page with the addresses of its pictures."""
    contents = volume.contents([hit.image_id for hit in page])
    return {
        "query": query_dict(page.query, volume.pictures),
        "session_id": page.session_id,
        "hits": [_hit(volume, hit, contents.get(hit.image_id, b"")) for hit in page],
        "notes": [printable(note) for note in page.notes],
        "took_ms": round(page.took_ms, 2),
        "n_fitting": page.n_fitting,
    }


def _hit(volume: ServedLibrary, hit: Hit, content: bytes) -> dict[str, Any]:
    score = round(hit.score, 6) if math.isfinite(hit.score) else 0.0
    values = {**hit.as_dict(), "path": printable(bytes(hit.path)), "score": score}
    return {**values, **_addresses(volume, hit.image_id, content)}


def _addresses(volume: ServedLibrary, image_id: int, content: bytes) -> dict[str, str]:
    """Where a picture is; `v` names its content, so that a browser may keep it for good."""
    base = f"{API}/libraries/{volume.library_id}/images/{image_id}"
    version = f"v={content[:6].hex()}"
    return {"thumbnail": f"{base}/thumbnail?{version}&size=320", "file": f"{base}/file?{version}"}


def image_view(volume: ServedLibrary, record: ImageRecord) -> dict[str, Any]:
    """Everything the catalog knows of an image."""
    return {
        "image_id": record.image_id,
        "path": printable(record.facts.path),
        "title": record.title,
        "caption": record.caption,
        "width_px": record.width_px,
        "height_px": record.height_px,
        "format": record.format,
        "size_bytes": record.facts.size_bytes,
        "metadata": record.metadata,
        "content": record.content.hex(),
        **_addresses(volume, record.image_id, record.content),
    }


def judgement_view(judgement: Judgement) -> dict[str, Any]:
    """A judgement."""
    return judgement.as_dict()


def round_view(row: RoundRow) -> dict[str, Any]:
    """A round without its hits."""
    return row.as_dict()


def line_view(row: SessionRow) -> dict[str, Any]:
    """A session as a line of a list."""
    return row.as_dict()


def session_view(volume: ServedLibrary, session: Session) -> dict[str, Any]:
    """A whole session."""
    row = session.row
    return {
        **line_view(row),
        "library_id": volume.library_id,
        "query": query_dict(session.query, volume.pictures),
        "where": dict(session.only.where),
        "path": session.only.path,
        "rounds": [round_view(row) for row in session.rounds],
        "judgements": [judgement_view(item) for item in session.judgements],
        "page": page_view(volume, session.page),
    }
