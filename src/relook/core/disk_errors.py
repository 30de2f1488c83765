"""What the system says when a disk refuses, as errors that say what to do. Layer: core."""

from __future__ import annotations

import errno

from relook.core.errors import StorageError

__all__ = ["disk_error"]

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_FAILED = (errno.EIO, errno.ENXIO, errno.ESTALE)
_HINTS = {
    "disk_read_only": "check who may write there and whether the disk is mounted read-only, and run"
    " the same command again",
    "disk_failed": "check the disk: its connection and what the system's log says of it; then"
    " relook doctor --check",
    "disk_refused": "make room on the disk, check that it is there, and run the same command again",
}


def disk_error(told: str, error: OSError, hint: str = "") -> StorageError:
    """The error to raise for a file that could not be written.

    Args:
        told: What could not be done, without the reason.
        error: Why.
        hint: What to do when the disk is full, where more can be said than usual.

    Returns:
        StorageError `disk_read_only` when nothing may be written there, `disk_failed` when
        writing fails, and `disk_refused` for all else: mostly, there is no room.
    """
    code = "disk_refused"
    if error.errno in _READ_ONLY:
        code = "disk_read_only"
    elif error.errno in _FAILED:
        code = "disk_failed"
    hint = hint if hint and code == "disk_refused" else _HINTS[code]
    return StorageError(code, f"{told}: {error.strerror or error}", hint)
