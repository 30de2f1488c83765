"""The loop in the browser: search, mark, box, look again, before and after, undo, branch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from relook.core.errors import AnswerError

from .conftest import CAPTION, Site, drag, edges_of, search, session_of, settle, shown, take

OpenPage = Callable[..., Page]
MARKS_ARE_LATE = """() => {
  const send = window.fetch;
  window.fetch = async (at, how) => {
    if (String(at).endsWith("/judgements")) await new Promise((go) => setTimeout(go, 1000));
    return send(at, how);
  };
}"""


def test_words_find_pictures_and_a_minus_term_takes_away(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red -blue")
    parts = page.locator("#bar .part")
    expect(parts).to_have_count(2)
    expect(parts.nth(1)).to_have_class(re.compile("minus"))
    asked = session_of(page)["query"]["parts"]
    assert [(part["text"], part["weight"]) for part in asked] == [("red", 1.0), ("blue", -1.0)]
    first = page.locator(".photo").first
    expect(first).to_have_attribute("aria-label", re.compile(r"^1 of \d+, red"))
    parts.nth(1).get_by_role("button").click()
    expect(parts).to_have_count(1)


def test_negated_words_are_left_out_at_a_click(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red without blue")
    offered = page.locator("#instead")
    expect(offered).to_contain_text('Searched for "red" alone')
    expect(page.locator("#toasts")).not_to_contain_text("a minus")  # told once
    offered.get_by_role("button", name="Leave out: blue").click()
    expect(page.locator("#bar .part.minus")).to_have_text(re.compile("blue"))
    expect(page.get_by_role("searchbox")).to_have_value("red - blue")
    expect(offered).to_be_hidden()
    assert [part["weight"] for part in session_of(page)["query"]["parts"]] == [1.0, -1.0]


def test_the_page_reads_a_line_as_the_command_line_does(open_page: OpenPage) -> None:
    page = open_page()
    parse = "async (line) => (await import('/static/js/query.js')).parse(line)"
    for line, parts in json.loads((Path(__file__).parents[1] / "query_lines.json").read_text()):
        assert page.evaluate(parse, line) == parts, line


def test_recent_searches_are_offered_and_run_again(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "green")
    search(page, "yellow")
    box = page.get_by_role("searchbox")
    box.fill("")
    box.click()
    offered = page.locator(".suggest .recent")
    expect(offered).to_have_text(["yellow", "green"])
    offered.nth(1).click()
    expect(page.locator("#bar .part")).to_have_text("green")


def test_a_click_is_relevant_and_a_shift_click_irrelevant(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red")
    tiles, photos = page.locator(".tile"), page.locator(".photo")
    photos.nth(0).click()
    photos.nth(1).click(modifiers=["Shift"])
    expect(tiles.nth(0)).to_have_class(re.compile("marked-relevant"))
    expect(tiles.nth(1)).to_have_class(re.compile("marked-irrelevant"))
    expect(page.locator(".tray-group.relevant .mark")).to_have_count(1)
    expect(page.locator(".tray-group.irrelevant .mark")).to_have_count(1)
    photos.nth(0).click()  # a second click takes it back
    expect(tiles.nth(0)).not_to_have_class(re.compile("marked"))
    expect(page.locator(".mark")).to_have_count(1)
    left = session_of(page)["judgements"]
    assert [(one["image_id"], one["relevant"]) for one in left] == [(int(shown(page)[1]), False)]


def test_a_box_gets_its_sign_then_a_caption_that_can_be_edited(
    open_page: OpenPage, site: Site
) -> None:
    page = open_page()
    search(page, "red")
    drag(page, ".photo", (0.2, 0.2, 0.7, 0.8))
    expect(page.locator(".box.draft.selected")).to_have_count(1)
    assert page.locator("dialog[open]").count() == 0  # never a modal
    site.captioner.may_write.clear()
    try:
        page.locator(".boxbar .yes").click()
        expect(page.locator(".box.relevant")).to_have_count(1)
        expect(page.locator(".chip.writing")).to_be_visible()  # the page does not wait for words
    finally:
        site.captioner.may_write.set()
    chip = page.locator(".mark .chip")
    expect(chip).to_have_text(CAPTION)
    chip.click()
    field = page.get_by_label("Caption of this box")
    field.fill("my own words")
    field.press("Enter")
    expect(page.locator(".mark .chip")).to_have_text("my own words")
    (one,) = session_of(page)["judgements"]
    assert (one["caption"], one["caption_by"], one["relevant"]) == ("my own words", "person", True)
    for edge, wanted in zip(one["box"], (0.2, 0.2, 0.7, 0.8), strict=True):
        assert abs(edge - wanted) < 0.03


def test_a_captioner_that_fails_says_why_and_tries_again(open_page: OpenPage, site: Site) -> None:
    page = open_page()
    search(page, "green")
    failure = AnswerError("no_answer", "the model did not answer", "start it, and try again")
    try:
        site.captioner.failure = failure
        drag(page, ".photo", (0.2, 0.2, 0.7, 0.8))
        page.locator(".boxbar .yes").click()
        told = page.locator(".mark-failure")
        expect(told).to_contain_text("The model did not answer. Start it, and try again.")
        expect(page.locator(".mark-body .chip.failed")).to_have_text("Add words")
        page.reload()  # it is still told to who comes later
        expect(told).to_contain_text("The model did not answer.")
        page.keyboard.press("Enter")  # and stays over a round
        expect(page.locator(".history [aria-current]")).to_have_text("2")
        expect(told).to_contain_text("The model did not answer.")
    finally:
        site.captioner.failure = None
    told.get_by_role("button", name="Try again").click()
    expect(page.locator(".mark-body .chip")).to_have_text(CAPTION)
    expect(told).to_have_count(0)
    (one,) = session_of(page)["judgements"]
    assert (one["caption"], one["caption_by"]) == (CAPTION, "captioner")


def test_a_reason_that_comes_after_the_empty_caption_is_told(
    open_page: OpenPage, site: Site
) -> None:
    page = open_page()
    search(page, "green")

    def without_its_reason(route: Route) -> None:
        answered = route.fetch()
        route.fulfill(response=answered, json={**answered.json(), "caption": ""})

    take(page, "**/judgements", without_its_reason)
    site.captioner.may_write.clear()
    site.captioner.failure = AnswerError("no_answer", "the model did not answer", "start it")
    try:
        drag(page, ".photo", (0.2, 0.2, 0.7, 0.8))
        page.locator(".boxbar .yes").click()
        expect(page.locator(".mark-body .chip")).to_have_text("Add words")
        site.captioner.may_write.set()
        expect(page.locator(".mark-failure")).to_contain_text("The model did not answer.")
    finally:
        site.captioner.may_write.set()
        site.captioner.failure = None


def test_words_are_written_on_while_those_of_another_box_arrive(
    open_page: OpenPage, site: Site
) -> None:
    page = open_page()
    search(page, "red")
    drag(page, ".photo", (0.1, 0.1, 0.4, 0.4))
    page.locator(".boxbar .yes").click()
    expect(page.locator(".mark .chip")).to_have_text(CAPTION)
    site.captioner.may_write.clear()
    try:
        drag(page, ".tile:nth-child(2) .photo", (0.2, 0.2, 0.7, 0.8))
        page.locator(".boxbar .no").click()
        expect(page.locator(".tray-group.irrelevant .chip.writing")).to_be_visible()
        page.locator(".tray-group.relevant .chip").click()
        page.keyboard.type("my own ")
    finally:
        site.captioner.may_write.set()
    expect(page.locator(".tray-group.irrelevant .chip")).to_have_text(CAPTION)
    field = page.get_by_label("Caption of this box")
    settle(page, 50)  # what leaving the field does comes a turn later
    expect(field).to_be_focused()
    page.keyboard.type("words")
    assert field.input_value().endswith("my own words")


def test_a_box_is_moved_resized_and_deleted(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red")
    page.locator(".photo").first.focus()
    page.keyboard.press("o")
    drag(page, ".view-photo", (0.3, 0.3, 0.6, 0.6))
    page.keyboard.press("r")
    box = ".viewer .box.relevant"
    before = edges_of(page, box)
    drag(page, ".viewer .box.selected", (0.5, 0.5, 0.8, 0.7))
    moved = edges_of(page, box)
    assert moved["x"] > before["x"] + 10
    assert abs(moved["width"] - before["width"]) < 3
    drag(page, ".viewer .handle.se", (0.5, 0.5, 2.0, 2.0))
    grown = edges_of(page, box)
    assert grown["width"] > moved["width"] + 20
    (one,) = session_of(page)["judgements"]
    assert one["box"][2] - one["box"][0] > 0.3
    page.keyboard.press("d")
    expect(page.locator(box)).to_have_count(0)
    assert session_of(page)["judgements"] == []


def test_looking_again_changes_the_page_and_leaves_the_judged_out(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red blue")
    before = shown(page)
    page.locator(".photo").nth(0).click()
    page.locator(".photo").nth(1).click(modifiers=["Shift"])
    page.locator("#side .primary").click()
    expect(page.locator(".history [aria-current]")).to_have_text("2")
    now = shown(page)
    assert now != before
    assert not set(now) & set(before[:2])
    expect(page.locator(".mark")).to_have_count(2)  # the tray still has both
    expect(page.locator(".summary")).to_contain_text("moved up")
    page.get_by_role("button", name="Before").click()
    expect(page.locator(".summary")).to_contain_text("the page before")
    assert shown(page)[:9] == before[:9]
    page.keyboard.press("x")
    expect(page.locator(".summary")).not_to_contain_text("the page before")
    assert shown(page) == now


def test_undo_takes_back_marks_and_then_pages(open_page: OpenPage) -> None:
    page = open_page(allow=("status of 400",))  # the last undo is refused
    search(page, "green")
    first = shown(page)
    page.locator(".photo").nth(2).click()
    page.locator("#side .primary").click()
    expect(page.locator(".history button")).to_have_count(2)
    line = page.locator(".history")  # with room for all rounds there is no bar to scroll them
    assert line.evaluate("line => line.scrollWidth - line.clientWidth") == 0
    page.locator(".photo").nth(0).click()
    expect(page.locator(".mark")).to_have_count(2)
    page.keyboard.press("z")
    expect(page.locator(".mark")).to_have_count(1)
    page.keyboard.press("z")
    expect(page.locator(".history [aria-current]")).to_have_text("1")
    expect(page.locator(".history button")).to_have_count(2)  # the page is kept
    assert shown(page)[:9] == first[:9]
    expect(page.locator(".mark")).to_have_count(1)
    page.keyboard.press("Shift+Z")
    expect(page.locator(".history [aria-current]")).to_have_text("2")
    page.keyboard.press("z")
    expect(page.locator(".history [aria-current]")).to_have_text("1")
    page.keyboard.press("z")
    expect(page.locator(".mark")).to_have_count(0)
    page.keyboard.press("z")
    expect(page.locator(".toast", has_text="nothing to undo")).to_be_visible()


def test_an_earlier_round_grows_a_branch(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "blue")
    again, rounds = page.locator("#side .primary"), page.locator(".history button")
    page.locator(".photo").nth(0).click()
    again.click()
    expect(rounds).to_have_count(2)
    page.locator(".photo").nth(1).click()
    again.click()
    expect(rounds).to_have_count(3)
    rounds.nth(1).click()
    expect(page.locator(".history [aria-current]")).to_have_text("2")
    page.locator(".photo").nth(3).click(modifiers=["Shift"])
    again.click()
    expect(rounds).to_have_count(4)
    parents = {one["number"]: one["parent"] for one in session_of(page)["rounds"]}
    assert parents == {0: None, 1: 0, 2: 1, 3: 1}
    tops = rounds.evaluate_all("all => all.map((one) => one.getBoundingClientRect().top)")
    assert tops[3] > tops[2] == tops[1] == tops[0]  # the branch has a lane of its own


def test_the_address_finds_the_session_again(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "cyan")
    page.locator(".photo").nth(0).click()
    drag(page, ".tile:nth-child(2) .photo", (0.2, 0.2, 0.7, 0.8))
    page.keyboard.press("i")
    expect(page.locator(".mark .chip")).to_have_text(CAPTION)
    page.reload()
    expect(page.locator(".mark")).to_have_count(2)
    expect(page.locator(".mark .chip")).to_have_text(CAPTION)
    expect(page.locator(".tile .box.irrelevant")).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_have_value("cyan")


def test_why_influence_and_heat_map(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red")
    page.locator(".photo").nth(0).click()
    page.locator(".photo").nth(1).click(modifiers=["Shift"])
    page.locator(".photo").nth(2).focus()
    page.keyboard.press("w")
    expect(page.locator(".viewer .reason").first).to_be_visible()
    expect(page.locator(".viewer .why")).to_contain_text("“red”")
    page.keyboard.press("t")
    expect(page.locator(".view-photo canvas.heat")).to_have_attribute(
        "aria-label", re.compile("fits best in the (top|middle|bottom)")
    )
    page.keyboard.press("Escape")
    page.get_by_role("button", name="What did this mark do?").first.click()
    expect(page.locator(".mark-more")).to_contain_text(re.compile("Moved|moved nothing"))


def test_quick_clicks_end_as_the_page_shows_them(open_page: OpenPage) -> None:
    """Each click comes before the answer to the one before."""
    page = open_page()
    search(page, "red")
    clicks = (
        "all => { for (let n = 0; n < 3; n += 1) all[0].click(); all[1].click(); all[1].click(); }"
    )
    page.locator(".photo").evaluate_all(clicks)
    expect(page.locator(".mark")).to_have_count(1)
    kept = session_of(page)["judgements"]
    assert [(str(one["image_id"]), one["relevant"]) for one in kept] == [(shown(page)[0], True)]


def test_a_strategy_is_chosen_and_words_count_without_a_box(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red")
    strategies = page.get_by_label("How marks are used")
    expect(strategies).to_have_value("auto")
    expect(page.locator(".photo")).to_have_count(20)  # as `search.limit` says
    strategies.select_option("rocchio-paper")
    page.get_by_label("What fits, in words").fill("blue")
    page.get_by_label("What does not fit, in words").fill("green")
    page.locator(".side-foot .primary").click()
    expect(page.locator("#bar .history [aria-current]")).to_have_text("2")
    made = session_of(page)["rounds"][1]
    assert made["strategy"] == "rocchio-paper"
    expect(page.get_by_label("What fits, in words")).to_have_value("")
    assert shown(page)


def test_what_a_search_learnt_is_kept_used_and_changed(open_page: OpenPage) -> None:
    page = open_page(allow=("status of 400",))  # a name that is taken
    search(page, "green")
    keep = page.get_by_role("button", name="Keep what it learnt")
    expect(keep).to_be_hidden()
    page.evaluate(MARKS_ARE_LATE)  # those on their way count
    page.locator(".photo").nth(0).click()
    page.locator(".photo").nth(2).click(modifiers=["Shift"])
    expect(page.locator(".found-list li")).to_have_count(1)
    keep.click()
    name = page.get_by_label("Name of the concept")
    name.fill("our van")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Show it", exact=True).click()
    sheet = page.locator("dialog.concept")
    expect(sheet.locator("h2")).to_have_text("@our van")
    expect(sheet.locator(".examples .relevant")).to_have_count(1)
    sheet.locator(".examples .irrelevant").get_by_role("button", name="out").click()
    expect(sheet.get_by_role("heading", name="Rests on 1 example")).to_be_visible()
    expect(sheet.locator(".examples .irrelevant")).to_have_count(0)
    page.keyboard.press("Escape")
    keep.click()
    name.fill("Our van")
    page.keyboard.press("Enter")
    expect(page.get_by_text("There is a concept @Our van already")).to_be_visible()
    page.get_by_role("button", name="Replace it").click()
    expect(page.get_by_text("Kept as @Our van")).to_be_visible()
    search(page, "@our van - red")
    expect(page.locator("#bar .part").first).to_contain_text("@our van")
    assert session_of(page)["query"]["parts"][0]["concept"] == "our van"
    page.get_by_role("button", name=re.compile("^colours")).click()
    page.locator(".concept-list .name", has_text="@Our van").click()
    sheet.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("@Our van is deleted")).to_be_visible()
