"""Keys of services: found in the environment or a keyring, shown nowhere. Layer: core."""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from urllib.parse import quote, quote_plus

KEYRING_SERVICE = "relook"


class Secret:
    """A key that does not show itself: its text, its repr and its pickle are not the key.

    Args:
        value: The key.
        origin: Where it was found ("$SERPAPI_API_KEY"), for people.
    """

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: str = "") -> None:
        self._value = value
        self.origin = origin

    def reveal(self) -> str:
        """The key itself, for the request that needs it and for nothing else."""
        return self._value

    def scrub(self, text: str) -> str:
        """The text with every copy of the key, also in URL form, replaced by stars."""
        value = self._value
        if not value:
            return text
        for form in (value, quote(value, safe=""), quote_plus(value)):
            text = text.replace(form, "****")
        return text

    def __repr__(self) -> str:
        return "Secret('****')"

    __str__ = __repr__

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a key is never written anywhere")


def find_secret(
    name: str, variables: Sequence[str], environ: Mapping[str, str] | None = None
) -> Secret | None:
    """Looks for a key: the environment first, then the system's keyring if it can be read.

    Args:
        name: The user name under which the keyring has it (`keyring set relook NAME`).
        variables: Environment variables, the first that is set counts.
        environ: The environment; this process's own when None.

    Returns:
        The key, or None when there is none.
    """
    environ = os.environ if environ is None else environ
    for variable in variables:
        if value := environ.get(variable, "").strip():
            return Secret(value, f"${variable}")
    if importlib.util.find_spec("keyring") is None:
        return None
    import keyring
    from keyring.errors import KeyringError

    try:
        stored = keyring.get_password(KEYRING_SERVICE, name)
    except KeyringError:  # no keyring on this machine, or it is locked
        return None
    return Secret(stored, f"keyring {KEYRING_SERVICE}/{name}") if stored else None
