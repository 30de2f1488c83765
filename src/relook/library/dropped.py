"""Images whose vectors were damaged: what was said of them, until they are indexed again.

`relook doctor --repair` takes such an image out, since nobody can find it any more, and puts
its id and its words here. The next image at its path gets both back: judgements of the old
one hold again. Layer: library.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

from relook.library.records import ImageRecord, Words

__all__ = ["DROPPED", "OBJECT", "drop", "taken_back"]

DROPPED = """
CREATE TABLE IF NOT EXISTS dropped (
    path BLOB PRIMARY KEY,
    image_id INTEGER NOT NULL,
    title TEXT NOT NULL,
    caption TEXT NOT NULL,
    metadata TEXT NOT NULL
);
"""
"""The table, as the catalog makes it."""

OBJECT = "CASE WHEN json_valid(metadata) THEN json_type(metadata) ELSE 'damaged' END"
"""What kind of JSON the metadata of an image is, in SQL."""


def drop(db: sqlite3.Connection, image_ids: list[int]) -> None:
    """Takes images out, to be indexed again. Inside a transaction."""
    ids = [(image_id,) for image_id in image_ids]
    db.executemany(
        f"INSERT OR REPLACE INTO dropped SELECT path, image_id, {_text('title')},"
        f" {_text('caption')}, CASE {OBJECT} WHEN 'object' THEN metadata ELSE '{{}}' END"
        " FROM images WHERE image_id = ?",
        ids,
    )
    db.executemany("DELETE FROM images WHERE image_id = ?", ids)


def taken_back(db: sqlite3.Connection, record: ImageRecord) -> tuple[ImageRecord, int | None]:
    """A new image with what was said of the one that was dropped at its path.

    Args:
        db: Of a transaction.
        record: The image; its own words win.

    Returns:
        The image, and the id it shall have; None for the next one.
    """
    path = (record.facts.path,)
    sql = "SELECT image_id, title, caption, metadata FROM dropped WHERE path = ?"
    row = db.execute(sql, path).fetchone()
    if row is None:
        return record, None
    db.execute("DELETE FROM dropped WHERE path = ?", path)
    image_id, title, caption, metadata = row
    own = Words(record.title, record.caption, record.metadata)
    words = own.over(Words(title, caption, json.loads(metadata)))
    said = replace(record, title=words.title, caption=words.caption, metadata=words.metadata)
    return said, int(image_id)


def _text(column: str) -> str:
    return f"CASE typeof({column}) WHEN 'text' THEN {column} ELSE '' END"
