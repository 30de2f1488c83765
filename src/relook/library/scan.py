"""Listing the picture files below a folder. Layer: library.

Follows links, each real folder once; a folder that cannot be listed is reported, so that
nobody takes its files for deleted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from relook.core.errors import NotFoundError
from relook.core.formats import SUFFIXES
from relook.library.records import FileFacts, printable

__all__ = ["Listing", "check_root", "list_pictures"]

_SEP = os.sep.encode()
_SUFFIXES = tuple(suffix.encode() for suffix in SUFFIXES)


@dataclass(slots=True)
class Listing:
    """What a scan saw.

    Args:
        files: Picture files by path; a name given directly counts whatever its suffix.
        unlisted: Folders that could not be read, with the reason.
    """

    files: dict[bytes, FileFacts] = field(default_factory=dict)
    unlisted: dict[bytes, str] = field(default_factory=dict)

    def covers(self, path: bytes, roots: list[bytes]) -> bool:
        """Whether the scan would have seen this file if it were there."""
        under = any(path == root or path.startswith(_slash(root)) for root in roots)
        return under and not any(_is_below(path, one) for one in self.unlisted)


def _slash(folder: bytes) -> bytes:
    return folder if folder.endswith(_SEP) else folder + _SEP


def _is_below(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(_slash(folder))


def list_pictures(
    roots: list[bytes],
    *,
    avoid: bytes,
    hidden: bool = False,
    must_exist: bool = True,
    within: Sequence[bytes] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Listing:
    """Lists picture files below the roots.

    Args:
        roots: Absolute folders or files.
        avoid: A folder that is never entered (the library itself).
        hidden: Whether names that begin with a dot count.
        must_exist: Whether a root that is not there is an error, or only cannot be listed.
        within: Folders that a link below the roots must not lead out of; anywhere when None.
        progress: Called with the number of files found so far.

    Raises:
        NotFoundError: `no_path` when a root is not there.
    """
    listing = Listing()
    real = None if within is None else [os.path.realpath(folder) for folder in within]
    for root in roots:
        try:
            facts = check_root(root)
        except NotFoundError as error:
            if must_exist:
                raise
            listing.unlisted[root] = getattr(error.__cause__, "strerror", None) or error.message
            continue
        if not stat.S_ISDIR(facts.st_mode):
            listing.files[root] = FileFacts.of(root, facts)
            continue
        for found in _walk(root, (avoid, real), hidden, listing):
            listing.files[found.path] = found
            if progress and len(listing.files) % 1000 == 0:
                progress(len(listing.files))
    return listing


def check_root(root: bytes) -> os.stat_result:
    """The facts of a folder or file that is to be indexed.

    Raises:
        NotFoundError: `no_path` when it is not there.
    """
    try:
        return os.stat(root)
    except OSError as error:
        raise NotFoundError(
            "no_path", f"cannot index {printable(root)}: {error.strerror}", "check the path"
        ) from error


def _walk(
    root: bytes, bounds: tuple[bytes, list[bytes] | None], hidden: bool, listing: Listing
) -> Iterator[FileFacts]:
    avoid, within = bounds
    seen: set[tuple[int, int]] = set()
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            facts = os.stat(folder)
            if (facts.st_dev, facts.st_ino) in seen or os.path.realpath(folder) == avoid:
                continue
            seen.add((facts.st_dev, facts.st_ino))
            with os.scandir(folder) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            listing.unlisted[folder] = error.strerror or str(error)
            continue
        folders = []
        for entry in ordered:
            if entry.name.startswith(b".") and not hidden:
                continue
            if within is not None and entry.is_symlink() and _leads_out(entry, within):
                listing.unlisted[entry.path] = "it leads out of the folders that may be indexed"
            elif _is_folder(entry):
                folders.append(entry.path)
            elif entry.name.lower().endswith(_SUFFIXES):
                yield _facts(entry)
        pending.extend(reversed(folders))


def _leads_out(entry: os.DirEntry[bytes], within: list[bytes]) -> bool:
    real = os.path.realpath(entry.path)
    return not any(_is_below(real, folder) for folder in within)


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link into itself: listed as a file, and skipped with its reason there
        return False


def _facts(entry: os.DirEntry[bytes]) -> FileFacts:
    try:
        facts = entry.stat()
    except OSError:  # gone, or a dangling link: reading it says which
        return FileFacts(entry.path, 0, 0)
    return FileFacts.of(entry.path, facts)
