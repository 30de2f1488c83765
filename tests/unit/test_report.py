"""A report stands by itself: it is made of its JSON alone, and strangers' text stays text."""

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from relook.core.errors import InputError
from relook.core.verdicts import Verdict, Verified
from relook.providers.base import Outcome, ProviderResult, Subject
from relook.providers.match import Match, MatchKind, Sent
from relook.rag.answer import Answer, Written
from relook.rag.answer_report import read_report, report_html, report_values
from relook.rag.evidence import Evidence, Item
from relook.rag.own_evidence import OwnEvidence

_OUTLINE = ((0.1, 0.2), (0.9, 0.2), (0.9, 0.8), (0.1, 0.8))
_BAD = "<script>alert(1)</script>"


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(out, "JPEG")
    return out.getvalue()


def values() -> dict[str, Any]:
    subject = Subject.of(jpeg(), name=f"red {_BAD}.jpg")
    match = Match(
        "library", MatchKind.SAME, f"A title {_BAD}", page_url="https://news.example/story",
        date="2019-03-02", thumbnail=jpeg(), verified=Verified(Verdict.PART, _OUTLINE, 0.48, 1.0),
    )  # fmt: skip
    other = Match("x", MatchKind.PAGE, "Elsewhere", page_url="javascript:alert(1)")
    results = (
        ProviderResult("library", Outcome.FOUND, (match,)),
        ProviderResult("serpapi", Outcome.BLOCKED, message="taken for a robot"),
    )
    items = (Item(1, match, pinned=True), Item(2, other, struck=True))
    own = OwnEvidence({"taken_at": "2019-07-14", "place": "46.2, 6.1"}, ("metadata can be forged",))
    asked_at = "2026-11-27T19:59:58+01:00"
    evidence = Evidence(items, results, subject=subject.as_dict(), own=own, asked_at=asked_at)
    written = Written(
        f"It is Geneva [1]. {_BAD}", (1,), model="tiny", thinking="Hm.",
        prompt={"system": "Rules.", "parts": [{"text": "the evidence"}]},
    )  # fmt: skip
    sent = (Sent("api.example", 4000, "the prompt, with the picture"),)
    answer = Answer("Where is this?", written, evidence, answerer="openai", sent=sent)
    return report_values(answer.as_dict(pictures=True), subject, "2026-11-27T20:00:00+01:00")


def test_a_report_has_everything_that_the_answer_rests_on() -> None:
    page = report_html(values())
    for told in (
        "Where is this?", "It is Geneva [1].", "2026-11-27T20:00:00+01:00", "46.2, 6.1",
        "metadata can be forged", "shows 48% of it", "2019-03-02", "pinned", "struck out",
        'href="https://news.example/story"', "serpapi said nothing of the picture (blocked)",
        "the prompt, with the picture", "2026-11-27T19:59:58+01:00, took", "<th>taken</th>",
        "found: 1 match<", "api.example", "Rules.", "the evidence", "Hm.",
    ):  # fmt: skip
        assert told in page, told
    assert '<polygon points="0.1000,0.2000 0.9000,0.2000 0.9000,0.8000 0.1000,0.8000"/>' in page
    assert re.search(r"<th>SHA-256</th><td>[0-9a-f]{64}</td>", page)


def test_an_answer_from_the_cache_says_how_old_it_is() -> None:
    made = values()
    made["answer"]["evidence"]["providers"][0]["cached_s"] = 7300.0
    assert "19:59:58+01:00; answered 2 hours before that, from what was" in report_html(made)
    made["answer"]["evidence"].pop("asked_at")  # of an earlier version
    assert "answered 2 hours before that" in report_html(made)


def test_a_match_without_a_title_goes_by_its_file() -> None:
    made = values()
    made["answer"]["evidence"]["items"][0] |= {"title": "", "metadata": {"file": "cat.png"}}
    assert "<h3>[1] cat.png</h3>" in report_html(made)


def test_it_is_made_of_its_json_alone() -> None:
    page = report_html(values())
    assert report_html(read_report(page)) == page


def test_the_maps_of_its_pixels_are_shown_and_called_no_finding() -> None:
    made = values()
    page = report_html(made)
    for name in ("error_level", "noise"):
        assert f'<img src="data:image/jpeg;base64,{made["maps"][name]}"' in page
    assert "To look at, not a finding" in page
    del made["maps"]  # a report of an earlier version
    assert "To look at" not in report_html(made)


def test_strangers_text_stays_text_and_nothing_is_loaded() -> None:
    page = report_html(values())
    assert "<script>alert" not in page
    assert page.count("<script") == 1  # the JSON, which no browser runs
    assert 'href="javascript' not in page
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="(?!data:|https://news\.example/story")', page)


@pytest.mark.parametrize("wrong", [{}, {"relook_report": 2, "answer": {}}, {"relook_report": 1}])
def test_what_is_no_report_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        report_html(wrong)


@pytest.mark.parametrize(
    "page", ["", "<p>hello</p>", '<script type="application/json" id="relook-answer">{</script>']
)
def test_a_page_without_a_report_is_told(page: str) -> None:
    with pytest.raises(InputError, match="no report"):
        read_report(page)


def test_an_answer_with_nothing_in_it_is_a_report_too() -> None:
    subject = Subject.of(jpeg())
    answer = replace(Answer("", Written(""), Evidence()), sent=())
    page = report_html(report_values(answer.as_dict(pictures=True), subject, "now"))
    assert "Nothing left this machine." in page
