"""A SearXNG instance of one's own, through its TinEye engine. Layer: providers.

Source: SearXNG's search API (`/search?format=json`) and its engine type `online_url_search`,
which TinEye's engine has: the query is the picture's public address. TinEye finds copies and
edits of one picture, not look-alikes. JSON answers must be enabled in the instance's
settings (`search.formats`), which answers 403 otherwise; an engine that was blocked or slow
is listed in `unresponsive_engines`, beside an empty list of results.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from relook.core.errors import InputError
from relook.core.plain_text import plain
from relook.core.web import check_url, host_of
from relook.providers.base import Lookup, Outcome, ProviderResult, ProviderSettings, Subject
from relook.providers.json_service import Call, JsonProvider, JsonService, rows_of, url_of
from relook.providers.match import Match, MatchKind, Sent, interleave

URL_VARIABLE = "RELOOK_SEARXNG_URL"


class SearxngProvider(JsonProvider):
    """Copies of a picture, through somebody's SearXNG.

    Args:
        base_url: The instance; `$RELOOK_SEARXNG_URL` when None. There is no default one.
        engines: Its engines that take a picture's address.

    Raises:
        InputError: `no_searxng` without an instance, `bad_url`.
    """

    name = "searxng"
    remote = True
    takes_files = False
    cost_usd = 0.0
    needs = ("address",)

    def __init__(self, base_url: str | None = None, engines: str = "tineye") -> None:
        url = base_url or os.environ.get(URL_VARIABLE, "")
        if not url:
            raise InputError(
                "no_searxng", "no SearXNG instance is known", f"set ${URL_VARIABLE} to its address"
            )
        check_url(url)
        self._url, self._engines = f"{url.rstrip('/')}/search", engines
        self.variant = f"{host_of(url)} {engines}"
        self._service = JsonService(self.name, None)

    @classmethod
    def open(cls, spec: str, settings: ProviderSettings) -> SearxngProvider:
        """Opens the instance `searxng:URL`, or the environment's."""
        return cls(spec or None)

    def _find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        if subject.url is None:
            message = "searxng can only be asked about a picture with a public address"
            raise self._service.trouble(Outcome.UNSUPPORTED, message)
        params = {"q": subject.url, "format": "json", "engines": self._engines}
        call = Call("GET", self._url, "the picture's address", params)
        status, values, sent = self._service.call(call, lookup.timeout_s)
        if status >= 400:
            message = f"{sent.host} answered {status}"
            raise self._service.trouble(Outcome.REFUSED, message, "", sent)
        rows = [_match(row) for row in rows_of(values, "results")]
        matches = interleave(
            [[match for match in rows if match.page_url or match.image_url]], lookup.limit
        )
        if not matches:
            self._check(values, sent)
        outcome = Outcome.FOUND if matches else Outcome.NOTHING
        return ProviderResult(self.name, outcome, matches, sent=(sent,))

    def _check(self, values: Mapping[str, Any], sent: Sent) -> None:
        """Raises unless an answer without matches means that there are none."""
        if not isinstance(values.get("results"), list):
            raise self._service.trouble(Outcome.FAILED, "the answer has no results", "", sent)
        troubles = values.get("unresponsive_engines") or []
        message = "; ".join(": ".join(map(str, row)) for row in troubles if isinstance(row, list))
        if not message:
            return
        words = message.lower()
        if "captcha" in words or "denied" in words:
            outcome = Outcome.BLOCKED
        elif "too many requests" in words:
            outcome = Outcome.QUOTA
        else:
            outcome = Outcome.TIMED_OUT if "timeout" in words else Outcome.FAILED
        raise self._service.trouble(outcome, message, "see the instance's log", sent)


def _match(row: Mapping[str, Any]) -> Match:
    page = url_of(row.get("url"))
    date = plain(row.get("publishedDate"), 40)
    return Match(
        provider="searxng",
        kind=MatchKind.PAGE,
        title=plain(row.get("title")),
        source=host_of(page),
        page_url=page,
        image_url=url_of(row.get("img_src")),
        thumbnail_url=url_of(row.get("thumbnail_src")),
        text=plain(row.get("content")),
        date="" if date.startswith("0001") else date[:10],  # its mark for "unknown"
    )
