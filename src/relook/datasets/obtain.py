"""One data set, from the plan to the unpacked folder. Layer: datasets.

ZIP files are made by strangers. Every member is checked before the first is written: names stay
inside the folder, members are plain files, and the whole is not larger than it may be. What a
member is, its bytes decide while they are written, not its header. Running again skips what is
there.
"""

import json
import os
import re
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from relook.core.download import Downloader
from relook.core.errors import FetchError, InputError, StorageError, disk_error
from relook.core.progress import Progress, ProgressCallback
from relook.datasets.catalogue import Archive, Dataset, write_labels
from relook.library.manifest import write_whole

_MD5 = re.compile(r"md5:([0-9a-f]{32})\Z")


def read_record(client: httpx.Client, dataset: Dataset) -> Archive:
    """The archive of a data set as its publisher's Zenodo record describes it.

    Raises:
        FetchError: `unreachable`, `bad_status`, or `bad_record`.

    Source: Zenodo's REST API, https://developers.zenodo.org (records, `files`).
    """
    try:
        answer = client.get(dataset.record)
    except httpx.RequestError as error:
        raise FetchError(
            "unreachable", f"cannot reach {dataset.record}: {error}", "check the network"
        ) from error
    if answer.status_code != 200:
        raise FetchError("bad_status", f"{dataset.record} answered {answer.status_code}", "later?")
    try:
        files: dict[str, Any] = {file["key"]: file for file in answer.json()["files"]}
        entry = files[dataset.file]
        url, n_bytes = httpx.URL(entry["links"]["self"]), int(entry["size"])
        checksum = _MD5.match(entry["checksum"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, httpx.InvalidURL) as error:
        raise FetchError(
            "bad_record",
            f"{dataset.record} does not tell of {dataset.file}: {error!r}",
            "report it",
        ) from error
    record = httpx.URL(dataset.record)
    if checksum is None or n_bytes <= 0 or (url.scheme, url.host) != (record.scheme, record.host):
        raise FetchError(
            "bad_record", f"{dataset.record} names an odd size, checksum or address", "report it"
        )
    return Archive(str(url), dataset.file, n_bytes, checksum[1], grows=2.0)


_RECORD = ".relook-dataset.json"
_SPARE_BYTES = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class Plan:
    """What is still to do for a data set.

    Args:
        dataset: With its archives known.
        folder: Where it goes.
        todo: Archives that are not unpacked yet.
        download_bytes: What is still to be fetched.
        disk_bytes: Room that is needed for it, unpacked and packed, at most.
    """

    dataset: Dataset
    folder: Path
    todo: tuple[Archive, ...]
    download_bytes: int
    disk_bytes: int

    @property
    def pictures(self) -> Path:
        """Where the pictures are, or will be."""
        return self.folder / self.dataset.pictures

    @property
    def metadata(self) -> tuple[Path, ...]:
        """Where captions and labels are, or will be."""
        return tuple(self.folder / name for name in self.dataset.metadata)


def plan(dataset: Dataset, folder: Path, client: httpx.Client) -> Plan:
    """What a fetch would do. Asks the publisher's record where there is one, and writes nothing.

    Raises:
        FetchError: the record cannot be read; InputError: `folder_in_use` when the folder is a
        file; StorageError: `no_space`.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError("folder_in_use", f"{folder} is a file", "name a folder")
    if dataset.record and dataset.name not in _unpacked(folder):
        dataset = replace(dataset, archives=(read_record(client, dataset),))
    done = _unpacked(folder)
    todo = tuple(archive for archive in dataset.archives if _key(dataset, archive) not in done)
    download = sum(archive.n_bytes - _there(folder, archive) for archive in todo)
    unpacked = sum(_unpacked_bytes(archive) for archive in todo)
    free = shutil.disk_usage(_existing(folder)).free
    needed = download + unpacked + (_SPARE_BYTES if todo else 0)
    if free < needed:
        raise StorageError(
            "no_space",
            f"{dataset.name} needs up to {needed / 1e9:.1f} GB at {folder}; {free / 1e9:.1f} GB"
            " are free",
            "choose another disk",
        )
    return Plan(dataset, folder, todo, download, download + unpacked)


def fetch(
    plan: Plan,
    client: httpx.Client,
    progress: ProgressCallback | None = None,
    *,
    keep_archives: bool = False,
) -> None:
    """Downloads, checks and unpacks what a plan says.

    Args:
        plan: Made by `plan`.
        client: For downloads.
        progress: Called now and then.
        keep_archives: Whether the ZIP files stay.

    Raises:
        FetchError, InputError, StorageError: what is done stays, and the next run goes on.
    """
    dataset, folder = plan.dataset, plan.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(f"cannot make {folder}", error) from error
    downloader = Downloader(client, folder, progress)
    for archive in plan.todo:
        file = downloader.fetch(archive)
        unpack(file, folder, int(archive.grows * archive.n_bytes), archive.keep, progress)
        done = {*_unpacked(folder), _key(dataset, archive)}
        write_whole(folder / _RECORD, {"unpacked": sorted(done)})
        if not keep_archives:
            file.unlink()
    if dataset.record and not plan.metadata[0].exists():
        write_labels(plan.pictures, plan.metadata[0])
    if dataset.record:
        write_whole(folder / _RECORD, {"unpacked": sorted({*_unpacked(folder), dataset.name})})


def _key(dataset: Dataset, archive: Archive) -> str:
    return f"{dataset.name}/{archive.name}"


def _unpacked(folder: Path) -> set[str]:
    """What an earlier run has unpacked here.

    Raises:
        InputError: `bad_dataset_folder`.
    """
    record = folder / _RECORD
    try:
        return set(json.loads(record.read_text("utf-8"))["unpacked"])
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "bad_dataset_folder", f"{record} cannot be read: {error!r}", "remove it; files stay"
        ) from error


def _there(folder: Path, archive: Archive) -> int:
    """Bytes of an archive that are downloaded."""
    for name in (archive.name, archive.name + ".part"):
        file = folder / name
        if file.is_file():
            return min(file.stat().st_size, archive.n_bytes)
    return 0


def _unpacked_bytes(archive: Archive) -> int:
    return int(archive.grows * archive.n_bytes)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


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
            f"cannot unpack into {folder}",
            error,
            "make room on the disk and run the same command again; it goes on from there",
        ) from error
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
