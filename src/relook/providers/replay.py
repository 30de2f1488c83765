"""Recorded answers: for tests, and for research that others can repeat. Layer: providers.

    recorder = Recorder(provider, "answers.jsonl")     # ask through it once
    provider = ReplayProvider("answers.jsonl")         # later, anywhere, without a network

One JSON object a line: which picture was asked about (by the hash of its bytes, and its
address), with which words, and the whole answer, blocked and empty ones included.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from relook.core.errors import InputError, StorageError
from relook.providers.base import Lookup, Outcome, Provider, ProviderResult, Subject

__all__ = ["FILE_VARIABLE", "Recorder", "ReplayProvider"]

FILE_VARIABLE = "RELOOK_REPLAY_FILE"


class ReplayProvider:
    """Answers from a file; what was not recorded is a failure, never "nothing found".

    Args:
        file: The recording; `$RELOOK_REPLAY_FILE` when None.
        name: What the provider is called in results.

    Raises:
        InputError: `no_recording` without a file, `bad_recording` when it cannot be read.
    """

    remote = False
    takes_files = True
    cost_usd = 0.0

    def __init__(self, file: str | os.PathLike[str] | None = None, name: str = "replay") -> None:
        named = file or os.environ.get(FILE_VARIABLE, "")
        if not named:
            raise InputError(
                "no_recording", "no recording is named", f"set ${FILE_VARIABLE} to a file"
            )
        self.name = name
        self.variant = str(named)
        self._answers = _read(Path(named).expanduser())

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """The last answer recorded for the picture with these words, or with any words."""
        for picture in (subject.content_hash, subject.url):
            for words in (lookup.words, None):
                values = self._answers.get((picture, words)) if picture else None
                if values is not None:
                    result = ProviderResult.from_dict(values)
                    kept = result.matches[: lookup.limit]
                    return replace(result, provider=self.name, matches=kept, sent=(), cost_usd=0.0)
        return ProviderResult(
            self.name,
            Outcome.FAILED,
            message=f"no answer is recorded for {subject.name or subject.content_hash}",
            hint="record one with relook.providers.replay.Recorder",
        )

    def close(self) -> None:
        """Nothing to free."""


class Recorder:
    """A provider that writes down what another one answers.

    Args:
        provider: The one that is asked.
        file: Where answers are appended.
    """

    def __init__(self, provider: Provider, file: str | os.PathLike[str]) -> None:
        self._provider, self._file = provider, Path(file).expanduser()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The other's name."""
        return self._provider.name

    @property
    def remote(self) -> bool:
        """As the other."""
        return self._provider.remote

    @property
    def takes_files(self) -> bool:
        """As the other."""
        return self._provider.takes_files

    @property
    def cost_usd(self) -> float:
        """As the other."""
        return self._provider.cost_usd

    @property
    def variant(self) -> str:
        """As the other."""
        return self._provider.variant

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """Asks the other and writes its answer down.

        Raises:
            StorageError: `not_written`.
        """
        result = self._provider.find(subject, lookup)
        row = {
            "content_hash": subject.content_hash,
            "url": subject.url,
            "words": lookup.words,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "result": result.as_dict(pictures=True),
        }
        try:
            with self._lock, self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise StorageError(
                "not_written", f"{self._file} cannot be written: {error.strerror or error}"
            ) from error
        return result

    def close(self) -> None:
        """Closes the other."""
        self._provider.close()


_Key = tuple[str | None, str | None]


def _read(file: Path) -> dict[_Key, Mapping[str, Any]]:
    """Answers by picture and words; later lines win, a broken line is an error."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("bad_recording", f"{file} cannot be read: {error}") from error
    found: dict[_Key, Mapping[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            ProviderResult.from_dict(row["result"])
            for picture in (row["content_hash"], row.get("url")):
                if picture:
                    found[picture, str(row.get("words", ""))] = row["result"]
                    found[picture, None] = row["result"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                "bad_recording", f"{file}, line {number}: not a recorded answer: {error!r}"
            ) from error
    return found
