"""Several providers at once: budgets, consent, cache, retries, and nobody's loss is another's."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import skimage
from PIL import Image, ImageOps
from provider_parts import local_subject, public_subject

from relook.core.picture import reencoded
from relook.core.settings import EvidenceSettings, GatherSettings, WebLimits
from relook.core.verdicts import Verdict
from relook.providers.base import Lookup, Outcome, ProviderResult, Subject
from relook.providers.match import Match, MatchKind, Sent
from relook.rag.consent import Consent
from relook.rag.evidence import Evidence
from relook.rag.lookup import Gatherer
from relook.rag.provider_call import ResultCache
from relook.testing.web_server import Reply, picture_bytes, serving

LONG_S = 120.0  # what comes so late is what nobody waited for
QUICK = GatherSettings(timeout_s=LONG_S, backoff_s=0.01)


class Scripted:
    """Gives the results it is told to, one a question, and counts."""

    takes_files = True
    variant = ""

    def __init__(self, name: str, *script: Any, remote: bool = True, cost_usd: float = 0.0) -> None:
        self.name, self.script, self.remote, self.cost_usd = name, list(script), remote, cost_usd
        self.asked: list[tuple[Subject, Lookup]] = []
        self.closed = 0

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        self.asked.append((subject, lookup))
        step = self.script[min(len(self.asked), len(self.script)) - 1]
        if isinstance(step, Exception):
            raise step
        if callable(step):
            step()
            return found(self.name)
        return step

    def close(self) -> None:
        self.closed += 1


def found(name: str, *titles: str, cost_usd: float = 0.0) -> ProviderResult:
    matches = tuple(
        Match(name, MatchKind.PAGE, title, page_url=f"https://{name}.example/{n}", rank=n)
        for n, title in enumerate(titles or (f"by {name}",))
    )
    sent = (Sent(f"{name}.example", 7, "the picture's address"),)
    return ProviderResult(name, Outcome.FOUND, matches, sent=sent, cost_usd=cost_usd)


def busy(name: str, wait_s: float | None = None, **more: Any) -> ProviderResult:
    return ProviderResult(
        name, Outcome.QUOTA, message="busy", retry_after_s=wait_s, passing=True, **more
    )


def gather(*providers: Scripted, subject: Subject | None = None, **more: Any) -> Evidence:
    more.setdefault("settings", QUICK)
    more.setdefault("consent", Consent(Path("nowhere/consent.json")))
    on_result = more.pop("on_result", None)
    with Gatherer({one.name: one for one in providers}, **more) as gatherer:
        return gatherer.gather(subject or public_subject(), on_result=on_result)


def outcomes(evidence: Evidence) -> dict[str, str]:
    return {one.provider: one.outcome.value for one in evidence.results}


def test_no_failure_loses_the_others_matches() -> None:
    blocked = ProviderResult("blocked", Outcome.BLOCKED, message="a robot check")
    is_over, came_back = threading.Event(), threading.Event()

    def hang() -> None:
        assert is_over.wait(LONG_S)
        came_back.set()

    evidence = gather(
        Scripted("breaks", RuntimeError("boom")),
        Scripted("blocked", blocked),
        Scripted("nothing", ProviderResult("nothing", Outcome.NOTHING)),
        Scripted("hangs", hang),
        Scripted("works", found("works", "one", "two")),
        settings=replace(QUICK, timeout_s=3.0),  # of which the others need next to nothing
    )
    assert not came_back.is_set()
    is_over.set()
    assert outcomes(evidence) == {
        "breaks": "failed",
        "blocked": "blocked",
        "nothing": "nothing",
        "hangs": "timed_out",
        "works": "found",
    }
    assert [item.match.title for item in evidence] == ["one", "two"]
    assert [item.number for item in evidence] == [1, 2]
    assert "RuntimeError" in evidence.results[0].message
    assert "boom" not in evidence.results[0].message


def test_providers_are_asked_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=LONG_S)
    evidence = gather(*(Scripted(name, meeting.wait) for name in "abc"))
    assert set(outcomes(evidence).values()) == {"found"}


def test_results_are_told_as_they_arrive() -> None:
    first_told = threading.Event()

    def wait() -> None:
        assert first_told.wait(LONG_S)

    told: list[str] = []

    def hear(result: ProviderResult) -> None:
        told.append(result.provider)
        first_told.set()

    evidence = gather(Scripted("slow", wait), Scripted("fast", found("fast")), on_result=hear)
    assert told == ["fast", "slow"]
    assert list(outcomes(evidence)) == ["slow", "fast"]


def test_a_local_picture_goes_nowhere_without_consent(tmp_path: Path) -> None:
    consent = Consent(tmp_path / "config" / "consent.json")
    remote, here = (
        Scripted("remote", found("remote")),
        Scripted("here", found("here"), remote=False),
    )
    ask: Callable[[], Evidence] = lambda: gather(  # noqa: E731
        remote, here, subject=local_subject(), consent=consent
    )
    evidence = ask()
    assert outcomes(evidence) == {"remote": "not_allowed", "here": "found"}
    assert remote.asked == []
    assert evidence.results[0].sent == ()
    assert "nothing was sent" in evidence.results[0].message
    consent.allow("remote")
    assert outcomes(ask())["remote"] == "found"
    assert Consent(consent.file).revoke("remote")
    assert outcomes(ask())["remote"] == "not_allowed"
    assert not consent.revoke("remote")
    assert len(remote.asked) == 1


def test_consent_for_once_is_not_remembered(tmp_path: Path) -> None:
    file = tmp_path / "consent.json"
    remote = Scripted("remote", found("remote"))
    evidence = gather(remote, subject=local_subject(), consent=Consent(file, once=["remote"]))
    assert outcomes(evidence) == {"remote": "found"}
    assert not file.exists()


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"upload": 5}', '{"upload": ["remote"]}', "\x00"]
)
def test_a_damaged_consent_file_agrees_to_nothing(damage: str, tmp_path: Path) -> None:
    file = tmp_path / "consent.json"
    file.write_text(damage)
    assert not Consent(file).allows("remote")
    Consent(file).allow("remote")
    assert Consent(file).allows("remote")


def test_a_provider_that_takes_addresses_only_is_not_asked_about_a_file() -> None:
    provider = Scripted("addresses", found("addresses"))
    provider.takes_files = False
    consent = Consent(Path("nowhere"), once=["addresses"])
    evidence = gather(provider, subject=local_subject(), consent=consent)
    assert (outcomes(evidence), provider.asked) == ({"addresses": "unsupported"}, [])


def test_a_public_address_needs_no_consent() -> None:
    assert outcomes(gather(Scripted("remote", found("remote")))) == {"remote": "found"}


def test_everything_sent_is_said() -> None:
    evidence = gather(Scripted("a", busy("a", sent=(Sent("a.example", 5, "x"),)), found("a")))
    told = [(name, one.host, one.n_bytes) for name, one in evidence.sent]
    assert told == [("a", "a.example", 5), ("a", "a.example", 7)]


def test_money_is_spent_in_the_order_of_providers() -> None:
    costly = [Scripted(name, found(name), cost_usd=0.02) for name in ("a", "b", "c")]
    evidence = gather(*costly, settings=replace(QUICK, budget_usd=0.045))
    assert outcomes(evidence) == {"a": "found", "b": "found", "c": "over_budget"}
    assert costly[2].asked == []
    free = gather(Scripted("free", found("free")), settings=replace(QUICK, budget_usd=0.0))
    assert outcomes(free) == {"free": "found"}


def test_passing_failures_are_tried_again_and_others_are_not() -> None:
    twice = Scripted("twice", busy("twice"), busy("twice"), found("twice"))
    never = Scripted("never", busy("never"))
    refused = Scripted("refused", ProviderResult("refused", Outcome.REFUSED, message="no"))
    evidence = gather(twice, never, refused)
    assert outcomes(evidence) == {"twice": "found", "never": "quota", "refused": "refused"}
    assert [len(one.asked) for one in (twice, never, refused)] == [3, 3, 1]


def test_a_wait_that_was_asked_for_is_kept() -> None:
    times: list[float] = []

    class Timed(Scripted):
        def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
            times.append(time.monotonic())
            return super().find(subject, lookup)

    evidence = gather(Timed("a", busy("a", 0.3), found("a")))
    assert outcomes(evidence) == {"a": "found"}
    assert times[1] - times[0] >= 0.29


def test_a_wait_longer_than_the_time_left_is_reported_and_remembered() -> None:
    provider = Scripted("a", busy("a", 600.0), found("a"))
    with Gatherer({"a": provider}, settings=QUICK, consent=Consent(Path("nowhere"))) as gatherer:
        first = gatherer.gather(public_subject())
        second = gatherer.gather(public_subject(2))
    assert len(provider.asked) == 1
    assert [one.results[0].retry_after_s for one in (first, second)] == [
        600.0,
        pytest.approx(600, abs=60),
    ]
    assert "left alone" in second.results[0].message
    assert provider.closed == 1


def test_retries_do_not_go_over_the_budget() -> None:
    provider = Scripted("a", busy("a", cost_usd=0.02), cost_usd=0.02)
    evidence = gather(provider, settings=replace(QUICK, budget_usd=0.05, retries=5))
    assert len(provider.asked) == 2
    assert evidence.results[0].cost_usd == pytest.approx(0.04)


def test_an_answer_is_recorded_by_picture_and_has_an_age(tmp_path: Path) -> None:
    clock = [1_000.0]
    cache = ResultCache(tmp_path, 60.0, lambda: clock[0])
    provider = Scripted("a", found("a", "one", cost_usd=0.01), cost_usd=0.01)
    first = gather(provider, cache=cache)
    clock[0] += 59.0
    second = gather(provider, cache=cache)
    assert len(provider.asked) == 1
    assert (second.results[0].cached_s, second.results[0].sent) == (59.0, ())
    assert second.results[0].cost_usd == 0.0
    assert second.items == first.items
    gather(provider, cache=cache, subject=public_subject(2))
    assert len(provider.asked) == 2
    clock[0] += 2.0
    gather(provider, cache=cache)
    assert len(provider.asked) == 3
    assert cache.clear() == 2
    gather(provider, cache=cache)
    assert len(provider.asked) == 4


def test_what_is_no_answer_is_not_recorded_and_neither_is_what_is_here(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    blocked = ProviderResult("blocked", Outcome.BLOCKED, message="robot")
    nothing = ProviderResult("nothing", Outcome.NOTHING)
    providers = (
        Scripted("blocked", blocked),
        Scripted("nothing", nothing),
        Scripted("here", found("here"), remote=False),
    )
    for _ in range(2):
        gather(*providers, cache=cache)
    assert [len(one.asked) for one in providers] == [2, 1, 2]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"at": 1, "version": 1, "result": {}}'])
def test_a_damaged_record_is_asked_for_again(damage: bytes, tmp_path: Path) -> None:
    cache, provider = ResultCache(tmp_path), Scripted("a", found("a"))
    gather(provider, cache=cache)
    (file,) = tmp_path.glob("*.json")
    file.write_bytes(damage)
    assert outcomes(gather(provider, cache=cache)) == {"a": "found"}
    assert len(provider.asked) == 2


def test_a_full_disk_loses_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = ResultCache(tmp_path / "file" / "cache")
    assert outcomes(gather(Scripted("a", found("a")), cache=cache)) == {"a": "found"}


def test_an_answer_that_comes_too_late_is_recorded_all_the_same(tmp_path: Path) -> None:
    cache, go = ResultCache(tmp_path), threading.Event()
    provider = Scripted("late", lambda: go.wait(LONG_S))
    late = gather(provider, cache=cache, settings=replace(QUICK, timeout_s=0.1))
    assert outcomes(late) == {"late": "timed_out"}
    go.set()
    limit = time.monotonic() + LONG_S
    while not list(tmp_path.glob("*.json")) and time.monotonic() < limit:
        time.sleep(0.01)
    assert outcomes(gather(provider, cache=cache)) == {"late": "found"}
    assert len(provider.asked) == 1


def test_every_provider_gets_the_time_that_is_left() -> None:
    provider = Scripted("a", found("a"))
    gather(provider)
    assert LONG_S - 60 < provider.asked[0][1].timeout_s <= LONG_S


def test_a_provider_that_gives_too_much_is_cut() -> None:
    titles = [f"t{n}" for n in range(50)]
    evidence = gather(
        Scripted("a", found("a", *titles)),
        settings=replace(QUICK, limit=12),
        evidence=EvidenceSettings(items=5),
    )
    assert [item.match.title for item in evidence] == titles[:5]
    assert len(evidence.results[0].matches) == 12


def test_small_pictures_are_fetched_and_show_what_is_the_same() -> None:
    here = WebLimits(private_ok=True)
    with serving() as site:
        site.replies["/same.jpg"] = Reply(picture_bytes(1, 200, 150, "JPEG"))
        site.replies["/again.png"] = Reply(picture_bytes(1, 100, 75))
        site.replies["/other.png"] = Reply(picture_bytes(9, 64, 48))
        site.replies["/bad.png"] = Reply(b"<html>")
        names = ("same.jpg", "again.png", "other.png", "bad.png", "gone.png")
        matches = tuple(
            Match("a", MatchKind.SIMILAR, name, thumbnail_url=f"{site.address}/{name}", rank=n)
            for n, name in enumerate(names)
        )
        subject = Subject.of(picture_bytes(1, 200, 150), url="https://x.example/1.png")
        result = ProviderResult("a", Outcome.FOUND, matches)
        settings = EvidenceSettings(thumbnails=True)
        evidence = gather(Scripted("a", result), subject=subject, evidence=settings, web=here)
        guarded = gather(Scripted("a", result), subject=subject, evidence=settings)
    kinds = {item.match.title: item.match.kind.value for item in evidence}
    assert kinds["same.jpg"] == "same"
    assert kinds["other.png"] == "similar"
    assert evidence.item(1).match.thumbnail is not None
    assert [one.title for one in evidence.item(1).others] == ["again.png"]
    assert {one.host for one in evidence.fetched} == {"127.0.0.1"}
    assert all(item.match.thumbnail is None for item in guarded)
    assert guarded.fetched == ()


def photographs() -> tuple[Image.Image, Image.Image]:
    """Two photographs full of detail."""
    folder = Path(skimage.__file__).parent / "data"
    both = [Image.open(folder / name).convert("RGB") for name in ("coffee.png", "astronaut.png")]
    return both[0], both[1]


def small(image: Image.Image) -> bytes:
    image = image.copy()
    image.thumbnail((256, 256))
    return reencoded(image)


def test_matches_of_the_web_are_compared_by_their_small_pictures() -> None:
    """Verdict and outline are the item's, and what is this picture comes first."""
    cup, other = photographs()
    width, height = cup.size
    part = cup.crop((width // 5, height // 5, width, height))
    matches = (
        Match("web", MatchKind.SIMILAR, "another", thumbnail=small(other), rank=0),
        Match("web", MatchKind.SIMILAR, "no picture", page_url="https://a.example/", rank=1),
        Match("web", MatchKind.SIMILAR, "a damaged one", thumbnail=b"no picture", rank=2),
        Match("web", MatchKind.PAGE, "a part", page_url="https://b.example/", rank=3,
              thumbnail=small(part)),
        Match("web", MatchKind.SIMILAR, "mirrored", thumbnail=small(ImageOps.mirror(cup)), rank=4),
        Match("web", MatchKind.ENTITY, "coffee", thumbnail=small(cup), rank=5),
    )  # fmt: skip
    result = ProviderResult("web", Outcome.FOUND, matches)
    subject = Subject.of(reencoded(cup), url="https://x.example/cup.jpg")
    evidence = gather(Scripted("web", result), subject=subject)
    told = {item.match.title: item.match for item in evidence}
    assert {title for title, match in told.items() if match.verified is None} == {
        "no picture", "a damaged one", "coffee",
    }  # fmt: skip
    verdicts = {title: match.verified.verdict for title, match in told.items() if match.verified}
    assert verdicts == {
        "another": Verdict.SIMILAR, "a part": Verdict.PART, "mirrored": Verdict.MIRRORED,
    }  # fmt: skip
    assert len(told["a part"].verified.outline) == 4  # type: ignore[union-attr]
    assert (told["a part"].kind, told["mirrored"].kind) == (MatchKind.PAGE, MatchKind.SAME)
    assert {item.match.title for item in evidence.items[:2]} == {"a part", "mirrored"}
    unverified = EvidenceSettings(verify=False)
    evidence = gather(Scripted("web", result), subject=subject, evidence=unverified)
    assert all(item.match.verified is None for item in evidence)
