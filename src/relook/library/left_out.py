"""What a listing passes over: trash, thumbnails, and what a person's rules name. Layer: library.

Rules are those of a `.gitignore`: in a file `.relookignore` in any folder, for what is below it,
and in the setting `index.exclude`, below each root. The nearest rule that fits decides. Without
one, folders that hold no pictures of their own are passed over.

Sources: gitignore(5); names of trash and thumbnail folders as Windows, macOS, Synology and QNAP
make them; Android's `.nomedia`; Lightroom's `.lrdata` and Apple's `.photoslibrary`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relook.core.errors import InputError
from relook.core.picture_paths import split_member

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

__all__ = ["IGNORE_FILE", "LeftOut", "Rules", "left_out_note"]

IGNORE_FILE = ".relookignore"
_NO_MEDIA = b".nomedia"
_MOST_BYTES = 1024**2
_NAMES = frozenset(
    b"$recycle.bin recycler @eadir @recycle #recycle #snapshot lost+found .trash .trashes"
    b" .dtrash .thumbnails .thumbs .@__thumb node_modules bower_components __pycache__"
    b" .appledouble".split()
) | {b"system volume information"}
_BEGINNINGS = (b".trash-",)
_ENDINGS = (b".lrdata",)
_DERIVED = {
    b"resources": {b"derivatives", b"proxies", b"media", b"cpl", b"caches"},
    b".photoslibrary": {b"thumbnails", b"previews", b"private", b"scopes", b"database"},
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that hold in one folder, the nearest first: (folder they are relative to, name,
    patterns).
    """

    several: tuple[tuple[bytes, str, GitIgnoreSpec], ...] = ()


class LeftOut:
    """Decides what is left out, and remembers what was.

    Args:
        patterns: As lines of a `.gitignore`, relative to each root.
        defaults: Whether trash, thumbnails and the like are left out.

    Attributes:
        n_files: How many files were left out, by rule.
        notes: Rules that could not be read.

    Raises:
        InputError: `bad_pattern` for one that is none.
    """

    def __init__(self, patterns: Sequence[str] = (), *, defaults: bool = True) -> None:
        self._patterns = _spec(patterns, "index.exclude") if patterns else None
        self._defaults = defaults
        self._places: set[bytes] = set()
        self.n_files: Counter[str] = Counter()
        self.notes: list[str] = []

    @property
    def has_patterns(self) -> bool:
        """Whether more than the built-in rules hold below every root."""
        return self._patterns is not None or not self._defaults

    def clear(self) -> None:
        """Forgets what was left out: a new listing begins."""
        self._places.clear()
        self.n_files.clear()
        self.notes.clear()

    def at_root(self, root: bytes) -> Rules:
        """The rules that hold below a root."""
        return Rules(((root, "exclude", self._patterns),) if self._patterns else ())

    def in_folder(self, rules: Rules, folder: bytes, names: Collection[bytes]) -> Rules:
        """The rules in a folder, of those above it and its own."""
        if IGNORE_FILE.encode() not in names:
            return rules
        try:
            with open(os.path.join(folder, IGNORE_FILE.encode()), "rb") as file:
                lines = file.read(_MOST_BYTES).decode("utf-8-sig", "replace").splitlines()
            own = (folder, IGNORE_FILE, _spec(lines, IGNORE_FILE))
        except (OSError, InputError) as error:
            place = os.fsdecode(folder)
            self.notes.append(f"the rules of {place}/{IGNORE_FILE} do not hold: {error}")
            return rules
        return Rules((own, *rules.several))

    def takes_no_media(self, names: Collection[bytes]) -> bool:
        """Whether a folder with these names in it says that its pictures are nobody's."""
        return self._defaults and _NO_MEDIA in names

    def is_left_out(self, rules: Rules, path: bytes, *, is_folder: bool) -> bool:
        """Whether a file or folder is left out; remembers and counts it if it is."""
        rule = self._rule(rules, path, is_folder)
        if rule:
            self.leave_out(path, rule, is_folder=is_folder)
        return bool(rule)

    def leave_out(self, path: bytes, rule: str, *, is_folder: bool) -> None:
        """Remembers and counts what is left out."""
        self._places.add(path)
        self.n_files[rule] += _n_files(path) if is_folder else 1

    def covers(self, path: bytes) -> bool:
        """Whether a file, or the member of an archive, or a folder above it was left out."""
        if not self._places:
            return False
        if path in self._places:
            return True
        member = split_member(path)
        place = member[0] if member else os.path.dirname(path)
        while place not in self._places:
            above = os.path.dirname(place)
            if above == place:
                return False
            place = above
        return True

    def _rule(self, rules: Rules, path: bytes, is_folder: bool) -> str:
        """The name of the rule that leaves it out; empty when it stays."""
        if not rules.several and not is_folder:
            return ""
        for base, name, patterns in rules.several:
            below = os.fsdecode(path[len(base) :].lstrip(b"/")) + ("/" if is_folder else "")
            included = patterns.check_file(below).include
            if included is not None:
                return name if included else ""
        if not (is_folder and self._defaults):
            return ""
        return os.fsdecode(os.path.basename(path)) if _is_no_album(path) else ""

    def member_is_left_out(self, rules: Rules, archive: bytes, name: bytes) -> bool:
        """Whether a member of an archive, or a folder above it in there, is left out."""
        parts = name.split(b"/")
        for end in range(1, len(parts) + 1):
            path = archive + b"!/" + b"/".join(parts[:end])
            if rule := self._rule(rules, path, end < len(parts)):
                self.leave_out(archive + b"!/" + name, rule, is_folder=False)
                return True
        return False


def _spec(lines: Iterable[str], source: str) -> GitIgnoreSpec:
    import pathspec  # only where somebody has rules

    try:
        return pathspec.GitIgnoreSpec.from_lines(lines)
    except (ValueError, TypeError) as error:
        raise InputError(
            "bad_pattern", f"{source}: {error}", "patterns are those of a .gitignore"
        ) from error


def _is_no_album(folder: bytes) -> bool:
    """Whether programs keep trash, thumbnails or copies in a folder of this name."""
    above, name = os.path.split(folder.lower())
    if name in _NAMES or name.startswith(_BEGINNINGS) or name.endswith(_ENDINGS):
        return True
    if above.endswith(b".photoslibrary"):
        return name in _DERIVED[b".photoslibrary"]
    within = os.path.dirname(above).endswith(b".photoslibrary")
    return within and name in _DERIVED.get(os.path.basename(above), ())


def _n_files(folder: bytes) -> int:
    """How many files are in a folder and below; those that cannot be listed count as none."""
    return sum(len(files) for _, _, files in os.walk(folder))


def left_out_note(n_files: Mapping[str, int]) -> str:
    """One sentence on what was passed over; empty when nothing was."""
    if not n_files:
        return ""
    n = sum(n_files.values())
    rules = ", ".join(f"{rule} ({n:,})" for rule, n in sorted(n_files.items()))
    files = "1 file is" if n == 1 else f"{n:,} files are"
    return f"{files} left out: {rules}; --no-default-excludes takes in trash and thumbnails"
