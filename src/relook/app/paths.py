"""Paths as people type them, and where libraries are by default. Layer: app."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from relook.core.picture_paths import given_path, is_url, spellings
from relook.core.user_folders import data_folder

PathLike = str | os.PathLike[str]


def default_library() -> Path:
    """The library used when none is named: `$RELOOK_LIBRARY`, or one place per user.

    Raises:
        InputError: `no_home`.
    """
    if folder := os.environ.get("RELOOK_LIBRARY"):
        return expanded(folder)
    return data_folder() / "library"


def library_folder(folder: PathLike | None) -> Path:
    """The folder of a library, or the default one for None."""
    return default_library() if folder is None else expanded(folder)


def several(paths: PathLike | Sequence[PathLike]) -> Sequence[PathLike]:
    """One path or several, as several."""
    if isinstance(paths, str | os.PathLike) or not isinstance(paths, Iterable):
        return [paths]
    return paths


def expanded(path: PathLike) -> Path:
    """A path with `~` resolved; Path.expanduser raises for a user that does not exist.

    Where nothing is there and something is whose name has the same letters in another Unicode
    form (a Mac's `é` of two characters), it is that.

    Raises:
        InputError: `bad_path` for an empty one.
    """
    typed = given_path(path)
    return Path(next(filter(os.path.lexists, spellings(typed)), typed))


def absolute(path: PathLike) -> bytes:
    """A path or address as catalogs keep it.

    Raises:
        InputError: `bad_address`; `bad_path` for an empty one.
    """
    text = given_path(path)
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if is_url(os.fsencode(text)):
        from relook.core.remote import clean_address

        return clean_address(text)
    return os.fsencode(os.path.abspath(expanded(text)))
