"""Which file beside a picture tells of it: `x.xmp`, `x.jpg.xmp`, Google Takeout's JSON.

Takeout cuts long names short, counts equal ones in odd places, and gives an edited picture none
of its own. What differs in case or in the Unicode form only is the second choice. Layer: core.

Source: files of Google Takeout, 2018 to 2025: `NAME.json`, `NAME.supplemental-metadata.json`,
both cut to 51 characters; `NAME.jpg(1).json` for `NAME(1).jpg`; `NAME-edited.jpg` without one.
"""

import functools
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from relook.core.picture_paths import SUFFIXES, is_video

_SUFFIXES = (b".xmp", b".json")
_SUPPLEMENT = b".supplemental-metadata"
_PICTURES = frozenset(suffix.encode() for suffix in SUFFIXES)
_LONGEST = 46  # of a name in Takeout before its `.json`
_COUNTED = re.compile(rb"(.+)(\(\d+\))(\.[^.]+)")
_TELLING = re.compile(rb"(.+?)(?:\(\d+\))?\.json", re.I)
_EDITED = re.compile(rb"(.+)(?:-edited|-bearbeitet|-modifi\xc3\xa9|-editado|-modificato)(\.[^.]+)")


@dataclass(frozen=True, slots=True)
class NamesBeside:
    """Names of the files in a folder that may tell of pictures.

    Args:
        names: As they are.
        alike: The same where their case and Unicode form do not count -> as they are; without
            those that are equal then.
        rivals: Names and stems of other files that are equal then: whose file is meant is open.
    """

    names: frozenset[bytes] = frozenset()
    alike: Mapping[bytes, bytes] = field(default_factory=dict)
    rivals: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, names: Iterable[bytes]) -> Self:
        """Those of all names in a folder."""
        every = frozenset(names)
        telling = frozenset(name for name in every if name.lower().endswith(_SUFFIXES))
        if not telling:
            return cls()
        alike = _grouped(telling)
        others = every - telling
        several = (*_grouped(others).items(), *_grouped(map(_stem, others)).items())
        return cls(
            telling,
            {key: next(iter(own)) for key, own in alike.items() if len(own) == 1},
            frozenset(key for key, own in several if len(own) > 1),
        )

    def found(
        self, name: bytes, find: Callable[[bytes, Collection[bytes]], bytes | None]
    ) -> bytes | None:
        """What a rule finds for a picture by its very name, else by one that is like it."""
        if (exact := find(name, self.names)) is not None or not self.alike:
            return exact
        like = likeness(name)
        if not self.rivals.isdisjoint((like, _stem(like))):
            return None
        second = find(like, self.alike)
        return None if second is None else self.alike[second]


def likeness(name: bytes) -> bytes:
    """What is equal of names that differ in case or in the Unicode form only."""
    text = name.decode("utf-8", "surrogateescape")
    return unicodedata.normalize("NFC", text).casefold().encode("utf-8", "surrogateescape")


def _stem(name: bytes) -> bytes:
    return os.path.splitext(name)[0]


def _grouped(names: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    groups: dict[bytes, set[bytes]] = {}
    for name in names:
        groups.setdefault(likeness(name), set()).add(name)
    return groups


def names_beside(path: bytes) -> NamesBeside:
    """Names of the files in a picture's folder that may tell of pictures."""
    folder = os.path.dirname(path)
    try:
        return _names_in(folder, os.stat(folder).st_mtime_ns)
    except OSError:
        return NamesBeside()


def stems_alike(folder: bytes, suffixes: tuple[bytes, ...]) -> Mapping[bytes, Collection[bytes]]:
    """Names in a folder that end with a suffix, by what `likeness` makes of their stems.

    Args:
        folder: Its path.
        suffixes: In lower case, with their dots.
    """
    try:
        return _stems_in(folder, suffixes, os.stat(folder or b".").st_mtime_ns)
    except OSError:
        return {}


@functools.lru_cache(maxsize=256)  # a page has hits of many folders
def _stems_in(
    folder: bytes, suffixes: tuple[bytes, ...], _stamp: int
) -> Mapping[bytes, Collection[bytes]]:
    stems: dict[bytes, set[bytes]] = {}
    for name in os.listdir(folder or b"."):
        if name.lower().endswith(suffixes):
            stems.setdefault(likeness(_stem(name)), set()).add(name)
    return stems


@functools.lru_cache(maxsize=64)
def _names_in(folder: bytes, _stamp: int) -> NamesBeside:
    return NamesBeside.of(os.listdir(folder))


def xmp_beside(name: bytes, beside: NamesBeside) -> bytes | None:
    """The name of the XMP file of a picture; the one with its whole name first."""
    return beside.found(name, _xmp_of)


def _xmp_of(name: bytes, names: Collection[bytes]) -> bytes | None:
    for whole in (name, _stem(name)):
        for wanted in (whole + b".xmp", whole + b".XMP"):
            if wanted in names:
                return wanted
    return None


def is_takeout_name(name: bytes) -> bool:
    """Whether a JSON file has the whole name of a picture or video in its own, as Takeout's do.

    It is about that file, and about no other, even where that file is not there.
    """
    if not (telling := _TELLING.fullmatch(name)):
        return False
    about = telling[1].lower()
    stem, last = os.path.splitext(about)
    return _is_media(about) or (_SUPPLEMENT.startswith(last) and _is_media(stem))


def _is_media(name: bytes) -> bool:
    return is_video(name) or os.path.splitext(name)[1] in _PICTURES


def takeout_beside(name: bytes, beside: NamesBeside) -> bytes | None:
    """The name of the JSON file that Takeout wrote for a picture.

    Args:
        name: Of the picture.
        beside: The files in its folder.
    """
    return beside.found(name, _takeout_for)


def _takeout_for(name: bytes, names: Collection[bytes]) -> bytes | None:
    counted = _COUNTED.fullmatch(name)
    plain, count = (counted[1] + counted[3], counted[2]) if counted else (name, b"")
    for target, number in ((plain, count), (name, b"")):
        if takeout := _takeout_of(target, number, names):
            return takeout
    edited = _EDITED.fullmatch(name)
    return _takeout_for(edited[1] + edited[2], names) if edited else None


def _takeout_of(name: bytes, number: bytes, names: Collection[bytes]) -> bytes | None:
    whole = name + _SUPPLEMENT
    for end in range(len(whole), len(name) - 1, -1):
        if (wanted := whole[:end] + number + b".json") in names:
            return wanted
    cut = name[:_LONGEST] + number + b".json"
    return cut if len(name) > _LONGEST and cut in names else None
