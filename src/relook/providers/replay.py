"""Recorded results: for tests, and for research that others can repeat. Layer: providers.

    recorder = Recorder(provider, "answers.jsonl")     # look pictures up through it once
    provider = ReplayProvider("answers.jsonl")         # later, anywhere, without a network

One JSON object a line: the picture (the hash of its bytes, and its address), the words, and the
whole result, blocked and empty ones included.
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
from relook.providers.base import (
    Lookup,
    Outcome,
    Provider,
    ProviderResult,
    ProviderSettings,
    Subject,
    is_remote,
)

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
    needs = ("file",)

    def __init__(self, file: str | os.PathLike[str] | None = None, name: str = "replay") -> None:
        named = file or os.environ.get(FILE_VARIABLE, "")
        if not named:
            raise InputError(
                "no_recording", "no recording is named", f"set ${FILE_VARIABLE} to a file"
            )
        self.name = name
        self.variant = str(named)
        self._answers = _read(Path(named).expanduser())

    @classmethod
    def open(cls, spec: str, settings: ProviderSettings) -> ReplayProvider:
        """Opens the recording `replay:FILE`."""
        return cls(spec or None)

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
    """A provider that records what another one returns.

    Args:
        provider: The other.
        file: Where answers are appended.
    """

    def __init__(self, provider: Provider, file: str | os.PathLike[str]) -> None:
        self._provider, self._file = provider, Path(file).expanduser()
        self.name, self.remote, self.variant = provider.name, is_remote(provider), provider.variant
        self.takes_files, self.cost_usd = provider.takes_files, provider.cost_usd
        self._lock = threading.Lock()

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """Asks the other and records its result.

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
    results: dict[_Key, Mapping[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            ProviderResult.from_dict(row["result"])
            for picture in (row["content_hash"], row.get("url")):
                if picture:
                    results[picture, str(row.get("words", ""))] = row["result"]
                    results[picture, None] = row["result"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                "bad_recording", f"{file}, line {number}: not a recorded answer: {error!r}"
            ) from error
    return results
