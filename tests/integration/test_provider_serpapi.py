"""SerpApi's and SearXNG's adapters against a server that answers in their shapes."""

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from provider_parts import KEY, SECRET, local_subject, public_subject

from relook.core.errors import InputError
from relook.providers import PROVIDERS, ProviderSettings
from relook.providers.base import Lookup, Outcome, ProviderResult
from relook.providers.searxng import SearxngProvider
from relook.providers.serpapi import (
    BingProvider,
    LensExactProvider,
    SerpApiProvider,
    YandexProvider,
)
from relook.testing.web_server import Reply, WebServer, serving

LOOKUP = Lookup(limit=20, timeout_s=120.0)
DONE = {"search_metadata": {"id": "6842", "status": "Success", "total_time_taken": "6.91"}}
LENS = {
    **DONE,
    "search_parameters": {"engine": "google_lens", "url": "x", "type": "all"},
    "visual_matches": [
        {
            "position": 1,
            "title": "Apple <b>MacBook</b>",
            "link": "https://www.shop.example/1",
            "source": "eBay",
            "thumbnail": "https://tn.example/1",
            "image": "https://full.example/1.jpg",
            "price": {"value": "$300*", "extracted_value": 300, "currency": "$"},
            "rating": "3.9",
            "in_stock": 0,
        },
        {"position": 2, "title": "Second", "link": "https://b.example/2", "price": "$5"},
        {"position": 3},
    ],
    "related_content": [{"query": "Apple MacBook Pro", "link": "https://www.google.com/s"}],
    "knowledge_graph": {"title": "MacBook Pro", "description": "A line of computers"},
}
EXACT = {
    **DONE,
    "exact_matches": [
        {
            "position": 1,
            "title": "A page",
            "source": "Blog",
            "link": "https://blog.example/a",
            "thumbnail": "https://tn.example/2",
            "date": "2 years ago",
            "actual_image_width": 800,
        }
    ],
}
BING = {
    **DONE,
    "pages_with_this_image": [
        {
            "title": "Copied",
            "link": "https://www.bing.com/images/search?id=1",
            "source": "https://news.example/story",
            "original": "https://img.example/c.jpg",
            "thumbnail": "https://tn.example/3",
            "date": "2019-03-02T00:00:00Z",
        }
    ],
    "related_content": [{"title": "Alike", "source": "https://x.example/", "domain": "x.example"}],
    "looks_like": {"title": "Golden Gate Bridge", "snippet": "Bridge in San Francisco"},
}
YANDEX = {
    **DONE,
    "image_results": [
        {
            "title": "Y page",
            "snippet": "about it",
            "link": "https://y.example/p",
            "source": "y.example",
            "thumbnail": {"link": "https://tn.example/4", "width": 100},
            "original_image": {"link": "https://img.example/y.jpg", "width": 900},
        }
    ],
    "similar_images": [{"link": "https://yandex.com/x", "image": {"link": "https://s.example/1"}}],
    "image_tags": [{"text": "red bridge", "link": "https://yandex.com/t"}],
}
NO_RESULTS = "Google Lens hasn't returned any results for this query."


@pytest.fixture
def site() -> Iterator[WebServer]:
    with serving() as server:
        yield server


def ask(site: WebServer, answer: Any, make: Any = SerpApiProvider, **more: Any) -> ProviderResult:
    """One question to a server that answers so."""
    site.replies["/search.json"] = answer if isinstance(answer, Reply) else Reply(answer)
    provider = make(secret=SECRET, base_url=site.address)
    try:
        return provider.find(public_subject(), more.get("lookup", LOOKUP))
    finally:
        provider.close()


def told(result: ProviderResult) -> list[tuple[str, ...]]:
    return [
        (one.kind.value, one.title, one.source, one.page_url, one.image_url, one.thumbnail_url)
        for one in result.matches
    ]


def test_lens(site: WebServer) -> None:
    result = ask(site, LENS)
    assert told(result) == [
        ("entity", "MacBook Pro", "Google knowledge graph", "", "", ""),
        (
            "similar",
            "Apple MacBook",
            "eBay",
            "https://www.shop.example/1",
            "https://full.example/1.jpg",
            "https://tn.example/1",
        ),
        ("entity", "Apple MacBook Pro", "Google Lens", "", "", ""),
        ("similar", "Second", "b.example", "https://b.example/2", "", ""),
    ]
    assert [one.metadata for one in result.matches] == [{}, {"price": "$300*"}, {}, {"price": "$5"}]
    assert site.asked[0].query == {
        "engine": "google_lens",
        "type": "visual_matches",
        "url": "https://pictures.example.org/1.png",
        "api_key": KEY,
    }
    assert (result.sent[0].what, result.sent[0].host) == ("the picture's address", "127.0.0.1")
    assert result.cost_usd == 0.015


def test_lens_takes_words_where_the_service_does(site: WebServer) -> None:
    ask(site, LENS, lookup=Lookup(words="red one", timeout_s=120.0))
    ask(site, EXACT, LensExactProvider, lookup=Lookup(words="red one", timeout_s=120.0))
    assert [one.query.get("q") for one in site.asked] == ["red one", None]
    assert site.asked[1].query["type"] == "exact_matches"


def test_exact_matches_are_pages(site: WebServer) -> None:
    result = ask(site, EXACT, LensExactProvider)
    expected = ("page", "A page", "Blog", "https://blog.example/a", "", "https://tn.example/2")
    assert told(result) == [expected]
    assert (result.provider, result.matches[0].date) == ("serpapi-exact", "2 years ago")


def test_bing_names_the_page_in_another_field(site: WebServer) -> None:
    result = ask(site, BING, BingProvider)
    assert told(result) == [
        (
            "page",
            "Copied",
            "news.example",
            "https://news.example/story",
            "https://img.example/c.jpg",
            "https://tn.example/3",
        ),
        ("entity", "Golden Gate Bridge", "Bing", "", "", ""),
        ("similar", "Alike", "x.example", "https://x.example/", "", ""),
    ]
    assert site.asked[0].query["image_url"] == "https://pictures.example.org/1.png"


def test_yandex(site: WebServer) -> None:
    result = ask(site, YANDEX, YandexProvider)
    assert told(result) == [
        (
            "page",
            "Y page",
            "y.example",
            "https://y.example/p",
            "https://img.example/y.jpg",
            "https://tn.example/4",
        ),
        ("entity", "red bridge", "Yandex", "", "", ""),
        ("similar", "", "", "", "https://s.example/1", ""),
    ]
    assert result.matches[0].text == "about it"


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply({**DONE, "error": NO_RESULTS}), Outcome.NOTHING),
        (
            Reply({**DONE, "search_information": {"images_results_state": "Fully empty"}}),
            Outcome.NOTHING,
        ),
        (Reply(DONE), Outcome.FAILED),
        (Reply({**DONE, "visual_matches": []}), Outcome.NOTHING),
        (Reply({"error": "Invalid API key. Your API key should be here"}, 401), Outcome.BAD_KEY),
        (Reply({"error": "Invalid API key. Your API key should be here"}), Outcome.BAD_KEY),
        (Reply({"error": "Your account has run out of searches."}, 429), Outcome.QUOTA),
        (Reply({"error": "Your account has run out of searches."}), Outcome.QUOTA),
        (Reply({"error": "You are exceeding the hourly throughput limit"}), Outcome.QUOTA),
        (Reply({"error": "Unsupported `url`"}, 400), Outcome.REFUSED),
        (Reply({"search_metadata": {"status": "Processing"}}), Outcome.FAILED),
        (Reply({**DONE, "error": "We couldn't get valid results"}), Outcome.FAILED),
        (Reply({}), Outcome.FAILED),
        (Reply(b"<html>busy</html>", 503), Outcome.FAILED),
        (Reply(b"null"), Outcome.FAILED),
        (Reply(LENS, delay_s=120.0), Outcome.TIMED_OUT),
    ],
)
def test_empty_refused_and_broken_are_told_apart(
    reply: Reply, outcome: Outcome, site: WebServer
) -> None:
    is_late = outcome is Outcome.TIMED_OUT
    result = ask(site, reply, lookup=Lookup(timeout_s=0.5 if is_late else 120.0))
    assert (result.outcome, result.matches) == (outcome, ())
    assert (result.message == "") == (outcome is Outcome.NOTHING)
    assert result.sent != ()


def test_no_client_is_made_before_there_is_somebody_to_ask(
    site: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    client = httpx.Client

    def counted(**options: Any) -> httpx.Client:
        made.append(options)
        return client(**options)

    monkeypatch.setattr(httpx, "Client", counted)
    site.replies["/search.json"] = Reply({**DONE, "visual_matches": []})
    provider = SerpApiProvider(secret=SECRET, base_url=site.address)
    assert not made  # an answer from the cache would be there by now
    for _ in range(2):
        provider.find(public_subject(), LOOKUP)
    assert len(made) == 1
    provider.close()
    provider.close()
    with pytest.raises(RuntimeError, match="serpapi is closed"):
        provider.find(public_subject(), LOOKUP)


@pytest.mark.parametrize("make", [SerpApiProvider, LensExactProvider, BingProvider, YandexProvider])
def test_nonsense_of_every_type_is_survived(make: Any, site: WebServer) -> None:
    rows: list[Any] = [None, 1, "text", [], {}, {"title": ["a"], "link": 5, "thumbnail": {"x": 1}}]
    fields = {*LENS, *EXACT, *BING, *YANDEX} - {"search_metadata"}
    result = ask(site, {**DONE, **dict.fromkeys(fields, rows)}, make)
    assert (result.outcome, result.matches) == (Outcome.NOTHING, ())
    for broken in (5, "text", {"a": 1}):
        assert ask(site, {**DONE, **dict.fromkeys(fields, broken)}, make).matches == ()


def test_four_hundred_rows(site: WebServer) -> None:
    rows = [
        {"title": f"Row {n} " + "long " * 180, "link": f"https://x.example/{n}"} for n in range(400)
    ]
    body = {**DONE, "exact_matches": rows}
    assert len(Reply(body).data) > 380_000
    result = ask(site, body, LensExactProvider, lookup=Lookup(limit=8, timeout_s=120.0))
    assert [one.page_url for one in result.matches] == [f"https://x.example/{n}" for n in range(8)]
    assert sum(len(one.title) for one in result.matches) <= 8 * 300


def test_a_local_picture_cannot_be_asked_about_and_nothing_is_sent(site: WebServer) -> None:
    provider = SerpApiProvider(secret=SECRET, base_url=site.address)
    result = provider.find(local_subject(), LOOKUP)
    provider.close()
    assert (result.outcome, result.sent, site.asked) == (Outcome.UNSUPPORTED, (), [])


def test_the_key_shows_nowhere(site: WebServer, caplog: pytest.LogCaptureFixture) -> None:
    """Not even in the addresses that the HTTP library logs."""
    caplog.set_level(logging.DEBUG)
    answers = [
        ask(site, Reply({"error": f"Invalid API key {KEY}"}, 401)),
        ask(site, Reply(f"{KEY} k3y%2Fwith%2Bodd%20chars".encode())),
        ask(site, LENS),
    ]
    with serving() as gone:
        pass
    answers.append(ask(gone, LENS))
    assert answers[3].outcome is Outcome.FAILED
    assert site.asked[0].query["api_key"] == KEY
    for result in answers:
        assert "k3y" not in repr(result)
        assert "k3y" not in str(result.as_dict(pictures=True))
    assert "search.json" in caplog.text
    assert "k3y" not in caplog.text


def test_every_name_of_the_registry_leads_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELOOK_SERPAPI_KEY", KEY)
    for name in ("serpapi", "serpapi-exact", "serpapi-bing", "serpapi-yandex"):
        provider = PROVIDERS.open(name, "", ProviderSettings())
        assert provider.name == name
        provider.close()


SEARX = {
    "query": "x",
    "number_of_results": 1,
    "results": [
        {
            "url": "https://www.page.example/a",
            "title": "photo.jpg",
            "img_src": "https://page.example/photo.jpg",
            "thumbnail_src": "https://img.tineye.com/x",
            "publishedDate": "2014-05-01T00:00:00",
            "engine": "tineye",
        },
        {"url": "https://b.example/", "title": "", "publishedDate": "0001-01-01T00:00:00"},
    ],
    "unresponsive_engines": [],
}


def ask_searx(site: WebServer, answer: Any) -> ProviderResult:
    site.replies["/search"] = answer if isinstance(answer, Reply) else Reply(answer)
    provider = SearxngProvider(site.address)
    try:
        is_late = isinstance(answer, Reply) and answer.delay_s
        return provider.find(public_subject(), Lookup(timeout_s=0.5 if is_late else 120.0))
    finally:
        provider.close()


def test_searxng(site: WebServer) -> None:
    result = ask_searx(site, SEARX)
    first, second = result.matches
    assert (first.kind.value, first.title, first.source) == ("page", "photo.jpg", "page.example")
    assert (first.date, second.date) == ("2014-05-01", "")
    assert site.asked[0].query == {
        "q": "https://pictures.example.org/1.png",
        "format": "json",
        "engines": "tineye",
    }


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"results": [], "unresponsive_engines": []}, Outcome.NOTHING),
        ({"results": []}, Outcome.NOTHING),
        ({"results": [], "unresponsive_engines": [["tineye", "timeout"]]}, Outcome.TIMED_OUT),
        ({"results": [], "unresponsive_engines": [["tineye", "CAPTCHA"]]}, Outcome.BLOCKED),
        ({"results": [], "unresponsive_engines": [["tineye", "access denied"]]}, Outcome.BLOCKED),
        ({"results": [], "unresponsive_engines": [["tineye", "too many requests"]]}, Outcome.QUOTA),
        ({"results": [], "unresponsive_engines": [["tineye", "HTTP error"]]}, Outcome.FAILED),
        ({}, Outcome.FAILED),
        (Reply(b"<html>", 200), Outcome.FAILED),
        (Reply(b"{}", 403), Outcome.REFUSED),
        (Reply(b"", 429, {"Retry-After": "3"}), Outcome.QUOTA),
        (Reply(SEARX, delay_s=120.0), Outcome.TIMED_OUT),
    ],
)
def test_searxng_tells_blocked_from_nothing(answer: Any, outcome: Outcome, site: WebServer) -> None:
    result = ask_searx(site, answer)
    assert (result.outcome, result.matches) == (outcome, ())


def test_searxng_needs_an_instance(monkeypatch: pytest.MonkeyPatch, site: WebServer) -> None:
    monkeypatch.delenv("RELOOK_SEARXNG_URL", raising=False)
    with pytest.raises(InputError, match="no SearXNG"):
        PROVIDERS.open("searxng", "", ProviderSettings())
    with pytest.raises(InputError, match="not an address"):
        SearxngProvider("ftp://x.example")
    monkeypatch.setenv("RELOOK_SEARXNG_URL", site.address)
    provider = PROVIDERS.open("searxng", "", ProviderSettings())
    result = provider.find(local_subject(), LOOKUP)
    provider.close()
    assert (result.outcome, site.asked) == (Outcome.UNSUPPORTED, [])


@pytest.mark.parametrize("make", [SerpApiProvider, BingProvider, YandexProvider])
def test_a_success_without_any_section_is_trouble_that_passes(site: WebServer, make: Any) -> None:
    result = ask(site, DONE, make)
    assert (result.outcome, result.passing, result.cost_usd) == (Outcome.FAILED, True, 0.0)
    assert "without any section" in result.message
    section = {"google_lens": "visual_matches", "bing_reverse_image": "looks_like"}
    empty = {**DONE, section.get(make.engine, "image_results"): []}
    assert ask(site, empty, make).outcome is Outcome.NOTHING
