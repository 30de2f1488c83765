"""Calls one provider: whether it may be asked, within which budget, and trying again. Layer: rag.

`lookup` calls several at once and makes evidence of their results. Results are kept on disk by
picture: one JSON file a result, named by a digest of the question, so nothing of the picture shows
in its name. Only real results (found, nothing) are kept, and none longer than its age.
"""

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from relook.core.errors import InputError
from relook.core.retry import Deadline, Retries
from relook.core.settings import GatherSettings
from relook.core.user_folders import cache_folder
from relook.providers.base import Lookup, Outcome, Provider, ProviderResult, Subject, is_remote
from relook.rag.consent import Consent

_VERSION = 1
_MAX_FILES = 5_000
_LOG = logging.getLogger(__name__)


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


class Budget:
    """Dollars that may still be spent. Safe to use from several threads.

    Args:
        usd: How many.
    """

    def __init__(self, usd: float) -> None:
        self._left = usd
        self._lock = threading.Lock()

    def take(self, usd: float) -> bool:
        """Sets a sum aside; False, without taking anything, when less than that is left."""
        with self._lock:
            if usd > self._left + 1e-9:
                return False
            self._left -= usd
            return True


@dataclass
class Waits:
    """Until when a service wants no further question. Safe to use from several threads."""

    until: dict[str, float] = field(default_factory=dict)

    def left_s(self, provider: str) -> float:
        """Seconds to wait before a provider may be asked; 0 when it may be asked now."""
        return max(self.until.get(provider, 0.0) - time.monotonic(), 0.0)

    def note(self, provider: str, seconds: float) -> None:
        """Remembers that a provider wants no question for so long."""
        self.until[provider] = time.monotonic() + seconds


def refusal(
    provider: Provider, subject: Subject, consent: Consent, waits: Mapping[str, float]
) -> ProviderResult | None:
    """A result that says why a provider is not asked; None when it may be. It sends nothing."""
    name = provider.name
    if is_remote(provider) and subject.local:
        if not provider.takes_files:
            return ProviderResult(
                name,
                Outcome.UNSUPPORTED,
                message=f"{name} can only be asked about a picture with a public address",
                hint="give the picture's http(s) address, or ask another provider",
            )
        if not consent.allows(name):
            return ProviderResult(
                name,
                Outcome.NOT_ALLOWED,
                message=f"nothing was sent: {name} would get a picture of this machine",
                hint="agree with --allow-upload; relook consent shows and takes back agreements",
            )
    if (wait := waits.get(name, 0.0)) > 0:
        return ProviderResult(
            name,
            Outcome.QUOTA,
            message=f"{name} wants to be left alone for another {wait:.0f} s",
            hint="ask again after that",
            retry_after_s=round(wait, 1),
        )
    return None


@dataclass(frozen=True, slots=True)
class Turn:
    """Everything one provider is asked with."""

    provider: Provider
    subject: Subject
    lookup: Lookup
    settings: GatherSettings
    budget: Budget
    waits: Waits
    deadline: Deadline


def ask(turn: Turn, cache: ResultCache | None) -> ProviderResult:
    """Asks a provider, again after passing failures, while time and money last.

    Never raises: whatever a provider does becomes a result.
    """
    began = time.perf_counter()
    result = _try_once(turn)
    retries = Retries(turn.settings.retries, turn.settings.backoff_s, deadline=turn.deadline)
    while result.passing and retries.wait(retries.pause_s(result.retry_after_s)):
        # Services seldom bill failed attempts; the cost of one comes from the same budget.
        if result.cost_usd and not turn.budget.take(turn.provider.cost_usd):
            break
        again = _try_once(turn)
        result = replace(
            again, sent=(*result.sent, *again.sent), cost_usd=result.cost_usd + again.cost_usd
        )
    if result.retry_after_s and not result.answered:
        turn.waits.note(turn.provider.name, result.retry_after_s)
    result = result.timed(time.perf_counter() - began)
    if cache is not None:
        cache.put(turn.provider, turn.subject, turn.lookup, result)
    return result


def _try_once(turn: Turn) -> ProviderResult:
    name = turn.provider.name
    left_s = max(turn.deadline.left_s, 0.1)
    try:
        result = turn.provider.find(turn.subject, replace(turn.lookup, timeout_s=left_s))
    except Exception as error:  # a broken adapter must not cost the others' results
        _LOG.warning("the provider %s broke", name, exc_info=True)
        message = f"{name} broke: {type(error).__name__}"
        return ProviderResult(name, Outcome.FAILED, message=message, hint="its log says more")
    return replace(result, matches=result.matches[: turn.lookup.limit])


def over_budget(turn: Turn) -> ProviderResult:
    """A result that says that a provider costs more than is left."""
    name, cost = turn.provider.name, turn.provider.cost_usd
    return ProviderResult(
        name,
        Outcome.OVER_BUDGET,
        message=f"{name} costs about ${cost:.4f}, more than is left of ${turn.settings.budget_usd}",
        hint="raise the budget, or ask fewer providers",
    )
