"""Sessions, rounds and judgements in the catalog. Layer: library.

Rows in, rows out: what a session means is the search layer's business.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np

from relook.core.errors import LibraryBusyError, NotFoundError
from relook.core.types import Box
from relook.library import session_rows
from relook.library.catalog import Catalog
from relook.library.session_values import (
    Judgement,
    RoundRow,
    SessionRow,
    SessionRows,
    page_name,
)
from relook.library.tombstones import sweep_tombstones

SESSIONS = """
CREATE TABLE IF NOT EXISTS sessions (
    session_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    query TEXT NOT NULL,
    current_round INTEGER NOT NULL,
    created_s REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS rounds (
    session_id TEXT NOT NULL REFERENCES sessions,
    number INTEGER NOT NULL,
    parent INTEGER,
    strategy TEXT NOT NULL,
    hits TEXT NOT NULL,
    record TEXT NOT NULL,
    created_s REAL NOT NULL,
    PRIMARY KEY (session_id, number)
);
CREATE TABLE IF NOT EXISTS judgements (
    judgement_id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL REFERENCES sessions,
    round INTEGER NOT NULL,
    image_id INTEGER NOT NULL,
    relevant INTEGER NOT NULL,
    box TEXT,
    caption TEXT,
    caption_by TEXT NOT NULL,
    weight REAL NOT NULL,
    crop BLOB,
    led_to INTEGER
);
CREATE INDEX IF NOT EXISTS judgements_session ON judgements (session_id);
"""
"""The tables of sessions, as SQL."""
_TIMES = """
CREATE TABLE IF NOT EXISTS mark_times (
    judgement_id INTEGER PRIMARY KEY,
    made_s REAL NOT NULL
)
"""
_UNDONE = """
CREATE TABLE IF NOT EXISTS undone_steps (
    undo_id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    step TEXT NOT NULL
)
"""


class SessionTable:
    """The sessions of one library.

    Args:
        catalog: Open for writing; the tables are made when they are missing.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        if not catalog.ask("SELECT 1 FROM sqlite_master WHERE name = 'judgements'"):
            with catalog.transaction() as db:
                for statement in SESSIONS.split(";"):
                    db.execute(statement)

    def together(self) -> AbstractContextManager[Any]:
        """Makes every change inside the block one: all of them, or none after a stop."""
        return self._catalog.transaction()

    def create(self, session_id: str, name: str, query: dict[str, Any]) -> None:
        """Adds a session that has no round yet."""
        with self._catalog.transaction() as db:
            row = (session_id, name, json.dumps(query), 0, time.time())
            db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", row)

    def version(self) -> tuple[int, int]:
        """Another value after every change of the catalog, here or by another process."""
        return self._catalog.version()

    def get(self, session_id: str) -> SessionRow:
        """A session's own line; see `read`."""
        return self.read(session_id).row

    def read(self, session_id: str) -> SessionRows:
        """All of one session; its line is on its last round where the current one is not there.

        Raises:
            NotFoundError: `no_session`.
        """
        rows = self._sessions("WHERE session_id = ?", session_id)
        if not rows:
            raise NotFoundError(
                "no_session",
                f"this library has no session {session_id!r}",
                "relook session list shows them; sessions belong to one library",
            )
        rounds = tuple(self.rounds(session_id))
        judged = self._judgements(session_id)
        return SessionRows(
            _on_a_round(rows[0], [row.number for row in rounds]),
            rounds,
            tuple(item for item in judged if isinstance(item, Judgement)),
            tuple(item for item in judged if isinstance(item, str)),
        )

    def all(self) -> list[SessionRow]:
        """Every session, newest first."""
        return self._sessions("ORDER BY created_s DESC, session_id")

    def _sessions(self, which: str, *values: object) -> list[SessionRow]:
        sql = f"SELECT {session_rows.SESSION} FROM sessions {which}"
        return [session_rows.read_session(row) for row in self._catalog.ask(sql, values)]

    def rename(self, session_id: str, name: str) -> None:
        """Gives a session another name."""
        with self._catalog.transaction() as db:
            db.execute("UPDATE sessions SET name = ? WHERE session_id = ?", (name, session_id))

    def delete(self, session_id: str) -> None:
        """Removes a session with its rounds and judgements."""
        with self._catalog.transaction() as db:
            undone = ("undone_steps",) if self._has("undone_steps") else ()
            if self._has("mark_times"):
                marks = "SELECT judgement_id FROM judgements WHERE session_id = ?"
                sql = f"DELETE FROM mark_times WHERE judgement_id IN ({marks})"
                db.execute(sql, (session_id,))
            for table in (*undone, "judgements", "rounds", "sessions"):
                db.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))
            sweep_tombstones(db)

    def go(self, session_id: str, number: int) -> None:
        """Makes a round the current one."""
        with self._catalog.transaction() as db:
            values = (number, session_id)
            db.execute("UPDATE sessions SET current_round = ? WHERE session_id = ?", values)

    def add_round(self, session_id: str, row: RoundRow) -> RoundRow:
        """Adds a round, makes it the current one, and gives it its parent's waiting judgements.

        Returns:
            The round as it is read back.

        Raises:
            LibraryBusyError: `session_busy` when another process has just added this round.
        """
        values = (
            session_id, row.number, row.parent, row.strategy,
            json.dumps(row.hits), json.dumps(row.record),
            time.time() if row.made_s is None else row.made_s,
        )  # fmt: skip
        with self._catalog.transaction() as db:
            if db.execute(
                "SELECT 1 FROM rounds WHERE session_id = ? AND number = ?", values[:2]
            ).fetchone():
                raise LibraryBusyError(
                    "session_busy",
                    f"another process has just added {page_name(row.number)} to this session",
                    "look at the session as it is now, and do it again",
                )
            db.execute("INSERT INTO rounds VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            now = (row.number, session_id)
            db.execute("UPDATE sessions SET current_round = ? WHERE session_id = ?", now)
            db.execute(
                "UPDATE judgements SET led_to = ?"
                " WHERE session_id = ? AND round = ? AND led_to IS NULL",
                (row.number, session_id, row.parent),
            )
        strategy, hits, record = (text.encode() for text in values[3:6])
        is_first = row.parent is None
        kept = session_rows.read_round(
            (row.number, row.parent, strategy, hits, record, is_first, values[6])
        )
        assert kept is not None  # it has a number
        return kept

    def rounds(self, session_id: str) -> list[RoundRow]:
        """The rounds of a session by number; each says what of it cannot be read."""
        sql = f"SELECT {session_rows.ROUND} FROM rounds WHERE session_id = ? ORDER BY number"
        rounds = [session_rows.read_round(row) for row in self._catalog.ask(sql, (session_id,))]
        return [row for row in rounds if row is not None]

    def judgements(self, session_id: str) -> list[Judgement]:
        """The judgements of a session that can be read, oldest first."""
        return [item for item in self._judgements(session_id) if isinstance(item, Judgement)]

    def _judgements(self, session_id: str) -> list[Judgement | str]:
        sql = (
            f"SELECT {session_rows.JUDGEMENT} FROM judgements WHERE session_id = ?"
            " ORDER BY judgement_id"
        )
        items = [session_rows.read_judgement(row) for row in self._catalog.ask(sql, (session_id,))]
        if not self._has("mark_times"):
            return items
        sql = (
            "SELECT judgement_id, made_s FROM mark_times JOIN judgements USING (judgement_id)"
            " WHERE session_id = ? AND typeof(made_s) = 'real'"
        )
        times = {at: float(str(made_s)) for at, made_s in self._catalog.ask(sql, (session_id,))}
        return [
            item if isinstance(item, str) else replace(item, made_s=times.get(item.judgement_id))
            for item in items
        ]

    def put(self, session_id: str, judgements: Sequence[Judgement]) -> list[int]:
        """Adds judgements (id 0) or replaces them; all or none.

        Returns:
            Their ids.
        """
        ids, now_s = [], time.time()
        sql = "INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        with self._catalog.transaction() as db:
            db.execute(_TIMES)
            for judgement in judgements:
                values = (
                    judgement.judgement_id or None, session_id, judgement.round,
                    judgement.image_id, judgement.relevant, _stored(judgement.box),
                    judgement.caption, judgement.caption_by, judgement.weight,
                    _stored(judgement.crop), judgement.led_to,
                )  # fmt: skip
                ids.append(int(db.execute(sql, values).lastrowid or 0))
            times = [
                (judgement_id, now_s if judgement.made_s is None else judgement.made_s)
                for judgement_id, judgement in zip(ids, judgements, strict=True)
            ]
            db.executemany("INSERT OR REPLACE INTO mark_times VALUES (?, ?)", times)
        return ids

    def change(
        self,
        session_id: str,
        judgement_id: int,
        values: Mapping[str, object],
        expected: Mapping[str, object] | None = None,
    ) -> bool:
        """Changes columns of one judgement, in one step as others see it.

        Args:
            session_id: The session.
            judgement_id: The judgement.
            values: Column -> new value.
            expected: Column -> value it must have; nothing is changed where one differs.

        Returns:
            Whether it was changed.
        """
        if not values:
            return False
        sets = ", ".join(f"{name} = ?" for name in values)
        wanted = "".join(f" AND {name} IS ?" for name in expected or ())
        sql = f"UPDATE judgements SET {sets} WHERE session_id = ? AND judgement_id = ?{wanted}"
        bound = [*map(_stored, values.values()), session_id, judgement_id]
        with self._catalog.transaction() as db:
            done = db.execute(sql, [*bound, *map(_stored, (expected or {}).values())])
            return done.rowcount > 0

    def remove_judgement(self, session_id: str, judgement_id: int) -> bool:
        """Takes one judgement back, readable or not; whether it was there."""
        with self._catalog.transaction() as db:
            values = (session_id, judgement_id)
            sql = "DELETE FROM judgements WHERE session_id = ? AND judgement_id = ?"
            was_there = db.execute(sql, values).rowcount > 0
            if was_there and self._has("mark_times"):
                db.execute("DELETE FROM mark_times WHERE judgement_id = ?", (judgement_id,))
            return was_there

    def put_undone(self, session_id: str, step: Mapping[str, Any]) -> None:
        """Keeps a step that was taken back, on top of the others."""
        with self._catalog.transaction() as db:
            db.execute(_UNDONE)
            values = (session_id, json.dumps(step))
            db.execute("INSERT INTO undone_steps (session_id, step) VALUES (?, ?)", values)

    def last_undone(self, session_id: str) -> tuple[int, dict[str, Any]] | None:
        """The step that was taken back last, with its number; None where none can be read."""
        if not self._has("undone_steps"):
            return None
        sql = (
            "SELECT undo_id, CAST(step AS BLOB) FROM undone_steps WHERE session_id = ?"
            " ORDER BY undo_id DESC LIMIT 1"
        )
        for undo_id, step in self._catalog.ask(sql, (session_id,)):
            values = session_rows.read_json(step if isinstance(step, bytes) else None)
            if isinstance(values, dict):
                return int(str(undo_id)), values
        return None

    def drop_undone(self, session_id: str, undo_id: int | None = None) -> None:
        """Forgets a step that was taken back; all of a session when no number is given."""
        if not self._has("undone_steps"):
            return
        with self._catalog.transaction() as db:
            which = "" if undo_id is None else " AND undo_id = ?"
            values = (session_id,) if undo_id is None else (session_id, undo_id)
            db.execute(f"DELETE FROM undone_steps WHERE session_id = ?{which}", values)

    def _has(self, table: str) -> bool:
        return bool(self._catalog.ask("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)))


def _on_a_round(row: SessionRow, numbers: Sequence[int]) -> SessionRow:
    """The session's line, on its last round where the current one is not there."""
    problems = []
    if 0 not in numbers:
        problems.append("its first page is not there" if numbers else "it has no page")
    number = row.current_round
    if numbers and number not in numbers:
        number = numbers[-1]
        lost = page_name(row.current_round)
        problems.append(f"its current page, {lost}, is not there; this is {page_name(number)}")
    if not problems:
        return row
    return replace(
        row,
        current_round=number if numbers else 0,
        problems=(*row.problems, *problems),
        is_whole=row.is_whole and 0 in numbers,
    )


def _stored(value: object) -> object:
    """A value as its column holds it."""
    if isinstance(value, Box):
        return json.dumps(value.as_list())
    return value.astype(np.float32).tobytes() if isinstance(value, np.ndarray) else value
