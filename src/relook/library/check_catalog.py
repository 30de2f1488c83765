"""Whether the images and tilings of a catalog fit together. Layer: library."""

from __future__ import annotations

import collections
import json
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from relook.core.types import Box
from relook.library.catalog import Catalog
from relook.library.findings import CheckReport
from relook.library.image_table import UNENCODED
from relook.library.records import printable
from relook.library.tombstones import OBJECT
from relook.library.whereabouts import away_note

AGAIN = "take them out, keep their words and ids, and index them again with: relook index"
_UNREADABLE = (
    "typeof(path) <> 'blob' OR typeof(content) <> 'blob' OR typeof(title) <> 'text'"
    " OR typeof(caption) <> 'text' OR typeof(size_bytes) <> 'integer'"
    " OR typeof(mtime_ns) <> 'integer' OR typeof(first_row) <> 'integer'"
    " OR typeof(n_tiles) <> 'integer' OR typeof(tiling_id) <> 'integer'"
    f" OR {OBJECT} <> 'object'"
)


def check_sqlite(catalog: Catalog, report: CheckReport) -> None:
    """Adds the damage that SQLite itself reports.

    Raises:
        LibraryFormatError: when it cannot read that far.
    """
    texts = [str(row[0]) for row in catalog.ask("PRAGMA integrity_check(20)")]
    if texts != ["ok"]:
        lines = [line for text in texts for line in text.splitlines()]
        report.find(
            "bad_catalog",
            f"SQLite finds {len(lines)} faults in {catalog.path}",
            lines,
            "write what can be read into a new catalog; the damaged one is kept beside it",
        )
    loose = catalog.ask("PRAGMA foreign_key_check")
    lost = sorted({f"{table} -> {parent}" for table, _, parent, _ in loose if table != "images"})
    if lost:
        report.find("foreign_key", f"{len(loose)} rows name one that is not there", lost,
                    "take them out")  # fmt: skip


def check_images(catalog: Catalog, report: CheckReport) -> None:
    """Adds images whose record, rows or tiling is damaged.

    Raises:
        LibraryFormatError: when the catalog cannot be read.
    """
    report.find_images("bad_record", "images whose record is damaged",
                       _named(catalog, _UNREADABLE), AGAIN)  # fmt: skip
    odd = f"(first_row < 0 OR n_tiles < 1) AND NOT ({UNENCODED})"
    report.find_images("bad_rows", "images without rows", _named(catalog, odd), AGAIN)
    report.find_images("shared_rows", "images that have another image's rows",
                       _shared(catalog), AGAIN)  # fmt: skip
    _check_tilings(catalog, report)
    if not report.has("bad_record"):
        collections.deque(catalog.each_image(), maxlen=0)  # a damaged text raises here
    report.counts["images"] = catalog.count("images")
    if away := away_note(catalog.absences()):
        n_away = sum(absence.n for absence in catalog.absences())
        report.note("away", f"{away}; they come back by themselves", n_away,
                    "nothing; relook forget PATH takes them out for good")  # fmt: skip
    if n_unencoded := catalog.count(f"images WHERE {UNENCODED}"):
        message = f"{n_unencoded} images have no vectors: an upgrade could not read their pictures"
        report.note("unencoded", message, n_unencoded, "nothing; index them again")
    waiting = _count(catalog, "dropped")
    if waiting:
        message = f"{waiting} images were taken out by a repair and wait for: relook index"
        report.note("waiting", message, waiting, "nothing; index them again")


def _shared(catalog: Catalog) -> list[tuple[int, str]]:
    """Images that share a row with another image."""
    table = catalog.row_table()
    if not len(table):
        return []
    ends = np.maximum.accumulate(table[:, 0] + table[:, 1])
    meets = table[1:, 0] < ends[:-1]  # [n - 1]: the image reaches into one before it
    both = table[np.append(meets, False) | np.insert(meets, 0, False), 2]
    return images_named(catalog, both.tolist())


def _check_tilings(catalog: Catalog, report: CheckReport) -> None:
    sizes = {
        int(str(tiling_id)): _n_boxes(str(boxes))
        for tiling_id, boxes in catalog.ask("SELECT tiling_id, boxes FROM tilings")
    }
    wrong: dict[str, list[tuple[int, str]]] = defaultdict(list)
    sql = f"SELECT DISTINCT tiling_id, n_tiles FROM images WHERE NOT ({UNENCODED})"
    for tiling_id, n_tiles in catalog.ask(sql):
        if sizes.get(tiling_id) != n_tiles:  # type: ignore[call-overload]
            message = (
                f"images of {n_tiles} tiles whose list of boxes {tiling_id} has"
                f" {sizes.get(tiling_id, 'gone')}"  # type: ignore[call-overload]
            )
            wrong[message] += _named(
                catalog, "tiling_id IS ? AND n_tiles IS ?", (tiling_id, n_tiles)
            )
    for message, images in wrong.items():
        report.find_images("bad_tiling", message, images, AGAIN)


def _n_boxes(text: str) -> int:
    """How many boxes a tiling has; -1 when it cannot be read."""
    try:
        return len([Box(*edges) for edges in json.loads(text)])
    except (ValueError, TypeError):
        return -1


def _named(
    catalog: Catalog, condition: str, values: Iterable[object] = ()
) -> list[tuple[int, str]]:
    """Id and path of the images that fit a condition in SQL."""
    sql = f"SELECT image_id, path FROM images WHERE {condition} ORDER BY image_id"
    return [
        (int(str(image_id)), printable(path if isinstance(path, bytes) else str(path)))
        for image_id, path in catalog.ask(sql, tuple(values))
    ]


def images_named(catalog: Catalog, image_ids: list[int]) -> list[tuple[int, str]]:
    """Images with their paths, even where the rest of their record is damaged."""
    return _named(catalog, "image_id IN (SELECT value FROM json_each(?))", (json.dumps(image_ids),))


def _count(catalog: Catalog, table: str) -> int:
    if not catalog.ask("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)):
        return 0
    return catalog.count(table)
