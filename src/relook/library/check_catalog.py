"""Whether the images, tilings and sessions of a catalog fit together. Layer: library.

Each rule on sessions, rounds and judgements is a condition on one table: the check counts the
rows that fit it, and the repair takes them out (or mends the column that points nowhere).
Images may come and go under a session; its rounds may not.
"""

from __future__ import annotations

import collections
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from relook.core.types import Box
from relook.library.catalog import Catalog
from relook.library.findings import CheckReport
from relook.library.image_table import UNENCODED
from relook.library.records import printable
from relook.library.tombstones import OBJECT
from relook.library.whereabouts import away_note

__all__ = [
    "AGAIN",
    "check_images",
    "check_sessions",
    "check_sqlite",
    "images_named",
    "mend_sessions",
]

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


_ROUND = "SELECT 1 FROM rounds r WHERE r.session_id = {table}.session_id AND r.number = {number}"


@dataclass(frozen=True, slots=True)
class _Rule:
    """A kind of damaged row.

    Args:
        table: Where.
        fault: What is wrong with them.
        broken: The condition.
        mend: The assignment that mends the row; empty where the row is taken out.
    """

    table: str
    fault: str
    broken: str
    mend: str = ""


def _gone(table: str, number: str) -> str:
    return f"NOT EXISTS ({_ROUND.format(table=table, number=f'{table}.{number}')})"


_LAST = "(SELECT max(number) FROM rounds r WHERE r.session_id = sessions.session_id)"
_OWNER_GONE = "session_id NOT IN (SELECT session_id FROM sessions)"
_RULES = (
    _Rule("sessions", "sessions whose query cannot be read", "NOT json_valid(query)"),
    _Rule("rounds", "rounds without their session", _OWNER_GONE),
    _Rule(
        "rounds",
        "rounds that cannot be read",
        "NOT json_valid(hits) OR NOT json_valid(record)",
    ),
    _Rule(
        "rounds",
        "rounds that grew from a round that is not there",
        f"parent IS NOT NULL AND {_gone('rounds', 'parent')} OR parent IS NULL AND number <> 0",
    ),
    _Rule("judgements", "judgements without their session", _OWNER_GONE),
    _Rule("judgements", "judgements on a page that is not there", _gone("judgements", "round")),
    _Rule(
        "judgements",
        "judgements that cannot be read",
        "box IS NOT NULL AND NOT json_valid(box) OR crop IS NOT NULL AND length(crop) % 4 <> 0",
    ),
    _Rule(
        "judgements",
        "judgements that led to a round that is not there",
        f"led_to IS NOT NULL AND {_gone('judgements', 'led_to')}",
        "led_to = NULL",
    ),
    _Rule(
        "sessions",
        "sessions whose current round is not there",
        f"{_LAST} IS NOT NULL AND {_gone('sessions', 'current_round')}",
        f"current_round = {_LAST}",
    ),
)
_EMPTY = f"{_LAST} IS NULL"


def check_sessions(catalog: Catalog, report: CheckReport) -> None:
    """Adds what is wrong with the sessions of a catalog.

    Raises:
        LibraryFormatError: when the catalog cannot be read.
    """
    if not catalog.ask("SELECT 1 FROM sqlite_master WHERE name = 'judgements'"):
        return
    for table in ("sessions", "rounds", "judgements"):
        catalog.ask(f"SELECT * FROM {table}")  # a damaged text raises here
    for rule in _RULES:
        rows = catalog.ask(f"SELECT session_id FROM {rule.table} WHERE {rule.broken}")
        if rows:
            where = sorted({f"session {row[0]}" for row in rows})
            repair = f"set {rule.mend.split('=')[0].strip()} anew" if rule.mend else "take them out"
            report.find("bad_session", f"{len(rows)} {rule.fault}", where, repair, n=len(rows))
    empty = catalog.ask(f"SELECT session_id FROM sessions WHERE {_EMPTY}")
    if empty:
        message = f"{len(empty)} sessions were begun and have no page"
        report.note("empty_session", message, len(empty), "take them out")
    report.counts["sessions"] = int(str(catalog.ask("SELECT count(*) FROM sessions")[0][0]))


def mend_sessions(db: sqlite3.Connection) -> list[str]:
    """Takes out or mends rows until no rule applies any more. Inside a transaction.

    Returns:
        What was done.
    """
    n_done: dict[str, int] = {}
    while True:
        before = sum(n_done.values())
        for rule in _RULES:
            verb = f"UPDATE {rule.table} SET {rule.mend}" if rule.mend else (
                f"DELETE FROM {rule.table}"
            )  # fmt: skip
            n_rows = db.execute(f"{verb} WHERE {rule.broken}").rowcount
            message = f"{'mended' if rule.mend else 'took out'} {{}} {rule.fault}"
            n_done[message] = n_done.get(message, 0) + n_rows
        message = "took out {} sessions without a page"
        n_rows = db.execute(f"DELETE FROM sessions WHERE {_EMPTY}").rowcount
        n_done[message] = n_done.get(message, 0) + n_rows
        if sum(n_done.values()) == before:
            return [message.format(n) for message, n in n_done.items() if n]
