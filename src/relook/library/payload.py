"""What a row of a shared collection carries beside its vector. Layer: library.

Everything that a server needs to know an image stands in the row of the whole picture, tile
0; the other tiles name their image and their number.
"""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from relook.core.types import Box
from relook.library.records import FileFacts, ImageRecord, printable
from relook.stores.milvus_client import Field

__all__ = ["FIELDS", "PAYLOAD", "read_payload", "row_payload"]

_LOG = logging.getLogger(__name__)
_MOST_BYTES = 60_000
"""Milvus takes 65,535 bytes of text and 65,536 of JSON in a field."""
_TEXT = {"max_length": 65_535}
FIELDS: tuple[Field, ...] = (
    ("row", "INT64", {}),
    ("image_id", "INT64", {}),
    ("tile", "INT32", {}),
    ("path", "VARCHAR", _TEXT),
    ("content", "VARCHAR", {"max_length": 128}),
    ("size_bytes", "INT64", {}),
    ("title", "VARCHAR", _TEXT),
    ("caption", "VARCHAR", _TEXT),
    ("metadata", "JSON", {}),
    ("facts", "JSON", {}),
)
"""The fields of a collection of tiles, but for the vector."""
PAYLOAD = tuple(name for name, _, _ in FIELDS)


def row_payload(record: ImageRecord, tile: int, tiling: tuple[Box, ...]) -> dict[str, Any]:
    """The fields of one tile of an image.

    Args:
        record: The image, with its id and rows.
        tile: Which tile.
        tiling: The boxes of its tiles.
    """
    fields: dict[str, Any] = {
        "row": record.first_row + tile, "image_id": record.image_id, "tile": tile,
        "path": "", "content": "", "size_bytes": 0, "title": "", "caption": "",
        "metadata": {}, "facts": {},
    }  # fmt: skip
    if tile:
        return fields
    path = record.facts.path
    facts: dict[str, Any] = {  # numbers of 64 bits are text: JSON readers round them
        "mtime_ns": str(record.facts.mtime_ns), "width_px": record.width_px,
        "height_px": record.height_px, "format": record.format, "dhash": str(record.dhash),
        "n_tiles": record.n_tiles, "tiling": [box.as_list() for box in tiling],
    }  # fmt: skip
    if printable(path).encode() != path:  # a name that is no UTF-8
        facts["path"] = base64.b64encode(path).decode("ascii")
    return {
        **fields,
        "path": printable(path),
        "content": record.content.hex(),
        "size_bytes": record.facts.size_bytes,
        "title": _fitting(record, "title", record.title),
        "caption": _fitting(record, "caption", record.caption),
        "metadata": _fitting_metadata(record),
        "facts": facts,
    }


def read_payload(row: Mapping[str, Any]) -> tuple[ImageRecord, tuple[Box, ...]]:
    """The image of a row of tile 0, without a tiling id, and the boxes of its tiles."""
    facts = _json(row["facts"])
    path = base64.b64decode(facts["path"]) if "path" in facts else os.fsencode(row["path"])
    record = ImageRecord(
        FileFacts(path, int(row["size_bytes"]), int(facts["mtime_ns"])),
        bytes.fromhex(row["content"]), int(facts["width_px"]), int(facts["height_px"]),
        str(facts["format"]), int(facts["dhash"]), int(row["row"]), int(facts["n_tiles"]),
        title=str(row["title"]), caption=str(row["caption"]), metadata=_json(row["metadata"]),
        image_id=int(row["image_id"]),
    )  # fmt: skip
    return record, tuple(Box(*edges) for edges in facts["tiling"])


def _json(value: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(value) if isinstance(value, str | bytes) else dict(value)
    return read


def _fitting(record: ImageRecord, what: str, text: str) -> str:
    """As much of a text as a field takes."""
    data = text.encode("utf-8", "replace")
    if len(data) > _MOST_BYTES:
        _warn(record, what, len(data))
        data = data[:_MOST_BYTES]
    return data.decode("utf-8", "ignore")


def _fitting_metadata(record: ImageRecord) -> dict[str, Any]:
    text = json.dumps(record.metadata, default=str)
    if len(text) <= _MOST_BYTES:
        plain: dict[str, Any] = json.loads(text)
        return plain
    _warn(record, "metadata", len(text))
    return {}


def _warn(record: ImageRecord, what: str, n_bytes: int) -> None:
    _LOG.warning(
        "the %s of %s is %d bytes long; a shared collection takes %d, other servers see less",
        what, printable(record.facts.path), n_bytes, _MOST_BYTES,
    )  # fmt: skip
