"""Where libraries are by default. Layer: app."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["absolute", "default_library", "expanded", "library_folder"]


def default_library() -> Path:
    """The library used when none is named: `$RELOOK_LIBRARY`, or one place per user."""
    named = os.environ.get("RELOOK_LIBRARY")
    if named:
        return Path(os.path.expanduser(named))
    return platformdirs.user_data_path("relook", appauthor=False) / "library"


def library_folder(named: str | os.PathLike[str] | None) -> Path:
    """The folder of a named library, or the default one."""
    return default_library() if named is None else Path(os.path.expanduser(named))


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with `~` written out, also for a user that is not there."""
    return Path(os.path.expanduser(path))  # Path.expanduser raises for that one


def absolute(path: str | os.PathLike[str]) -> bytes:
    """A path as the catalog keeps it."""
    return os.fsencode(os.path.abspath(os.path.expanduser(path)))
