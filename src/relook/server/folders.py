"""Folders of this machine: which a request may have indexed or shown. Layer: server.

A picture's folder is shown in the file manager only for whoever sits at the machine: a server that
others reach refuses. What is opened is always a folder, never the file, which might be a program;
nothing goes through a shell.
"""

import copy
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from relook.core.errors import AccessError, NotFoundError, disk_error
from relook.core.picture_paths import (
    SUFFIXES,
    as_path,
    given_path,
    is_below,
    is_url,
    printable,
    split_member,
)
from relook.core.remote import clean_address
from relook.gateway.server_settings import ServerSettings, is_loopback
from relook.serving.libraries import ServedLibrary

_MOST = 1000  # folders that are listed of one
Start = Callable[[Sequence[str]], object]
"""Starts a program with its arguments and does not wait for it."""
_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
_HINT = "copy the path instead"


@dataclass(frozen=True, slots=True)
class FolderLine:
    """A folder that may be indexed, or looked into."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class FolderList:
    """What of a folder may be chosen.

    Args:
        path: Which folder; null for the top, where the folders are that a choice begins with.
        above: The folder above, as far as it may be looked into; null at the top.
        n_pictures: Files in the folder itself with a picture's suffix.
        may_add: Whether the folder itself may be indexed.
        folders: The folders in it, by name; hidden ones are left out.
    """

    path: Path | None
    above: Path | None
    n_pictures: int
    may_add: bool
    folders: tuple[FolderLine, ...]


class Folders:
    """The folders of one server.

    Those that libraries were made of when it started, those it was started with, and on loopback
    those below the home folder of whoever started it, except hidden ones.

    Args:
        volumes: The libraries.
        settings: Of the server.
    """

    def __init__(self, volumes: Iterable[ServedLibrary], settings: ServerSettings) -> None:
        self._of = {volume.library_id: _started_with(volume, settings) for volume in volumes}
        self._home = _home() if settings.home and is_loopback(settings.host) else None

    def without_home(self) -> Self:
        """The same without those below home: for people, who may sit at another machine."""
        others = copy.copy(self)
        others._home = None
        return others

    def of(self, volume: ServedLibrary) -> list[Path]:
        """Folders below which a request may have pictures indexed; not those below home."""
        return self._of[volume.library_id]

    def allowed(self, volume: ServedLibrary, path: str) -> Path:
        """A path from a request, when it may be indexed.

        Raises:
            AccessError: `outside_folders`.
            NotFoundError: `no_path`.
        """
        try:
            as_bytes = os.fsencode(path.replace("\0", ""))
        except UnicodeEncodeError as error:
            raise NotFoundError(
                "no_path",
                f"no file can be called {printable(path)!r} in this server's locale",
                "check the path, or start the server with PYTHONUTF8=1",
            ) from error
        if is_url(as_bytes):
            return self._allowed_address(volume, path)
        named = Path(os.path.abspath(given_path(path.replace("\0", ""))))
        real = Path(os.path.realpath(named))
        is_known = self._is_known(volume, real)
        if not is_known and not (self._is_at_home(named) and self._is_at_home(real)):
            raise AccessError(
                "outside_folders",
                f"{printable(path)!r} is not below a folder that this server was started with",
                "start it with --allow-folder DIR, or run: relook index DIR",
            )
        if not os.path.lexists(real):
            raise NotFoundError("no_path", f"there is no {path!r}", "check the path")
        if not is_known:
            self._of[volume.library_id].append(named)  # its links may lead to its own folders
        return named

    def _is_known(self, volume: ServedLibrary, real: Path) -> bool:
        local = (folder for folder in self.of(volume) if not is_url(bytes(folder)))
        return any(real.is_relative_to(os.path.realpath(folder)) for folder in local)

    def _is_at_home(self, path: Path) -> bool:
        """Whether a path is below the home folder, and nothing on the way is hidden."""
        homes = () if self._home is None else (self._home, Path(os.path.realpath(self._home)))
        for home in homes:
            if path != home and path.is_relative_to(home):
                return not any(name.startswith(".") for name in path.relative_to(home).parts)
        return False

    def _allowed_address(self, volume: ServedLibrary, path: str) -> Path:
        """An address at or below one that the library had when the server was started."""
        place = clean_address(path)
        if any(is_below(place, bytes(folder)) for folder in self.of(volume)):
            return as_path(place)
        raise AccessError(
            "outside_folders",
            f"{printable(path)!r} is not below an address that this server was started with",
            f"run: relook index {shlex.quote(printable(path))}, and start the server again",
        )

    def listing(self, volume: ServedLibrary, path: str) -> FolderList:
        """What may be chosen in a folder; at the top when `path` is empty.

        Raises:
            AccessError: `outside_folders`.
            NotFoundError: `no_path`.
            StorageError: when the folder cannot be read.
        """
        if not path:
            return self._top(volume)
        folder = Path(os.path.abspath(os.path.expanduser(path.replace("\0", ""))))
        if folder != self._home and not self._may_see(volume, folder):
            self.allowed(volume, path)  # says why not
        if not folder.is_dir():
            raise NotFoundError("no_path", f"there is no folder {path!r}", "check the path")
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name.casefold())
        except OSError as error:
            raise disk_error(f"cannot list {printable(path)!r}", error) from error
        shown = [entry for entry in entries if _is_shown(entry.name)]
        lines = [FolderLine(entry.name, Path(entry.path)) for entry in shown if entry.is_dir()]
        seen = [line for line in lines if self._may_see(volume, line.path)]
        n_pictures = sum(os.path.splitext(entry.name)[1].lower() in SUFFIXES for entry in shown)
        is_seen = folder.parent == self._home or self._may_see(volume, folder.parent)
        may_add = folder != self._home or self._is_known(volume, Path(os.path.realpath(folder)))
        above = folder.parent if is_seen else None
        return FolderList(folder, above, n_pictures, may_add, tuple(seen[:_MOST]))

    def _may_see(self, volume: ServedLibrary, folder: Path) -> bool:
        real = Path(os.path.realpath(folder))
        return self._is_known(volume, real) or (self._is_at_home(folder) and self._is_at_home(real))

    def _top(self, volume: ServedLibrary) -> FolderList:
        local = [folder for folder in self.of(volume) if not is_url(bytes(folder))]
        own = [folder for folder in local if folder.is_dir()]
        starts = [] if self._home is None else [FolderLine("Home", self._home)]
        starts += [FolderLine(printable(folder.name or str(folder)), folder) for folder in own]
        return FolderList(None, None, 0, False, tuple(starts))


def _started_with(volume: ServedLibrary, settings: ServerSettings) -> list[Path]:
    own = [as_path(root) for root in volume.files.catalog.roots()]
    several = (*own, *settings.folders)
    there = (path if is_url(bytes(path)) else path.absolute() for path in several)
    return [*dict.fromkeys(there)]


def _home() -> Path | None:
    """The home folder; None where a service has none of its own."""
    try:
        home = Path.home().absolute()
    except RuntimeError:
        return None
    return home if home != home.parent and home.is_dir() else None


def _is_shown(name: str) -> bool:
    """Whether a name is not hidden, and survives the way to the page and back."""
    return not name.startswith(".") and name.isprintable()


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
