"""Results of providers, kept on disk by picture. Layer: rag.

One JSON file a result, named by a digest of the question, so nothing of the picture shows in its
name. Only real results (found, nothing) are kept, and none longer than its age.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from relook.core.errors import InputError
from relook.core.user_folders import cache_folder
from relook.providers.base import Lookup, Provider, ProviderResult, Subject

_LOG = logging.getLogger(__name__)
_VERSION = 1
_MAX_FILES = 5_000


def default_cache_folder() -> Path:
    """Where answers are kept: `$RELOOK_CACHE/providers`, or one place per user."""
    named = os.environ.get("RELOOK_CACHE")
    folder = Path(os.path.expanduser(named)) if named else cache_folder()
    return folder / "providers"


class ResultCache:
    """Recorded answers of providers.

    Args:
        folder: Where they are; the per-user one when None.
        max_age_s: An older one is not used.
        now: The clock, in seconds since 1970.
    """

    def __init__(
        self,
        folder: Path | None = None,
        max_age_s: float = 7 * 86_400.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.folder = default_cache_folder() if folder is None else folder
        self.max_age_s = max_age_s
        self._now = now

    def get(self, provider: Provider, subject: Subject, lookup: Lookup) -> ProviderResult | None:
        """The recorded result of the same question, or None.

        It says how old it is, that nothing was sent for it, and that it cost nothing.
        """
        file = self._file(provider, subject, lookup)
        try:
            values = json.loads(file.read_bytes())
            age_s = self._now() - float(values["at"])
            if values["version"] != _VERSION or not 0 <= age_s <= self.max_age_s:
                return None
            result = ProviderResult.from_dict(values["result"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, InputError) as error:
            _LOG.warning("a recorded answer cannot be read: %s: %s", file.name, error)
            return None
        return replace(result, cached_s=round(age_s, 1), sent=(), cost_usd=0.0, took_s=0.0)

    def put(
        self, provider: Provider, subject: Subject, lookup: Lookup, result: ProviderResult
    ) -> None:
        """Records a result; when the disk refuses, that is logged and nothing else happens."""
        if not result.answered or self.max_age_s <= 0:
            return
        file = self._file(provider, subject, lookup)
        values = {"version": _VERSION, "at": self._now(), "result": result.as_dict(pictures=True)}
        draft = file.with_suffix(f".{os.getpid()}.{id(result)}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft.write_text(json.dumps(values), encoding="utf-8")
            draft.replace(file)
            self._prune()
        except OSError as error:
            _LOG.warning("an answer cannot be recorded in %s: %s", self.folder, error)

    def clear(self) -> int:
        """Deletes every recorded result.

        Returns:
            How many there were.
        """
        files = list(self.folder.glob("*.json"))
        for file in files:
            file.unlink(missing_ok=True)
        return len(files)

    def _file(self, provider: Provider, subject: Subject, lookup: Lookup) -> Path:
        key = [provider.name, provider.variant, subject.content_hash, lookup.limit, lookup.words]
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:40]
        return self.folder / f"{digest}.json"

    def _prune(self) -> None:
        """Keeps the newest files, once there are clearly too many."""
        files = list(self.folder.glob("*.json"))
        if len(files) <= _MAX_FILES * 11 // 10:
            return
        files.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[_MAX_FILES:]:
            file.unlink(missing_ok=True)
