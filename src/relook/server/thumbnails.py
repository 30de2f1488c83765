"""Thumbnails on disk, by content and size. Layer: server.

The cache is derived: anybody may delete it at any time. Files are written whole, and the
oldest go when it grows too large.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

__all__ = ["SIZES_PX", "ThumbnailCache"]

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
        found = []
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    facts = os.stat(path)
                    found.append((facts.st_mtime_ns, facts.st_size, path))
        return found
