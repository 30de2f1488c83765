"""What a library is: its folder, its format version, its encoder. Layer: library.

The manifest is written whole or not at all; everything that changes often is in the catalog.
While a library goes over to another encoder, its manifest names both, and the catalog's counter
`encoder` says which of them made the vectors that count.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relook.core.errors import EncoderMismatchError, LibraryFormatError, NotFoundError, disk_error
from relook.core.picture_paths import printable
from relook.encoders.base import Encoder, Fingerprint

FORMAT_VERSION = 3
"""The newest format that is read here: in it the manifest may name the encoder to come, and
images may be without vectors."""
COMPACTED_VERSION = 2
"""In it the vectors may be in a file of another name, or in a collection that several servers
share."""
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
        next: What it will be once the catalog names the vectors of another encoder.
    """

    encoder: str
    fingerprint: Fingerprint
    format_version: int = _PLAIN_VERSION
    store: str = ""
    next: Manifest | None = None

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
                store = str(values.get("store", ""))
                to_come = values.get("next")
                following = None if to_come is None else cls(*_maker(to_come), version, store)
                return cls(*_maker(values), version, store, following)
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

    def at(self, encoder_number: int) -> Manifest:
        """The manifest as it holds for a catalog, without what is to come.

        Args:
            encoder_number: The catalog's counter `encoder`; 0 for one that was never upgraded.
        """
        if self.next is not None and self.next.fingerprint.number == encoder_number:
            return self.next
        return replace(self, next=None)

    def raise_version(self, folder: Path) -> None:
        """Says that only a Relook that knows compacted libraries may open this one.

        Raises:
            StorageError: when the disk refuses.
        """
        version = max(self.format_version, COMPACTED_VERSION)
        write_whole(folder / _NAME, {**self._as_dict(), "format_version": version})

    def _as_dict(self) -> Mapping[str, Any]:
        maker = {"encoder": self.encoder, "fingerprint": self.fingerprint.as_dict()}
        to_come = self.next
        return {
            "format_version": self.format_version,
            **maker,
            **({"store": self.store} if self.store else {}),
            **(
                {"next": {"encoder": to_come.encoder, "fingerprint": to_come.fingerprint.as_dict()}}
                if to_come
                else {}
            ),
        }


def _maker(values: Mapping[str, Any]) -> tuple[str, Fingerprint]:
    return str(values["encoder"]), Fingerprint.from_dict(values["fingerprint"])


def check_encoder(manifest: Manifest, encoder: Encoder, folder: Path) -> None:
    """Refuses an encoder that did not make a library's vectors.

    Args:
        manifest: Of the library.
        encoder: The one at hand.
        folder: Of the library.

    Raises:
        EncoderMismatchError: `other_encoder` naming both.
    """
    ours, theirs = manifest.fingerprint, encoder.fingerprint
    if ours.digest != theirs.digest:
        raise EncoderMismatchError(
            "other_encoder",
            f"this library was made by {ours.told}; the encoder at hand is {theirs.told}",
            f"relook upgrade --library {shlex.quote(printable(bytes(folder)))} makes its vectors"
            " again with another encoder (--encoder NAME, or the newer version of its own) and"
            " keeps ids, words, marks and sessions; until then it stays as it is",
        )


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
