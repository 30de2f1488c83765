"""Asks several providers at once and makes evidence of their results. Layer: rag.

    gatherer = Gatherer({"library": provider})
    evidence = gatherer.gather(Subject.of(data))

Providers run side by side in threads of their own. One that has not answered in time is
reported as such, and its answer still goes to the cache. No provider can lose another's matches.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from relook.core.retry import Deadline
from relook.core.settings import EvidenceSettings, GatherSettings, WebLimits
from relook.providers.base import Lookup, Outcome, Provider, ProviderResult, Subject, is_remote
from relook.providers.match import Match, Sent
from relook.rag.consent import Consent
from relook.rag.evidence import Evidence, Item
from relook.rag.fetching import PageReader, check_reader, compared, fetch_thumbnails, with_thumbnail
from relook.rag.merge import merge
from relook.rag.own_evidence import own_evidence, picture_notes
from relook.rag.provider_call import Budget, ResultCache, Turn, Waits, ask, over_budget, refusal

OnResult = Callable[[ProviderResult], None]
_GRACE_S = 0.25  # a provider that keeps to its time limit answers a little after it


class Gatherer:
    """Makes evidence about pictures. It may be used again, and by several threads.

    Args:
        providers: By the name they are reported under, in the order of trust.
        settings: Time, money, retries.
        evidence: What of the matches becomes evidence.
        web: What fetching pages and small pictures may cost, and whether private addresses
            may be read (never for a remote caller).
        cache: Recorded answers; none when None.
        consent: Which services may get pictures of this machine; the per-user file when None.
        reader: Reads pages; one of its own when None.

    Raises:
        MissingExtraError: when pages are wanted and what reads them is not installed.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        settings: GatherSettings | None = None,
        evidence: EvidenceSettings | None = None,
        web: WebLimits | None = None,
        cache: ResultCache | None = None,
        consent: Consent | None = None,
        reader: PageReader | None = None,
    ) -> None:
        self.providers = dict(providers)
        self.settings = settings or GatherSettings()
        self.evidence_settings = evidence or EvidenceSettings()
        self.web = web or WebLimits()
        self.cache = cache
        self.consent = consent or Consent()
        self.reader = reader or PageReader(self.web)
        self._waits = Waits()
        if self.evidence_settings.pages:
            check_reader()  # before any provider is asked and paid

    def gather(
        self, subject: Subject, *, words: str = "", on_result: OnResult | None = None
    ) -> Evidence:
        """Asks every provider about a picture.

        Args:
            subject: The picture.
            words: Words to narrow the search with, where a service takes them.
            on_result: Called with each provider's result as it arrives, in this thread.

        Returns:
            Evidence, also when every provider failed: its results say what happened.
        """
        began = time.perf_counter()
        asked_at = datetime.now().astimezone().isoformat(timespec="seconds")
        results = self._results(subject, words, on_result or (lambda _: None))
        groups = self._merged(results, subject)
        fetched: list[Sent] = []
        if self.evidence_settings.thumbnails:
            groups = self._with_thumbnails(groups, results, subject, fetched)
        if self.evidence_settings.verify:
            groups = compared(groups, subject, self.evidence_settings.items * 2)
        chosen = groups[: self.evidence_settings.items]
        items = [Item(at, group[0], group[1:]) for at, group in enumerate(chosen, 1)]
        notes = list(picture_notes(subject))
        notes += [note for result in results if (note := self._remembered(result, subject))]
        if self.evidence_settings.pages:
            items = self._with_pages(items, notes, fetched)
        took_s = time.perf_counter() - began
        about = subject.as_dict()
        own = own_evidence(subject)
        return Evidence(
            tuple(items), results, tuple(notes), took_s, about, tuple(fetched), own, asked_at
        )

    def close(self) -> None:
        """Closes every provider; closing twice is fine."""
        for provider in self.providers.values():
            provider.close()

    def __enter__(self) -> Gatherer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _merged(
        self, results: tuple[ProviderResult, ...], subject: Subject
    ) -> list[tuple[Match, ...]]:
        return merge(results, subject, self.evidence_settings, self.settings.fold_bits)

    def _results(
        self, subject: Subject, words: str, on_result: OnResult
    ) -> tuple[ProviderResult, ...]:
        """One result a provider, in the order of the providers."""
        lookup = Lookup(self.settings.limit, self.settings.timeout_s, words)
        budget = Budget(self.settings.budget_usd)
        deadline = Deadline(self.settings.timeout_s)
        done: dict[str, ProviderResult] = {}
        arrived: queue.SimpleQueue[tuple[str, ProviderResult]] = queue.SimpleQueue()
        for name, provider in self.providers.items():
            known = self._without_asking(provider, subject, lookup)
            if known is not None:
                done[name] = replace(known, provider=name)
                on_result(done[name])
                continue
            turn = Turn(provider, subject, lookup, self.settings, budget, self._waits, deadline)
            if budget.take(provider.cost_usd):
                self._start(name, turn, arrived)
            else:
                done[name] = replace(over_budget(turn), provider=name)
                on_result(done[name])
        while len(done) < len(self.providers):
            left_s = self.settings.timeout_s + _GRACE_S - deadline.took_s
            try:
                name, result = arrived.get(timeout=max(left_s, 0.001))
            except queue.Empty:
                break
            done[name] = replace(result, provider=name)
            on_result(done[name])
        for name in self.providers.keys() - done.keys():
            done[name] = self._late(name)
            on_result(done[name])
        return tuple(done[name] for name in self.providers)

    def _without_asking(
        self, provider: Provider, subject: Subject, lookup: Lookup
    ) -> ProviderResult | None:
        """A recorded result, or a reason not to ask; None when the provider is to be asked."""
        if (cache := self._cache_for(provider)) is not None:
            began = time.perf_counter()
            known = cache.get(provider, subject, lookup)
            if known is not None:
                return known.timed(time.perf_counter() - began)
        waiting = {provider.name: self._waits.left_s(provider.name)}
        return refusal(provider, subject, self.consent, waiting)

    def _remembered(self, result: ProviderResult, subject: Subject) -> str:
        """What is said of an agreement that counts from now on; empty when none is new."""
        was_sent = bool(result.sent) and result.answered and result.cached_s is None
        return self.consent.was_used(result.provider) if was_sent and subject.local else ""

    def _cache_for(self, provider: Provider) -> ResultCache | None:
        """The cache for a remote provider; a library or a recording may change at any time."""
        return self.cache if is_remote(provider) else None

    def _start(
        self, name: str, turn: Turn, arrived: queue.SimpleQueue[tuple[str, ProviderResult]]
    ) -> None:
        cache = self._cache_for(turn.provider)
        # A daemon thread: a service that hangs must not keep the program from ending.
        threading.Thread(
            target=lambda: arrived.put((name, ask(turn, cache))), name=f"ask-{name}", daemon=True
        ).start()

    def _late(self, name: str) -> ProviderResult:
        limit = self.settings.timeout_s
        return ProviderResult(
            name,
            Outcome.TIMED_OUT,
            message=f"{name} had not answered after {limit:g} s",
            hint="ask again: its answer is recorded when it arrives; or raise the time limit",
            took_s=limit,
        )

    def _with_thumbnails(
        self,
        groups: list[tuple[Match, ...]],
        results: tuple[ProviderResult, ...],
        subject: Subject,
        fetched: list[Sent],
    ) -> list[tuple[Match, ...]]:
        """Fetches small pictures of the best matches and merges again, now also by their looks."""
        best = [match for group in groups[: self.evidence_settings.items * 2] for match in group]
        wanted = [match for match in best if match.thumbnail is None]
        small = fetch_thumbnails(wanted, self.web, fetched)
        if not small:
            return groups
        dressed = tuple(
            replace(result, matches=tuple(with_thumbnail(match, small) for match in result.matches))
            for result in results
        )
        return self._merged(dressed, subject)

    def _with_pages(self, items: list[Item], notes: list[str], fetched: list[Sent]) -> list[Item]:
        """Reads the top items' pages."""
        urls = [item.match.page_url for item in items if item.match.page_url]
        texts, troubles = self.reader.read(
            urls[: self.evidence_settings.pages], self.evidence_settings.page_chars, fetched
        )
        notes += [f"page not read: {trouble}" for trouble in troubles]
        return [replace(item, text=texts.get(item.match.page_url, "")) for item in items]
