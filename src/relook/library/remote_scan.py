"""Listing the pictures of a remote store. Layer: library.

A folder there that cannot be listed is reported, so that nobody takes its pictures for
deleted: an unreachable store never looks like an empty one.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

from relook.core.errors import FetchError, NotFoundError
from relook.core.picture_paths import SUFFIXES, is_archive
from relook.core.remote import find_file_system, looked_at, retrying
from relook.library.records import FileFacts

__all__ = ["RemoteWalk"]

_SUFFIXES = tuple(suffix.encode() for suffix in SUFFIXES)
_WEB = ("http", "https")
_AT_ONCE = 1000  # files handed on together


class RemoteWalk:
    """The pictures below an address.

    Args:
        root: As `clean_address` gives it.
        hidden: Whether names that begin with a dot count.
        leave_out: Whether a folder or file is listed by somebody else.
        connections: Requests at once.

    Raises:
        MissingExtraError, InputError: as `find_file_system`.
    """

    def __init__(
        self, root: bytes, hidden: bool, leave_out: Callable[[bytes], bool], connections: int
    ) -> None:
        self._root, self._hidden, self._leave_out = root, hidden, leave_out
        self._files, self._path = find_file_system(root)
        self._path = self._path.rstrip("/")
        self._is_web = root.partition(b"://")[0].decode() in _WEB
        self._connections = connections
        self.unlisted: dict[bytes, str] = {}

    def check(self) -> dict[str, Any]:
        """What the store says about the root.

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
            told = "it may not be read" if closed else "nothing is there"
            text = os.fsdecode(self._root)
            raise NotFoundError(
                "no_path", f"cannot index {text}: {told}", "check the address and the credentials"
            ) from error
        except FetchError as error:
            text = os.fsdecode(self._root)
            raise FetchError(error.code, f"{text}: {error.message}", error.hint) from error

    def __iter__(self) -> Iterator[list[FileFacts]]:
        facts = self.check()
        if facts.get("type") != "directory":
            yield [FileFacts(self._root, *looked_at(facts))]
            return
        pending, seen = [self._root], {self._root}
        with ThreadPoolExecutor(self._connections, thread_name_prefix="relook-list") as pool:
            while pending:
                folder = pending.pop()
                try:
                    entries = self._entries(folder)
                except (OSError, FetchError) as error:
                    self.unlisted[folder] = getattr(error, "message", str(error))
                    continue
                files = [one for one in entries if not one[2] and _is_file(one[0])]
                for at in range(0, len(files), _AT_ONCE):
                    yield [one for one in pool.map(self._facts, files[at : at + _AT_ONCE]) if one]
                folders = [url for url, _, is_folder in entries if is_folder and url not in seen]
                seen.update(folders)
                pending += reversed(folders)

    def _entries(self, folder: bytes) -> list[tuple[bytes, dict[str, Any], bool]]:
        """Address, facts and kind of what is in a folder, in order."""
        path = self._path + os.fsdecode(folder[len(self._root) :])
        asked = path + "/" if self._is_web else path
        found = []
        for info in retrying(lambda: self._files.ls(asked, detail=True)):
            name = str(info["name"]).rstrip("/")
            url = self._root + os.fsencode(name[len(self._path) :])
            base = posixpath.basename(unquote(name))
            odd = not name.startswith(path + "/") or base in ("", ".", "..") or "?" in name
            if odd or "#" in name or "/" in name[len(path) + 1 :] or self._leave_out(url):
                continue
            if not base.startswith(".") or self._hidden:
                found.append((url, info, info.get("type") == "directory"))
        return sorted(found, key=lambda one: one[0])

    def _facts(self, entry: tuple[bytes, dict[str, Any], bool]) -> FileFacts | None:
        url, info, _ = entry
        if self._is_web:  # a page of links says nothing about what they lead to
            try:
                info = retrying(lambda: self._files.info(str(info["name"])))
            except (OSError, FetchError):  # reading it says why
                return FileFacts(url, 0, 0)
        return FileFacts(url, *looked_at(info))


def _is_file(url: bytes) -> bool:
    return url.lower().endswith(_SUFFIXES) or is_archive(url)
