"""Where libraries are by default. Layer: app."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["default_library", "library_folder"]


def default_library() -> Path:
    """The library used when none is named: `$RELOOK_LIBRARY`, or one place per user."""
    named = os.environ.get("RELOOK_LIBRARY")
    if named:
        return Path(os.path.expanduser(named))
    return platformdirs.user_data_path("relook", appauthor=False) / "library"


def library_folder(named: str | os.PathLike[str] | None) -> Path:
    """The folder of a named library, or the default one."""
    return default_library() if named is None else Path(os.path.expanduser(named))
