"""Sessions, rounds and judgements that do not fit together. Layer: library.

Each rule is a condition on one table: the check counts the rows that fit it, the repair
takes them out (or mends the column that points nowhere). Images may come and go under a
session; its rounds may not.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from relook.library.catalog import Catalog
from relook.library.findings import CheckReport

__all__ = ["check_sessions", "mend_sessions"]

_ROUND = "SELECT 1 FROM rounds r WHERE r.session_id = {table}.session_id AND r.number = {number}"


@dataclass(frozen=True, slots=True)
class _Rule:
    """Rows of a table that cannot stand.

    Args:
        table: Where.
        told: What is wrong with them.
        broken: The condition.
        mend: What is set instead of taking the row out.
    """

    table: str
    told: str
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
        catalog.ask(f"SELECT * FROM {table}")  # a text that is none is met here
    for rule in _RULES:
        rows = catalog.ask(f"SELECT session_id FROM {rule.table} WHERE {rule.broken}")
        if rows:
            where = sorted({f"session {row[0]}" for row in rows})
            repair = f"set {rule.mend.split('=')[0].strip()} anew" if rule.mend else "take them out"
            report.find("bad_session", f"{len(rows)} {rule.told}", where, repair, n=len(rows))
    empty = catalog.ask(f"SELECT session_id FROM sessions WHERE {_EMPTY}")
    if empty:
        told = f"{len(empty)} sessions were begun and have no page"
        report.note("empty_session", told, len(empty), "take them out")
    report.counts["sessions"] = int(str(catalog.ask("SELECT count(*) FROM sessions")[0][0]))


def mend_sessions(db: sqlite3.Connection) -> list[str]:
    """Takes out or mends every row that fits a rule, until none does. Inside a transaction.

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
            told = f"{'mended' if rule.mend else 'took out'} {{}} {rule.told}"
            n_done[told] = n_done.get(told, 0) + n_rows
        told = "took out {} sessions without a page"
        n_rows = db.execute(f"DELETE FROM sessions WHERE {_EMPTY}").rowcount
        n_done[told] = n_done.get(told, 0) + n_rows
        if sum(n_done.values()) == before:
            return [told.format(n) for told, n in n_done.items() if n]
