"""Sessions of people who signed in, invitations, links to a library or an album. Layer: people.

Each is a random token of which only a digest is kept, and each ends.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from relook.core.converter import JsonValue
from relook.core.errors import InputError, NotFoundError
from relook.people.accounts import add_user, rights_of
from relook.people.passwords import Passwords, digest, new_token
from relook.people.people_file import CONSOLE, PeopleFile
from relook.people.rights import LinkedAlbum, Right, Who

SESSION_S = 30 * 86_400.0
IDLE_S = 14 * 86_400.0
_SEEN_S = 300.0  # how exactly is known when a session was used last
_TABLES = {"invitation": "invitations", "link": "links", "album": "album_links"}
_SESSIONS = 50  # of one person; the oldest go


@dataclass(frozen=True, slots=True)
class Pass(JsonValue):
    """An invitation or a link that has not ended.

    Args:
        name: To end it by: `invitation-3`, `link-2`, `album-1`.
        kind: Which of them.
        rights: What it gives: library or `*` to right; of a link to an album, nothing.
        created_s, ends_s: Seconds since 1970.
        shows: `LIBRARY, album NAME`, of a link to an album.
        made_by: Name of a person, `token`, or `console` for the command line.
    """

    name: str
    kind: Literal["invitation", "link", "album"]
    rights: Mapping[str, str]
    created_s: float
    ends_s: float
    shows: str = ""
    made_by: str = CONSOLE


class Passes:
    """The sessions, invitations and links of a file.

    Args:
        file: Where they are.
        passwords: Of people who accept invitations.
    """

    def __init__(self, file: PeopleFile, passwords: Passwords) -> None:
        self._file, self._passwords = file, passwords

    def begin(self, user_id: int) -> str:
        """A new session of somebody; returns its token, which is kept nowhere."""
        token = new_token()
        with self._file.change() as connection:
            _begin(connection, user_id, token, self._file.clock())
        return token

    def end(self, session: bytes) -> None:
        """Ends a session; a second time is fine."""
        with self._file.change() as connection:
            connection.execute("DELETE FROM sessions WHERE digest = ?", (session,))

    def of_session(self, token: str) -> Who | None:
        """Whose session a token is of, with the rights of this moment; None when it has ended."""
        now, key = self._file.clock(), digest(token)
        with self._file.read() as connection:
            row = connection.execute(
                "SELECT user_id, name, seen_s FROM sessions JOIN users USING (user_id)"
                " WHERE digest = ? AND ends_s > ? AND seen_s > ? AND NOT is_disabled",
                (key, now, now - IDLE_S),
            ).fetchone()
            if row is None:
                return None
            rights = rights_of(connection, row[0])
        if now - row[2] > _SEEN_S:
            with self._file.change() as connection:
                connection.execute("UPDATE sessions SET seen_s = ? WHERE digest = ?", (now, key))
        return Who("person", str(row[1]), rights, key)

    def of_link(self, token: str) -> Who | None:
        """What a link shows; None when it has ended."""
        with self._file.read() as connection:
            row = connection.execute(
                "SELECT pass_id, library_id FROM links WHERE digest = ? AND ends_s > ?",
                (digest(token), self._file.clock()),
            ).fetchone()
        return None if row is None else Who("link", f"link {row[0]}", {row[1]: Right.VIEW})

    def of_album_link(self, token: str) -> Who | None:
        """What a link to an album shows; None when it has ended. It gives no right to a library."""
        with self._file.read() as connection:
            row = connection.execute(
                "SELECT pass_id, library_id, album, ends_s FROM album_links"
                " WHERE digest = ? AND ends_s > ?",
                (digest(token), self._file.clock()),
            ).fetchone()
        if row is None:
            return None
        return Who("link", f"album {row[0]}", album=LinkedAlbum(row[1], row[2], row[3]))

    def invite(self, rights: Mapping[str, Right], lasts_s: float) -> tuple[Pass, str]:
        """An invitation for one person, and its token."""
        words = {library_id: right.word for library_id, right in rights.items()}
        token, now = new_token(), self._file.clock()
        with self._file.change() as connection:
            cursor = connection.execute(
                "INSERT INTO invitations (digest, rights, created_s, ends_s) VALUES (?, ?, ?, ?)",
                (digest(token), json.dumps(words), now, now + lasts_s),
            )
        name = f"invitation-{cursor.lastrowid}"
        return Pass(name, "invitation", words, now, now + lasts_s), token

    def accept(self, token: str, name: str, password: str) -> str:
        """Makes a person of an invitation, which ends with it; returns the token of a session.

        Raises:
            InputError: `no_invitation` when it was used or has ended; `bad_name`, `name_taken`,
                `bad_password`.
        """
        now = self._file.clock()
        with self._file.read() as connection:
            _invitation(connection, token, now)  # before a hash is paid for
        kept, session = self._passwords.hash(password), new_token()
        with self._file.change() as connection:
            pass_id, words = _invitation(connection, token, now)
            connection.execute("DELETE FROM invitations WHERE pass_id = ?", (pass_id,))
            rights = {library_id: Right[word.upper()] for library_id, word in words.items()}
            _begin(connection, add_user(connection, name, kept, rights, now), session, now)
        return session

    def share(self, library_id: str, lasts_s: float, made_by: str = CONSOLE) -> tuple[Pass, str]:
        """A link that shows a library to whoever has it, and its token."""
        token, now = new_token(), self._file.clock()
        with self._file.change() as connection:
            cursor = connection.execute(
                "INSERT INTO links (digest, library_id, created_s, ends_s, made_by)"
                " VALUES (?, ?, ?, ?, ?)",
                (digest(token), library_id, now, now + lasts_s, made_by),
            )
        return _of_library(cursor.lastrowid, library_id, now, now + lasts_s, made_by), token

    def share_album(
        self, library_id: str, album: str, lasts_s: float, made_by: str = CONSOLE
    ) -> tuple[Pass, str]:
        """A link that shows the pictures of one album to whoever has it, and its token."""
        token, now = new_token(), self._file.clock()
        with self._file.change() as connection:
            cursor = connection.execute(
                "INSERT INTO album_links (digest, library_id, album, created_s, ends_s, made_by)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (digest(token), library_id, album, now, now + lasts_s, made_by),
            )
        row = (cursor.lastrowid, library_id, album, now, now + lasts_s, made_by)
        return _of_album(*row), token

    def all(self) -> list[Pass]:
        """The invitations and links that have not ended, the next to end first."""
        with self._file.read() as connection:
            invitations = connection.execute(
                "SELECT pass_id, rights, created_s, ends_s FROM invitations WHERE ends_s > ?",
                (self._file.clock(),),
            ).fetchall()
            links = self._links(connection)
        passes = [
            Pass(f"invitation-{number}", "invitation", json.loads(rights), created_s, ends_s)
            for number, rights, created_s, ends_s in invitations
        ]
        passes += [made for _, made, _ in links]
        return sorted(passes, key=lambda each: each.ends_s)

    def links(self, library_id: str) -> list[tuple[Pass, str]]:
        """The links of one library that have not ended, the next to end first.

        Beside each stands the name of its album; empty for the whole library.
        """
        with self._file.read() as connection:
            links = self._links(connection)
        of_it = [(made, album) for shown, made, album in links if shown == library_id]
        return sorted(of_it, key=lambda link: link[0].ends_s)

    def _links(self, connection: sqlite3.Connection) -> list[tuple[str, Pass, str]]:
        """Library, link, and name of the album, of each link that has not ended."""
        now = self._file.clock()
        whole = connection.execute(
            "SELECT pass_id, library_id, created_s, ends_s, made_by FROM links WHERE ends_s > ?",
            (now,),
        ).fetchall()
        albums = connection.execute(
            "SELECT pass_id, library_id, album, created_s, ends_s, made_by FROM album_links"
            " WHERE ends_s > ?",
            (now,),
        ).fetchall()
        links = [(row[1], _of_library(*row), "") for row in whole]
        return links + [(row[1], _of_album(*row), row[2]) for row in albums]

    def revoke(self, name: str) -> None:
        """Ends an invitation or a link now.

        Raises:
            NotFoundError: `no_pass`.
        """
        kind, _, number = name.partition("-")
        table = _TABLES.get(kind)
        n_gone = 0
        if table is not None and number.isdecimal():
            with self._file.change() as connection:
                cursor = connection.execute(
                    f"DELETE FROM {table} WHERE pass_id = ?", (number[:18],)
                )
                n_gone = cursor.rowcount
        if not n_gone:
            raise NotFoundError(
                "no_pass", f"there is no {name[:100]!r}", "relook user list shows what there is"
            )


def _of_library(
    number: int | None, library_id: str, created_s: float, ends_s: float, made_by: str
) -> Pass:
    rights = {library_id: Right.VIEW.word}
    return Pass(f"link-{number}", "link", rights, created_s, ends_s, made_by=made_by)


def _of_album(
    number: int | None, library_id: str, album: str, created_s: float, ends_s: float, made_by: str
) -> Pass:
    shows = f"{library_id}, album {album}"
    return Pass(f"album-{number}", "album", {}, created_s, ends_s, shows, made_by)


def _begin(connection: sqlite3.Connection, user_id: int, token: str, now_s: float) -> None:
    connection.execute("DELETE FROM sessions WHERE ends_s <= ? OR seen_s <= ?",
                       (now_s, now_s - IDLE_S))  # fmt: skip
    connection.execute(
        "INSERT INTO sessions (digest, user_id, created_s, seen_s, ends_s) VALUES (?, ?, ?, ?, ?)",
        (digest(token), user_id, now_s, now_s, now_s + SESSION_S),
    )
    connection.execute(
        "DELETE FROM sessions WHERE user_id = ?1 AND digest NOT IN (SELECT digest FROM sessions"
        " WHERE user_id = ?1 ORDER BY created_s DESC, rowid DESC LIMIT ?2)",
        (user_id, _SESSIONS),
    )


def _invitation(
    connection: sqlite3.Connection, token: str, now_s: float
) -> tuple[int, Mapping[str, str]]:
    row = connection.execute(
        "SELECT pass_id, rights FROM invitations WHERE digest = ? AND ends_s > ?",
        (digest(token), now_s),
    ).fetchone()
    if row is None:
        raise InputError(
            "no_invitation", "this invitation was used, or has ended", "ask for another one"
        )
    return int(row[0]), json.loads(row[1])
