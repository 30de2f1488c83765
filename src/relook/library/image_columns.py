"""The columns of the table of images, and records to and from them. Layer: library."""

from __future__ import annotations

import json
from collections.abc import Sequence

from relook.library.records import FileFacts, ImageRecord

__all__ = ["COLUMNS", "column_values", "read_columns"]

COLUMNS = (
    "path, size_bytes, mtime_ns, content, width_px, height_px, format, dhash,"
    " first_row, n_tiles, tiling_id, title, caption, metadata"
)
"""What the table keeps of a record."""


def column_values(record: ImageRecord) -> tuple[object, ...]:
    """A record in the order of the columns."""
    facts = record.facts
    metadata = json.dumps(record.metadata, ensure_ascii=False, default=str)
    return (
        facts.path, facts.size_bytes, facts.mtime_ns, record.content, record.width_px,
        record.height_px, record.format, record.dhash, record.first_row, record.n_tiles,
        record.tiling_id, record.title, record.caption, metadata,
    )  # fmt: skip


def read_columns(row: Sequence[object]) -> ImageRecord:
    """The record of an image's id with the columns behind it."""
    image_id, path, size_bytes, mtime_ns, *fields, metadata = row
    facts = FileFacts(path, size_bytes, mtime_ns)  # type: ignore[arg-type]
    said = json.loads(str(metadata))
    assert isinstance(image_id, int)
    return ImageRecord(facts, *fields, said, image_id)  # type: ignore[arg-type, call-arg]
