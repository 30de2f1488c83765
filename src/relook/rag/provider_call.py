"""Calls one provider: whether it may be asked, within which budget, and trying again. Layer: rag.

`lookup` calls several at once and makes evidence of their results.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from relook.core.retry import Deadline, Retries
from relook.core.settings import GatherSettings
from relook.providers.base import Lookup, Outcome, Provider, ProviderResult, Subject, is_remote
from relook.rag.cache import ResultCache
from relook.rag.consent import Consent

_LOG = logging.getLogger(__name__)


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
