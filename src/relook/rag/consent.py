"""Which services a picture of this machine may be sent to. Layer: rag.

A picture without a public address goes to a third party only after the person agreed, for that
service by name. A small file in the person's configuration folder keeps the agreement, which can
be taken back. This module sends nothing.
"""

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

from relook.core.errors import StorageError
from relook.core.user_folders import config_folder


def default_consent_file() -> Path:
    """Where agreements are kept: `$RELOOK_CONFIG/consent.json`, or one place per user."""
    return config_folder() / "consent.json"


class Consent:
    """Agreements of one person.

    Args:
        file: Where they are kept; the per-user file when None.
        once: Services that this object alone agrees to; the file does not get them.
        remember: Of those, the services that the file gets when a picture went to them and they
            answered: a request that failed agrees to nothing.
    """

    def __init__(
        self, file: Path | None = None, once: Iterable[str] = (), remember: Iterable[str] = ()
    ) -> None:
        self.file = default_consent_file() if file is None else file
        self.once = frozenset(once)
        self._remember = frozenset(remember)

    def allows(self, provider: str) -> bool:
        """Whether pictures of this machine may go to this service."""
        return provider in self.once or provider in self.given()

    def given(self) -> dict[str, str]:
        """Remembered services, with the day of each agreement. A damaged file agrees to none."""
        try:
            values = json.loads(self.file.read_bytes())
            return {str(name): str(day) for name, day in dict(values["upload"]).items()}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def allow(self, provider: str) -> None:
        """Remembers an agreement.

        Raises:
            StorageError: when it cannot be written.
        """
        self._write({**self.given(), provider: time.strftime("%Y-%m-%d")})

    def was_used(self, service: str) -> str:
        """Remembers an agreement that was given for this question, now that it was used.

        Args:
            service: What a picture went to, and what answered.

        Returns:
            A note for the person; empty when nothing is new.

        Raises:
            StorageError: when it cannot be written.
        """
        if service not in self._remember or service in self.given():
            return ""
        self.allow(service)
        return (
            f"from now on {service} may get pictures of this machine; to take that back:"
            f" relook consent --revoke {service}"
        )

    def revoke(self, provider: str) -> bool:
        """Takes an agreement back.

        Returns:
            Whether there was one.

        Raises:
            StorageError: when that cannot be written.
        """
        given = self.given()
        if given.pop(provider, None) is None:
            return False
        self._write(given)
        return True

    def _write(self, given: dict[str, str]) -> None:
        draft = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps({"upload": given}, indent=2) + "\n", encoding="utf-8")
            draft.replace(self.file)
        except OSError as error:
            raise StorageError(
                "not_written",
                f"{self.file} cannot be written: {error.strerror or error}",
                "set RELOOK_CONFIG to a folder that can be",
            ) from error
