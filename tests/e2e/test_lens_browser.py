"""Google Lens's adapter in a real browser, on pages that mimic results, consent and blocks."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import math
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from relook.providers import lens_browser
from relook.providers.base import Lookup, Outcome, ProviderResult, Subject
from relook.providers.lens_browser import BrowserOptions, LensBrowserProvider
from relook.providers.match import Match
from relook.testing import check_provider
from relook.testing.web_server import Asked, Reply, WebServer, picture_bytes, serving

from .conftest import BROWSERS

LONG_S = 600.0  # ends a test that hangs
LOOKUP = Lookup(limit=10, timeout_s=LONG_S)
HTML = {"Content-Type": "text/html; charset=utf-8"}
PICTURE = "data:image/png;base64," + base64.b64encode(picture_bytes(4, 60, 40)).decode()
DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # 1x1

RESULTS = f"""<!doctype html><title>Google Search</title>
<header><a href="https://about.example/">About</a></header>
<nav><a href="https://nav.example/">All</a></nav>
<h1>Search results</h1>
<div data-attrid="title">Eiffel Tower</div>
<a href="https://policies.google.com/terms">Terms</a>
<a href="/own/page">Own page</a>
<h2>Visual matches</h2>
<div class="x1">
  <a href="https://www.tower.example/paris?utm_source=g"><img src="{PICTURE}" alt="">
    <div role="heading">Tower at night &amp; <b>Seine</b></div><span>Tower Blog</span></a>
</div>
<div class="x1"><img src="{DOT}">
  <a href="https://shop.example/model" aria-label="Model of the tower, 30 cm">
    <div>Model</div><div>$20</div></a>
</div>
<div><a href="/url?q=https://wrapped.example/page&amp;sa=U">Wrapped result of some length</a></div>
<a href="mailto:a@b.example">A mail address of some length</a>
<a href="javascript:alert(1)">A script of some length</a>
<div style="display:none"><a href="https://hidden.example/">Hidden</a></div>
<h2>Pages that include matching images</h2>
<div><a href="https://same.example/a"><h3>The very same photograph</h3></a>
  <a href="https://same.example/a"><img src="https://tn.example/x.jpg" alt="thumb"></a></div>
<script>document.title = "ran";</script>
<footer><a href="https://footer.example/">Footer</a></footer>
"""
CONSENT = """<!doctype html><title>Before you continue</title>
<h1>Before you continue to Google</h1>
<form action="https://consent.google.com/save" method="post"><button>Accept all</button></form>
<a href="https://elsewhere.example/">Elsewhere</a>"""
SORRY = """<!doctype html><title>Sorry</title>
<p>Our systems have detected unusual traffic from your computer network.</p>
<form id="captcha-form"><input name="q"></form><a href="https://why.example/">Why</a>"""
NOTHING = """<!doctype html><title>Lens</title><h1>Google Lens</h1>
<p>Google Lens didn\u2019t find any results for your image.</p>
<a href="https://support.google.com/">Help</a>"""
UNKNOWN = "<!doctype html><title>New</title><p>We have moved everything.</p>"
LATE = """<!doctype html><title>Lens</title><div id="here"></div><script>
setTimeout(() => { document.getElementById("here").innerHTML =
  '<a href="https://late.example/">A result that came late</a>'; }, 600);
setTimeout(() => { document.getElementById("here").innerHTML +=
  '<p><a href="https://later.example/">A result that came later</a></p>'; }, 1200);
</script>"""


@pytest.fixture(scope="module")
def site() -> Iterator[WebServer]:
    if not any(map(shutil.which, BROWSERS)):
        pytest.fail("no browser on the PATH: apt-get install chromium", pytrace=False)
    with serving() as server:
        yield server


def show(site: WebServer, page: str) -> None:
    """Makes both ways of asking end at this page."""
    site.asked.clear()
    site.replies.clear()
    answer = Reply(page.encode(), headers=HTML)
    site.replies["/uploadbyurl"] = site.replies["/v3/upload"] = answer


def ask(site: WebServer, subject: Subject | None = None, delay_s: float = 0.0) -> ProviderResult:
    provider = LensBrowserProvider(BrowserOptions(delay_s=delay_s), site.address)
    return provider.find(subject or public(), LOOKUP)


def public() -> Subject:
    return Subject.of(picture_bytes(1), url="https://pictures.example.org/a b.png?x=1&y=2")


def told(match: Match) -> tuple[str, str, str, str]:
    return match.kind.value, match.title, match.source, match.page_url


def test_a_page_of_results_is_read(site: WebServer) -> None:
    show(site, RESULTS)
    result = ask(site)
    assert result.outcome is Outcome.FOUND
    assert [told(match) for match in result.matches] == [
        ("page", "The very same photograph", "same.example", "https://same.example/a"),
        ("entity", "Eiffel Tower", "Google Lens", ""),
        (
            "similar",
            "Tower at night & Seine",
            "Tower Blog",
            "https://www.tower.example/paris?utm_source=g",
        ),
        ("similar", "Model of the tower, 30 cm", "$20", "https://shop.example/model"),
        (
            "similar",
            "Wrapped result of some length",
            "wrapped.example",
            "https://wrapped.example/page",
        ),
    ]
    same, _, tower, model, _ = result.matches
    assert same.thumbnail_url == "https://tn.example/x.jpg"
    assert tower.thumbnail is not None
    assert Image.open(io.BytesIO(tower.thumbnail)).size == (60, 40)
    assert tower.picture_hash is not None
    assert (model.thumbnail, model.thumbnail_url) == (None, "")
    assert site.asked[0].query == {
        "url": "https://pictures.example.org/a b.png?x=1&y=2",
        "hl": "en",
    }
    assert [(one.host, one.what) for one in result.sent] == [("127.0.0.1", "the picture's address")]


def test_a_local_picture_is_handed_over_as_a_fresh_jpeg(site: WebServer) -> None:
    show(site, RESULTS)
    result = ask(site, Subject.of(picture_bytes(1)))
    assert result.outcome is Outcome.FOUND
    upload = site.asked[0]
    assert (upload.method, upload.path) == ("POST", "/v3/upload")
    head, _, rest = upload.body.partition(b"\r\n\r\n")
    assert b'name="encoded_image"' in head
    assert Image.open(io.BytesIO(rest)).size == (64, 48)
    assert (result.sent[0].what, result.sent[0].n_bytes > 500) == ("the picture", True)


@pytest.mark.parametrize(
    ("page", "outcome"),
    [
        (CONSENT, Outcome.CONSENT_PAGE),
        (SORRY, Outcome.BLOCKED),
        (NOTHING, Outcome.NOTHING),
    ],
)
def test_consent_block_and_nothing_are_told_apart(
    page: str, outcome: Outcome, site: WebServer
) -> None:
    show(site, page)
    result = ask(site)
    assert (result.outcome, result.matches) == (outcome, ())
    assert (result.message == "") == (outcome is Outcome.NOTHING)
    assert result.screenshot is not None
    assert result.sent != ()


def test_a_redirect_to_the_robot_check_is_a_block(site: WebServer) -> None:
    show(site, UNKNOWN)
    site.replies["/uploadbyurl"] = Reply(status=302, headers={"Location": "/sorry/index?q=1"})
    site.replies["/sorry/index"] = Reply(b"<p>Please wait</p>", headers=HTML)
    assert ask(site).outcome is Outcome.BLOCKED


def test_a_page_that_nobody_knows_is_a_failure_with_a_screenshot(
    site: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again and again until the time is up; here the third look is the last."""
    show(site, UNKNOWN)
    provider = LensBrowserProvider(BrowserOptions(delay_s=0.0), site.address)
    read, looks = provider._read, itertools.count(1)

    def reading(page: Any) -> Any:
        if next(looks) == 3:
            late = SimpleNamespace(monotonic=lambda: math.inf, perf_counter=time.perf_counter)
            monkeypatch.setattr(lens_browser, "time", late)
        return read(page)

    monkeypatch.setattr(provider, "_read", reading)
    result = provider.find(public(), LOOKUP)
    assert next(looks) == 4
    assert result.outcome is Outcome.FAILED
    assert "screenshot" in result.hint
    assert result.screenshot is not None
    assert Image.open(io.BytesIO(result.screenshot)).size == (1280, 1000)


def test_late_results_are_waited_for(site: WebServer) -> None:
    show(site, LATE)
    assert ask(site).matches[0].title == "A result that came late"
    both = ask(site, delay_s=1.5)
    assert [match.page_url for match in both.matches] == [
        "https://late.example/",
        "https://later.example/",
    ]


def test_a_service_that_is_slow_or_gone(site: WebServer) -> None:
    show(site, RESULTS)
    site.replies["/uploadbyurl"] = Reply(b"", delay_s=LONG_S)
    provider = LensBrowserProvider(base_url=site.address)
    slow = provider.find(public(), Lookup(timeout_s=2.0))
    assert slow.outcome is Outcome.TIMED_OUT
    # On a busy machine the browser itself takes the two seconds, and nothing is sent.
    assert (slow.sent != ()) == ("/uploadbyurl" in {path.split("?")[0] for path in site.paths()})
    with serving() as gone:
        pass
    result = ask(gone)
    assert (result.outcome, result.passing, result.sent) == (Outcome.FAILED, True, ())
    assert "logs" not in result.message


def test_what_no_request_left_for_is_noted_as_sent_to_nobody() -> None:
    """The browser opens no such port; asking again, as after passing trouble, does not help."""
    unsafe = LensBrowserProvider(base_url="http://127.0.0.1:1")
    for subject in (public(), Subject.of(picture_bytes(1))):
        result = unsafe.find(subject, LOOKUP)
        assert "ERR_UNSAFE_PORT" in result.message
        assert (result.outcome, result.passing, result.sent) == (Outcome.FAILED, False, ())
        assert "RELOOK_LENS_URL" in result.hint


def test_what_was_answered_was_sent_wherever_the_answer_leads(site: WebServer) -> None:
    show(site, UNKNOWN)
    with serving() as gone:
        pass
    for way in ("/uploadbyurl", "/v3/upload"):
        site.replies[way] = Reply(status=302, headers={"Location": gone.address})
    for subject in (public(), Subject.of(picture_bytes(1))):
        result = ask(site, subject)
        assert "ERR_CONNECTION_REFUSED" in result.message
        assert len(result.sent) == 1


def test_a_notebook_has_an_event_loop_already(site: WebServer) -> None:
    show(site, RESULTS)
    provider = LensBrowserProvider(BrowserOptions(delay_s=0.0), site.address)

    async def cell() -> ProviderResult:
        return provider.find(public(), LOOKUP)

    with ThreadPoolExecutor(1) as notebook:
        shown = notebook.submit(lambda: asyncio.run(cell())).result()
    assert shown.outcome is Outcome.FOUND


def test_no_browser_is_told_with_what_to_do(site: WebServer) -> None:
    options = BrowserOptions(executable="/nowhere/chromium")
    result = LensBrowserProvider(options, site.address).find(public(), LOOKUP)
    assert result.outcome is Outcome.FAILED
    assert "playwright install" in result.hint
    assert result.sent == ()


def test_a_profile_keeps_its_cookies(site: WebServer, tmp_path: Path) -> None:
    show(site, RESULTS)
    cookies = []

    def answer(asked: Asked) -> Reply:
        cookies.append(asked.headers.get("cookie", ""))
        return Reply(RESULTS.encode(), headers={**HTML, "Set-Cookie": "seen=1; Max-Age=3600"})

    site.replies["/uploadbyurl"] = answer
    profile = str(tmp_path / "profile")
    provider = LensBrowserProvider(BrowserOptions(delay_s=0.0, profile=profile), site.address)
    for _ in range(2):
        assert provider.find(public(), LOOKUP).outcome is Outcome.FOUND
    assert cookies == ["", "seen=1"]


def test_the_contract(site: WebServer) -> None:
    show(site, RESULTS)
    options = BrowserOptions(delay_s=0.0)
    check_provider(lambda: LensBrowserProvider(options, site.address), timeout_s=LONG_S, brief=True)


def test_two_browsers_at_once_do_not_disturb_each_other(site: WebServer) -> None:
    show(site, RESULTS)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: ask(site), range(2)))
    assert [one.outcome for one in results] == [Outcome.FOUND] * 2
    assert results[0].matches == results[1].matches
