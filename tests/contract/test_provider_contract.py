"""Every provider passes the provider suite, and the suite rejects providers that are broken."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relook import Library
from relook.app.finder import least_similarity, library_finder
from relook.core.secret import Secret
from relook.providers.base import Lookup, Near, Outcome, Provider, ProviderResult, Subject
from relook.providers.google_vision import GoogleVisionProvider
from relook.providers.library import LibraryProvider
from relook.providers.match import Match, MatchKind, Sent
from relook.providers.replay import Recorder, ReplayProvider
from relook.providers.searxng import SearxngProvider
from relook.providers.serpapi import (
    BingProvider,
    LensExactProvider,
    SerpApiProvider,
    YandexProvider,
)
from relook.testing import COLOURS, ColourEncoder, ContractError, check_provider, solid
from relook.testing.providers import _cases
from relook.testing.web_server import Reply, WebServer, picture_bytes, serving

KEY = "a-key-that-must-not-show"
ROWS = [
    {
        "title": f"<b>Row</b> {n}",
        "link": f"https://x.example/{n}",
        "source": f"https://y.example/{n}",
        "thumbnail": f"https://tn.example/{n}",
    }
    for n in range(30)
]
SERP = {
    "search_metadata": {"status": "Success"},
    "visual_matches": ROWS,
    "exact_matches": ROWS,
    "pages_with_this_image": ROWS,
    "image_results": ROWS,
}
VISION = {
    "responses": [
        {
            "webDetection": {
                "webEntities": [{"description": f"thing {n}"} for n in range(30)],
                "visuallySimilarImages": [{"url": f"https://x.example/{n}.jpg"} for n in range(30)],
            }
        }
    ]
}
SEARX = {"results": [{"title": one["title"], "url": one["link"]} for one in ROWS]}


@pytest.fixture
def site() -> Iterator[WebServer]:
    with serving() as server:
        server.replies["/v1/images:annotate"] = Reply(VISION)
        server.replies["/search.json"] = Reply(SERP)
        server.replies["/search"] = Reply(SEARX)
        yield server


def near(subject: Subject, limit: int) -> list[Near]:
    """More than was asked for, as a careless finder may."""
    facts = {"place": "the <i>sea</i>"}
    return [
        Near(n, 0.9 - n / 50, n == 0, f"Title {n}", "a\tcap", "f.jpg", facts) for n in range(30)
    ]


def test_the_library_keeps_the_contract() -> None:
    check_provider(lambda: LibraryProvider(near))
    check_provider(lambda: LibraryProvider(lambda subject, limit: []), finds=False)


def test_a_library_says_when_nothing_is_close() -> None:
    def ask(least: float, *found: Near) -> ProviderResult:
        provider = LibraryProvider(lambda subject, limit: found, min_similarity=least)
        return provider.find(Subject.of(picture_bytes()), Lookup())

    rows = [Near(1, 0.31), Near(2, 0.14), Near(3, 0.1, same=True)]
    assert [match.image_id for match in ask(0.3, *rows).matches] == [1, 3]
    assert [match.image_id for match in ask(0.0, *rows).matches] == [1, 2, 3]
    nothing = ask(0.3, Near(2, 0.14), Near(4, 0.12))
    assert (nothing.outcome, nothing.matches) == (Outcome.NOTHING, ())
    assert nothing.message == "nothing close: the nearest picture is 0.140 alike, less than 0.3"
    assert "evidence.min_similarity" in nothing.hint
    assert ask(0.3).message == ""


@pytest.mark.parametrize(("name", "least"), [("builtin", 0.48), ("hf:openai/clip", 0.0)])
def test_how_close_is_known_for_the_built_in_encoder_only(name: str, least: float) -> None:
    fingerprint = replace(ColourEncoder().fingerprint, name=name)
    engine: Any = SimpleNamespace(encoder=SimpleNamespace(fingerprint=fingerprint))
    assert least_similarity(engine, None) == least
    assert least_similarity(engine, 0.2) == 0.2


def test_a_real_library_keeps_the_contract(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, colour in enumerate(COLOURS):
        solid(colour, 64, 48).save(pictures / f"{number}.png")
    words = [f"{number}.png,<b>{colour}</b>" for number, colour in enumerate(COLOURS)]
    (pictures / "words.csv").write_text("\n".join(["path,title", *words]))
    with Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        library.add(pictures, metadata=pictures / "words.csv")
        check_provider(lambda: LibraryProvider(library_finder(library.engine)))
        found = LibraryProvider(library_finder(library.engine, thumbnails=True))
        data = (pictures / "2.png").read_bytes()
        first = found.find(Subject.of(data), Lookup(limit=3)).matches[0]
        assert (first.kind, first.title) == (MatchKind.SAME, COLOURS[2])
        assert first.thumbnail is not None
        assert first.image_id is not None
        left_out = found.find(Subject.of(data, image_id=first.image_id), Lookup(limit=99))
        assert first.image_id not in {match.image_id for match in left_out.matches}
        assert len(left_out.matches) == len(COLOURS) - 1


def test_google_vision_keeps_the_contract(site: WebServer) -> None:
    check_provider(lambda: GoogleVisionProvider(Secret(KEY), site.address), secret=KEY)


@pytest.mark.parametrize("make", [SerpApiProvider, LensExactProvider, BingProvider, YandexProvider])
def test_serpapi_keeps_the_contract(make: Any, site: WebServer) -> None:
    check_provider(lambda: make(secret=Secret(KEY), base_url=site.address), secret=KEY)


def test_searxng_keeps_the_contract(site: WebServer) -> None:
    check_provider(lambda: SearxngProvider(site.address))


@pytest.mark.parametrize("status", [200, 401, 429, 500])
def test_web_providers_keep_it_when_their_service_does_not(status: int, site: WebServer) -> None:
    for path in list(site.replies):
        site.replies[path] = Reply(f"<html>{KEY}".encode(), status)
    makes = [
        lambda: GoogleVisionProvider(Secret(KEY), site.address),
        lambda: SerpApiProvider(secret=Secret(KEY), base_url=site.address),
        lambda: SearxngProvider(site.address),
    ]
    for make, secret in zip(makes, (KEY, KEY, ""), strict=True):
        check_provider(make, finds=False, secret=secret)


def test_the_replay_keeps_the_contract(tmp_path: Path, site: WebServer) -> None:
    recorder = Recorder(GoogleVisionProvider(Secret(KEY), site.address), tmp_path / "a.jsonl")
    for case in _cases(5.0):
        recorder.find(case.subject, case.lookup)
    recorder.close()
    check_provider(lambda: ReplayProvider(tmp_path / "a.jsonl"), secret=KEY)
    assert KEY not in (tmp_path / "a.jsonl").read_text()


def test_a_recorder_keeps_the_contract(tmp_path: Path) -> None:
    check_provider(lambda: Recorder(LibraryProvider(near), tmp_path / "a.jsonl"))


class Broken:
    """A good provider with one thing wrong."""

    name = "broken"
    remote = False
    takes_files = True
    cost_usd = 0.0
    variant = ""

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        found = LibraryProvider(near, self.name).find(subject, lookup)
        return self.spoil(found, subject, lookup)

    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        return found

    def close(self) -> None: ...


class Raises(Broken):
    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        raise ConnectionError("the line is down")


class TooMany(Broken):
    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        return super().find(subject, replace(lookup, limit=lookup.limit + 1))


class FoundNothing(Broken):
    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        return replace(found, matches=())


class NothingButMatches(Broken):
    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        return replace(found, outcome=Outcome.NOTHING)


class SilentFailure(Broken):
    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        return ProviderResult(self.name, Outcome.BLOCKED)


class OtherName(Broken):
    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        return replace(found, provider="library")


class SendsSecretly(Broken):
    remote = True


class LocalButSends(Broken):
    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        return replace(found, sent=(Sent("x.example", 9, "the picture"),))


class SendsNowhere(Broken):
    remote = True

    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        return replace(found, sent=(Sent("", 9, "the picture"),))


class UploadsAnyway(Broken):
    remote = True
    takes_files = False

    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        return replace(found, sent=(Sent("x.example", 9, "the picture"),))


class Slow(Broken):
    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        time.sleep(lookup.timeout_s + 1.1)
        return found


class ShowsItsKey(Broken):
    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        return replace(found, message=f"asked with {KEY}")


class NotForThreads(Broken):
    def __init__(self) -> None:
        self.thread, self.n_elsewhere = threading.get_ident(), 0

    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        self.n_elsewhere += threading.get_ident() != self.thread
        if self.n_elsewhere % 2:
            return ProviderResult(self.name, Outcome.FAILED, message="made in another thread")
        return found


class ClosesOnce(Broken):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise ValueError("closed already")
        self.closed = True


class BadMatch(Broken):
    """Spoils the first match."""

    def __init__(self, **spoilt: Any) -> None:
        self.spoilt = spoilt

    def spoil(self, found: ProviderResult, subject: Subject, lookup: Lookup) -> ProviderResult:
        first = replace(found.matches[0], **self.spoilt)
        return replace(found, matches=(first, *found.matches[1:]))


@pytest.mark.parametrize(
    ("make", "promise"),
    [
        (Raises, "becomes a result"),
        (TooMany, "at most"),
        (FoundNothing, "exactly when"),
        (NothingButMatches, "exactly when"),
        (SilentFailure, "says what happened"),
        (OtherName, "goes by its name"),
        (SendsSecretly, "what was sent is said"),
        (LocalButSends, "sends nothing"),
        (SendsNowhere, "where, how much and what"),
        (UploadsAnyway, "unsupported"),
        (Slow, "back in"),
        (ShowsItsKey, "key shows"),
        (NotForThreads, "four at once"),
        (lambda: BadMatch(title="<b>bold</b>"), "plain"),
        (lambda: BadMatch(text="bell\x07"), "plain"),
        (lambda: BadMatch(title="right\u202eleft"), "plain"),
        (lambda: BadMatch(page_url="javascript:alert(1)"), "http"),
        (lambda: BadMatch(image_url="file:///etc/passwd"), "http"),
        (lambda: BadMatch(similarity=87.0), "0..1"),
        (lambda: BadMatch(similarity=-0.1), "0..1"),
        (lambda: BadMatch(kind="same"), "kind"),
        (lambda: BadMatch(rank=3), "ranks"),
        (lambda: BadMatch(title="", text="", image_id=None, metadata={}), "says something"),
    ],
)
def test_the_suite_rejects(make: Any, promise: str) -> None:
    with pytest.raises(ContractError, match=promise):
        check_provider(make, secret=KEY, timeout_s=0.3 if make is Slow else 120.0)


def test_the_suite_rejects_a_provider_that_closes_once() -> None:
    with pytest.raises(ValueError, match="closed already"):
        check_provider(ClosesOnce)


def test_a_good_one_passes_the_same_suite() -> None:
    provider: Provider = Broken()
    check_provider(lambda: provider, secret=KEY, timeout_s=120.0)
    assert isinstance(Match("broken", MatchKind.SAME), Match)
