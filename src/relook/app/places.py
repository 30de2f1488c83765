"""Where libraries are by default. Layer: app."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from relook.core.picture_paths import is_url

__all__ = ["PathLike", "absolute", "default_library", "expanded", "library_folder", "several"]

PathLike = str | os.PathLike[str]


def default_library() -> Path:
    """The library used when none is named: `$RELOOK_LIBRARY`, or one place per user."""
    named = os.environ.get("RELOOK_LIBRARY")
    if named:
        return Path(os.path.expanduser(named))
    return platformdirs.user_data_path("relook", appauthor=False) / "library"


def library_folder(named: str | os.PathLike[str] | None) -> Path:
    """The folder of a named library, or the default one."""
    return default_library() if named is None else Path(os.path.expanduser(named))


def several(paths: PathLike | Sequence[PathLike]) -> Sequence[PathLike]:
    """Paths, of which there may be one."""
    return [paths] if isinstance(paths, (str, os.PathLike)) else paths


def expanded(path: PathLike) -> Path:
    """A path with `~` made out; Path.expanduser raises for a user that is not there."""
    return Path(os.path.expanduser(path))


def absolute(path: PathLike) -> bytes:
    """A place as catalogs keep it.

    Raises:
        InputError: `bad_address`.
    """
    text = os.fspath(path)
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if is_url(os.fsencode(text)):
        from relook.core.remote import clean_address

        return clean_address(text)
    return os.fsencode(os.path.abspath(os.path.expanduser(text)))
