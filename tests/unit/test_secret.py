"""A key shows itself nowhere, and is found in the environment or a keyring."""

import copy
import json
import pickle
import sys
import types
from importlib.machinery import ModuleSpec

import pytest

from relook.core.secret import Secret, find_secret

KEY = "s3cr3t/with+odd chars"


def test_nothing_shows_the_key() -> None:
    secret = Secret(KEY, "$A_KEY")
    assert secret.reveal() == KEY
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", repr({"key": secret})):
        assert KEY not in shown
    for write in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="never written"):
            write(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_scrubbing_takes_every_form_of_the_key() -> None:
    secret = Secret(KEY)
    told = secret.scrub(
        f"GET /?key={KEY} /?key=s3cr3t%2Fwith%2Bodd%20chars /?key=s3cr3t%2Fwith%2Bodd+chars"
    )
    assert told == "GET /?key=**** /?key=**** /?key=****"
    assert Secret("").scrub("text") == "text"


def test_the_environment_comes_first_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    _keyring(monkeypatch, "of the keyring")
    environ = {"SECOND": " two ", "FIRST": ""}
    found = find_secret("service", ["FIRST", "SECOND"], environ)
    assert found is not None
    assert (found.reveal(), found.origin) == ("two", "$SECOND")


def test_the_keyring_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    _keyring(monkeypatch, "of the keyring")
    found = find_secret("service", ["FIRST"], {})
    assert found is not None
    assert (found.reveal(), found.origin) == ("of the keyring", "keyring relook/service")


@pytest.mark.parametrize("stored", [None, "", "locked"])
def test_no_key_and_a_locked_keyring_are_no_error(
    stored: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keyring(monkeypatch, stored)
    assert find_secret("service", ["FIRST"], {}) is None


def _keyring(monkeypatch: pytest.MonkeyPatch, stored: str | None) -> None:
    """A keyring with one entry; "locked" is one that cannot be read."""
    module, errors = types.ModuleType("keyring"), types.ModuleType("keyring.errors")

    class KeyringError(Exception):
        pass

    def get_password(service: str, user: str) -> str | None:
        assert (service, user) == ("relook", "service")
        if stored == "locked":
            raise KeyringError
        return stored

    module.get_password, errors.KeyringError = get_password, KeyringError  # type: ignore[attr-defined]
    module.errors = errors  # type: ignore[attr-defined]
    module.__spec__ = ModuleSpec("keyring", None)
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
