"""The rows of a shared collection: what they carry, and their one writer. Layer: cluster.

Takes what `VectorFile` takes. Rows that were appended wait here until the catalog's
transaction ends: they go out together with what the catalog says of them.

A row carries, beside its vector, what is known of its image. Everything that a server needs to know
an image stands in the row of the whole picture, tile 0; the other tiles name their image and their
number.
"""

import base64
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from relook.cluster.milvus import MilvusSource
from relook.cluster.milvus_client import Field
from relook.core.picture_paths import printable
from relook.core.types import Box
from relook.core.vectors import Floats, Ints
from relook.library.records import FileFacts, ImageRecord


def as_kept(vectors: Floats) -> Floats:
    """Vectors as every library keeps them: numbers that 16 bits hold, [n, d] float32."""
    return np.asarray(vectors, np.float16).astype(np.float32)


class Staged:
    """Rows that wait to be written: a first row, and [n, d] behind it."""

    def __init__(self) -> None:
        self._blocks: list[tuple[int, Floats]] = []

    def put(self, first: int, vectors: Floats) -> None:
        """Adds rows."""
        self._blocks.append((first, as_kept(vectors)))

    def get(self, first: int, n: int) -> Floats | None:
        """[n, d] rows that wait; None when they do not."""
        for start, block in self._blocks:
            if start <= first and first + n <= start + len(block):
                return block[first - start : first - start + n]
        return None

    def drop(self, end: int) -> None:
        """Forgets the rows before `end`, which are written.

        Others stay: what a thread beside the writer says of images is a change of its own.
        """
        self._blocks = [block for block in self._blocks if block[0] + len(block[1]) > end]

    def clear(self) -> None:
        """Forgets them all."""
        self._blocks.clear()


class SharedVectors:
    """The rows of a collection, and those that are about to be.

    Args:
        source: The committed ones.
        staged: Where new ones wait for the transaction that names them.
    """

    def __init__(self, source: MilvusSource, staged: Staged) -> None:
        self._source, self._staged = source, staged
        self.dim = source.dim
        self._n_rows = len(source)
        staged.clear()

    def __len__(self) -> int:
        return self._n_rows

    def block(self, start: int, stop: int) -> Floats:
        """Rows start..stop as [stop - start, d] float32."""
        return self.rows(np.arange(start, min(stop, self._n_rows), dtype=np.int64))

    def rows(self, rows: Ints) -> Floats:
        """Chosen rows as [n, d] float32, of this run or of one before."""
        return self._source.rows(rows)

    def append(self, vectors: Floats) -> int:
        """Puts rows [n, d] behind the others; they are written when the catalog commits.

        Returns:
            The number of the first new row.
        """
        first = self._n_rows
        self._staged.clear()
        self._staged.put(first, vectors)
        self._n_rows += len(vectors)
        return first

    def take_back(self, n_rows: int) -> None:
        """Forgets the rows from `n_rows` on, after the catalog refused to name them."""
        self._staged.clear()
        self._n_rows = n_rows

    def cut_tail(self) -> None:
        """Nothing to do: what a kill left over was removed when the writer began."""

    def close(self) -> None:
        """The connection belongs to the library."""


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
