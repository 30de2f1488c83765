"""Files and folders in the making, and what an ended process left of them. Layer: core.

A file under a name of its own (`….new`) or a temporary folder belongs to the process that holds
a lock on it, and to nobody once that process has ended, however it ended. So leftovers are told
from what a living process works on, in this container or another, by trying the lock.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

NEW = ".new"
"""The suffix of a file that is not whole yet."""
_OWNER = ".owner"
_OWNERLESS_S = 86_400  # from when on a folder without a lock is a leftover: old versions had none


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there whole under its name after the block, or not at all.

    What an ended process left half written of it is replaced; what a living one writes is not.

    Raises:
        OSError: when the disk refuses; nothing of it then stays.
    """
    new = path.with_name(path.name + NEW)
    with _created(new) as file:
        try:
            yield file
            file.flush()
            os.replace(new, path)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink()
            raise


def ended_files(folder: Path) -> list[Path]:
    """Files in a folder that an ended process left half written, by name."""
    if not folder.is_dir():
        return []
    several = (folder / name for name in sorted(os.listdir(folder)) if name.endswith(NEW))
    return [file for file in several if _is_free(file)]


def sweep_files(folder: Path) -> int:
    """Removes what `ended_files` finds; returns how many there were."""
    return sum(_swept(file) for file in ended_files(folder))


class OwnFolder:
    """A temporary folder of this process, which others sweep when this process has ended.

    Args:
        prefix: What its name begins with.

    Raises:
        OSError: when none can be made.
    """

    def __init__(self, prefix: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        self._owner = contextlib.ExitStack()
        self._owner.enter_context(_created(self.path / _OWNER))

    def close(self) -> None:
        """Removes it; closing twice is fine."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._owner.close()


def ended_folders(prefix: str) -> list[Path]:
    """Temporary folders of this person's that an ended process left, by name."""
    root = Path(tempfile.gettempdir())
    names = sorted(name for name in os.listdir(root) if name.startswith(prefix))
    return [root / name for name in names if _is_ended(root / name)]


def sweep_folders(prefix: str) -> int:
    """Removes what `ended_folders` finds; returns how many there were."""
    several = ended_folders(prefix)
    for folder in several:
        shutil.rmtree(folder, ignore_errors=True)
    return len(several)


@contextmanager
def _created(path: Path) -> Iterator[IO[bytes]]:
    """A new file that this process holds the lock of while the block lasts."""
    while True:
        _swept(path)  # of a process that was killed
        with open(path, "xb") as file:
            with contextlib.suppress(OSError):  # a file system without locks: nobody sweeps there
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                yield file
                return
        # Somebody swept it in the moment before it was locked.
        path.parent.mkdir(exist_ok=True)


def _is_free(path: Path) -> bool:
    """Whether no process holds the lock of a file, which then has no owner any more."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_ended(folder: Path) -> bool:
    """Whether a temporary folder is this person's and no process's any more."""
    try:
        facts = folder.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        return False
    if (folder / _OWNER).exists():
        return _is_free(folder / _OWNER)
    return time.time() - facts.st_mtime > _OWNERLESS_S


def _swept(path: Path) -> bool:
    """Removes a file that no process holds the lock of; says whether it did."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), path.lstat()):
                return False  # another process has swept it, and made one of its own
            path.unlink()
    except OSError:
        return False
    return True
