"""A JSONL file that long work can be stopped at and resumed from. Layer: rag."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from relook.core.errors import InputError, StorageError

__all__ = ["Journal"]


class Journal:
    """One JSON object a line, each with a key; a line that a kill cut short is dropped.

    Use it as a context manager, or `close` it. It is only ever added to.

    Args:
        file: Where; made when it is not there.
        key_of: What a line is known by.

    Raises:
        InputError: `bad_journal` when it holds something else.
        StorageError: `not_written`.
    """

    def __init__(self, file: Path, key_of: Callable[[Mapping[str, Any]], str]) -> None:
        self.file = file
        self.rows: dict[str, dict[str, Any]] = {}
        whole = 0
        try:
            data = file.read_bytes() if file.exists() else b""
        except OSError as error:
            raise InputError(
                "bad_journal", f"cannot read {file}: {error}", "name a file"
            ) from error
        for number, line in enumerate(data.splitlines(keepends=True), start=1):
            if not line.endswith(b"\n"):
                break
            try:
                row = json.loads(line)
                self.rows[key_of(row)] = row
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    "bad_journal", f"line {number} of {file} was not written by this command",
                    "name another file to write to, or remove that one",
                ) from error  # fmt: skip
            whole += len(line)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._open = file.open("ab")
            self._open.truncate(whole)
        except OSError as error:
            raise self._refused(error) from error
        self._key_of = key_of

    def __contains__(self, key: str) -> bool:
        return key in self.rows

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a line; it is on the disk when this returns.

        Raises:
            StorageError: `not_written`.
        """
        try:
            self._open.write(json.dumps(row).encode() + b"\n")
            self._open.flush()
            os.fsync(self._open.fileno())
        except OSError as error:
            raise self._refused(error) from error
        self.rows[self._key_of(row)] = dict(row)

    def close(self) -> None:
        """Closes the file; closing twice is fine."""
        self._open.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _refused(self, error: OSError) -> StorageError:
        return StorageError(
            "not_written", f"{self.file} cannot be written: {error.strerror or error}",
            "name a file in a folder that can be written to",
        )  # fmt: skip
