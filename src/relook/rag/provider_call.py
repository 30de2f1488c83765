"""Asking one provider: may it be asked, what does the cache know, and trying again. Layer: rag."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from relook.core.settings import GatherSettings
from relook.providers.base import Lookup, Outcome, Provider, ProviderResult, Subject
from relook.rag.cache import ResultCache
from relook.rag.consent import Consent

__all__ = ["Budget", "Turn", "Waits", "ask", "over_budget", "refusal"]

_LOG = logging.getLogger(__name__)


class Budget:
    """Dollars that may still be spent; several threads may ask.

    Args:
        usd: How many.
    """

    def __init__(self, usd: float) -> None:
        self._left = usd
        self._lock = threading.Lock()

    def take(self, usd: float) -> bool:
        """Sets a sum aside; False, and nothing taken, when there is not so much left."""
        with self._lock:
            if usd > self._left + 1e-9:
                return False
            self._left -= usd
            return True


@dataclass
class Waits:
    """Until when services asked not to be asked, by provider; several threads may ask."""

    until: dict[str, float] = field(default_factory=dict)

    def left_s(self, provider: str) -> float:
        """Seconds that a provider still wants to be left alone; 0 when it does not."""
        return max(self.until.get(provider, 0.0) - time.monotonic(), 0.0)

    def note(self, provider: str, seconds: float) -> None:
        """Remembers that a provider wants to be left alone for so long."""
        self.until[provider] = time.monotonic() + seconds


def refusal(
    provider: Provider, subject: Subject, consent: Consent, waits: Mapping[str, float]
) -> ProviderResult | None:
    """Why a provider is not asked at all, or None when it may be. Nothing is sent here."""
    name = provider.name
    if provider.remote and subject.local:
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
    deadline: float


def ask(turn: Turn, cache: ResultCache | None) -> ProviderResult:
    """Asks a provider, again after passing failures, while time and money last.

    Never raises: whatever a provider does becomes a result.
    """
    began = time.perf_counter()
    result = _try_once(turn)
    for attempt in range(turn.settings.retries):
        wait = max(turn.settings.backoff_s * 2**attempt, result.retry_after_s or 0.0)
        if not result.passing or time.monotonic() + wait >= turn.deadline:
            break
        time.sleep(wait)
        # Failed tries are seldom billed; what one did cost is taken from the same budget.
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
    left_s = max(turn.deadline - time.monotonic(), 0.1)
    try:
        result = turn.provider.find(turn.subject, replace(turn.lookup, timeout_s=left_s))
    except Exception as error:  # an adapter that breaks must not take the others' answers along
        _LOG.warning("the provider %s broke", name, exc_info=True)
        message = f"{name} broke: {type(error).__name__}"
        return ProviderResult(name, Outcome.FAILED, message=message, hint="its log says more")
    return replace(result, matches=result.matches[: turn.lookup.limit])


def over_budget(turn: Turn) -> ProviderResult:
    """That a provider was not asked, because it would cost more than is left."""
    name, cost = turn.provider.name, turn.provider.cost_usd
    return ProviderResult(
        name,
        Outcome.OVER_BUDGET,
        message=f"{name} costs about ${cost:.4f}, more than is left of ${turn.settings.budget_usd}",
        hint="raise the budget, or ask fewer providers",
    )
