"""One data set, from the plan to the unpacked folder. Layer: datasets."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from relook.core.disk_errors import disk_error
from relook.core.errors import InputError, StorageError
from relook.datasets.catalogue import Archive, Dataset
from relook.datasets.download import Downloader, read_record
from relook.datasets.labels import write_labels
from relook.datasets.unpack import unpack
from relook.library.manifest import write_whole
from relook.library.report import ProgressCallback

__all__ = ["Plan", "fetch", "plan"]

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
    todo = tuple(one for one in dataset.archives if _key(dataset, one) not in done)
    download = sum(one.n_bytes - _there(folder, one) for one in todo)
    unpacked = sum(_unpacked_bytes(one) for one in todo)
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
