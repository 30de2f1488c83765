"""Google Lens in a real browser, through Playwright. Layer: providers.

It opens the search in a browser and takes a screenshot, as Reverse Image RAG did. It also reads
the page (titles, links, small pictures) and tells a robot check or a consent page apart from an
empty result. It depends on a page that may change at any time, is slow, and may be against the
service's terms where the person lives: prefer another provider where you have one.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from playwright.sync_api import Browser, FilePayload, Page, Playwright, sync_playwright
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import TimeoutError as BrowserTimeout

from relook.core.errors import ImageError, InputError
from relook.core.plain_text import plain
from relook.core.web import check_url, host_of
from relook.providers.base import Lookup, Outcome, ProviderResult, ProviderSettings, Subject
from relook.providers.lens_page import READ_PAGE, matches_of, state_of
from relook.providers.match import Match, Sent, interleave

BROWSER_VARIABLE = "RELOOK_BROWSER"
LENS_VARIABLE = "RELOOK_LENS_URL"
_URL = "https://lens.google.com"
_SHELL = "chromium-headless-shell"  # a third of the work where no window is shown
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The browser's names for what ends a request before any of it is sent, by kind. A connection that
# is reset or closed, a time-out and ERR_SSL_PROTOCOL_ERROR are none: part of it may have left.
_UNREACHED = {
    "name": "NAME_NOT_RESOLVED|NAME_RESOLUTION_FAILED|HOST_RESOLVER_\\w+|DNS_\\w+"
    "|ICANN_NAME_COLLISION",
    "connection": "CONNECTION_(?:REFUSED|FAILED|TIMED_OUT)|INTERNET_DISCONNECTED"
    "|ADDRESS_(?:UNREACHABLE|IN_USE)|NETWORK_ACCESS_DENIED",
    "proxy": "PROXY_CONNECTION_FAILED|PROXY_CERTIFICATE_INVALID|NO_SUPPORTED_PROXIES|PAC_\\w+"
    "|PROXY_UNABLE_TO_CONNECT_TO_DESTINATION|MANDATORY_PROXY_CONFIGURATION_FAILED"
    "|(?:TUNNEL|SOCKS)_CONNECTION_\\w+",
    "certificate": "CERT_\\w+|CERTIFICATE_\\w+|SSL_VERSION_OR_CIPHER_MISMATCH|SSL_OBSOLETE_\\w+"
    "|SSL_CLIENT_AUTH_\\w+|BAD_SSL_CLIENT_AUTH_CERT|SSL_PINNED_KEY_NOT_IN_CERT_CHAIN"
    "|SSL_UNRECOGNIZED_NAME_ALERT|SSL_BAD_PEER_PUBLIC_KEY|SSL_KEY_USAGE_INCOMPATIBLE"
    "|TLS13_DOWNGRADE_DETECTED|ECH_\\w+|ALPN_NEGOTIATION_FAILED",
    "address": "UNSAFE_PORT|ADDRESS_INVALID|INVALID_URL|DISALLOWED_URL_SCHEME|UNKNOWN_URL_SCHEME"
    "|BLOCKED_BY_(?:CLIENT|ADMINISTRATOR|CSP|(?:LOCAL|PRIVATE)_NETWORK_ACCESS_CHECKS)",
}
_HINT_OF = {
    "proxy": "check the proxy of this machine",
    "certificate": f"check ${LENS_VARIABLE}, and this machine's clock and certificates",
    "address": f"check ${LENS_VARIABLE}: the browser opens no such address",
}
_POLL_S, _LEAST_S, _LONGEST_PX = 0.25, 1.0, 1_280
_HINTS = {
    Outcome.BLOCKED: "wait a while, or run it visible (headless=False) and pass the check",
    Outcome.CONSENT_PAGE: "run it visible (headless=False) and answer the page once",
}


@dataclass(frozen=True, slots=True)
class BrowserOptions:
    """How the browser is run.

    Args:
        headless: Whether it has no window. In a window the person can answer a consent page
            or a robot check, until the time limit.
        delay_s: Seconds to wait for late results after the first ones.
        full_page: Whether the screenshot is of the whole page instead of the first screen.
        executable: The browser's program; `$RELOOK_BROWSER`, one on the PATH, or
            Playwright's own when empty.
        profile: Folder of a browser profile to use and keep (cookies); none when empty.
        sandbox: Whether the browser's own sandbox is on; by default unless run as root.
    """

    headless: bool = True
    delay_s: float = 2.0
    full_page: bool = False
    executable: str = ""
    profile: str = ""
    sandbox: bool | None = None


class LensBrowserProvider:
    """Google Lens as a person sees it, with a screenshot.

    Args:
        options: How the browser is run.
        base_url: Another address of the service; `$RELOOK_LENS_URL`, or its own, when empty.

    Raises:
        InputError: `no_display` when a window is wanted and this machine shows none.
    """

    name = "lens-browser"
    remote = True
    takes_files = True
    cost_usd = 0.0
    needs = ()

    def __init__(self, options: BrowserOptions | None = None, base_url: str = "") -> None:
        base_url = base_url or os.environ.get(LENS_VARIABLE) or _URL
        check_url(base_url)
        self._options = options or BrowserOptions()
        if not self._options.headless:
            _check_display()
        self._base = base_url.rstrip("/")
        self.variant = host_of(base_url)

    @classmethod
    def open(cls, spec: str, settings: ProviderSettings) -> LensBrowserProvider:
        """Opens the search; `lens-browser:URL` is another address of it."""
        return cls(base_url=spec)

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """Looks the picture up in a browser of its own, which is closed afterwards."""
        began = time.perf_counter()
        sent: list[Sent] = []
        deadline = time.monotonic() + lookup.timeout_s
        try:
            # Playwright refuses a thread in which an event loop runs, as one does in a notebook.
            with ThreadPoolExecutor(1, self.name) as apart:
                result = apart.submit(self._browse, subject, lookup, deadline, sent).result()
        except ImageError as error:
            result = ProviderResult(self.name, Outcome.REFUSED, (), error.message, error.hint)
        except BrowserTimeout:
            result = self._trouble(Outcome.TIMED_OUT, "the page took too long", "raise the limit")
        except BrowserError as error:
            result = self._broken(error)
        return replace(result, sent=tuple(sent), took_s=time.perf_counter() - began)

    def close(self) -> None:
        """Nothing to free: each look-up closes its browser."""

    def _browse(
        self, subject: Subject, lookup: Lookup, deadline: float, sent: list[Sent]
    ) -> ProviderResult:
        with sync_playwright() as driver:
            browser, page = self._open(driver, deadline)
            try:
                page.set_default_timeout(_left_ms(deadline))
                self._ask(page, subject, sent)
                seen = self._look(page, deadline)
                shot = page.screenshot(
                    full_page=self._options.full_page, timeout=max(_left_ms(deadline), 10_000)
                )
                return self._result(seen, lookup, shot)
            finally:
                page.context.close()
                if browser is not None:
                    browser.close()

    def _open(self, driver: Playwright, deadline: float) -> tuple[Browser | None, Page]:
        options = self._options
        own = driver.chromium.executable_path
        named = options.executable or os.environ.get(BROWSER_VARIABLE, "")
        program = named or (None if os.path.exists(own) else _installed(options.headless))
        sandbox = os.geteuid() != 0 if options.sandbox is None else options.sandbox
        window = {"width": 1280, "height": 1000}
        if options.profile:
            context = driver.chromium.launch_persistent_context(
                os.path.expanduser(options.profile),
                executable_path=program,
                headless=options.headless,
                chromium_sandbox=sandbox,
                locale="en-US",
                viewport={"width": window["width"], "height": window["height"]},
                accept_downloads=False,
                timeout=_left_ms(deadline),
            )
            return None, context.pages[0] if context.pages else context.new_page()
        browser = driver.chromium.launch(
            executable_path=program, headless=options.headless, chromium_sandbox=sandbox,
            timeout=_left_ms(deadline),
        )  # fmt: skip
        return browser, browser.new_page(
            locale="en-US",
            viewport={"width": window["width"], "height": window["height"]},
            accept_downloads=False,
        )

    def _ask(self, page: Page, subject: Subject, sent: list[Sent]) -> None:
        """Opens the search, and notes what is sent.

        It is noted before it is sent, so that a page that breaks cannot hide it, and taken back
        where nobody was reached. An answer may lead to where nobody is: then it was sent.
        """
        answers: list[str] = []
        page.on("response", lambda answer: answers.append(answer.url))
        try:
            self._send(page, subject, sent)
        except BrowserError as error:
            if why_unreached(error.message) and not answers:
                sent.clear()
            raise

    def _send(self, page: Page, subject: Subject, sent: list[Sent]) -> None:
        """Sends the picture's address, or the picture when it has none."""
        host = host_of(self._base)
        if subject.url is not None:
            query = urlencode({"url": subject.url, "hl": "en"})
            sent.append(Sent(host, len(subject.url), "the picture's address"))
            page.goto(f"{self._base}/uploadbyurl?{query}", wait_until="domcontentloaded")
            return
        data = subject.jpeg(_LONGEST_PX)
        action = f"{self._base}/v3/upload?hl=en"
        page.set_content(
            f'<form method="post" enctype="multipart/form-data" action="{action}">'
            '<input type="file" name="encoded_image"></form>'
        )
        picture = FilePayload(name="picture.jpg", mimeType="image/jpeg", buffer=data)
        page.set_input_files("input", files=[picture])
        sent.append(Sent(host, len(data), "the picture"))
        with page.expect_navigation(wait_until="domcontentloaded"):
            page.evaluate("document.forms[0].submit()")

    def _look(self, page: Page, deadline: float) -> Mapping[str, Any]:
        """Waits until the page can be recognised, then a little more, and reads it."""
        may_wait = () if self._options.headless else (Outcome.BLOCKED, Outcome.CONSENT_PAGE)
        seen = self._read(page)
        while (state := state_of(seen)) is None or state in may_wait:
            if time.monotonic() + _POLL_S >= deadline:
                return seen
            page.wait_for_timeout(_POLL_S * 1e3)
            seen = self._read(page)
        if state is Outcome.FOUND:
            left_s = deadline - time.monotonic() - _POLL_S
            page.wait_for_timeout(max(min(self._options.delay_s, left_s), 0.0) * 1e3)
            seen = self._read(page)
        return seen

    def _read(self, page: Page) -> Mapping[str, Any]:
        try:
            seen: Mapping[str, Any] = page.evaluate(READ_PAGE, urlsplit(self._base).hostname)
        except BrowserTimeout:
            raise
        except BrowserError as error:
            if "context was destroyed" in error.message or "navigat" in error.message:
                return {}  # the next page is just replacing this one
            raise
        return seen

    def _result(self, seen: Mapping[str, Any], lookup: Lookup, shot: bytes) -> ProviderResult:
        host = host_of(self._base)
        outcome = state_of(seen)
        message, hint = "", ""
        if outcome is None:
            outcome, message = Outcome.FAILED, "the page is of no known kind"
            hint = "look at the screenshot: the service may have changed its page"
        elif outcome is Outcome.BLOCKED:
            message, hint = f"{host} took the browser for a robot", _HINTS[outcome]
        elif outcome is Outcome.CONSENT_PAGE:
            message, hint = f"{host} wants consent to its terms first", _HINTS[outcome]
        matches: tuple[Match, ...] = ()
        if outcome is Outcome.FOUND:
            matches = interleave(matches_of(seen, self.name), lookup.limit)
        return ProviderResult(self.name, outcome, matches, message, hint, screenshot=shot)

    def _broken(self, error: BrowserError) -> ProviderResult:
        text = plain(re.split("Call log:|=== logs", error.message)[0], 200).rstrip(" =")
        if "Executable doesn't exist" in error.message or "Failed to launch" in error.message:
            hint = f"playwright install chromium, or set ${BROWSER_VARIABLE} to a browser"
            return self._trouble(Outcome.FAILED, text, hint)
        kind = why_unreached(error.message)
        hint = _HINT_OF.get(kind or "", "check the network connection")
        # An address that no browser opens and a certificate that is wrong stay so.
        passing = "net::ERR_" in error.message and kind not in ("address", "certificate")
        return self._trouble(Outcome.FAILED, text, hint, passing)

    def _trouble(
        self, outcome: Outcome, message: str, hint: str, passing: bool = False
    ) -> ProviderResult:
        return ProviderResult(self.name, outcome, (), message, hint, passing=passing)


def why_unreached(message: str) -> str | None:
    """The kind of a browser's error that came before anything was sent; None for any other."""
    names = re.findall(r"\bERR_(\w+)", message)
    for kind, pattern in _UNREACHED.items():
        if any(re.fullmatch(pattern, name) for name in names):
            return kind
    return None


def _left_ms(deadline: float) -> float:
    """Milliseconds until a time of `time.monotonic`; a second at least."""
    return max(deadline - time.monotonic(), _LEAST_S) * 1e3


def _check_display() -> None:
    has_none = not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if sys.platform.startswith("linux") and has_none:
        raise InputError(
            "no_display",
            "the browser is to have a window, and there is no display to show it on",
            "leave it without one (headless=True), or run this under xvfb-run",
        )


def _installed(headless: bool) -> str | None:
    """A browser of this machine, when Playwright has none of its own."""
    names = (_SHELL, *_NAMES) if headless else _NAMES
    return next((path for name in names if (path := shutil.which(name))), None)
