"""What a library is: its folder, its format version, its encoder. Layer: library.

The manifest is written once, whole or not at all; everything that changes is in the catalog.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relook.core.disk_errors import disk_error
from relook.core.errors import LibraryFormatError, NotFoundError
from relook.encoders.base import Fingerprint

__all__ = ["FORMAT_VERSION", "Manifest", "write_whole"]

FORMAT_VERSION = 2
"""The newest format that is read here: in it the vectors may be in a file of another
name, or in a collection that several servers share."""
_PLAIN_VERSION = 1  # of a library that was never compacted, which any Relook reads
_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Identity of a library.

    Args:
        encoder: Registry name of the encoder that makes its vectors.
        fingerprint: Of that encoder.
        format_version: Of the files.
        store: Address of the collection that holds the vectors for several servers; empty when
            they are in this folder.
    """

    encoder: str
    fingerprint: Fingerprint
    format_version: int = _PLAIN_VERSION
    store: str = ""

    @classmethod
    def exists(cls, folder: Path) -> bool:
        """Whether the folder holds a library."""
        return (folder / _NAME).is_file()

    @classmethod
    def read(cls, folder: Path, name: str = _NAME) -> Manifest:
        """Reads the manifest of a library, or another file that may be one.

        Raises:
            NotFoundError: `no_library` when the folder holds none.
            LibraryFormatError: `newer_format` or `bad_manifest`.
        """
        path = folder / name
        try:
            values = json.loads(path.read_text("utf-8"))
            version = int(values["format_version"])
            if version <= FORMAT_VERSION:
                fingerprint = Fingerprint.from_dict(values["fingerprint"])
                store = str(values.get("store", ""))
                return cls(str(values["encoder"]), fingerprint, version, store)
        except FileNotFoundError:
            raise NotFoundError(
                "no_library",
                f"there is no library at {folder}",
                "make one with: relook index FOLDER_OF_PICTURES",
            ) from None
        except (
            OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError
        ) as error:  # fmt: skip
            raise LibraryFormatError(
                "bad_manifest",
                f"{path} cannot be read: {error!r}",
                "restore it from a backup, or index the pictures into a new library",
            ) from error
        raise LibraryFormatError(
            "newer_format",
            f"the library at {folder} has format {version}; this Relook reads up to"
            f" {FORMAT_VERSION}",
            "upgrade relook, or index the pictures into a new library",
        )

    def write(self, folder: Path) -> None:
        """Writes the manifest, whole or not at all.

        Raises:
            StorageError: when the disk refuses.
        """
        write_whole(folder / _NAME, self._as_dict())

    def raise_version(self, folder: Path) -> None:
        """Says that only a Relook that knows compacted libraries may open this one.

        Raises:
            StorageError: when the disk refuses.
        """
        write_whole(folder / _NAME, {**self._as_dict(), "format_version": FORMAT_VERSION})

    def _as_dict(self) -> Mapping[str, Any]:
        return {
            "format_version": self.format_version,
            "encoder": self.encoder,
            "fingerprint": self.fingerprint.as_dict(),
            **({"store": self.store} if self.store else {}),
        }


def write_whole(path: Path, values: Mapping[str, Any]) -> None:
    """Writes JSON so that a reader, and a crash, see the old file or the new one.

    Raises:
        StorageError: as `disk_error` says.
    """
    new = path.with_name(path.name + ".new")
    try:
        with open(new, "w", encoding="utf-8") as file:
            json.dump(values, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise disk_error(f"cannot write {path}", error) from error
