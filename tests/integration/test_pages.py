"""Reading the pages of matches: the article, politely, guarded, and whatever it is made of."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from provider_parts import public_subject

from relook.core.errors import InputError, MissingExtraError
from relook.core.settings import EvidenceSettings, WebLimits
from relook.providers.base import Lookup, Outcome, ProviderResult, Subject
from relook.providers.match import Match, MatchKind, Sent
from relook.rag.fetching import PageReader, readable
from relook.rag.lookup import Gatherer
from relook.testing.web_server import Reply, WebServer, serving

HERE = WebLimits(timeout_s=120.0, private_ok=True)
STORY = "The tower was finished in 1889. It stands on the left bank of the river Seine. "
ARTICLE = (
    "<!doctype html><html><head><title>Tower</title><style>p{color:red}</style></head><body>"
    "<nav><a href='/1'>Home</a><a href='/2'>Subscribe to our newsletter today</a></nav>"
    f"<article><h1>The tower</h1><p>{STORY * 3}</p><p>{STORY * 3}</p>"
    "<script>document.write('script text')</script></article>"
    "<footer>Cookie settings and imprint</footer></body></html>"
)
HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.fixture
def site() -> Iterator[WebServer]:
    with serving() as server:
        server.replies["/a"] = Reply(ARTICLE.encode(), headers=HTML)
        yield server


def read(site: WebServer, *paths: str, web: WebLimits = HERE) -> tuple[dict[str, str], list[str]]:
    fetched: list[Sent] = []
    texts, troubles = PageReader(web).read([site.address + path for path in paths], 400, fetched)
    return {url.removeprefix(site.address): text for url, text in texts.items()}, troubles


def test_the_article_is_read_without_what_surrounds_it(site: WebServer) -> None:
    texts, troubles = read(site, "/a")
    assert troubles == []
    assert texts["/a"].startswith("The tower")
    assert "finished in 1889" in texts["/a"]
    assert len(texts["/a"]) <= 400
    for noise in ("newsletter", "Cookie", "script text", "color:red", "<"):
        assert noise not in texts["/a"]


@pytest.mark.parametrize(
    ("robots", "allowed"),
    [
        (Reply(b"User-agent: *\nDisallow: /a"), False),
        (Reply(b"User-agent: relook\nDisallow: /"), False),
        (Reply(b"User-agent: relook\nAllow: /\n\nUser-agent: *\nDisallow: /"), True),
        (Reply(b"User-agent: other\nDisallow: /"), True),
        (Reply(b"", 404), True),
        (Reply(b"", 403), True),
        (Reply(b"", 503), False),
        (Reply(b"", delay_s=120.0), False),
        (Reply(b"\xff\xfe<html>nonsense"), True),
    ],
)
def test_robots_rules_are_kept(robots: Reply, allowed: bool, site: WebServer) -> None:
    site.replies["/robots.txt"] = robots
    web = replace(HERE, timeout_s=0.5) if robots.delay_s else HERE
    texts, troubles = read(site, "/a", web=web)
    assert bool(texts) == allowed
    assert ("/a" in site.paths()) == allowed
    assert bool(troubles) == (not allowed)
    assert site.asked[0].headers["user-agent"].startswith("relook/")


def test_a_sites_rules_are_asked_for_once(site: WebServer) -> None:
    reader = PageReader(HERE)
    site.replies["/b"] = site.replies["/a"]
    for path in ("/a", "/b", "/a"):
        reader.text_of(site.address + path, 100)
    assert site.paths().count("/robots.txt") == 1


def test_private_pages_are_not_even_asked_for(site: WebServer) -> None:
    fetched: list[Sent] = []
    texts, troubles = PageReader(WebLimits()).read([f"{site.address}/a"], 100, fetched)
    assert (texts, site.asked, fetched) == ({}, [], [])
    assert "not on the public internet" in troubles[0]


def test_one_bad_page_does_not_lose_the_others(site: WebServer) -> None:
    site.replies["/pdf"] = Reply(b"%PDF-1.7\n" + bytes(range(256)) * 9, headers=HTML)
    site.replies["/big"] = Reply(b"<p>" + b"x" * 3_000_000, headers=HTML)
    site.replies["/slow"] = Reply(ARTICLE.encode(), drip_s=0.1)
    web = replace(HERE, timeout_s=4.0)  # of which the good page needs next to nothing
    texts, troubles = read(site, "/pdf", "/big", "/slow", "/gone", "/a", web=web)
    assert list(texts) == ["/a"]
    assert len(troubles) == 4


@pytest.mark.parametrize(
    ("data", "charset", "expected"),
    [
        ("<p>\u00e9t\u00e9</p>".encode("latin-1"), "latin-1", "\u00e9t\u00e9"),
        ("<meta charset=windows-1251><p>\u043f\u0440</p>".encode("cp1251"), "", "\u043f\u0440"),
        ("<p>\u00e9t\u00e9</p>".encode(), "no-such-charset", "\u00e9t\u00e9"),
        ("<p>\u00e9t\u00e9</p>".encode(), "base64", "\u00e9t\u00e9"),
        ("<p>\u00e9t\u00e9</p>".encode("utf-16"), "", "\u00e9t\u00e9"),
        (b"only words", "", "only words"),
        (b"", "", ""),
    ],
)
def test_encodings(data: bytes, charset: str, expected: str) -> None:
    assert readable(data, charset) == expected


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0", b"%PDF-1.7 text", bytes(range(1, 200))])
def test_what_is_no_page_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="not text"):
        readable(data)


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 20_000 + "deep words here",
        "<p>" + "<b" * 50_000,
        "<html><body><p>&#0;&#xD800;&#x110000; odd",
        "<!--" * 10_000 + "<p>x",
        "<p>" + "a" * 500_000,
        "<html></html>",
        "<p>" + "\u202e" * 100 + "<script>" * 100,
    ],
)
def test_hostile_pages_end_in_time(page: str) -> None:
    text = readable(page.encode(), "utf-8", 300)
    assert len(text) <= 300
    assert not set(text) & {"\u202e", "\0"}


def test_a_missing_reader_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"relook\[ask\]"):
        PageReader().read(["https://a.example/"], 10, [])
    with pytest.raises(MissingExtraError):
        Gatherer({}, evidence=EvidenceSettings(pages=1))
    assert PageReader().read([], 10, []) == ({}, [])


class _One:
    """Finds one page."""

    name, remote, takes_files, cost_usd, variant = "one", False, True, 0.0, ""

    def __init__(self, url: str) -> None:
        self.url = url

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        match = Match(self.name, MatchKind.PAGE, "Tower", page_url=self.url)
        name = Match(self.name, MatchKind.ENTITY, "A name", rank=1)
        return ProviderResult(self.name, Outcome.FOUND, (match, name))

    def close(self) -> None: ...


@pytest.mark.parametrize("pages", [0, 1])
def test_gathering_reads_as_many_pages_as_it_is_told(pages: int, site: WebServer) -> None:
    provider: Any = _One(f"{site.address}/a")
    settings = EvidenceSettings(pages=pages, page_chars=60)
    gatherer = Gatherer({"one": provider}, evidence=settings, web=HERE)
    evidence = gatherer.gather(public_subject())
    texts = [item.text for item in evidence]
    assert [bool(text) for text in texts] == [pages == 1, False]
    assert all(len(text) <= 60 for text in texts)
    assert [one.what for one in evidence.fetched] == ["a request for a page"] * pages
    assert ("/a" in site.paths()) == (pages == 1)


def test_a_page_that_cannot_be_read_is_a_note(site: WebServer) -> None:
    provider: Any = _One(f"{site.address}/gone")
    gatherer = Gatherer({"one": provider}, evidence=EvidenceSettings(pages=1), web=HERE)
    evidence = gatherer.gather(public_subject())
    assert len(evidence) == 2
    assert evidence.notes == ("page not read: 127.0.0.1 answered 404",)
