"""What a listing passes over: trash, thumbnails, what rules name, what is no picture.

Layer: library.

Rules are those of a `.gitignore`: in a file `.relookignore` in any folder, for what is below it,
and in the setting `index.exclude`, below each root. The nearest rule that fits decides. Without
one, folders that hold no pictures of their own are passed over.

Sources: gitignore(5); names of trash and thumbnail folders as Windows, macOS, Synology and QNAP
make them; Android's `.nomedia`; Lightroom's `.lrdata` and Apple's `.photoslibrary`.

Other files are counted by suffix: what looks like a picture or a film comes with what to do.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relook.core.converter import JsonValue
from relook.core.errors import ImageError, InputError, counted
from relook.core.picture_paths import VIDEO_EXTRA, is_url, member_path, printable, split_member
from relook.core.text_encoding import decoded

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

LIVE = "Live Photo"
"""The rule by which the moving part of a Live Photo is left out: its still is indexed."""
IGNORE_FILE = ".relookignore"
_IGNORE_BYTES = IGNORE_FILE.encode()
_NO_MEDIA = b".nomedia"
_MOST_BYTES = 1024**2
_SAVE = "save it as UTF-8"
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
        """The rules in a folder, of those above it and its own.

        Raises:
            InputError: `bad_pattern` when its own cannot be read: nobody knows what they keep out.
        """
        if _IGNORE_BYTES not in names:
            return rules
        data = _read(os.path.join(folder, _IGNORE_BYTES))
        lines = self._lines(data, f"{printable(folder)}/{IGNORE_FILE}")
        return Rules(((folder, IGNORE_FILE, _spec(lines, IGNORE_FILE)), *rules.several))

    def _lines(self, data: bytes, place: str) -> list[str]:
        """The lines of a file of rules; notes those that are no UTF-8.

        Raises:
            InputError: when it is too large, or no text.
        """
        if len(data) > _MOST_BYTES:
            raise InputError("bad_pattern", f"it has more than {_MOST_BYTES:,} bytes")
        try:
            return decoded(data).splitlines()
        except UnicodeDecodeError as error:
            if b"\0" in data:
                message = f"it is no text that can be read; {_SAVE}"
                raise InputError("bad_pattern", message) from error
        # As in git, such a line fits the names that have these very bytes.
        lines = data.removeprefix(BOM_UTF8).decode("utf-8", "surrogateescape").splitlines()
        odd = next(n for n, line in enumerate(lines, start=1) if line != printable(line))
        self.notes.append(f"line {odd} of {place} is not UTF-8, and may fit no name; {_SAVE}")
        return lines

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
            path = member_path(archive, b"/".join(parts[:end]))
            if rule := self._rule(rules, path, end < len(parts)):
                self.leave_out(member_path(archive, name), rule, is_folder=False)
                return True
        return False


def _read(path: bytes) -> bytes:
    """A file of rules, on a disk or in a remote store; InputError when it cannot be read."""
    try:
        if is_url(path):
            from relook.core.remote import read_whole  # only where pictures are elsewhere

            return read_whole(path, _MOST_BYTES)
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            raise InputError("bad_pattern", "it is no plain file")
        with open(path, "rb") as file:
            return file.read(_MOST_BYTES + 1)
    except ImageError as error:
        if error.code == "empty_file":
            return b""
        raise InputError("bad_pattern", error.message) from error
    except OSError as error:
        raise InputError("bad_pattern", error.strerror or str(error)) from error


def no_rules(error: InputError) -> str:
    """Why a folder is not looked into whose own rules cannot be read."""
    return f"its {IGNORE_FILE} holds no rules: {error.message}"


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
    several = []
    if n := sum(n_files.values()) - n_files.get(LIVE, 0):
        rules = ", ".join(f"{rule} ({n:,})" for rule, n in sorted(n_files.items()) if rule != LIVE)
        files = counted(n, "file is", "files are")
        advice = "--no-default-excludes takes in trash and thumbnails"
        several.append(f"{files} left out: {rules}; {advice}")
    if n := n_files.get(LIVE, 0):
        videos = counted(n, "video moves in a Live Photo", "videos move in Live Photos")
        several.append(f"{videos}, whose stills are indexed")
    return "; ".join(several)


OTHER_FILES = """
CREATE TABLE IF NOT EXISTS other_files (
    root BLOB NOT NULL,
    suffix TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (root, suffix)
);
"""
"""The table, as the catalog makes it: what the last listing of each root met."""

_LONGEST = 12
_EXPORT = "export them as PNG or JPEG"
_UNPACK = "unpack them, or make them zip or tar"
# Suffixes of what a person may miss -> what it is, and what to do.
_MISSED = {
    suffix: facts
    for suffixes, *facts in (
        ("mp4 mov m4v avi mkv webm", "videos", VIDEO_EXTRA),
        ("mpg mpeg mts m2ts 3gp wmv flv ogv insv", "videos", "make them MP4"),
        ("psd psb xcf kra clip afphoto procreate sketch", "pictures in layers", _EXPORT),
        ("svg svgz eps ai cdr wmf emf", "drawings", _EXPORT),
        ("pdf djvu", "documents", "export their pages as PNG or JPEG"),
        ("exr hdr dds pcx sgi rgb fits fit dcm nii jxr wdp hdp flif qoi bpg pict pct icns cur xbm"
         " xpm raw insp lrv pfm pam btf", "pictures", _EXPORT),
        ("rar 7z gz bz2 xz zst cbz cbr iso dmg", "archives", _UNPACK),
    )
    for suffix in suffixes.split()
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OtherFiles(JsonValue):
    """Files with one suffix that are not indexed.

    Args:
        suffix: In lower case, with its dot; empty for names without one.
        n: How many.
        what: What they are, where a person may miss them; else empty.
        advice: What to do then.
    """

    suffix: str
    n: int
    what: str = ""
    advice: str = ""


def suffix_of(name: bytes) -> str:
    """The suffix that a file is counted under."""
    suffix = os.path.splitext(name)[1].lower()
    text = suffix.decode("utf-8", "replace")
    return text if 1 < len(text) <= _LONGEST and text.isprintable() else ""


def missed_member(name: bytes) -> str:
    """Why a member of an archive is not read that a person may miss; empty for any other."""
    what, advice = _MISSED.get(suffix_of(name)[1:], ("", ""))
    if advice == VIDEO_EXTRA:
        return "videos in archives are not read; unpack it"
    return f"{what} are not read; {advice}" if what else ""


def put_others(db: sqlite3.Connection, root: bytes, counts: Mapping[str, int]) -> None:
    """Keeps what a listing of a root has met, in place of what an earlier one had.

    Inside a transaction.
    """
    db.execute("DELETE FROM other_files WHERE root = ?", (root,))
    rows = [(root, suffix, n) for suffix, n in counts.items()]
    db.executemany("INSERT INTO other_files VALUES (?, ?, ?)", rows)


def others_of(ask: Callable[[str], list[tuple[Any, ...]]]) -> list[OtherFiles]:
    """What the last listing of every root met; nothing in a catalog of an older version.

    Args:
        ask: `Catalog.ask`.
    """
    if not ask("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'other_files'"):
        return []
    # One that was moved or forgotten since is no root any more.
    sql = "SELECT suffix, sum(n) FROM other_files WHERE root IN (SELECT path FROM roots)"
    return other_files(dict(ask(f"{sql} GROUP BY suffix")))


def other_files(counts: Mapping[str, int]) -> list[OtherFiles]:
    """Counts by suffix as values: what a person may miss first, then the most."""
    listed = [OtherFiles(suffix, n, *_MISSED.get(suffix[1:], ())) for suffix, n in counts.items()]
    return sorted(listed, key=lambda files: (not files.what, -files.n, files.suffix))


def others_note(listed: list[OtherFiles]) -> str:
    """One sentence on what is not read; empty when nothing is that a person may miss."""
    missed = [files for files in listed if files.what]
    if not missed:
        return ""
    n_others = sum(files.n for files in listed if not files.what)
    others = f"; and {counted(n_others, 'other file')}" if n_others else ""
    counts = (f"{files.n:,} {files.suffix} ({files.what}: {files.advice})" for files in missed)
    return f"not read: {', '.join(counts)}{others}"
