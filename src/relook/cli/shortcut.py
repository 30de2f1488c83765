"""`relook shortcut`: an entry among the machine's programs that opens the page. Layer: cli.

Source: freedesktop.org, Desktop Entry Specification 1.5 (names, quoting of `Exec`), Icon Theme
Specification (where icons of a person's own are).
"""

import hashlib
import importlib.resources
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from relook.cli.options import LibraryOption
from relook.core.errors import InputError
from relook.core.outputs import check_place
from relook.core.registry import import_extra

_ICON = Path("icons", "hicolor", "512x512", "apps", "relook.png")
_NO_NAME = re.compile(r"[\x00-\x1f\x7f]")


def shortcut(
    library: LibraryOption = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="DIR",
            help="Where to put it, a desktop for instance; among the programs when not given.",
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take it away again.")] = False,
) -> None:
    """Put Relook among the programs, so that a double-click opens its page."""
    place = folder or _programs()
    path = place / _file_name(library)
    if remove:
        if not path.exists():
            raise InputError("no_shortcut", f"there is no {path}", "nothing has to be removed")
        path.unlink()
        sys.stdout.write(f"{path} is gone\n")
        return
    if folder is not None:
        check_place(folder)
    import_extra("relook.server.app", "relook shortcut", "serve")
    if folder is not None and not folder.is_dir():
        raise InputError("no_folder", f"there is no folder {folder}", "make it, or name another")
    command = [sys.executable, "-m", "relook", "serve", "--open"]
    if library is not None:
        command += ["--library", os.path.abspath(library)]
    place.mkdir(parents=True, exist_ok=True)
    path.write_text(_content(command, _title(library)), encoding="utf-8")
    if sys.platform != "win32":
        path.chmod(0o755)
    sys.stdout.write(f"{path} opens {_title(library)}; closing its window stops it\n")


def _title(library: Path | None) -> str:
    """The name that a person sees."""
    if library is None:
        return "Relook"
    return f"Relook - {_NO_NAME.sub(' ', Path(os.path.abspath(library)).stem)}"


def _file_name(library: Path | None) -> str:
    if suffix := {"darwin": ".command", "win32": ".cmd"}.get(sys.platform):
        return _title(library) + suffix  # the file's name is what is shown there
    if library is None:
        return "relook.desktop"
    place = os.fsencode(os.path.abspath(library))
    return f"relook-{hashlib.blake2b(place, digest_size=4).hexdigest()}.desktop"


def _programs() -> Path:
    """Where programs of a person's own are listed."""
    if sys.platform == "darwin":
        return Path.home() / "Applications"
    if sys.platform == "win32":
        return Path(os.environ["APPDATA"], "Microsoft", "Windows", "Start Menu", "Programs")
    return _data() / "applications"


def _data() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def _content(command: Sequence[str], title: str) -> str:
    """What the file says."""
    if sys.platform == "darwin":
        return f"#!/bin/sh\nexec {shlex.join(command)}\n"
    if sys.platform == "win32":
        quoted = " ".join('"' + word.replace("%", "%%") + '"' for word in command)
        return f"@chcp 65001 >nul\r\n@{quoted}\r\n"
    lines = {
        "Type": "Application",
        "Name": _escaped(title),
        "Comment": "Find images with words, look again with feedback",
        "Exec": _escaped(" ".join(map(_quoted, command))),
        "Icon": _escaped(str(_icon())),
        "Terminal": "true",  # whoever closes its window stops it
        "Categories": "Graphics;Viewer;",
    }
    return "[Desktop Entry]\n" + "".join(f"{key}={value}\n" for key, value in lines.items())


def _quoted(word: str) -> str:
    """A word of a command in `Exec`."""
    return '"' + re.sub(r'(["`$\\])', r"\\\1", word.replace("%", "%%")) + '"'


def _escaped(value: str) -> str:
    """A value of a desktop entry, which is one line."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _icon() -> Path:
    """The icon, copied to where it stays when Relook is installed anew."""
    path = _data() / _ICON
    path.parent.mkdir(parents=True, exist_ok=True)
    static = importlib.resources.files("relook.server") / "static" / "icon-512.png"
    path.write_bytes(static.read_bytes())
    return path
