"""Which picture files an agent may name. Layer: mcp."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from relook.core.errors import AccessError, NotFoundError
from relook.library.records import printable

__all__ = ["Folders"]


class Folders:
    """Folders below which picture files may be named; links do not lead out of them.

    Args:
        allowed: The folders, or single files.
    """

    def __init__(self, allowed: Iterable[str | os.PathLike[str]]) -> None:
        self.allowed = tuple(dict.fromkeys(os.path.realpath(os.fspath(one)) for one in allowed))

    def file(self, named: str | os.PathLike[str]) -> Path:
        """The real file behind a name, when it may be read.

        Raises:
            AccessError: `outside_folders`, whether or not there is such a file.
            NotFoundError: `no_file`.
        """
        text = os.fspath(named).replace("\0", "")
        real = Path(os.path.realpath(os.path.expanduser(text)))
        if not any(real.is_relative_to(folder) for folder in self.allowed):
            raise AccessError(
                "outside_folders",
                f"{printable(text)!r} is not below a folder whose pictures may be named",
                "name an image by its image_id, or a file below one of: "
                + ", ".join(printable(folder) for folder in self.allowed)
                + " (a person adds folders with: relook mcp --allow-folder DIR)",
            )
        if not real.exists():
            raise NotFoundError("no_file", f"there is no {printable(text)!r}", "check the path")
        return real
