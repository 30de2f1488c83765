"""Groups of copies as a list or a script for people to read and run. Layer: search."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

from relook.core.json_writer import to_json
from relook.core.picture_paths import is_url, printable, split_member
from relook.search.copies import Copies, Copy, CopyGroup

_HEAD = b"""#!/bin/sh
# Written by: relook copies --format sh. Read it first.
#     sh THIS_FILE FOLDER
# moves every picture but the one to keep of its group into FOLDER. Nothing is deleted.
set -eu
to="${1:?name a folder to move copies to}"
mkdir -p -- "$to"
other() { # KEPT COPY NAME: moves the copy, where both are there
    if [ -e "$1" ] && [ -e "$2" ] && [ ! -e "$to/$3" ]; then mv -- "$2" "$to/$3"; fi
}
"""


def as_csv(copies: Copies) -> bytes:
    """A line for each picture: the number of its group, whether to keep it and why, its facts."""
    lines = io.StringIO(newline="")
    table = csv.writer(lines)
    table.writerow(
        ("group", "keep", "why", "path", "image_id", "size_bytes", "width_px", "height_px",
         "format", "taken_at", "n_facts", "same_file", "sharpness")
    )  # fmt: skip
    for number, group in enumerate(copies.groups, start=1):
        for at, copy in enumerate(group.copies):
            table.writerow(
                (number, "yes" if at == 0 else "no", group.why if at == 0 else "",
                 _cell(printable(bytes(copy.path))), copy.image_id, copy.size_bytes, copy.width_px,
                 copy.height_px, copy.format, _cell(copy.taken_at), copy.n_facts,
                 "yes" if copy.is_same_file else "no",
                 "" if copy.sharpness is None else f"{copy.sharpness:.2f}")
            )  # fmt: skip
    return lines.getvalue().encode()


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def as_json(copies: Copies) -> bytes:
    """The object of the API."""
    return json.dumps(to_json(copies, text=printable), indent=1).encode() + b"\n"


def as_script(copies: Copies) -> bytes:
    """A script for /bin/sh that moves the others of each group into a folder."""
    parts = [_HEAD]
    for number, group in enumerate(copies.groups, start=1):
        parts.append(b"\n# %d: keep %s; %s\n" % (number, _said(group.copies[0]), _why(group)))
        kept = group.copies[0]
        parts += [_line(kept, copy) for copy in group.copies[1:]]
    return b"".join(parts)


def _why(group: CopyGroup) -> bytes:
    return (group.why or "they are the same").encode()


def _line(kept: Copy, copy: Copy) -> bytes:
    path = bytes(copy.path)
    for place in (path, bytes(kept.path)):
        if split_member(place) is not None or is_url(place):
            return b"# not on this disk by itself: %s\n" % _said(copy)
    name = b"%d-" % copy.image_id + path.rpartition(b"/")[2]
    return b"other %s %s %s\n" % (_quoted(bytes(kept.path)), _quoted(path), _quoted(name))


def _quoted(path: bytes) -> bytes:
    """A word of a shell, whatever bytes it has."""
    return b"'" + path.replace(b"'", b"'\\''") + b"'"


def _said(copy: Copy) -> bytes:
    """A path within a comment: nothing in it ends the line."""
    text = printable(bytes(copy.path))
    return "".join(c if c.isprintable() else "?" for c in text).encode()


FORMATS: Mapping[str, Callable[[Copies], bytes]] = MappingProxyType(
    {"csv": as_csv, "json": as_json, "sh": as_script}
)
"""Name of a format -> what writes it."""
