"""From a page's bytes to its readable text. Layer: rag.

Finding the article among menus is readability's job (the package `readability-lxml`: Arc90's
algorithm, maintained, and small beside its alternatives); everything after that is ours.
"""

from __future__ import annotations

import codecs
import importlib.util
import logging
import re

from relook.core.errors import InputError, MissingExtraError
from relook.core.plain_text import plain

__all__ = ["check_reader", "readable"]

_LOG = logging.getLogger(__name__)
_MAX_CHARS, _FEW_CHARS = 600_000, 80
_META = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([a-zA-Z0-9_:.-]{2,30})", re.I)
_HTML = re.compile(r"<(!doctype|html|head|body|p|div|h1|article|main|table|ul)\b", re.I)


def check_reader() -> None:
    """Sees to it that pages can be read.

    Raises:
        MissingExtraError: when the extra is not installed.
    """
    if importlib.util.find_spec("readability") is None:
        raise MissingExtraError(
            "missing_extra",
            "reading pages needs the package 'readability-lxml'",
            "pip install 'relook[ask]', or ask for no pages",
        )


def readable(data: bytes, charset: str = "", max_chars: int = 800) -> str:
    """The main text of a page, trimmed.

    Args:
        data: What the site sent.
        charset: The encoding it declared; looked for in the page when empty or unknown.
        max_chars: At most so many characters.

    Raises:
        InputError: `not_a_page` when it is no HTML and no text, whatever it was declared to be.
        MissingExtraError: when the extra is not installed.
    """
    if b"\0" in data[:4_096] and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError("not_a_page", "what is there is not text")
    text = _decoded(data, charset)[:_MAX_CHARS]
    if not _HTML.search(text[:20_000]):
        if text.lstrip().startswith("%PDF") or not _mostly_printable(text[:2_000]):
            raise InputError("not_a_page", "what is there is not text")
        return plain(text, max_chars, lines=True)
    check_reader()
    found = plain(_article(text), max_chars, lines=True)
    return found if len(found) >= _FEW_CHARS else plain(text, max_chars, lines=True)


def _article(text: str) -> str:
    from readability import Document  # lxml takes 50 ms to import

    try:
        return str(Document(text).summary(html_partial=True))
    except Exception as error:  # a hostile page may break the parser in any way
        _LOG.info("no article found in a page: %s", type(error).__name__)
        return text


def _decoded(data: bytes, charset: str) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    named = _META.search(data[:4_096])
    for name in (charset, named.group(1).decode("ascii") if named else "", "utf-8"):
        try:
            if name and codecs.lookup(name)._is_text_encoding:
                return data.decode(name, "replace")
        except (LookupError, UnicodeError):
            continue
    return data.decode("utf-8", "replace")


def _mostly_printable(text: str) -> bool:
    odd = sum(1 for char in text if char == "\ufffd" or (char < " " and char not in "\t\r\n\f"))
    return odd <= len(text) // 20
