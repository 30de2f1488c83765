"""People by name, with their passwords and rights. Layer: people."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from relook.core.converter import JsonValue
from relook.core.errors import InputError, NotFoundError
from relook.people.passwords import Passwords, clean_name, name_key
from relook.people.people_file import PeopleFile
from relook.people.rights import Right


@dataclass(frozen=True, slots=True)
class Person(JsonValue):
    """Somebody who may sign in.

    Args:
        name: As it is shown.
        rights: Library or `*` to `view`, `mark`, `index` or `none`.
        created_s: When they were added, in seconds since 1970.
        is_disabled: Whether they may not sign in for now.
        n_sessions: Browsers in which they are signed in.
        seen_s: When one of those asked for something last, to some minutes.
    """

    name: str
    rights: Mapping[str, str]
    created_s: float
    is_disabled: bool
    n_sessions: int
    seen_s: float | None


class Accounts:
    """The people of a file.

    Args:
        file: Where they are.
        passwords: Makes and checks hashes.
    """

    def __init__(self, file: PeopleFile, passwords: Passwords) -> None:
        self._file, self._passwords = file, passwords

    def any(self) -> bool:
        """Whether there is anybody."""
        if not self._file.exists():
            return False
        with self._file.read() as connection:
            return connection.execute("SELECT 1 FROM users LIMIT 1").fetchone() is not None

    def all(self) -> list[Person]:
        """Everybody, by name."""
        with self._file.read() as connection:
            rows = connection.execute(
                "SELECT user_id, name, created_s, is_disabled,"
                " (SELECT COUNT(*) FROM sessions WHERE sessions.user_id = users.user_id"
                "  AND ends_s > ?),"
                " (SELECT MAX(seen_s) FROM sessions WHERE sessions.user_id = users.user_id)"
                " FROM users ORDER BY key",
                (self._file.clock(),),
            ).fetchall()
            rights = {row[0]: rights_of(connection, row[0]) for row in rows}
        return [
            Person(
                name, {lib: right.word for lib, right in sorted(rights[user_id].items())},
                created_s, bool(is_disabled), n_sessions, seen_s,
            )
            for user_id, name, created_s, is_disabled, n_sessions, seen_s in rows
        ]  # fmt: skip

    def add(self, name: str, password: str, rights: Mapping[str, Right]) -> int:
        """Adds somebody; the file is made for the first. Returns a number for them.

        Raises:
            InputError: `bad_name`, `bad_password`, `name_taken`.
        """
        kept = self._passwords.hash(password)
        self._file.make()
        with self._file.change() as connection:
            return add_user(connection, name, kept, rights, self._file.clock())

    def remove(self, name: str) -> str:
        """Removes somebody, with their rights and sessions; returns the name.

        Raises:
            NotFoundError: `no_person`.
        """
        with self._file.change() as connection:
            user_id, shown = _user(connection, name)
            connection.execute("DELETE FROM users WHERE user_id = ?", (user_id,))
        return shown

    def set_rights(self, name: str, rights: Mapping[str, Right]) -> str:
        """Changes rights for the libraries that are named; they count at once.

        Raises:
            NotFoundError: `no_person`.
        """
        with self._file.change() as connection:
            user_id, shown = _user(connection, name)
            _put_rights(connection, user_id, rights)
        return shown

    def set_password(self, name: str, password: str) -> str:
        """Changes a password and ends the sessions.

        Raises:
            NotFoundError: `no_person`; InputError: `bad_password`.
        """
        kept = self._passwords.hash(password)
        with self._file.change() as connection:
            user_id, shown = _user(connection, name)
            connection.execute("UPDATE users SET hash = ? WHERE user_id = ?", (kept, user_id))
            connection.execute("DELETE FROM sessions WHERE user_id = ?", (user_id,))
        return shown

    def set_disabled(self, name: str, is_disabled: bool) -> str:
        """Keeps somebody out, with all they have, or lets them in again.

        Raises:
            NotFoundError: `no_person`.
        """
        with self._file.change() as connection:
            user_id, shown = _user(connection, name)
            connection.execute(
                "UPDATE users SET is_disabled = ? WHERE user_id = ?", (is_disabled, user_id)
            )
            connection.execute("DELETE FROM sessions WHERE user_id = ?", (user_id,))
        return shown

    def known(self, name: str) -> str | None:
        """The name as it is shown, of somebody who is there."""
        with self._file.read() as connection:
            row = connection.execute(
                "SELECT name FROM users WHERE key = ?", (name_key(name),)
            ).fetchone()
        return None if row is None else str(row[0])

    def authenticate(self, name: str, password: str) -> int | None:
        """Who has this name and password; nobody is told apart from a wrong password by time."""
        with self._file.read() as connection:
            row = connection.execute(
                "SELECT user_id, hash, is_disabled FROM users WHERE key = ?", (name_key(name),)
            ).fetchone()
        user_id, kept, is_disabled = row or (0, None, 0)
        # Outside of the file's lock: it takes its time.
        if not self._passwords.matches(password, kept) or is_disabled or kept is None:
            return None
        if self._passwords.is_dated(kept):
            with self._file.change() as connection:
                connection.execute(
                    "UPDATE users SET hash = ? WHERE user_id = ? AND hash = ?",
                    (self._passwords.hash(password), user_id, kept),
                )
        return int(user_id)


def add_user(
    connection: sqlite3.Connection, name: str, kept: str, rights: Mapping[str, Right], now_s: float
) -> int:
    """Adds a row for somebody; returns its number.

    Raises:
        InputError: `bad_name`, `name_taken`.
    """
    shown = clean_name(name)
    try:
        cursor = connection.execute(
            "INSERT INTO users (key, name, hash, created_s) VALUES (?, ?, ?, ?)",
            (name_key(shown), shown, kept, now_s),
        )
    except sqlite3.IntegrityError as error:
        raise InputError(
            "name_taken", f"somebody is called {shown!r} already", "take another name"
        ) from error
    user_id = int(cursor.lastrowid or 0)
    _put_rights(connection, user_id, rights)
    return user_id


def rights_of(connection: sqlite3.Connection, user_id: int) -> dict[str, Right]:
    """Library or `*` to right."""
    rows = connection.execute(
        "SELECT library_id, level FROM rights WHERE user_id = ?", (user_id,)
    ).fetchall()
    return {library_id: Right(level) for library_id, level in rows}


def _put_rights(connection: sqlite3.Connection, user_id: int, rights: Mapping[str, Right]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO rights (user_id, library_id, level) VALUES (?, ?, ?)",
        [(user_id, library_id, int(right)) for library_id, right in rights.items()],
    )


def _user(connection: sqlite3.Connection, name: str) -> tuple[int, str]:
    row = connection.execute(
        "SELECT user_id, name FROM users WHERE key = ?", (name_key(name),)
    ).fetchone()
    if row is None:
        raise NotFoundError(
            "no_person", f"nobody is called {name[:100]!r}", "relook user list shows everybody"
        )
    return int(row[0]), str(row[1])
