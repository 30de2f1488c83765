"""Names in zip files as whoever made them wrote them. Layer: core.

A zip says of each name whether it is UTF-8. Many programs write UTF-8, or what their country's
Windows uses, without saying so; Python then takes the bytes for those of an American PC.

Source: .ZIP File Format Specification 6.3.10, 4.4.4 (bit 11) and appendix D (CP437).
"""

from __future__ import annotations

import itertools
import unicodedata
import zipfile
from collections.abc import Sequence

__all__ = ["names_of", "old_name"]

_UTF8_FLAG = 0x800
# Of Windows; the first that makes words. Some Chinese words look like Korean ones, so that
# Korean comes first where there are several characters, all of them Hangul.
_EAST_ASIAN = ("cp932", "cp949", "gbk", "big5")
_SOME = 4
_WORDS = ("HIRAGANA", "KATAKANA", "CJK UNIFIED", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH")
_LATIN = "FULLWIDTH LATIN"


def names_of(entries: Sequence[zipfile.ZipInfo]) -> list[bytes]:
    """The name of each member in UTF-8.

    One archive has one encoding: the one that makes sense of all its names is taken.
    """
    unsaid = [_raw(entry) for entry in entries if not entry.flag_bits & _UTF8_FLAG]
    encoding = _encoding([name for name in unsaid if not name.isascii()])
    return [
        old_name(entry)
        if entry.flag_bits & _UTF8_FLAG
        else _raw(entry).decode(encoding, "surrogateescape").encode("utf-8", "surrogateescape")
        for entry in entries
    ]


def old_name(entry: zipfile.ZipInfo) -> bytes:
    """The name as Python reads it, which older libraries know the member by."""
    return entry.filename.encode("utf-8", "surrogateescape")


def _raw(entry: zipfile.ZipInfo) -> bytes:
    """The bytes that stand in the archive, up to a NUL as Python reads them."""
    return entry.filename.encode("cp437", "replace")


def _encoding(names: Sequence[bytes]) -> str:
    if not names:
        return "utf-8"
    for encoding in ("utf-8", *_EAST_ASIAN):
        try:
            texts = [name.decode(encoding) for name in names]
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8" or _makes_words(texts, korean=encoding == "cp949"):
            return encoding
    return "cp437"


def _makes_words(texts: Sequence[str], *, korean: bool) -> bool:
    """Whether texts are East Asian, and not Western letters read by the wrong table."""
    n_pairs = 0
    letters = [char for char in "".join(texts) if not char.isascii()]
    if korean and (
        len(letters) < _SOME or not all("\uac00" <= char <= "\ud7a3" for char in letters)
    ):
        return False
    for text in texts:
        kinds = ["" if char.isascii() else unicodedata.name(char, "?") for char in text]
        for kind in filter(None, kinds):
            if not kind.startswith(_WORDS) or kind.startswith(_LATIN):
                return False
        n_pairs += sum(bool(a and b) for a, b in itertools.pairwise(kinds))
    return n_pairs > 0
