"""A page as a grid of pictures, or as text. Layer: notebook.

Titles and file names come from anybody, and a notebook runs what it shows: every word is
escaped, and a picture is a JPEG that was made here.
"""

import base64
from html import escape
from pathlib import Path

from relook.core.errors import ImageError, counted
from relook.core.images import load
from relook.core.picture import reencoded
from relook.core.picture_paths import printable
from relook.core.types import Box, Hit, Page

_THUMBNAIL_PX = 200
_N_SHOWN = 60
_GRID = "display:flex;flex-wrap:wrap;gap:10px;align-items:flex-start"
_CARD = "margin:0;width:200px;font-size:12px;line-height:1.35;overflow-wrap:anywhere"
_FRAME = "position:relative;display:inline-block;line-height:0"
_PICTURE = "max-width:200px;max-height:200px;margin:0;border-radius:3px"
_TILE = "position:absolute;box-sizing:border-box;border:2px solid #e8590c;border-radius:2px"
_GONE = "padding:24px 8px;border:1px dashed;opacity:.7;text-align:center"
_QUIET = "opacity:.7;font-size:12px"


def page_html(page: Page) -> str:
    """A page as HTML that needs nothing but itself: thumbnails are in it.

    The region that won is outlined, unless it is the whole picture.
    """
    cards = [_card(at, hit) for at, hit in enumerate(page[:_N_SHOWN], start=1)]
    n_left = len(page) - len(cards)
    lines = [_counted(page)]
    lines += [f"and {n_left} more, which are in the page but not drawn"] if n_left else []
    notes = "".join(f'<div style="{_QUIET}">{_words(line)}</div>' for line in (*lines, *page.notes))
    return f'<div class="relook-page">{notes}<div style="{_GRID}">{"".join(cards)}</div></div>'


def page_text(page: Page) -> str:
    """A page in plain text, a line a hit."""
    lines = [_counted(page)]
    for at, hit in enumerate(page, start=1):
        words = hit.title or hit.caption
        lines.append(
            f"{at:3} {hit.score:7.3f}  {_name(hit.path)}" + (f"  {words}" if words else "")
        )
    lines += [f"note: {note}" for note in page.notes]
    return "\n".join(_plain(line) for line in lines)


def _counted(page: Page) -> str:
    """How many images there are, for what."""
    n_hits = len(page)
    return f"{counted(n_hits, 'image')} for {query_text(page)}" if n_hits else "nothing found"


def query_text(page: Page) -> str:
    """What was asked, in a few words."""
    parts: list[str] = []
    for part in page.query.parts:
        what = _name(part.image) if part.image else part.called
        parts.append(f"- {what}" if part.weight < 0 else f"+ {what}" if parts else what)
    return " ".join(parts)


def _card(at: int, hit: Hit) -> str:
    name = _words(_name(hit.path))
    try:
        uri = thumbnail_uri(hit.path, _THUMBNAIL_PX)
    except ImageError as error:
        shown = f'<div style="{_GONE}">{_words(error.message)}</div>'
    else:
        tile = _outline(hit.tile) if hit.tile_number else ""
        image = f'<img style="{_PICTURE}" src="{uri}" alt="{name}">'
        shown = f'<div style="{_FRAME}">{image}{tile}</div>'
    alike = f" (+{len(hit.folded)} alike)" if hit.folded else ""
    words = _words(hit.title or hit.caption)
    return (
        f'<figure style="{_CARD}" title="{_words(printable(bytes(hit.path)))}">{shown}'
        f"<figcaption><b>{at}</b> {hit.score:.3f} {name}{alike}"
        f"{f'<br>{words}' if words else ''}<br>"
        f'<span style="{_QUIET}">image {hit.image_id}</span></figcaption></figure>'
    )


def _outline(tile: Box) -> str:
    place = (
        f"left:{100 * tile.x0:.1f}%;top:{100 * tile.y0:.1f}%;"
        f"width:{100 * (tile.x1 - tile.x0):.1f}%;height:{100 * (tile.y1 - tile.y0):.1f}%"
    )
    return f'<div style="{_TILE};{place}"></div>'


def _name(path: Path) -> str:
    return printable(path.name)


def _words(text: str) -> str:
    return escape(_plain(text), quote=True)


def _plain(text: str) -> str:
    """Text without what steers a terminal or turns its direction round."""
    return "".join(c if c.isprintable() else " " for c in text)


def thumbnail_uri(path: Path, size_px: int) -> str:
    """A picture file as a `data:` address of a JPEG whose longer side is at most `size_px`.

    Raises:
        ImageError: when the file is gone or is no picture.
    """
    small = reencoded(load(path, size_px).image, size_px, quality=78)
    return "data:image/jpeg;base64," + base64.b64encode(small).decode("ascii")
