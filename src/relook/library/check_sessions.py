"""Whether the sessions of a catalog are whole and fit together, and mending them. Layer: library.

Rules say which rows fit together: each is a condition in SQL on one table. Values are read as a
session file is: what an import refuses is damage here. The repair keeps of a row what can be
read, and takes it out only where nothing is left of what it says. Images may come and go under a
session; its rounds may not.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relook.core.errors import counted
from relook.core.json_writer import to_json
from relook.feedback.strategies import STRATEGIES
from relook.library import session_rows
from relook.library.catalog import Catalog
from relook.library.findings import CheckReport
from relook.library.session_rows import bounded_query, is_text, read_query

_TABLES = ("sessions", "rounds", "judgements")
_STRATEGIES = {"none", *STRATEGIES}
_Ask = Callable[[str], Sequence[tuple[Any, ...]]]

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
    _Rule("rounds", "rounds of no session", _OWNER_GONE),
    _Rule(
        "rounds",
        "rounds that grew from a round that is not there",
        f"parent IS NOT NULL AND {_gone('rounds', 'parent')} OR parent IS NULL AND number <> 0",
    ),
    _Rule("rounds", "rounds that grew from a later one", "parent >= number"),
    _Rule("judgements", "judgements of no session", _OWNER_GONE),
    _Rule("judgements", "judgements on a page that is not there", _gone("judgements", "round")),
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


@dataclass(frozen=True, slots=True)
class _Fault:
    """A row with a value that no session file may have.

    Args:
        table, rowid: The row.
        session_id: Of which session.
        fault: What is wrong with it and others like it.
        mend: Column -> what can be read of it; the row is taken out when None.
    """

    table: str
    rowid: int
    session_id: str
    fault: str
    mend: Mapping[str, object] | None = None

    @property
    def repair(self) -> str:
        """What the repair does."""
        return "take them out" if self.mend is None else f"keep of {', '.join(self.mend)} what can"


def _session_faults(ask: _Ask) -> Iterator[_Fault]:
    columns = f"rowid, session_id, {session_rows.SESSION}, typeof(name)"
    for rowid, session_id, *row, kind in ask(f"SELECT {columns} FROM sessions"):
        session = session_rows.read_session(tuple(row))
        query = read_query(row[2])
        if query is None:
            yield _Fault("sessions", rowid, session_id, "sessions whose query cannot be read")
            continue
        if (bounded := bounded_query(query)) != query:
            mend = {"query": json.dumps(to_json(bounded))}
            fault = "sessions whose query is out of bounds"
            yield _Fault("sessions", rowid, session_id, fault, mend)
        if not is_text(row[1], kind):
            name = {"name": session.name}
            yield _Fault("sessions", rowid, session_id, "sessions whose name is no text", name)
        if row[4] is None:
            time = {"created_s": session.created_s}
            yield _Fault("sessions", rowid, session_id, "sessions without a time", time)


def _round_faults(ask: _Ask) -> Iterator[_Fault]:
    columns = f"rowid, session_id, {session_rows.ROUND}"
    for rowid, session_id, *row in ask(f"SELECT {columns} FROM rounds"):
        page = session_rows.read_round(tuple(row))
        if page is None:
            yield _Fault("rounds", rowid, session_id, "rounds without a number")
            continue
        hits, record = (session_rows.read_json(text) for text in row[3:5])
        if hits != [list(hit) for hit in page.hits]:
            kept: dict[str, object] = {"hits": json.dumps(page.hits)}
            yield _Fault("rounds", rowid, session_id, "rounds with hits that are none", kept)
        if session_rows.record_problems(record):
            kept = {"record": json.dumps(page.record)}
            yield _Fault("rounds", rowid, session_id, "rounds that say odd things", kept)
        if page.strategy not in _STRATEGIES:
            kept = {"strategy": "none"}
            yield _Fault("rounds", rowid, session_id, "rounds of an unknown strategy", kept)


def _judgement_faults(ask: _Ask) -> Iterator[_Fault]:
    columns = (
        f"rowid, session_id, {session_rows.JUDGEMENT}, typeof(caption),"
        " crop IS NOT NULL AND typeof(crop) <> 'blob'"
    )
    for rowid, session_id, *row, kind, is_odd in ask(f"SELECT {columns} FROM judgements"):
        whole = session_rows.read_judgement(tuple(row))
        judgement = whole
        if isinstance(whole, str):  # a vector that is none can be made again
            judgement = session_rows.read_judgement((*row[:8], None, row[9]))
        if isinstance(judgement, str) or judgement.image_id < 0:
            yield _Fault("judgements", rowid, session_id, "judgements that cannot be read")
            continue
        mend: dict[str, object] = {}
        if isinstance(whole, str) or is_odd:
            mend["crop"] = None
        if row[5] is not None and not is_text(row[5], kind):
            mend["caption"] = judgement.caption
        if row[6] not in (b"person", b"captioner"):
            mend["caption_by"] = judgement.caption_by
        if row[3] not in (0, 1):
            mend["relevant"] = judgement.relevant
        for column, value in mend.items():
            fault = f"judgements with a {column} that is none"
            yield _Fault("judgements", rowid, session_id, fault, {column: value})


def _faults(ask: _Ask) -> Iterator[_Fault]:
    """Every row with a value that no session file may have."""
    for faults in (_session_faults, _round_faults, _judgement_faults):
        yield from faults(ask)


def faulty_rows(ask: _Ask) -> list[tuple[str, int]]:
    """Table and rowid of every row of sessions that `mend_sessions` would change."""
    rows = [(fault.table, fault.rowid) for fault in _faults(ask)]
    for rule in _RULES:
        broken = ask(f"SELECT rowid FROM {rule.table} WHERE {rule.broken}")
        rows += [(rule.table, rowid) for (rowid,) in broken]
    return list(dict.fromkeys(rows))


def check_sessions(catalog: Catalog, report: CheckReport) -> None:
    """Adds what is wrong with the sessions of a catalog.

    Raises:
        LibraryFormatError: when the catalog cannot be read.
    """
    if not _has(catalog.ask, "judgements"):
        return
    for table in _TABLES:
        catalog.ask(f"SELECT session_id FROM {table}")  # a damaged text raises here
    for rule in _RULES:
        rows = catalog.ask(f"SELECT session_id FROM {rule.table} WHERE {rule.broken}")
        if rows:
            where = sorted({f"session {row[0]}" for row in rows})
            repair = f"set {rule.mend.split('=')[0].strip()} anew" if rule.mend else "take them out"
            report.find("bad_session", _told(len(rows), rule.fault), where, repair, n=len(rows))
    alike: dict[tuple[str, str], list[_Fault]] = defaultdict(list)
    for fault in _faults(catalog.ask):
        alike[fault.fault, fault.repair].append(fault)
    for (message, repair), faults in alike.items():
        where = sorted({f"session {fault.session_id}" for fault in faults})
        report.find("bad_session", _told(len(faults), message), where, repair, n=len(faults))
    _note_rows(catalog, report)
    report.counts["sessions"] = int(str(catalog.ask("SELECT count(*) FROM sessions")[0][0]))


def _told(n: int, fault: str) -> str:
    """How many rows have a fault, which begins with what they are: "rounds of no session"."""
    rows, rest = fault.split(" ", maxsplit=1)
    return f"{counted(n, rows.removesuffix('s'))} {rest}"


def _note_rows(catalog: Catalog, report: CheckReport) -> None:
    """What is no damage, and no good either."""
    empty = catalog.ask(f"SELECT session_id FROM sessions WHERE {_EMPTY}")
    if empty:
        sessions = counted(len(empty), "session")
        message = f"{sessions} without a page, begun and no more"
        report.note("empty_session", message, len(empty), "take them out")
    tables = [name for name in ("images", "tombstones", "dropped") if _has(catalog.ask, name)]
    known = " UNION ".join(f"SELECT image_id FROM {name}" for name in tables)
    lost = catalog.ask(f"SELECT session_id FROM judgements WHERE image_id NOT IN ({known})")
    if lost:
        judgements = counted(len(lost), "judgement")
        message = f"{judgements} of images that are not there: they count for nothing"
        where = sorted({f"session {row[0]}" for row in lost})
        report.note("lost_image", message, len(lost), "nothing; undo or remove them", where)


def _has(ask: _Ask, table: str) -> bool:
    return bool(ask(f"SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '{table}'"))


def mend_sessions(db: sqlite3.Connection) -> list[str]:
    """Takes out or mends rows until nothing is wrong any more. Inside a transaction.

    Returns:
        What was done.
    """
    n_done: dict[tuple[str, str], int] = defaultdict(int)
    while True:
        before = sum(n_done.values())
        for rule in _RULES:
            verb = f"UPDATE {rule.table} SET {rule.mend}" if rule.mend else (
                f"DELETE FROM {rule.table}"
            )  # fmt: skip
            n_rows = db.execute(f"{verb} WHERE {rule.broken}").rowcount
            n_done["mended" if rule.mend else "took out", rule.fault] += n_rows
        for fault in list(_faults(lambda sql: db.execute(sql).fetchall())):
            _mend(db, fault)
            n_done["took out" if fault.mend is None else "mended", fault.fault] += 1
        n_rows = db.execute(f"DELETE FROM sessions WHERE {_EMPTY}").rowcount
        n_done["took out", "sessions without a page"] += n_rows
        if sum(n_done.values()) == before:
            return [f"{did} {_told(n, fault)}" for (did, fault), n in n_done.items() if n]


def _mend(db: sqlite3.Connection, fault: _Fault) -> None:
    if fault.mend is None:
        db.execute(f"DELETE FROM {fault.table} WHERE rowid = ?", (fault.rowid,))
        return
    sets = ", ".join(f"{column} = ?" for column in fault.mend)
    sql = f"UPDATE {fault.table} SET {sets} WHERE rowid = ?"
    db.execute(sql, (*fault.mend.values(), fault.rowid))
