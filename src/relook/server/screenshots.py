"""Screenshots of providers' pages, kept for a while and named by an address. Layer: server."""

from __future__ import annotations

import base64
import collections
import hashlib
import threading
from collections.abc import Mapping
from typing import Any

from relook.core.errors import NotFoundError
from relook.gateway.guard import API

__all__ = ["Screenshots"]

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
