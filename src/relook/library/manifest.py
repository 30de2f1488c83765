"""What a library is: its folder, its format version, its encoder. Layer: library.

The manifest is written whole or not at all; everything that changes often is in the catalog.
The catalog has a copy, from which a repair makes the manifest of a library again that has lost it.
While a library goes over to another encoder, its manifest names both, and the catalog's counter
`encoder` says which of them made the vectors that count.
"""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relook.core.errors import EncoderMismatchError, LibraryFormatError, NotFoundError, disk_error
from relook.core.picture_paths import printable
from relook.encoders.base import Encoder, Fingerprint
from relook.library.backup import BACKUP, read_only
from relook.library.sqlite_errors import DAMAGE

if TYPE_CHECKING:
    from relook.library.catalog import Catalog

FORMAT_VERSION = 3
"""The newest format that is read here: in it the manifest may name the encoder to come, and
images may be without vectors."""
COMPACTED_VERSION = 2
"""In it the vectors may be in a file of another name, or in a collection that several servers
share."""
_PLAIN_VERSION = 1  # of a library that was never compacted, which any Relook reads
_NAME, _CATALOG = "manifest.json", "catalog.sqlite3"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)
_HINT = "relook doctor --repair makes it again, or says what to do"


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
        """Whether the folder holds a library, or what is left of one that lost its manifest."""
        return (folder / _NAME).is_file() or _is_left(folder)

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
                return _parsed(values)
        except FileNotFoundError:
            if name == _NAME and _is_left(folder):
                raise LibraryFormatError("bad_manifest", f"{path} is gone", _HINT) from None
            raise NotFoundError(
                "no_library",
                f"there is no library at {folder}",
                "make one with: relook index FOLDER_OF_PICTURES",
            ) from None
        except _UNREADABLE as error:
            message = f"{path} cannot be read: {error!r}"
            raise LibraryFormatError("bad_manifest", message, _HINT) from error
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


def keep_manifest(catalog: Catalog, manifest: Manifest) -> None:
    """Keeps a copy of a manifest in the catalog, and so in its backup. Writer's lock held.

    None of a library that several servers share: its folder is made anew by attaching.
    """
    text = json.dumps(manifest._as_dict())
    if manifest.store or catalog.ask("SELECT manifest FROM kept_manifest") == [(text,)]:
        return
    with catalog.transaction() as db:
        db.execute("DELETE FROM kept_manifest")
        db.execute("INSERT INTO kept_manifest VALUES (?)", (text,))


def kept_manifest(folder: Path) -> Manifest | None:
    """The manifest as the catalog has it, or its backup; None where neither has that of its rows.

    Args:
        folder: A library whose manifest is gone or damaged.
    """
    number = None
    for name in (_CATALOG, BACKUP):
        try:
            with closing(read_only(folder / name)) as db:
                counters = dict(db.execute("SELECT name, value FROM counters").fetchall())
                made_by = counters.get("encoder", 0)
                number = made_by if number is None else number  # of the catalog, where it is read
                [(text,)] = db.execute("SELECT manifest FROM kept_manifest").fetchall()
            manifest = _parsed(json.loads(text))
        except (*_UNREADABLE, *DAMAGE):
            continue
        if made_by == number and number in (0, manifest.fingerprint.number):
            version = COMPACTED_VERSION if counters.get("vectors_file") else _PLAIN_VERSION
            return replace(manifest, format_version=max(manifest.format_version, version))
    return None


def _is_left(folder: Path) -> bool:
    """Whether a folder has the catalog of a library with images, or the backup of one."""
    return _has_rows(folder / _CATALOG) or _has_rows(folder / BACKUP)


def _has_rows(path: Path) -> bool:
    """Whether a catalog has named rows. A stop during `create` leaves one without any."""
    if not path.exists():
        return False
    try:
        with closing(read_only(path)) as db:
            sql = "SELECT 1 FROM counters WHERE name = 'end_row' AND value > 0"
            return db.execute(sql).fetchone() is not None
    except DAMAGE as error:
        is_begun = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR  # no such table
        return path.stat().st_size > 0 and not is_begun


def _parsed(values: Mapping[str, Any]) -> Manifest:
    version, store = int(values["format_version"]), str(values.get("store", ""))
    to_come = values.get("next")
    following = None if to_come is None else Manifest(*_maker(to_come), version, store)
    return Manifest(*_maker(values), version, store, following)


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
