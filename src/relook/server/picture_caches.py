"""Thumbnails on disk, and screenshots of providers' pages in memory. Layer: server.

The folder of thumbnails is derived: anybody may delete it at any time. Files are written whole,
and the oldest go when it grows too large. A screenshot is kept for a while, named by an address.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import hashlib
import logging
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from relook.core.errors import NotFoundError
from relook.gateway.guard import API

__all__ = ["SIZES_PX", "Screenshots", "ThumbnailCache"]

_LOG = logging.getLogger(__name__)
SIZES_PX = (160, 320, 640, 1280)
_VERSION = 2  # of how thumbnails are made; those of 1 could hold comments of their files


class ThumbnailCache:
    """Small pictures by a key.

    Args:
        folder: Where they are; made when it is not there. Without it nothing is kept.
        max_bytes: How large the folder may become; a tenth is freed when it is full.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self._max_bytes = folder, max_bytes
        self._lock = threading.Lock()
        self._n_bytes: int | None = None

    def get(self, content: bytes, size_px: int, make: Callable[[], bytes]) -> bytes:
        """The thumbnail of a content, made when it is not there; raises what `make` raises."""
        name = content.hex()
        path = self.folder / name[:2] / f"{name}-{size_px}-{_VERSION}.jpg"
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        if not data:
            data = make()
            self._put(path, data)
        return data

    def _put(self, path: Path, data: bytes) -> None:
        new = path.with_name(f"{uuid.uuid4().hex}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(data)
            new.replace(path)
        except OSError as error:  # a full or read-only disk costs time, and nothing else
            _LOG.warning("a thumbnail is not kept: %s", error)
            with contextlib.suppress(OSError):
                new.unlink()
            return
        self._count(len(data))

    def _count(self, n_bytes: int) -> None:
        with self._lock:
            if self._n_bytes is None:
                self._n_bytes = sum(size for _, size, _ in self._files())
            else:
                self._n_bytes += n_bytes
            if self._n_bytes > self._max_bytes:
                self._n_bytes = self._thin_out()

    def _thin_out(self) -> int:
        """Removes the oldest files; returns how large the rest is."""
        files = sorted(self._files())
        n_bytes = sum(size for _, size, _ in files)
        for _, size, path in files:
            if n_bytes <= 0.9 * self._max_bytes:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
                n_bytes -= size
        return n_bytes

    def _files(self) -> list[tuple[int, int, str]]:
        """Time, size and path of every file."""
        files = []
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    facts = os.stat(path)
                    files.append((facts.st_mtime_ns, facts.st_size, path))
        return files


_MAX_SCREENSHOT_BYTES = 64 * 1024**2


class Screenshots:
    """The newest screenshots of providers' pages, by content; evidence names their address.

    A screenshot has a megabyte or two and stands in two events of a question; as base64 each
    reader would get it twice, whether it is looked at or not.

    Args:
        max_bytes: How large they may be together; the last one is kept in any case.
    """

    def __init__(self, max_bytes: int = _MAX_SCREENSHOT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: collections.OrderedDict[str, bytes] = collections.OrderedDict()
        self._lock = threading.Lock()

    def addressed(self, evidence: Mapping[str, Any]) -> dict[str, Any]:
        """Evidence as JSON with `screenshot_url` where providers had a `screenshot` in base64."""
        providers = [self._provider(result) for result in evidence["providers"]]
        return {**evidence, "providers": providers}

    def get(self, name: str) -> bytes:
        """A PNG.

        Raises:
            NotFoundError: `no_screenshot` for one that was never kept, or is no longer.
        """
        with self._lock:
            if name not in self._kept:
                raise NotFoundError(
                    "no_screenshot", f"no screenshot {name!r} is remembered", "ask again"
                )
            return self._kept[name]

    def _provider(self, result: Mapping[str, Any]) -> dict[str, Any]:
        if not (screenshot := result.get("screenshot")):
            return dict(result)
        url = self._keep(base64.b64decode(screenshot))
        return {**result, "screenshot": None, "screenshot_url": url}

    def _keep(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()[:32]
        with self._lock:
            self._kept[name] = data
            self._kept.move_to_end(name)
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > self._max_bytes:
                self._kept.popitem(last=False)
        return f"{API}/ask/screenshots/{name}"
