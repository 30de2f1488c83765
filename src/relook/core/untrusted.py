"""Folders that hold what strangers sent. Layer: core.

The server puts uploads into folders that carry a mark. Whoever reads a picture from such a
folder, in this process or another, today or next year, decodes it in a process with bounds
(`core.isolation`); pictures in a person's own folders are decoded at full speed.
"""

import os
from dataclasses import replace
from pathlib import Path

from relook.core.settings import ImageLimits

MARK = ".relook-untrusted"
TEMPORARY = "relook-pictures-"
"""What the names of a server's temporary folders begin with; one holds what people search with."""
STRANGERS = ("uploads", "query-pictures")
"""Folders of a library that hold what strangers sent."""
_TEXT = "Strangers sent the pictures in this folder: Relook decodes them apart. Leave this file.\n"


def mark(folder: Path) -> None:
    """Marks a folder, which must be there; marking twice is fine.

    Raises:
        OSError: when the disk refuses.
    """
    if not (folder / MARK).exists():
        (folder / MARK).write_text(_TEXT)


def limits_at(
    path: str | os.PathLike[str] | bytes, limits: ImageLimits | None = None
) -> ImageLimits:
    """What a picture file may cost where it lies: isolated in a folder that is marked.

    Args:
        path: The file; a link counts where it stands and where it leads.
        limits: What it may cost elsewhere.
    """
    limits = limits or ImageLimits()
    if limits.isolate:
        return limits
    name = os.fsencode(path)
    try:
        places = {os.path.dirname(name), os.path.dirname(os.path.realpath(name))}
        marked = any(os.path.exists(os.path.join(place, MARK.encode())) for place in places)
    except ValueError:  # a path with a NUL in it: reading it says so
        return limits
    return replace(limits, isolate=True) if marked else limits
