"""Which file beside a picture tells of it: `x.xmp`, `x.jpg.xmp`, Google Takeout's JSON.

Takeout cuts long names short, counts equal ones in odd places, and gives an edited picture none
of its own. Layer: core.

Source: files of Google Takeout, 2018 to 2025: `NAME.json`, `NAME.supplemental-metadata.json`,
both cut to 51 characters; `NAME.jpg(1).json` for `NAME(1).jpg`; `NAME-edited.jpg` without one.
"""

import functools
import os
import re
from collections.abc import Collection

_SUFFIXES = (b".xmp", b".json")
_SUPPLEMENT = b".supplemental-metadata"
_LONGEST = 46  # of a name in Takeout before its `.json`
_COUNTED = re.compile(rb"(.+)(\(\d+\))(\.[^.]+)")
_EDITED = re.compile(rb"(.+)(?:-edited|-bearbeitet|-modifi\xc3\xa9|-editado|-modificato)(\.[^.]+)")


def names_beside(path: bytes) -> frozenset[bytes]:
    """Names of the files in a picture's folder that may tell of pictures."""
    folder = os.path.dirname(path)
    try:
        return _names_in(folder, os.stat(folder).st_mtime_ns)
    except OSError:
        return frozenset()


@functools.lru_cache(maxsize=64)
def _names_in(folder: bytes, _stamp: int) -> frozenset[bytes]:
    return sidecars_in(os.listdir(folder))


def sidecars_in(names: Collection[bytes]) -> frozenset[bytes]:
    """Those of some names that may be of files that tell of pictures."""
    return frozenset(name for name in names if name.lower().endswith(_SUFFIXES))


def xmp_beside(name: bytes, names: Collection[bytes]) -> bytes | None:
    """The name of the XMP file of a picture; the one with its whole name first."""
    stem = os.path.splitext(name)[0]
    for wanted in (name + b".xmp", name + b".XMP", stem + b".xmp", stem + b".XMP"):
        if wanted in names:
            return wanted
    return None


def takeout_beside(name: bytes, names: Collection[bytes]) -> bytes | None:
    """The name of the JSON file that Takeout wrote for a picture.

    Args:
        name: Of the picture.
        names: Of the files in its folder.
    """
    counted = _COUNTED.fullmatch(name)
    plain, count = (counted[1] + counted[3], counted[2]) if counted else (name, b"")
    for target, number in ((plain, count), (name, b"")):
        if takeout := _takeout_of(target, number, names):
            return takeout
    edited = _EDITED.fullmatch(name)
    return takeout_beside(edited[1] + edited[2], names) if edited else None


def _takeout_of(name: bytes, number: bytes, names: Collection[bytes]) -> bytes | None:
    whole = name + _SUPPLEMENT
    for end in range(len(whole), len(name) - 1, -1):
        if (wanted := whole[:end] + number + b".json") in names:
            return wanted
    cut = name[:_LONGEST] + number + b".json"
    return cut if len(name) > _LONGEST and cut in names else None
