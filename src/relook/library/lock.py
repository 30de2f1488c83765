"""One writer at a time. Layer: library.

The operating system holds the lock, so it ends with the process, kill -9 included.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from relook.core.errors import LibraryBusyError, disk_error


class WriterLock:
    """Held while a process writes to a library.

    Args:
        folder: The library.

    Raises:
        LibraryBusyError: on entering, when another process holds it; its number is in the message.
        StorageError: on entering, when the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        import filelock  # reading takes no lock

        self._lock = filelock.FileLock(folder / "writer.lock", timeout=0)
        self._owner = folder / "writer.pid"

    def __enter__(self) -> WriterLock:
        import filelock

        try:
            self._lock.acquire()
            self._owner.write_text(str(os.getpid()), "utf-8")
        except filelock.Timeout:
            raise LibraryBusyError(
                "library_busy",
                f"process {self._owner_id()} is writing to this library",
                "wait until it is done, or stop it; searching works meanwhile",
            ) from None
        except OSError as error:
            self._lock.release()
            raise disk_error(f"cannot write to {self._owner.parent}", error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._owner.unlink(missing_ok=True)
        self._lock.release()

    def _owner_id(self) -> str:
        try:
            return self._owner.read_text("utf-8")
        except OSError:
            return "(unknown)"
