"""Reading the pages of matches, guarded and politely. Layer: rag.

A page is read only when its site's robots.txt lets `relook` (or everybody) read it, and only
as text: scripts, styles and markup are gone before anybody sees it.
"""

from __future__ import annotations

import threading
import urllib.robotparser
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from relook.core.errors import AccessError, RelookError
from relook.core.settings import WebLimits
from relook.core.web import AGENT, Resolver, fetch, host_of
from relook.providers.base import Sent
from relook.rag.page_text import check_reader, readable

__all__ = ["PageReader"]

_AT_ONCE, _MAX_SITES, _ROBOTS_BYTES = 4, 500, 512 * 1024
_NOTHING = ("User-agent: *", "Disallow: /")
_ACCEPT = "text/html,application/xhtml+xml;q=0.9,text/plain;q=0.8"


class PageReader:
    """Reads pages; remembers what sites allow.

    Args:
        web: What fetching may cost, and whether private addresses may be read.
        resolve: As for `core.web.fetch`.
    """

    def __init__(self, web: WebLimits | None = None, resolve: Resolver | None = None) -> None:
        self.web = web or WebLimits()
        self._resolve = resolve
        self._rules: dict[str, urllib.robotparser.RobotFileParser] = {}
        self._lock = threading.Lock()

    def read(
        self, urls: Sequence[str], max_chars: int, fetched: list[Sent]
    ) -> tuple[dict[str, str], list[str]]:
        """Readable text of several pages, side by side.

        Args:
            urls: Which.
            max_chars: At most so many characters of each.
            fetched: Where each request made is noted.

        Returns:
            Texts by address, and what went wrong with the others, for people.

        Raises:
            MissingExtraError: when the reader is not installed.
        """
        if not urls:
            return {}, []
        check_reader()
        with ThreadPoolExecutor(min(_AT_ONCE, len(urls)), "page") as pool:
            found = list(pool.map(lambda url: self._safely(url, max_chars), urls))
        asked = [url for url, (_, _, was_asked) in zip(urls, found, strict=True) if was_asked]
        fetched += [Sent(host_of(url), 0, "a request for a page") for url in asked]
        texts = {url: text for url, (text, _, _) in zip(urls, found, strict=True) if text}
        return texts, [trouble for _, trouble, _ in found if trouble]

    def text_of(self, url: str, max_chars: int) -> str:
        """Readable text of one page.

        Raises:
            AccessError: `robots` when the site does not want it, `private_address`.
            InputError, TooLargeError, FetchError: as `core.web.fetch` does; `not_a_page`.
        """
        if not self._rules_of(url).can_fetch(AGENT, url):
            raise AccessError("robots", f"{host_of(url)} asks programs not to read this page")
        got = fetch(url, self.web.max_page_bytes, self.web, accept=_ACCEPT, resolve=self._resolve)
        return readable(got.data, got.charset, max_chars)

    def _safely(self, url: str, max_chars: int) -> tuple[str, str, bool]:
        """The text, what went wrong, and whether the site was asked for anything."""
        try:
            return self.text_of(url, max_chars), "", True
        except RelookError as error:
            return "", error.message, error.code != "private_address"

    def _rules_of(self, url: str) -> urllib.robotparser.RobotFileParser:
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            known = self._rules.get(site)
        if known is None:
            known = self._ask_site(site)
            with self._lock:
                if len(self._rules) >= _MAX_SITES:
                    self._rules.clear()
                self._rules[site] = known
        return known

    def _ask_site(self, site: str) -> urllib.robotparser.RobotFileParser:
        """The site's rules; no file allows all, a broken site allows nothing (RFC 9309, 2.3.1)."""
        rules = urllib.robotparser.RobotFileParser()
        try:
            got = fetch(
                f"{site}/robots.txt",
                _ROBOTS_BYTES,
                self.web,
                any_status=True,
                resolve=self._resolve,
            )
        except AccessError:
            raise
        except RelookError:
            rules.parse(_NOTHING)
            return rules
        if got.status == 200:
            rules.parse(got.data.decode("utf-8", "replace").splitlines())
        else:
            rules.parse([] if 400 <= got.status < 500 else _NOTHING)
        return rules
