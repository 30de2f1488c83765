"""Listing the picture files below folders and addresses. Layer: library.

Follows links, each real folder once. A folder that cannot be listed is reported, on a disk or
in a remote store, so that nobody takes its files for deleted: an unreachable store never looks
like an empty one. Files come a folder at a time, while others read them.
"""

import os
import posixpath
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

from relook.core.decoders import has_decoder
from relook.core.errors import FetchError, InputError, NotFoundError
from relook.core.picture_paths import SUFFIXES, is_archive, is_below, is_url, is_video, printable
from relook.core.remote import find_file_system, looked_at, retrying
from relook.library.left_out import LeftOut, Rules, no_rules, suffix_of
from relook.library.records import FileFacts
from relook.library.whereabouts import Identity, device_of, identity_of

_SUFFIXES = tuple(suffix.encode() for suffix in SUFFIXES)
_WEB = ("http", "https")
_AT_ONCE = 1000  # files handed on together
_CONNECTIONS = 16

_Entry = tuple[bytes, dict[str, Any], bool]


class RemoteWalk:
    """The pictures below an address.

    Args:
        root: As `clean_address` gives it.
        hidden: Whether names that begin with a dot count.
        left_out: What is passed over.
        others: Roots of their own, which are not listed here.
        connections: Requests at once.

    Raises:
        MissingExtraError, InputError: as `find_file_system`.
    """

    def __init__(
        self,
        root: bytes,
        hidden: bool = False,
        left_out: LeftOut | None = None,
        others: Collection[bytes] = (),
        connections: int = 1,
    ) -> None:
        self._root, self._hidden = root, hidden
        self._left_out, self._roots = left_out or LeftOut(), others
        self._files, self._path = find_file_system(root)
        self._path = self._path.rstrip("/")
        self._is_web = root.partition(b"://")[0].decode() in _WEB
        self._connections = connections
        self.unlisted: dict[bytes, str] = {}
        self.closed: set[bytes] = set()
        self.others: Counter[str] = Counter()

    def check(self) -> dict[str, Any]:
        """Facts of the root, from the store.

        Raises:
            NotFoundError: `no_path`; FetchError: `unreachable`.
        """
        try:
            if self._is_web and not _is_file(self._root):
                retrying(lambda: self._files.ls(self._path + "/", detail=False))
                return {"type": "directory"}
            return dict(retrying(lambda: self._files.info(self._path)))
        except (FileNotFoundError, PermissionError) as error:
            closed = isinstance(error, PermissionError)
            reason = "it may not be read" if closed else "nothing is there"
            text = os.fsdecode(self._root)
            raise NotFoundError(
                "no_path", f"cannot index {text}: {reason}", "check the address and the credentials"
            ) from error
        except FetchError as error:
            text = os.fsdecode(self._root)
            raise FetchError(error.code, f"{text}: {error.message}", error.hint) from error

    def __iter__(self) -> Iterator[list[FileFacts]]:
        facts = self.check()
        if facts.get("type") != "directory":
            yield [FileFacts(self._root, *looked_at(facts))]
            return
        pending, seen = [(self._root, self._left_out.at_root(self._root))], {self._root}
        with ThreadPoolExecutor(self._connections, thread_name_prefix="relook-list") as pool:
            while pending:
                folder, rules = pending.pop()
                try:
                    entries, names = self._entries(folder)
                except (OSError, FetchError) as error:
                    self.unlisted[folder] = getattr(error, "message", str(error))
                    continue
                if folder != self._root and self._left_out.takes_no_media(names):
                    self._left_out.leave_out(folder, ".nomedia", is_folder=True)
                    continue
                try:
                    rules = self._left_out.in_folder(rules, folder, names)
                except InputError as error:
                    self.unlisted[folder] = no_rules(error)
                    self.closed.add(folder)
                    continue
                entries = [entry for entry in entries if self._is_wanted(entry, rules)]
                files = [entry for entry in entries if not entry[2] and _is_file(entry[0])]
                others = (e[0] for e in entries if not e[2] and not _is_file(e[0]))
                self.others.update(map(suffix_of, others))
                for at in range(0, len(files), _AT_ONCE):
                    yield [
                        facts for facts in pool.map(self._facts, files[at : at + _AT_ONCE]) if facts
                    ]
                folders = [url for url, _, is_folder in entries if is_folder and url not in seen]
                seen.update(folders)
                pending += ((below, rules) for below in reversed(folders))

    def _is_wanted(self, entry: _Entry, rules: Rules) -> bool:
        url, _, is_folder = entry
        is_root = url in self._roots
        return not (is_root or self._left_out.is_left_out(rules, url, is_folder=is_folder))

    def _entries(self, folder: bytes) -> tuple[list[_Entry], set[bytes]]:
        """Address, facts and kind of what is in a folder, in order; all names, hidden ones too."""
        path = self._path + os.fsdecode(folder[len(self._root) :])
        address = path + "/" if self._is_web else path
        entries, names = [], set()
        for info in retrying(lambda: self._files.ls(address, detail=True)):
            name = str(info["name"]).rstrip("/")
            url = self._root + os.fsencode(name[len(self._path) :])
            base = posixpath.basename(unquote(name))
            odd = not name.startswith(path + "/") or base in ("", ".", "..") or "?" in name
            if odd or "#" in name or "/" in name[len(path) + 1 :]:
                continue
            names.add(os.fsencode(base))
            if not base.startswith(".") or self._hidden:
                entries.append((url, info, info.get("type") == "directory"))
        return sorted(entries, key=lambda entry: entry[0]), names

    def _facts(self, entry: _Entry) -> FileFacts | None:
        url, info, _ = entry
        if self._is_web:  # a page of links has no facts of their targets
            try:
                info = retrying(lambda: self._files.info(str(info["name"])))
            except (OSError, FetchError):  # reading it gives the reason
                return FileFacts(url, 0, 0)
        return FileFacts(url, *looked_at(info))


def _is_file(url: bytes) -> bool:
    if is_video(url):
        return not is_url(url) and has_decoder("video")
    return url.lower().endswith(_SUFFIXES) or is_archive(url)


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
        left_out: What is passed over; trash, thumbnails and what `.relookignore` names when None.

    Attributes:
        others: Root -> suffix -> how many files the listing met that are no pictures.
        unlisted: Folders and archives that could not be read, with the reason.
        closed: Those of `unlisted` that are not to be looked into: they lead out of the folders in
            `within`, or their rules cannot be read.
        identities: Folder with pictures or archives -> its file system and inode.
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
        left_out: LeftOut | None = None,
    ) -> None:
        self.roots = list(dict.fromkeys(roots))
        self.left_out = left_out or LeftOut()
        self.others: dict[bytes, Counter[str]] = {}
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
        return next((folder for folder in list(self.unlisted) if is_below(path, folder)), None)

    def identity(self, folder: bytes) -> Identity:
        """File system and inode of a folder.

        Raises:
            OSError: when the folder cannot be read.
        """
        return self._identity(folder, os.stat(folder))

    def _identity(self, folder: bytes, facts: os.stat_result) -> Identity:
        if facts.st_dev not in self._devices:
            self._devices[facts.st_dev] = device_of(folder, facts)
        return identity_of(self._devices[facts.st_dev], facts)

    def __iter__(self) -> Iterator[list[FileFacts]]:
        self.left_out.clear()
        for root in self.roots:
            if root in self.unlisted:
                continue
            self.others[root] = Counter()
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
        from relook.library.scan import RemoteWalk

        others = frozenset(self.roots) - {root}
        walk = RemoteWalk(root, self.hidden, self.left_out, others, self._connections)
        try:
            yield from walk
        except (NotFoundError, FetchError) as error:
            self.unlisted[root] = error.message
        self.unlisted.update(walk.unlisted)
        self.closed |= walk.closed
        self.others[root] = walk.others

    def _walk(self, root: bytes) -> Iterator[list[FileFacts]]:
        seen: set[tuple[int, int]] = set()
        others = frozenset(self.roots) - {root}
        pending = [(root, self.left_out.at_root(root))]
        while pending:
            folder, rules = pending.pop()
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
            names = {entry.name for entry in ordered}
            if folder != root and self.left_out.takes_no_media(names):
                self.left_out.leave_out(folder, ".nomedia", is_folder=True)
                continue
            try:
                rules = self.left_out.in_folder(rules, folder, names)
            except InputError as error:
                self.unlisted[folder] = no_rules(error)
                self.closed.add(folder)  # what is known of it, and of archives in it, stays
                continue
            folders: list[bytes] = []
            wanted = [
                entry
                for entry in ordered
                if entry.path not in others and self._is_wanted(entry, root, rules, folders)
            ]
            if wanted:
                self.identities[folder] = self._identity(folder, facts)
            for at in range(0, len(wanted), _AT_ONCE):
                yield [_facts(entry) for entry in wanted[at : at + _AT_ONCE]]
            pending.extend((below, rules) for below in reversed(folders))

    def _is_wanted(
        self, entry: os.DirEntry[bytes], root: bytes, rules: Rules, folders: list[bytes]
    ) -> bool:
        """Whether it is a picture or an archive; notes it when it is a folder to enter."""
        if entry.name.startswith(b".") and not self.hidden:
            return False
        if self._within is not None and entry.is_symlink() and _leads_out(entry, self._within):
            self.unlisted[entry.path] = "it leads out of the folders that may be indexed"
            self.closed.add(entry.path)
        elif _is_folder(entry):
            if not self.left_out.is_left_out(rules, entry.path, is_folder=True):
                folders.append(entry.path)
                if entry.is_symlink():
                    self.links.add(entry.path)
        elif _is_file(entry.name):
            return not self.left_out.is_left_out(rules, entry.path, is_folder=False)
        else:
            self.others[root][suffix_of(entry.name)] += 1
        return False


def check_root(root: bytes) -> os.stat_result:
    """The facts of a folder or file that is to be indexed; empty ones of a remote place.

    Raises:
        NotFoundError: `no_path` when it is not there.
        FetchError: `unreachable`; MissingExtraError: for a remote place.
    """
    if is_url(root):
        from relook.library.scan import RemoteWalk

        RemoteWalk(root).check()
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
    except OSError:  # gone, or a dangling link: reading it gives the reason
        return FileFacts(entry.path, 0, 0)
    return FileFacts.of(entry.path, facts)
