"""Unpacking ZIP files that strangers made. Layer: datasets.

Every member is checked before the first is written: names stay inside the folder, members
are plain files, and the whole is not larger than it may be. What a member is, its bytes
decide while they are written, not its header. Running again skips what is there.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from relook.core.disk_errors import disk_error
from relook.core.errors import InputError, StorageError
from relook.library.report import Progress, ProgressCallback

__all__ = ["unpack"]

_CHUNK = 1 << 20
_MAX_MEMBERS = 2_000_000


def unpack(
    archive: Path,
    folder: Path,
    max_bytes: int,
    keep: tuple[str, ...] = (),
    progress: ProgressCallback | None = None,
) -> int:
    """Unpacks a ZIP file below a folder.

    Args:
        archive: The file.
        folder: Nothing is written outside of it.
        max_bytes: Largest sum of the unpacked files.
        keep: Begin of the names that are unpacked; all when empty.
        progress: Called with files so far.

    Returns:
        How many files are there now.

    Raises:
        InputError: `bad_archive` with the member and what is wrong with it.
        StorageError: `disk_refused`; what is written stays, and the next run goes on.
    """
    try:
        with zipfile.ZipFile(archive) as zip_file:
            members = _checked(archive, zip_file.infolist(), max_bytes, keep)
            for number, member in enumerate(members, start=1):
                _write(zip_file, member, folder, archive)
                if progress and (number % 100 == 0 or number == len(members)):
                    progress(Progress(f"unpacking {archive.name}", number, len(members)))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise _bad(archive, str(error)) from error
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise disk_error(
            f"cannot unpack into {folder}", error,
            "make room on the disk and run the same command again; it goes on from there",
        ) from error  # fmt: skip
    return len(members)


def _checked(
    archive: Path, members: list[zipfile.ZipInfo], max_bytes: int, keep: tuple[str, ...]
) -> list[zipfile.ZipInfo]:
    """The files to unpack, after a look at every member there is."""
    if len(members) > _MAX_MEMBERS:
        raise _bad(archive, f"{len(members):,} members")
    names: set[str] = set()
    files = []
    for member in members:
        _check_name(archive, member.filename)
        _check_kind(archive, member)
        if member.is_dir():
            continue
        plain = str(PurePosixPath(member.filename))
        if plain in names:
            raise _bad(archive, f"two members are called {plain!r}")
        names.add(plain)
        if not keep or plain.startswith(keep):
            files.append(member)
    if not files:
        raise _bad(archive, f"no member begins with {' or '.join(keep)}" if keep else "it is empty")
    total = sum(member.file_size for member in files)
    if total > max_bytes:
        raise _bad(archive, f"it would unpack to {total:,} bytes; at most {max_bytes:,} are right")
    return files


def _check_name(archive: Path, name: str) -> None:
    path = PurePosixPath(name)
    odd = "\\" in name or "\0" in name or ":" in name.split("/", maxsplit=1)[0]
    if odd or not name or path.is_absolute() or ".." in path.parts:
        raise _bad(archive, f"the member {name!r} leads out of the folder")


def _check_kind(archive: Path, member: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _bad(archive, f"the member {member.filename!r} is a link or a device")
    if member.flag_bits & 0x1:
        raise _bad(archive, f"the member {member.filename!r} is encrypted")


def _write(zip_file: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, archive: Path) -> None:
    """Writes one member; it has its name only when it is whole."""
    target = folder / PurePosixPath(member.filename)
    if target.is_file() and not target.is_symlink() and target.stat().st_size == member.file_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    inside = os.path.realpath(folder)
    if os.path.commonpath([os.path.realpath(target.parent), inside]) != inside:
        raise _bad(archive, f"{target.parent} is a link out of {folder}")
    new = target.with_name(target.name + ".new")
    n_left = member.file_size
    try:
        with zip_file.open(member) as source, open(new, "wb") as file:
            while data := source.read(_CHUNK):
                n_left -= len(data)
                if n_left < 0:
                    raise _bad(archive, f"{member.filename!r} is larger than it says")
                file.write(data)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


def _bad(archive: Path, reason: str) -> InputError:
    return InputError(
        "bad_archive",
        f"{archive} is not unpacked: {reason}",
        "remove it, and fetch it again from its publisher",
    )
