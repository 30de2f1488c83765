"""Evidence as one picture: numbered thumbnails with their titles. Layer: rag.

Reverse Image RAG showed a model a screenshot of a results page. This sheet is drawn from the
matches themselves: no advertisements, no struck items, and numbers to cite.
"""

from __future__ import annotations

import textwrap

from PIL import Image, ImageDraw, ImageFont

from relook.core.errors import ImageError
from relook.core.images import decode, reencoded
from relook.core.plain_text import inert, plain
from relook.core.settings import ImageLimits
from relook.core.web import host_of
from relook.rag.evidence import Evidence, Item
from relook.rag.evidence_text import KIND_WORDS

__all__ = ["contact_sheet"]

_CELL, _PICTURE, _TEXT, _GAP, _COLUMNS = 240, 240, 84, 12, 4
_PAPER, _INK, _GREY, _BLANK = (255, 255, 255), (17, 17, 17), (95, 95, 95), (232, 232, 232)
_Field = tuple[str, bytes | None, list[str]]
_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
_FONT_PX, _NUMBER_PX, _LINE_PX, _LINE_CHARS = 14, 22, 18, 33
_QUALITY = 90


def contact_sheet(evidence: Evidence, subject: bytes | None = None) -> bytes:
    """Draws the items that a model may see.

    An item without a small picture gets an empty field with its text.

    Args:
        evidence: What was found; struck items are left out.
        subject: The bytes of the picture asked about, to be shown first, marked "?".

    Returns:
        A JPEG, four fields a row: a PNG takes several times as long and is no easier to read.
    """
    fields: list[_Field] = []
    if subject is not None:
        fields.append(("?", subject, ["the picture asked about"]))
    fields += [(str(item.number), item.match.thumbnail, _words(item)) for item in evidence.shown]
    columns = max(min(_COLUMNS, len(fields)), 1)
    n_rows = max(-(-len(fields) // columns), 1)
    width = columns * (_CELL + _GAP) + _GAP
    height = n_rows * (_PICTURE + _TEXT + _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    fonts = (ImageFont.load_default(_FONT_PX), ImageFont.load_default(_NUMBER_PX))
    for at, (mark, picture, words) in enumerate(fields):
        row, column = divmod(at, columns)
        left, top = _GAP + column * (_CELL + _GAP), _GAP + row * (_PICTURE + _TEXT + _GAP)
        _draw(sheet, (left, top), (mark, picture, words), fonts)
    # Letters are black on white, so the coarser colours of a JPEG leave them sharp.
    return reencoded(sheet, quality=_QUALITY)


def _words(item: Item) -> list[str]:
    """At most four lines: kind and source, then the title."""
    match = item.match
    source = match.source or host_of(match.page_url)
    first = KIND_WORDS[match.kind] + (f" \u00b7 {source}" if source else "")
    title = inert(plain(match.title or match.text, 3 * _LINE_CHARS))
    lines = textwrap.wrap(title, _LINE_CHARS, break_long_words=True)[:3]
    return [inert(plain(first, _LINE_CHARS)), *lines]


def _draw(
    sheet: Image.Image, corner: tuple[int, int], field: _Field, fonts: tuple[_Font, _Font]
) -> None:
    left, top = corner
    mark, picture, words = field
    draw = ImageDraw.Draw(sheet)
    small = _small(picture)
    if small is None:
        draw.rectangle((left, top, left + _CELL - 1, top + _PICTURE - 1), fill=_BLANK)
    else:
        at = (left + (_CELL - small.width) // 2, top + (_PICTURE - small.height) // 2)
        sheet.paste(small, at)
    badge = (left, top, left + 22 + 13 * len(mark), top + 32)
    draw.rectangle(badge, fill=_INK)
    draw.text((left + 11, top + 3), mark, fill=_PAPER, font=fonts[1])
    for line, text in enumerate(words):
        place = (left, top + _PICTURE + 4 + line * _LINE_PX)
        ink = _GREY if line == 0 else _INK
        draw.text(place, _drawable(text), fill=ink, font=fonts[0])


def _small(picture: bytes | None) -> Image.Image | None:
    if picture is None:
        return None
    try:
        image = decode(picture, _PICTURE, ImageLimits(isolate=True)).image
    except ImageError:
        return None
    # It takes half the time of the default filter, and decoding has done most of the reduction.
    image.thumbnail((_CELL, _PICTURE), Image.Resampling.HAMMING)
    return image


def _drawable(text: str) -> str:
    """Pillow's own font has Latin letters only; a letter it lacks becomes a dot, not a box."""
    text = text.replace("\u2013", "-").replace("\u2014", "-").replace("\u2026", "...")
    return "".join(char if char < "\u0180" else "\u00b7" for char in text)
