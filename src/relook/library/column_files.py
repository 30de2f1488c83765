"""Columns of images beside the catalog: read where they changed, and kept between processes.

Facts, keywords and paths each have a file with a checksum; one that is damaged or missing costs the
time of reading everything again. Layer: library.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from relook.library.fact_table import has_facts
from relook.library.row_table import KEPT_FROM

if TYPE_CHECKING:
    from relook.library.catalog import Catalog
    from relook.library.files import LibraryFiles

_LOG = logging.getLogger(__name__)
FACTS_FILE, KEYWORDS_FILE, PATHS_FILE = COLUMN_FILES = (
    "facts.cache",
    "keywords.cache",
    "paths.cache",
)
_HEADER_BYTES = 512

Kept = TypeVar("Kept")


class Changing(Protocol):
    """Columns of a catalog at one moment: `change` is the newest change that is in them."""

    @property
    def change(self) -> int: ...


Columns = TypeVar("Columns", bound=Changing)


def columns_now(
    files: LibraryFiles,
    name: str,
    kept: Callable[[Path], Columns | None],
    read: Callable[[Catalog, Columns | None], Columns],
    keep: Callable[[Path, Columns], None],
) -> Columns | None:
    """Columns of the catalog as it is now; None in a catalog of an older version.

    Args:
        files: The library.
        name: Of the columns, in this process.
        kept: Gives those that `keep` wrote last into the library's folder.
        read: Reads what changed since, or everything.
        keep: Writes them there; called in large libraries where a tenth is new.
    """
    with files.catalog.reading():
        if not has_facts(files.catalog.counter):
            return None
        known: Columns | None = files.columns.get(name) or kept(files.folder)
        columns = read(files.catalog, known)
    n_images = len(files.row_table)
    n_new = n_images if known is None else columns.change - known.change
    if n_new * 10 > n_images > KEPT_FROM and files.catalog.writable:
        keep(files.folder, columns)
    files.columns[name] = columns
    return columns


def keep_file(path: Path, facts: Mapping[str, int], data: bytes) -> None:
    """Writes a file of columns whole, with a checksum; where the disk refuses, none is there."""
    card = {**facts, "crc32": zlib.crc32(data)}
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(new, "wb") as file:
            file.write(json.dumps(card).encode().ljust(_HEADER_BYTES))
            file.write(data)
        new.replace(path)
    except OSError as error:
        _LOG.info("%s is not kept: %s", path.name, error)
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def kept_file(path: Path, columns: Callable[[dict[str, Any], bytes], Kept]) -> Kept | None:
    """What a file of columns gives; None when there is none or it is damaged.

    Args:
        path: Where `keep_file` wrote it.
        columns: Makes them of the facts and the data; may raise what a damaged file leads to.
    """
    try:
        with open(path, "rb") as file:
            facts = json.loads(file.read(_HEADER_BYTES))
            data = file.read()
        if zlib.crc32(data) != facts["crc32"]:
            raise ValueError("it is not as it was written")
        return columns(facts, data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _LOG.warning("%s is left aside: %s", path, error)
        return None
