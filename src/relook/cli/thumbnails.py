"""Thumbnails inside terminals that can show pictures. Layer: cli.

Source: the kitty graphics protocol (sw.kovidgoyal.net/kitty/graphics-protocol) and iTerm2's
inline images protocol (iterm2.com/documentation-images.html).
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from relook.core.errors import ImageError

__all__ = ["protocol", "sequence", "show_thumbnails"]

_HEIGHT_PX = 120
_CHUNK = 4096


def protocol(environment: Mapping[str, str]) -> str | None:
    """`kitty`, `iterm` or None, as the terminal says of itself."""
    if "KITTY_WINDOW_ID" in environment or environment.get("TERM_PROGRAM") == "ghostty":
        return "kitty"
    if environment.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm"):
        return "iterm"
    return None


def sequence(png: bytes, kind: str) -> str:
    """The bytes of a PNG as an escape sequence of the protocol."""
    data = base64.standard_b64encode(png).decode("ascii")
    if kind == "iterm":
        return f"\033]1337;File=inline=1;size={len(png)}:{data}\a"
    chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    parts = []
    for number, chunk in enumerate(chunks):
        head = "a=T,f=100," if number == 0 else ""
        more = int(number < len(chunks) - 1)
        parts.append(f"\033_G{head}m={more};{chunk}\033\\")
    return "".join(parts)


def show_thumbnails(paths: Sequence[Path]) -> bool:
    """Draws one row of pictures on stdout where the terminal can; says whether it did.

    A picture that cannot be read any more is left out: the table below still names it.
    """
    kind = protocol(os.environ) if sys.stdout.isatty() else None
    if kind is None:
        return False
    from PIL import Image

    from relook.core.images import load, reencoded

    thumbnails = []
    for path in paths:
        try:
            image = load(path, _HEIGHT_PX).image
        except ImageError:
            continue
        width = max(round(image.width * _HEIGHT_PX / image.height), 1)
        thumbnails.append(image.resize((min(width, 3 * _HEIGHT_PX), _HEIGHT_PX)))
    row = Image.new("RGB", (sum(t.width + 4 for t in thumbnails) or 1, _HEIGHT_PX), "white")
    left = 0
    for thumbnail in thumbnails:
        row.paste(thumbnail, (left, 0))
        left += thumbnail.width + 4
    sys.stdout.write(sequence(reencoded(row, form="PNG"), kind) + "\n")
    return True
