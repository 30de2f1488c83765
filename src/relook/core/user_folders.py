"""Where things of this user are kept when nobody says where. Layer: core."""

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from relook.core.errors import InputError

# For a user without a home folder, as a container may have one: nothing is there, and nothing
# can be written, so that thumbnails are made each time and no agreement is remembered.
_NOWHERE = Path(os.devnull, "relook")


def data_folder() -> Path:
    """The folder of libraries.

    Raises:
        InputError: `no_home` for a user without a home folder: no place is safe to choose.
    """
    folder = _folder(platformdirs.user_data_path)
    if folder is None:
        raise InputError(
            "no_home",
            "this user has no home folder to keep a library in",
            "name a folder: --library FOLDER, or RELOOK_LIBRARY; or set HOME",
        )
    return folder


def cache_folder() -> Path:
    """The folder of what can be made again; one that cannot be where there is no home folder."""
    return _folder(platformdirs.user_cache_path) or _NOWHERE


def config_folder() -> Path:
    """`$RELOOK_CONFIG`, or the user's folder; one that cannot be where there is no home folder."""
    if named := os.environ.get("RELOOK_CONFIG"):
        return Path(os.path.expanduser(named))
    return _folder(platformdirs.user_config_path) or _NOWHERE


def _folder(find: Callable[..., Path]) -> Path | None:
    try:
        folder = find("relook", appauthor=False)
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None  # older versions give "~/.cache"
