"""The Ask panel: evidence to strike out, citations, both answers, what is sent where."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from relook.testing import COLOURS, solid
from relook.testing.chat_server import ChatServer, say
from relook.testing.web_server import picture_bytes

from .ask_answers import EVIL, answered, item, serve_answer, without
from .ask_panel import OpenPage, ask, chat, open_ask, posted, site  # noqa: F401  (some are fixtures)
from .ask_site import FAR
from .conftest import GIVE, search, session_of, take


def test_asks_with_the_library_and_no_model_by_keyboard(open_ask: Any) -> None:
    page, panel = open_ask()
    address = page.url
    expect(panel.get_by_label("Your question")).to_be_focused()
    expect(panel.get_by_role("img", name="Asked about: The red one")).to_be_visible()
    ask(panel, "Which colour?")
    answer = panel.get_by_role("region", name="The answer")
    expect(answer).to_contain_text("No model was asked.")
    expect(answer).to_contain_text("Nothing was sent to anybody else.")
    expect(answer).to_be_focused()
    expect(panel.get_by_role("status")).to_have_text("The answer is there.")
    cards = panel.locator(".card")
    expect(cards).to_have_count(len(COLOURS) - 1)
    expect(cards.first).to_contain_text("Looks similar")
    answer.get_by_role("button", name=re.compile("^Evidence 3: The .* one$")).first.click()
    third = panel.locator(".card[data-number='3']")
    expect(third).to_be_focused()
    expect(third).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    assert page.url == address
    expect(page.locator(".photo").nth(0)).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard commands")).to_contain_text("ask about this")


def test_struck_evidence_is_not_shown_to_the_model_again(open_ask: Any, chat: ChatServer) -> None:
    chat.behaviours[:] = [say("It is red [1], as [2] says, says [77]."), say("Still red [3].")]
    page, panel = open_ask(model="tiny")
    bodies = posted(page)
    ask(panel, "Which colour?")
    answer = panel.get_by_role("region", name="The answer")
    expect(answer.locator(".ask-text")).to_have_text("It is red 1, as 2 says, says.")
    expect(answer.locator(".ask-flag")).to_contain_text(
        "cited evidence that it was not shown: [77]"
    )
    expect(answer.locator(".ask-flag del")).to_have_text("[77]")
    gone = panel.locator(".card[data-number='2']")
    title = gone.locator(".card-title > span").first.inner_text()
    kept = panel.locator(".card[data-number='3']")
    assert title in chat.texts(0)
    gone.get_by_role("button", name="Strike out evidence 2").click()
    kept.get_by_role("button", name="Pin evidence 3").click()
    expect(gone).to_contain_text("struck out")
    panel.get_by_role("button", name="Answer again").click()
    expect(answer.locator(".ask-text")).to_have_text("Still red 3.")
    expect(answer).to_be_focused()
    assert title not in chat.texts(1)
    assert {key: bodies[1].get(key) for key in ("strike", "pin")} == {"strike": [2], "pin": [3]}
    assert "ask_id" in bodies[1]
    assert "providers" not in bodies[1]
    expect(gone.get_by_role("button", name="Strike out")).to_have_attribute("aria-pressed", "true")
    expect(kept).to_contain_text("pinned")


def test_with_and_without_evidence_side_by_side(open_ask: Any, chat: ChatServer) -> None:
    chat.behaviours[:] = [say("Some words [1].")]
    _, panel = open_ask(model="tiny")
    panel.get_by_label("Compare with and without evidence").check()
    ask(panel, "Which colour?")
    both = panel.locator(".ask-two .ask-version")
    expect(both).to_have_count(2)
    expect(both.nth(0)).to_contain_text("With evidence")
    expect(both.nth(0).locator(".cite")).to_have_count(1)
    expect(both.nth(1)).to_contain_text("Without evidence")
    expect(both.nth(1).locator(".cite")).to_have_count(0)
    edges = [both.nth(at).bounding_box() for at in (0, 1)]
    assert edges[0]["y"] == edges[1]["y"]
    assert edges[0]["x"] + edges[0]["width"] < edges[1]["x"]
    assert len(chat.requests) == 2


def test_the_evidence_can_be_checked_before_the_model_sees_it(
    open_ask: Any, chat: ChatServer
) -> None:
    chat.behaviours[:] = [say("Checked [2].")]
    _, panel = open_ask(model="tiny")
    panel.get_by_label("Let me check the evidence first").check()
    ask(panel, "Which colour?")
    go = panel.get_by_role("button", name="Answer with tiny")
    expect(go).to_be_focused()
    assert chat.requests == []
    title = panel.locator(".card[data-number='1'] .card-title > span").first.inner_text()
    panel.get_by_role("button", name="Strike out evidence 1").click()
    go.click()
    expect(panel.locator(".ask-answer .ask-text")).to_have_text("Checked 2.")
    assert title not in chat.texts()


def test_matches_of_the_web_are_shown_without_asking_the_web(open_ask: Any) -> None:
    _, panel = open_ask(web=True)
    ask(panel, "Where?")
    found = panel.locator(".card", has_text="Rila")
    expect(found.locator("img")).to_have_attribute("src", re.compile("^data:image/jpeg;base64,"))
    expect(found).to_contain_text("90 % alike")
    link = found.get_by_role("link")
    expect(link).to_have_attribute("href", "https://wiki.example/rila")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(link).to_have_attribute("target", "_blank")
    forum = panel.locator(".card", has_text="a forum")
    expect(forum).to_be_visible()
    expect(forum.get_by_role("link")).to_have_count(0)
    expect(forum.locator("img")).to_have_count(0)


def test_text_of_strangers_stays_text(open_ask: Any) -> None:
    page, panel = open_ask()
    items = [
        item(1, EVIL, text=EVIL, page_text=EVIL, source=EVIL, date=EVIL),
        item(2, "a script", page_url="javascript:alert(1)", image_url="data:text/html,x"),
    ]
    sent = [{"host": EVIL, "n_bytes": 5400, "what": EVIL}]
    beside = without(EVIL, finish="cut_off", notes=[EVIL])
    serve_answer(page, answered(f"{EVIL} [1]", items, sent=sent, without=beside, why=EVIL))
    ask(panel, "What?")
    expect(panel.locator(".ask-text").first).to_have_text(f"{EVIL} 1")
    expect(panel.locator(".card").first).to_contain_text(EVIL)
    expect(panel.locator(".ask-sent")).to_contain_text(f"{EVIL} {EVIL} (5.4 kB)")
    expect(panel.locator(".ask-flag")).to_contain_text("it is not whole")
    expect(panel.locator(".ask-out img, .ask-out script, .card a")).to_have_count(0)
    assert page.evaluate("window.hurt") is None


def evidence_with_names() -> dict[str, Any]:
    """Item 0, a verified part, and names that several items say."""
    seen = base64.b64encode(picture_bytes(kind="JPEG")).decode()
    outline = [[0.1, 0.1], [0.6, 0.1], [0.6, 0.7], [0.1, 0.7]]
    part = {"verdict": "part", "words": "shows 40% of it", "outline": outline}
    items = [
        item(1, "Rila Monastery, Bulgaria", thumbnail=seen, verified=part),
        item(2, "A church in Sofia"),
        item(3, "The Rila Monastery in 2014", source="a forum"),
    ]
    notes = ["metadata can be forged"]
    return {
        "items": items, "notes": [], "providers": [],
        "own": {"facts": {"camera": "Canon EOS", "taken_at": "2014-05-01"}, "notes": notes},
        "candidates": [{"name": "Rila Monastery", "numbers": [1, 3]},
                       {"name": "Sofia", "numbers": [2]}],
    }  # fmt: skip


def test_names_light_what_says_them_and_outlines_show_on_focus(open_ask: Any) -> None:
    page, panel = open_ask(viewport={"width": 375, "height": 720})
    serve_answer(page, answered("Rila [1]", [], evidence=evidence_with_names()))
    ask(panel, "What?")
    expect(panel.locator(".card[data-number='0']")).to_contain_text("Metadata can be forged.")
    names = panel.get_by_role("group", name="Names in the evidence").get_by_role("button")
    expect(names).to_have_text(["Rila Monastery2", "Sofia1"])
    names.first.focus()
    page.keyboard.press("Enter")
    first = panel.locator(".card[data-number='1']")
    expect(first).to_be_focused()
    expect(first).to_have_class(re.compile(r"\blit\b"))
    expect(panel.locator(".card[data-number='3']")).to_have_class(re.compile(r"\blit\b"))
    expect(panel.locator(".card[data-number='2']")).not_to_have_class(re.compile(r"\blit\b"))
    outline = first.get_by_role("img", name="Where the two pictures match: shows 40% of it")
    expect(outline).to_have_css("opacity", "1")
    panel.get_by_label("Your question").focus()
    expect(outline).to_have_css("opacity", "0")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_report_of_the_answer_is_saved(open_ask: Any) -> None:
    page, panel = open_ask()
    ask(panel, "Which colour?")
    link = panel.get_by_role("link", name="Save a report")
    link.focus()
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    assert saved.value.suggested_filename == "relook-report.html"
    expect(panel.get_by_text("The picture is of one colour: that something")).to_be_visible()
    text = Path(saved.value.path()).read_text("utf-8")
    assert "<h1>Which colour?</h1>" in text
    assert "Nothing left this machine." in text
    # On a telephone: what is said of a match stands below its picture, in whole words.
    report = page.context.browser.new_page(viewport={"width": 375, "height": 800})
    report.set_content(text)
    assert report.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = report.locator(".item td").first.bounding_box()
    report.close()
    assert box is not None
    assert box["width"] > 150


def test_more_like_this_leads_back_into_the_search(open_ask: Any) -> None:
    page, panel = open_ask()
    ask(panel, "Which colour?")
    src = panel.locator(".card img").first.get_attribute("src")
    with page.expect_response(re.compile("/sessions$")) as waiting:
        panel.locator(".card").first.get_by_role("button", name="More like this").click()
    assert waiting.value.ok
    expect(panel).to_be_hidden()
    expect(page.locator("#bar .part img")).to_be_visible()
    (part,) = session_of(page)["query"]["parts"]
    assert f"/images/{part['image_id']}/thumbnail" in src


@pytest.mark.parametrize(("name", "kind"), [("Rila", "picture"), ("a forum", "text")])
def test_evidence_of_the_web_is_searched_for_in_the_library(
    open_ask: Any, name: str, kind: str
) -> None:
    page, panel = open_ask(web=True)
    ask(panel, "Where?")
    card = panel.locator(".card", has_text=name)
    card.get_by_role("button", name=re.compile("More like this|Search its title")).click()
    expect(panel).to_be_hidden()
    wanted = "#bar .part img" if kind == "picture" else "#bar .part:has-text('green')"
    expect(page.locator(wanted)).to_be_visible()
    (part,) = session_of(page)["query"]["parts"]
    assert kind in part


@pytest.mark.parametrize("how", ["paste", "drop", "pick"])
def test_a_picture_from_outside_is_asked_about(
    open_page: OpenPage, how: str, tmp_path: Path
) -> None:
    page = open_page()
    page.locator(".tile img.ready").first.wait_for()
    page.get_by_role("button", name="Ask", exact=True).click()
    panel = page.get_by_role("dialog", name="Ask about a picture")
    expect(panel).to_contain_text("No picture yet")
    expect(panel.get_by_label("Answered by")).to_be_visible()
    ask(panel, "What is this?")
    expect(panel.get_by_role("button", name="Choose a picture")).to_be_focused()
    if how == "pick":
        solid("green", 64, 64).save(tmp_path / "green.png")
        panel.get_by_label("Picture to ask about").set_input_files(tmp_path / "green.png")
    else:
        page.evaluate(GIVE, [how, ".ask-panel"])
    expect(panel.get_by_role("img", name="Asked about: green.png")).to_be_visible()
    ask(panel, "What is this?")
    expect(panel.locator(".card").first).to_contain_text("The green one")
    expect(page.locator(".search-picture")).to_have_count(0)  # the panel took it, not the search


def test_a_model_elsewhere_gets_nothing_before_the_person_agrees(open_ask: Any) -> None:
    page, panel = open_ask(
        model="far (at api.example.com)", allow=("the server responded with a status of 403",)
    )
    bodies = posted(page)
    told = panel.locator(".ask-consent")
    expect(told).to_contain_text("This leaves your machine")
    expect(told).to_contain_text(
        "api.example.com: gets the picture, your question and the evidence"
    )
    ask(panel, "Which colour?")
    agree = told.get_by_label("I agree: send it there, for this picture")
    expect(agree).to_be_focused()
    expect(told).to_have_class(re.compile("wanted"))
    assert bodies == []
    refusal = {"error": {"code": "x", "message": "not today", "hint": "come back"}}
    take(page, "**/api/v1/ask", lambda route: route.fulfill(status=403, json=refusal))
    agree.check()
    panel.get_by_role("button", name="Ask", exact=True).click()
    expect(panel.get_by_role("alert")).to_contain_text("not today")
    assert (bodies[0]["allow_upload"], bodies[0]["model"]) == (True, FAR)


def test_the_panel_fits_a_phone(open_ask: Any) -> None:
    page, panel = open_ask(web=True, viewport={"width": 375, "height": 720})
    ask(panel, "Which colour?")
    expect(panel.locator(".ask-answer")).to_be_in_viewport()
    expect(panel.locator(".card", has_text="Rila")).to_have_count(1)
    assert page.evaluate("document.querySelector('.ask-panel').scrollWidth <= 375")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_every_way_to_the_panel(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "blue")
    panel = page.get_by_role("dialog", name="Ask about a picture")
    tile = page.locator(".tile").nth(0)
    tile.hover()
    tile.get_by_role("button", name="Ask about this picture (a)").click()
    expect(panel.get_by_role("img", name="Asked about: The blue one")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator(".photo").nth(1).focus()
    page.keyboard.press("o")
    page.get_by_role("dialog", name="Larger view").get_by_role("button", name="Ask").click()
    expect(panel.get_by_role("img", name="Asked about: ")).not_to_have_attribute(
        "alt", "Asked about: The blue one"
    )
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Larger view")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("input[aria-label='Picture to search with']").set_input_files(
        {"name": "mine.png", "mimeType": "image/png", "buffer": picture_bytes(5)}
    )
    page.locator(".search-picture").get_by_role("button", name="Ask about this picture").click()
    expect(panel.get_by_role("img", name="Asked about: mine.png")).to_be_visible()
