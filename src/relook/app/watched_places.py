"""Folders that may become others without any event: mounts, links, disks that come back.

Layer: app. Events of the system are about folders that are watched. Nobody tells when a disk is
unmounted, when what a link leads to goes, or when a folder that was not there comes back.
Those few places are looked at instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from relook.core.picture_paths import is_below, is_url

__all__ = ["WatchedPlaces"]

_MOUNTS = "/proc/self/mountinfo"
_ESCAPE = re.compile(rb"\\([0-7]{3})")


class WatchedPlaces:
    """The places below some roots whose identity is looked at.

    Args:
        roots: Absolute paths; addresses are left out.
    """

    def __init__(self, roots: Iterable[bytes]) -> None:
        self._roots = [root for root in roots if not is_url(root)]
        self._places = {root: _identity(root) for root in self._roots}
        self._mounts = _mounts_below(self._roots)

    def add(self, places: Iterable[bytes]) -> None:
        """Looks at further places from now on, and at the roots."""
        wanted = {*self._roots, *(place for place in places if not is_url(place))}
        self._places = {
            place: self._places[place] if place in self._places else _identity(place)
            for place in wanted
        }

    def changed(self) -> bool:
        """Whether any is another, gone or back since this was asked last."""
        now = {place: _identity(place) for place in self._places}
        mounts = _mounts_below(self._roots)
        is_changed = now != self._places or mounts != self._mounts
        self._places, self._mounts = now, mounts
        return is_changed


def _identity(place: bytes) -> tuple[int, int] | int:
    """Device and inode of what is at a path, links followed; the error's number where none is."""
    try:
        facts = os.stat(place)
    except OSError as error:
        return error.errno or -1
    return facts.st_dev, facts.st_ino


def _mounts_below(roots: list[bytes]) -> frozenset[tuple[bytes, bytes]]:
    """Mount points at or below some folders, with the number of each mount; Linux tells them."""
    try:
        with open(_MOUNTS, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return frozenset()
    real = [os.path.realpath(root) for root in roots]
    found = []
    for line in lines:
        words = line.split(b" ")
        if len(words) > 4:
            point = _ESCAPE.sub(lambda octal: bytes([int(octal[1], 8)]), words[4])
            if any(is_below(point, root) for root in real):
                found.append((words[0], point))
    return frozenset(found)
