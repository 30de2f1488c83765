"""Pictures in and out: paste, drop, more like this, endless scroll, library view, failures."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from relook.testing import noise

from .conftest import GIVE, Site, search, session_of, shown, take

OpenPage = Callable[..., Page]


@pytest.mark.parametrize("how", ["paste", "drop"])
def test_a_picture_that_is_given_is_searched_with(open_page: OpenPage, how: str) -> None:
    page = open_page()
    page.locator(".tile img.ready").first.wait_for()
    page.evaluate(GIVE, [how, "body"])
    expect(page.locator(".search-picture img")).to_be_visible()
    expect(page.locator("#bar .part img")).to_be_visible()
    expect(page.locator(".photo").first).to_have_attribute("aria-label", re.compile("of .*green"))
    page.get_by_role("searchbox").fill("blue")  # words go with the picture
    page.keyboard.press("Enter")
    expect(page.locator("#bar .part")).to_have_count(2)
    parts = session_of(page)["query"]["parts"]
    assert [sorted(set(part) - {"weight"}) for part in parts] == [["text"], ["picture"]]
    expect(page.locator("#dropcover")).to_be_hidden()


def test_more_like_a_picture_of_the_library(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "yellow")
    wanted = int(shown(page)[1])
    page.locator(".photo").nth(1).focus()
    page.keyboard.press("m")
    expect(page.locator("#bar .part img")).to_be_visible()
    (part,) = session_of(page)["query"]["parts"]
    assert part["image_id"] == wanted


def test_scrolling_goes_on_past_the_first_page(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red")
    first = [str(hit["image_id"]) for hit in session_of(page)["page"]["hits"]]
    everything = page.evaluate(
        """async () => {
          const body = JSON.stringify({ query: "red", limit: 1000 });
          const headers = { "Content-Type": "application/json" };
          const path = "/api/v1/libraries/colours/search";
          const answer = await fetch(path, { method: "POST", body, headers });
          return (await answer.json()).hits.map((hit) => String(hit.image_id));
        }"""
    )
    assert len(first) < len(everything)
    page.mouse.wheel(0, 20000)
    expect(page.locator(".tile")).to_have_count(len(everything))
    assert shown(page)[: len(first)] == first
    assert sorted(shown(page)) == sorted(everything)


def test_scores_and_exports(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red")
    page.locator(".photo").first.focus()
    page.keyboard.press("s")
    expect(page.locator(".score").first).to_have_text(re.compile(r"^-?\d\.\d{3}$"))
    page.get_by_role("button", name="Share").click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Session as JSON").click()
    values = json.loads(Path(waiting.value.path()).read_text("utf-8"))
    assert values["query"]["parts"] == [{"weight": 1.0, "text": "red"}]


def test_the_library_view_tells_what_was_skipped_and_why(open_page: OpenPage, site: Site) -> None:
    page = open_page("/?library=colours")
    page.get_by_role("button", name=re.compile("colours")).click()
    view = page.get_by_role("dialog", name="colours")
    expect(view.locator(".fact").first).to_have_text("Pictures80")
    expect(view.locator(".folder-list")).to_contain_text(str(site.pictures))
    expect(view.locator(".skipped-list")).to_contain_text("notes.jpg")
    expect(view.locator(".skipped-list")).to_contain_text("not a picture")


def test_files_and_folders_are_added_with_progress(
    open_page: OpenPage, site: Site, tmp_path: Path
) -> None:
    page = open_page("/?library=spare", allow=("the server responded with a status of 4",))
    page.get_by_role("button", name="Add pictures").click()
    file = tmp_path / "one.png"
    noise(99).save(file)
    page.get_by_label("Picture files to add").set_input_files(file)
    view = page.get_by_role("dialog", name="spare")
    expect(view.locator(".fact").first).to_have_text("Pictures1")
    expect(view.locator(".job")).to_contain_text("Done")
    view.get_by_label("Folder of pictures").fill("/no/such/folder")
    view.get_by_role("button", name="Add folder").click()
    expect(view.locator(".job[role=alert]")).to_be_visible()
    view.get_by_label("Folder of pictures").fill(str(site.pictures))
    view.get_by_role("button", name="Add folder").click()
    expect(view.locator(".fact").first).to_have_text("Pictures81")
    expect(view.locator(".skipped-list")).to_contain_text("notes.jpg")


def test_a_lost_server_is_told_and_found_again(open_page: OpenPage) -> None:
    page = open_page(allow=("ERR_FAILED", "Failed to load resource"))
    search(page, "red")
    take(page, "**/api/**", lambda route: route.abort())
    page.locator(".photo").first.click()
    bar = page.locator("#connection")
    expect(bar).to_contain_text("does not answer")
    expect(bar).to_contain_text("relook serve")
    expect(page.locator(".mark")).to_have_count(0)  # what was not kept is not shown as kept
    page.unroute("**/api/**")
    bar.get_by_role("button", name="Try now").click()
    expect(bar).to_be_hidden()
    page.locator(".photo").first.click()
    expect(page.locator(".mark")).to_have_count(1)


def test_errors_say_what_to_do_next(open_page: OpenPage) -> None:
    page = open_page("/?session=nosuchsession", allow=("404",))
    state = page.locator(".state")
    expect(state).to_contain_text("nosuchsession")
    expect(state.get_by_role("link", name="Start page")).to_be_visible()
    page.get_by_role("searchbox").fill("- blue")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("Only minus terms")


class Held:
    """Thumbnails that wait until the test lets them go."""

    def __init__(self, page: Page) -> None:
        self.page, self.routes, self.is_open = page, list[Route](), False
        take(page, "**/thumbnail?*", self._take)

    def _take(self, route: Route) -> None:
        if self.is_open:
            route.continue_()
        else:
            self.routes.append(route)

    def wait_for_one(self) -> None:
        """Until the page has asked for a thumbnail."""
        deadline = time.monotonic() + 600
        while not self.routes:
            assert time.monotonic() < deadline, "no thumbnail was asked for"
            self.page.wait_for_timeout(20)

    def let_go(self) -> None:
        """Answers those that wait, and holds no more."""
        self.is_open = True
        for route in self.routes:
            route.continue_()


def two_frames(page: Page) -> None:
    """Whatever the page does of itself after a layout has then been begun."""
    page.evaluate("() => new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(f)))")


def test_a_search_asks_for_what_is_in_sight_and_for_nothing_else(open_page: OpenPage) -> None:
    page = open_page("/?library=thousand", viewport={"width": 1280, "height": 1100})
    page.locator(".tile img.ready").first.wait_for()
    held = Held(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.get_by_role("searchbox").fill("grey")
    page.keyboard.press("Enter")
    page.wait_for_url("**session=*")
    how = page.locator(".tile").evaluate_all(
        """all => all.map((one) => [
          one.getBoundingClientRect().top < innerHeight, one.querySelector("img")
        ]).map(([seen, { loading, fetchPriority }]) => [seen, loading, fetchPriority])"""
    )
    assert {tuple(each) for seen, *each in how if seen} == {("eager", "high")}
    assert {tuple(each) for seen, *each in how if not seen} == {("lazy", "auto")}
    below = page.evaluate(
        "() => document.querySelector('.more').getBoundingClientRect().top - innerHeight"
    )
    assert 0 < below < 1200  # near enough that a person who scrolls would have more asked for
    two_frames(page)
    held.let_go()
    page.locator(".tile img.ready").first.wait_for()
    two_frames(page)
    # More hits wait for a person who scrolls. (The icon: a held route turns the cache off.)
    kinds = {path.rpartition("/")[2] for path in asked}
    assert kinds - {"favicon.svg"} == {"sessions", "strategies", "thumbnail"}
    with page.expect_request("**/search"):
        page.mouse.wheel(0, 600)


def test_pictures_appear_at_once_and_only_late_ones_fade_in(open_page: OpenPage) -> None:
    page = open_page()
    page.locator(".tile img.ready").first.wait_for()
    search(page, "red")
    assert page.locator(".grid.still").count() == 1  # a new search moves nothing
    assert page.locator(".tile.entering").count() == 0
    held = Held(page)
    page.get_by_role("searchbox").fill("blue")  # other pictures: none is in the browser's memory
    page.keyboard.press("Enter")
    held.wait_for_one()
    waiting = page.locator(".tile img.late").first
    waiting.wait_for(state="attached")
    expect(waiting).to_have_css("opacity", "0")
    held.let_go()
    late = page.locator(".tile img.ready.late").first
    late.wait_for()
    expect(late).to_have_css("opacity", "1")
    assert late.evaluate("one => getComputedStyle(one).transitionDuration") != "0s"
