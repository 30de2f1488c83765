"""Captions and facts that stand beside a picture in its archive. Layer: library.

Source: the WebDataset format, https://github.com/webdataset/webdataset: `key.jpg` with
`key.txt` (a caption), `key.json` (facts) and `key.cls` (a class) in one archive.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from relook.core.picture_paths import split_member
from relook.core.sources import read_beside
from relook.library.records import Words, printable

__all__ = ["words_beside"]

_LOG = logging.getLogger(__name__)
_TITLE, _CAPTION = ("title",), ("caption", "text", "TEXT")
_OURS = ("image_id", "path", "width_px", "height_px", "content")  # as `relook export` writes


def words_beside(path: bytes) -> Words | None:
    """What an archive says about one of its pictures, or None.

    Raises:
        ImageError: when the archive cannot be read.
    """
    if split_member(path) is None:
        return None
    words = None
    for suffix, data in read_beside(path).items():
        try:
            found = _words(suffix, data.decode("utf-8").strip())
        except ValueError as error:
            _LOG.info("%s beside %s says nothing: %s", suffix, printable(path), error)
            continue
        words = found if words is None else words.over(found)
    return words


def _words(suffix: bytes, text: str) -> Words:
    if suffix == b".txt":
        return Words(caption=text)
    if suffix == b".cls":
        return Words(metadata={"class": text})
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("it is no object")
    inner = values.get("metadata")
    facts = {
        key: value
        for key, value in (values | (inner if isinstance(inner, dict) else {})).items()
        if isinstance(value, str | int | float | bool) and key not in _OURS
    }
    title, caption = _first(facts, _TITLE), _first(facts, _CAPTION)
    return Words(title, caption, facts)


def _first(facts: dict[str, Any], keys: tuple[str, ...]) -> str:
    """The first of some facts that is text, taken out of them."""
    found = [str(facts.pop(key)) for key in keys if key in facts]
    return next(filter(None, found), "")
