"""Names, passwords and random tokens, and how they are kept. Layer: people.

Source: RFC 9106 (Argon2), second recommended option, as argon2-cffi has it by default; NIST SP
800-63B, 5.1.1.2 (at least eight characters, no rules of composition, normalised Unicode).
"""

import hashlib
import secrets
import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from relook.core.errors import InputError

MOST_NAME, LEAST_PASSWORD, MOST_PASSWORD = 64, 8, 1000
_STRANGE = ("C", "Z")  # Unicode categories that a name has none of, besides the plain space

_OURS = ("token", "console", "everyone", "nobody", "somebody")  # the log has a use for them


class Passwords:
    """Makes and checks hashes of passwords.

    Args:
        hasher: How costly; tests take a cheap one.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody: str | None = None
        self._lock = threading.Lock()

    def hash(self, password: str) -> str:
        """What is kept of a password.

        Raises:
            InputError: `bad_password`.
        """
        return self._hasher.hash(_bytes(_checked(password)))

    def matches(self, password: str, kept: str | None) -> bool:
        """Whether it is the password; without a hash it takes as long, and is not."""
        with self._lock:  # made before it is known whether it is needed
            if self._nobody is None:
                self._nobody = self._hasher.hash(secrets.token_urlsafe())
        normal = unicodedata.normalize("NFC", password)
        try:
            is_right = self._hasher.verify(kept or self._nobody, _bytes(normal[:MOST_PASSWORD]))
        except (VerificationError, InvalidHashError):
            return False
        return is_right and kept is not None and len(normal) <= MOST_PASSWORD

    def is_dated(self, kept: str) -> bool:
        """Whether a hash was made at another cost than today's."""
        return self._hasher.check_needs_rehash(kept)


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


def _checked(password: str) -> str:
    normal = unicodedata.normalize("NFC", password)
    if not LEAST_PASSWORD <= len(normal) <= MOST_PASSWORD:
        raise InputError(
            "bad_password",
            f"a password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters",
            "take a longer one, a sentence perhaps"
            if len(normal) < LEAST_PASSWORD
            else "take a shorter one",
        )
    return normal


def clean_name(name: str) -> str:
    """A name as it is shown.

    Raises:
        InputError: `bad_name`.
    """
    clean = unicodedata.normalize("NFC", " ".join(name.split()))
    is_odd = any(unicodedata.category(letter)[0] in _STRANGE for letter in clean if letter != " ")
    is_ours = name_key(clean) in _OURS or name_key(clean).startswith("link ")
    if not clean or len(clean) > MOST_NAME or is_odd or is_ours:
        raise InputError(
            "bad_name",
            "a name has 1 to 64 letters, digits or signs, no invisible ones, and is none of the"
            f" words {', '.join(_OURS)}",
            "take another name",
        )
    return clean


def name_key(name: str) -> str:
    """What two spellings of one name share; capitals, composed and wide letters count alike."""
    whole = name.encode("utf-8", "replace").decode()  # half characters are in nobody's name
    folded = unicodedata.normalize("NFKC", " ".join(whole.split())).casefold()
    return unicodedata.normalize("NFKC", folded)


def new_token() -> str:
    """A secret that nobody guesses: 256 bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is kept of a token; one of 256 random bits needs no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
