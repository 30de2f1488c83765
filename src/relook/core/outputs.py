"""Files that a person names to be written: what is there already stays, but for their own kind.

The one rule of every command and function that writes where somebody says: pictures, archives and
libraries are never written over. Layer: core.
"""

import os
import stat
from pathlib import Path

from relook.core.errors import InputError
from relook.core.picture_paths import SUFFIXES, is_archive, printable

JSON, CSV, TEXT, SHELL = (".json",), (".csv",), (".txt",), (".sh",)
JSON_LINES, PAGE, CURVES, WEIGHTS = (".jsonl",), (".html", ".htm"), (".svg", ".pdf"), (".onnx",)
_CATALOG = "catalog.sqlite3"  # what makes a folder a library's


def check_output(path: Path, kind: tuple[str, ...] = ()) -> None:
    """Refuses a file that must not be written, before any work is done.

    What is there may be written over when it is empty, is no plain file (a pipe, a device), or
    has a suffix of the kind; a picture or an archive that libraries read never, whatever the kind.

    Args:
        path: The file; of a link, what it leads to counts.
        kind: Suffixes of files that the command writes, in lower case.

    Raises:
        InputError: `file_exists`; `in_library` for anything in a library's folder.
    """
    real = check_place(path)
    try:
        facts = real.stat()
    except OSError:  # nothing is there, or whoever writes hears why it cannot be
        return
    if not stat.S_ISREG(facts.st_mode) or not facts.st_size:
        return
    if is_original(real):
        raise InputError(
            "file_exists",
            f"{printable(bytes(path))} is there already, and pictures and archives are never"
            " written over",
            "choose another name",
        )
    if real.suffix.lower() not in kind:
        others = f"; only one that ends in {' or '.join(kind)} is written over" if kind else ""
        raise InputError(
            "file_exists",
            f"{printable(bytes(path))} is there already{others}",
            "choose another name, or remove it",
        )


def check_place(path: Path, *, is_library: bool = False) -> Path:
    """Refuses a file or folder to write in a library's folder.

    Args:
        path: Where.
        is_library: Whether it may be a library's folder itself, but in no other's.

    Returns:
        Where it is, without links.

    Raises:
        InputError: `in_library`; `bad_path` for `-`, which elsewhere means stdin.
    """
    if os.fspath(path) == "-":
        raise InputError(
            "bad_path", "- is no name of a file or folder to write", "name one, such as ./out"
        )
    real = Path(os.path.realpath(path))
    for folder in real.parents if is_library else (real, *real.parents):
        if os.path.exists(folder / _CATALOG):
            raise InputError(
                "in_library",
                f"{printable(bytes(path))} is in the library {printable(bytes(folder))}, where only"
                " its own files are",
                "choose a place outside of it",
            )
    return real


def is_original(path: Path) -> bool:
    """Whether its name is that of a picture, a video or an archive of them."""
    return path.suffix.lower() in SUFFIXES or is_archive(bytes(path))
