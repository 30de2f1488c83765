"""What is found in: filters, names of searches, the library view, a thousand pictures."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from relook.library.album_values import ALBUM
from relook.search.filtering import OWN_FIELDS

from .conftest import PATIENCE_MS, Site, search, session_of, settle

OpenPage = Callable[..., Page]
PHONE = {"width": 375, "height": 720}


def test_filters_hold_for_every_page_and_can_be_taken_away(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("searchbox").fill("red")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Path", exact=True).fill("red-")
    page.get_by_label("Field", exact=True).fill("place")
    page.get_by_label("Its value").fill("att*")
    page.keyboard.press("Enter")
    page.wait_for_url("**session=*")  # the chips are there before the answer
    chips = page.locator("#bar .part.only")
    expect(chips).to_have_text(["place: att*", "path: red-"])
    expect(page.locator("#filters")).to_be_hidden()
    expect(page.get_by_role("button", name="Filters: path and metadata, 2 on")).to_be_visible()
    found = session_of(page)
    assert (found["where"], found["path"]) == ({"place": "att*"}, "red-")
    files = [Path(hit["path"]).name for hit in found["page"]["hits"]]
    assert files
    assert all(name.startswith("red-") for name in files)
    page.locator(".photo").first.click()
    page.get_by_label("Pictures already shown").select_option("true")
    page.locator("#side .primary").click()
    expect(page.locator(".history button")).to_have_count(2)
    again = session_of(page)["page"]["hits"]
    assert len(again) > 1
    assert all(Path(hit["path"]).name.startswith("red-") for hit in again)
    page.reload()
    expect(chips).to_have_count(2)
    before = page.url
    page.get_by_role("button", name="Search without the filter “path: red-”").click()
    page.wait_for_url(lambda url: url != before)  # the chips go before the answer is there
    expect(chips).to_have_text(["place: att*"])
    assert (session_of(page)["where"], session_of(page)["path"]) == ({"place": "att*"}, None)


def test_the_fields_that_pictures_have_are_offered(open_page: OpenPage) -> None:
    page = open_page("/?library=colours")
    page.locator(".tile img.ready").first.wait_for()
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_label("Path", exact=True)).to_be_focused()
    options = page.locator("#filter-fields option")
    typed = [field for field in OWN_FIELDS if field != ALBUM]  # albums are chosen from a list
    expect(options).to_have_count(len(typed) + 1)
    offered = options.evaluate_all("all => all.map((one) => one.value)")
    assert offered == [*typed, "place"]
    page.keyboard.press("Escape")
    expect(page.locator("#filters")).to_be_hidden()


def test_a_filter_that_nothing_fits_says_so(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("searchbox").fill("red")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Path", exact=True).fill("nowhere")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".more")).to_contain_text("Nothing was found")
    expect(page.locator(".more")).to_contain_text("No picture fits path nowhere")
    expect(page.locator(".more")).to_contain_text("take a filter away")
    expect(page.locator(".side-foot .primary")).to_be_disabled()
    expect(page.locator(".more button")).to_have_count(0)


def test_a_least_fit_holds_for_a_session_and_can_be_taken_away(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("searchbox").fill("red")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Fit", exact=True).fill("99.9")
    page.get_by_role("button", name="Apply").click()
    chips = page.locator("#bar .part.only")
    expect(chips).to_have_text(["fit: 99.9% or more"])
    expect(page.locator(".more")).to_contain_text("Nothing was found")
    assert session_of(page)["min_fit"] == pytest.approx(0.999)
    page.reload()
    expect(chips).to_have_count(1)
    page.get_by_role("button", name="Search without the filter").click()
    expect(chips).to_have_count(0)
    page.locator(".photo").first.wait_for()
    assert session_of(page)["min_fit"] == 0


@pytest.mark.parametrize("applied", [False, True])
def test_a_filter_that_is_typed_while_the_page_loads_holds(
    open_page: OpenPage, applied: bool
) -> None:
    page = open_page()
    page.locator(".tile img.ready").first.wait_for()  # it has asked for all that it asks for
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/v1/libraries", hold)
    with page.expect_request("**/api/v1/libraries"):
        page.reload()
    page.get_by_role("searchbox").fill("red")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Path", exact=True).fill("nowhere")
    apply = page.get_by_role("button", name="Apply")
    if applied:
        apply.click()
    held[0].continue_()
    if not applied:
        expect(page.get_by_role("heading", name="What are you looking for?")).to_be_visible()
        apply.click()
    expect(page.locator(".more")).to_contain_text("Nothing was found")


def test_a_search_gets_another_name(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "cyan")
    page.get_by_role("button", name="Share").click()
    page.get_by_label("Name of this search").fill("the sea")
    page.keyboard.press("Enter")
    expect(page).to_have_title("the sea · Relook")
    assert session_of(page)["name"] == "the sea"
    page.get_by_role("button", name=re.compile("^colours")).click()
    page.get_by_role("button", name="Rename the search “the sea”").click()
    page.keyboard.type("never mind")
    page.keyboard.press("Escape")  # keeps the name, and the view
    expect(page.get_by_role("dialog", name="colours")).to_be_visible()
    page.get_by_role("button", name="Rename the search “the sea”").click()
    page.keyboard.type("the lake")
    page.keyboard.press("Enter")
    expect(page.locator(".session-list .name").first).to_have_text("the lake")
    assert session_of(page)["name"] == "the lake"
    page.get_by_role("button", name="Delete the search “the lake”").click()
    expect(page.locator(".session-list .name", has_text="the lake")).to_have_count(0)


def test_indexing_pauses_goes_on_and_tells_the_time_left(open_page: OpenPage, site: Site) -> None:
    page = open_page("/?library=gated")
    page.get_by_role("button", name="Add pictures").click()
    view = page.get_by_role("dialog", name="gated")
    site.gate.clear()
    view.get_by_label("Folder of pictures").fill(str(site.pictures))
    view.get_by_role("button", name="Add folder").click()
    job = view.locator(".job")
    expect(job).to_contain_text("Working")
    pause = view.get_by_role("button", name="Pause").element_handle()
    view.get_by_role("button", name="Pause").click()
    expect(job).to_contain_text("Paused")
    expect(view.get_by_role("button", name="Resume")).to_be_focused()
    site.gate.set()  # the batch in flight ends, and no other begins
    expect(job).to_contain_text("16 of 81")
    page.wait_for_timeout(400)
    expect(job).to_contain_text("16 of 81")
    expect(page.locator("#open-library .count")).to_have_text("paused 19 %")
    site.gate.clear()
    view.get_by_role("button", name="Resume").click()
    expect(job).to_contain_text(re.compile(r"16 of 81 · .* a second · \d+ s left"))
    assert pause.evaluate("one => one.isConnected")  # never replaced under the mouse
    site.gate.set()
    expect(job).to_contain_text("Done")
    expect(view.locator(".fact").first).to_have_text("Pictures80")


# Counts what the page changes of a thousand hits: time is the machine's, work is ours.
WORK = """async (act) => {
  const tile = [...document.querySelectorAll(".tile")].find((one) => {
    const { top } = one.getBoundingClientRect();
    return top > 150 && top < 500;
  });
  const changed = new Set();
  const note = (all) => {
    for (const { target, addedNodes } of all) {
      if (target.nodeName === "IMG") continue; // a thumbnail that came only now
      changed.add(target.closest?.(".tile") ?? target);
      for (const node of addedNodes) if (node.matches?.(".tile")) changed.add(node);
    }
  };
  const observer = new MutationObserver(note);
  const kinds = { subtree: true, childList: true, attributes: true };
  observer.observe(document.querySelector(".grid"), kinds);
  if (act === "mark") tile.querySelector(".photo").click();
  else {
    const about = { key: act, bubbles: true };
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", about));
  }
  for (let n = 0; n < 3; n++) await new Promise(requestAnimationFrame);
  note(observer.takeRecords());
  observer.disconnect();
  return changed.size;
}"""


DRAWN = """() => new Promise((done) => {
  // Nothing in the grid has changed for half a second: what was scrolled to is there.
  const rested = () => { observer.disconnect(); done(true); };
  let timer = setTimeout(rested, 500);
  const observer = new MutationObserver(() => {
    clearTimeout(timer);
    timer = setTimeout(rested, 500);
  });
  const kinds = { subtree: true, childList: true, attributes: true };
  observer.observe(document.querySelector(".grid"), kinds);
})"""


def test_a_thousand_hits_are_not_drawn_again_for_one_of_them(open_page: OpenPage) -> None:
    page = open_page("/?library=thousand")
    page.evaluate("localStorage.setItem('relook.page-size', '1001')")
    search(page, "blue")
    assert len(session_of(page)["page"]["hits"]) == 20  # more than may be asked for: as configured
    page.evaluate("localStorage.setItem('relook.page-size', '1000')")
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "/thumbnail" in one.url else None)
    search(page, "red")
    assert len(session_of(page)["page"]["hits"]) == 1000  # as the person chose
    settle(page, 300)
    assert len(set(asked)) < 150  # thumbnails come as they are scrolled to
    page.get_by_role("button", name="View", exact=True).click()
    until = time.monotonic() + PATIENCE_MS / 1e3
    while page.locator(".tile").count() < 1000 and time.monotonic() < until:
        page.mouse.wheel(0, 4000)
        settle(page, 50)
    expect(page.locator(".tile")).to_have_count(1000)
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    page.locator(".photo").nth(500).focus()
    page.evaluate(DRAWN)
    changed = {act: page.evaluate(WORK, act) for act in ("mark", "ArrowRight", "r")}
    assert changed["mark"] > 0
    assert max(changed.values()) < 10, changed
    assert len(session_of(page)["judgements"]) >= 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_library_view_fits_a_phone(open_page: OpenPage, scheme: str) -> None:
    page = open_page("/?library=colours", viewport=PHONE, color_scheme=scheme)
    page.locator(".tile img.ready").first.wait_for()
    page.get_by_role("button", name=re.compile("^colours")).click()
    view = page.get_by_role("dialog", name="colours")
    expect(view.locator(".skipped-list")).to_contain_text("notes.jpg")
    assert view.evaluate("one => one.scrollWidth <= one.clientWidth")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Filters").click()
    assert page.locator("#filters").evaluate("one => one.scrollWidth <= one.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
