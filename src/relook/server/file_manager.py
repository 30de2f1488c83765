"""Shows where a picture lies, in the file manager of this machine. Layer: server.

Only for whoever sits at it: a server that others reach refuses. What is opened is always a folder,
never the file, which might be a program; nothing goes through a shell.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relook.core.errors import AccessError, NotFoundError
from relook.core.picture_paths import as_path, is_url, printable, split_member
from relook.gateway.server_settings import is_loopback

Start = Callable[[Sequence[str]], object]
"""Starts a program with its arguments and does not wait for it."""
_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
_HINT = "copy the path instead"


@dataclass(frozen=True, slots=True)
class ShownFolder:
    """A folder that the file manager was asked to show.

    Args:
        folder: Which.
        name: What lies in it: the picture's file, its archive or its video.
    """

    folder: Path
    name: str


def _start(command: Sequence[str]) -> None:
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    )
    threading.Thread(target=process.wait, name="relook-file-manager", daemon=True).start()


@dataclass(frozen=True, slots=True)
class FileManager:
    """The file manager of this machine.

    Args:
        host: That the server listens on.
        platform: As `sys.platform` has it.
        environment: Of this process.
        start: Starts its program.
        which: Finds a program's path, None for one that is not installed.
    """

    host: str
    platform: str = sys.platform
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    start: Start = _start
    which: Callable[[str], str | None] = shutil.which

    @property
    def is_here(self) -> bool:
        """Whether there is one, before whoever asks."""
        return self._why_not() is None

    def show(self, path: bytes) -> ShownFolder:
        """Shows the folder of a picture, of its archive, or of its video.

        Args:
            path: Of an image of a library.

        Raises:
            AccessError: `no_file_manager` where none can be shown to whoever asks.
            NotFoundError: `no_folder` for a picture at an address; `vanished` when it is gone.
        """
        if why := self._why_not():
            raise AccessError("no_file_manager", why, _HINT)
        file = _file_of(path)
        if file is None:
            raise NotFoundError("no_folder", f"{printable(path)} lies in no folder here", _HINT)
        if not os.path.lexists(file):
            raise NotFoundError(
                "vanished", f"there is no {printable(bytes(file))} any more", "index it again"
            )
        self.start(self._command(file))
        return ShownFolder(file.parent, file.name)

    def _why_not(self) -> str | None:
        if not is_loopback(self.host):
            return "folders are shown on the machine of the server only, and others reach this one"
        if self.platform in ("darwin", "win32"):
            return None
        if not any(map(self.environment.get, _SCREENS)):
            return "the server runs without a screen that a folder could be shown on"
        return None if self.which("xdg-open") else "no xdg-open is installed here"

    def _command(self, file: Path) -> list[str]:
        if self.platform == "darwin":
            return ["open", "-R", str(file)]
        if self.platform == "win32":
            return ["explorer", f"/select,{file}"]
        return ["xdg-open", str(file.parent)]


def _file_of(path: bytes) -> Path | None:
    """The file on a disk that an image is in; None for an address."""
    member = split_member(path)
    outer = path if member is None else member[0]
    return None if is_url(outer) else as_path(outer)
