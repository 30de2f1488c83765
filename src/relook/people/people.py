"""Everything that a server asks the file of people. Layer: people."""

import collections
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from relook.core.errors import RelookError, SignInError, TriesError
from relook.people.accounts import Accounts
from relook.people.passes import Passes
from relook.people.passwords import Passwords, name_key
from relook.people.people_file import PeopleFile
from relook.people.rights import Who

_LOG = logging.getLogger(__name__)
_BY_NAME, _BY_ADDRESS = 10, 50
_WINDOW_S = 900.0
_REMEMBERED = 10_000


class Tries:
    """Counts failed tries by name and by address, in memory; a try counts before it is made.

    Many at once therefore get no more tries than one after the other.

    Args:
        clock: Seconds, monotonic.
        by_name, by_address: How many within a quarter of an hour.
    """

    def __init__(
        self, clock: Callable[[], float], by_name: int = _BY_NAME, by_address: int = _BY_ADDRESS
    ) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._most = {"name": by_name, "address": by_address}
        self._tries: collections.OrderedDict[tuple[str, str], list[float]] = (
            collections.OrderedDict()
        )

    def begin(self, name: str, address: str) -> None:
        """Counts a try.

        Raises:
            TriesError: `too_many_tries`; it was not counted then.
        """
        keys = (("name", name), ("address", address))
        with self._lock:
            recent = {key: self._recent(key) for key in keys}
            for key, times in recent.items():
                if len(times) >= self._most[key[0]]:
                    raise TriesError(
                        "too_many_tries",
                        "there were too many tries with a wrong name or password",
                        "wait a quarter of an hour, then try again",
                    )
            now = self._clock()
            for key, times in recent.items():
                self._tries[key] = [*times, now]
                self._tries.move_to_end(key)
            while len(self._tries) > _REMEMBERED:
                self._tries.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """Forgets the tries of a name, and the last one of an address."""
        with self._lock:
            self._tries.pop(("name", name), None)
            times = self._tries.get(("address", address), [])
            if times:
                times.pop()

    def _recent(self, key: tuple[str, str]) -> list[float]:
        since = self._clock() - _WINDOW_S
        return [at for at in self._tries.get(key, ()) if at > since]


class People:
    """The people of a server, or of a command.

    A server that has seen somebody asks for a sign-in from then on, until it is started again: a
    file that is taken away opens nothing.

    Args:
        path: The file, which need not be there.
        clock: Seconds since 1970.
        monotonic: Seconds, for the counting of tries.
        passwords: Makes and checks hashes.

    `have_been_seen` tells whether `are_there` was ever true.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        passwords: Passwords | None = None,
    ) -> None:
        self.file = PeopleFile(path, clock)
        passwords = passwords or Passwords()
        self.accounts = Accounts(self.file, passwords)
        self.passes = Passes(self.file, passwords)
        self.tries = Tries(monotonic)
        self.have_been_seen = False

    def may_be_there(self) -> bool:
        """Whether it is worth asking `are_there`; looks only whether there is a file."""
        return self.have_been_seen or self.file.exists()

    def are_there(self) -> bool:
        """Whether somebody has to sign in.

        Raises:
            StorageError: `people_unreadable`.
        """
        self.have_been_seen = self.have_been_seen or self.accounts.any()
        return self.have_been_seen

    def links_open(self) -> bool:
        """Whether a link opens anything: where nobody has to sign in, none is looked at.

        Raises:
            StorageError: `people_unreadable`.
        """
        return self.may_be_there() and self.are_there()

    def who(self, session: str | None, link: str | None) -> Who | None:
        """Who shows these tokens; None for nobody. A person with a link sees what it shows, too."""
        person = self.passes.of_session(session) if session else None
        guest = self.passes.of_link(link) if link else None
        if person is None or guest is None:
            return person or guest
        more = {lib: right for lib, right in guest.rights.items() if not person.right(lib)}
        return replace(person, rights={**person.rights, **more})

    def sign_in(self, name: str, password: str, address: str) -> str:
        """Begins a session; returns its token.

        Raises:
            SignInError: `bad_sign_in`, for a wrong name as for a wrong password.
            TriesError: after too many of them.
        """
        key = name_key(name)
        self.tries.begin(key, address)  # what it refuses is not logged: a flood would fill the log
        user_id = self.accounts.authenticate(name, password)
        if user_id is None:
            self._note_try(name, address, "refused: wrong name or password")
            raise SignInError(
                "bad_sign_in",
                "there is nobody of this name with this password",
                "check both; capitals of the name do not matter, those of the password do",
            )
        self.tries.succeeded(key, address)
        token = self.passes.begin(user_id)
        self._note_try(name, address, "done")
        return token

    def accept(self, invitation: str, name: str, password: str, address: str) -> str:
        """As `Passes.accept`, logged. Its tries need no count: nobody guesses 256 bits.

        Raises:
            InputError: when it is refused.
        """
        token = self.passes.accept(invitation, name, password)
        self._note_try(name, address, "done", "accept invitation")
        return token

    def note(self, who: str, address: str, what: str, library_id: str, outcome: str) -> None:
        """Adds a line to the log; what cannot be written goes to the server's own log."""
        try:
            self.file.write_line(who, address, what, library_id, outcome)
        except RelookError:
            _LOG.exception("%s by %s is not in the log of people", what, who)

    def close(self) -> None:
        """Closes the file; closing twice is fine."""
        self.file.close()

    def _note_try(self, name: str, address: str, outcome: str, what: str = "sign-in") -> None:
        """Only names that there are: a password typed into the other field is not kept."""
        self.note(self.accounts.known(name) or "somebody", address, what, "", outcome)
