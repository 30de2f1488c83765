"""Listing the picture files below folders and addresses. Layer: library.

Follows links, each real folder once; a folder that cannot be listed is reported, so that
nobody takes its files for deleted. Files come a folder at a time, while others read them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from relook.core.errors import FetchError, NotFoundError
from relook.core.picture_paths import SUFFIXES, is_archive, is_below, is_url
from relook.library.records import FileFacts, printable
from relook.library.whereabouts import Identity, device_of, identity_of

__all__ = ["Scan", "check_root"]

_SUFFIXES = tuple(suffix.encode() for suffix in SUFFIXES)
_AT_ONCE = 1000  # files handed on together
_CONNECTIONS = 16


class Scan:
    """The picture files and archives below some roots, each once.

    Args:
        roots: Absolute folders or files, or addresses. What is a root itself is left out of
            the roots above it.
        avoid: A folder that is never entered (the library itself).
        hidden: Whether names that begin with a dot count.
        must_exist: Whether a root that is not there is an error, or only cannot be listed.
        within: Folders that a link below the roots must not lead out of; anywhere when None.
        connections: Requests to a remote store at once.

    Attributes:
        unlisted: Folders and archives that could not be read, with the reason.
        closed: Those of them that lead out of where they may.
        identities: What the folders are that hold pictures or archives.
        links: Folders that are links.

    Raises:
        NotFoundError: `no_path` when a root is not there.
    """

    def __init__(
        self,
        roots: Sequence[bytes],
        *,
        avoid: bytes,
        hidden: bool = False,
        must_exist: bool = True,
        within: Sequence[bytes] | None = None,
        connections: int = _CONNECTIONS,
    ) -> None:
        self.roots = list(dict.fromkeys(roots))
        self.hidden = hidden
        self.unlisted: dict[bytes, str] = {}
        self.closed: set[bytes] = set()
        self.identities: dict[bytes, Identity] = {}
        self.links: set[bytes] = set()
        self._devices: dict[int, int] = {}
        self._avoid, self._connections = avoid, connections
        self._within = None if within is None else [os.path.realpath(folder) for folder in within]
        for root in self.roots:
            try:
                check_root(root)
            except (NotFoundError, FetchError) as error:
                if must_exist:
                    raise
                reason = getattr(error.__cause__, "strerror", None) or error.message
                self.unlisted[root] = reason

    def covers(self, path: bytes) -> bool:
        """Whether the scan would have seen this file if it were there."""
        return self.is_below_root(path) and self.unlisted_above(path) is None

    def is_below_root(self, path: bytes) -> bool:
        """Whether it is one of the roots or in one."""
        return any(is_below(path, root) for root in self.roots)

    def unlisted_above(self, path: bytes) -> bytes | None:
        """The folder or archive above a file that could not be read; None when all could."""
        return next((one for one in list(self.unlisted) if is_below(path, one)), None)

    def identity(self, folder: bytes) -> Identity:
        """What a folder is now.

        Raises:
            OSError: when that cannot be told.
        """
        return self._identity(folder, os.stat(folder))

    def _identity(self, folder: bytes, facts: os.stat_result) -> Identity:
        if facts.st_dev not in self._devices:
            self._devices[facts.st_dev] = device_of(folder, facts)
        return identity_of(self._devices[facts.st_dev], facts)

    def __iter__(self) -> Iterator[list[FileFacts]]:
        for root in self.roots:
            if root in self.unlisted:
                continue
            if is_url(root):
                yield from self._remote(root)
                continue
            try:
                facts = check_root(root)
            except NotFoundError as error:  # gone since it was checked
                self.unlisted[root] = error.message
                continue
            if stat.S_ISDIR(facts.st_mode):
                yield from self._walk(root)
            else:
                yield [FileFacts.of(root, facts)]

    def _remote(self, root: bytes) -> Iterator[list[FileFacts]]:
        from relook.library.remote_scan import RemoteWalk

        others = frozenset(self.roots) - {root}
        walk = RemoteWalk(root, self.hidden, others.__contains__, self._connections)
        try:
            yield from walk
        except (NotFoundError, FetchError) as error:
            self.unlisted[root] = error.message
        self.unlisted.update(walk.unlisted)

    def _walk(self, root: bytes) -> Iterator[list[FileFacts]]:
        seen: set[tuple[int, int]] = set()
        others = frozenset(self.roots) - {root}
        pending = [root]
        while pending:
            folder = pending.pop()
            try:
                facts = os.stat(folder)
                known = (facts.st_dev, facts.st_ino) in seen
                if known or os.path.realpath(folder) == self._avoid:
                    continue
                seen.add((facts.st_dev, facts.st_ino))
                with os.scandir(folder) as entries:
                    ordered = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self.unlisted[folder] = error.strerror or str(error)
                continue
            folders: list[bytes] = []
            wanted = [one for one in ordered if self._is_wanted(one, others, folders)]
            if wanted:
                self.identities[folder] = self._identity(folder, facts)
            for at in range(0, len(wanted), _AT_ONCE):
                yield [_facts(entry) for entry in wanted[at : at + _AT_ONCE]]
            pending.extend(reversed(folders))

    def _is_wanted(
        self, entry: os.DirEntry[bytes], others: frozenset[bytes], folders: list[bytes]
    ) -> bool:
        """Whether it is a picture or an archive; notes it when it is a folder to enter."""
        if (entry.name.startswith(b".") and not self.hidden) or entry.path in others:
            return False
        if self._within is not None and entry.is_symlink() and _leads_out(entry, self._within):
            self.unlisted[entry.path] = "it leads out of the folders that may be indexed"
            self.closed.add(entry.path)
        elif _is_folder(entry):
            folders.append(entry.path)
            if entry.is_symlink():
                self.links.add(entry.path)
        else:
            return entry.name.lower().endswith(_SUFFIXES) or is_archive(entry.name)
        return False


def check_root(root: bytes) -> os.stat_result:
    """The facts of a folder or file that is to be indexed; empty ones of a remote place.

    Raises:
        NotFoundError: `no_path` when it is not there.
        FetchError: `unreachable`; MissingExtraError: for a remote place.
    """
    if is_url(root):
        from relook.library.remote_scan import RemoteWalk

        RemoteWalk(root, False, lambda _: False, 1).check()
        return os.stat_result((0,) * 10)
    try:
        return os.stat(root)
    except OSError as error:
        raise NotFoundError(
            "no_path", f"cannot index {printable(root)}: {error.strerror}", "check the path"
        ) from error


def _leads_out(entry: os.DirEntry[bytes], within: list[bytes]) -> bool:
    real = os.path.realpath(entry.path)
    return not any(is_below(real, folder) for folder in within)


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
