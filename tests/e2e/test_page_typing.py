"""Typing and the lost server: where keys go, what is sent again, what the box says."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from .conftest import search, session_of, settle, take, until

OpenPage = Callable[..., Page]
BOX = "What to look for"


def ready(page: Page) -> None:
    page.locator(".tile img.ready").first.wait_for()


def test_the_search_box_has_the_keyboard_on_the_start_page(open_page: OpenPage) -> None:
    page = open_page()
    ready(page)
    box = page.get_by_role("searchbox", name=BOX)
    expect(box).to_be_focused()
    expect(page.locator(".suggest")).to_be_hidden()
    page.keyboard.type("dogs playing")
    expect(box).to_have_value("dogs playing")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_a_phone_opens_without_its_keyboard(open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 375, "height": 720}, has_touch=True, is_mobile=True)
    ready(page)
    expect(page.get_by_role("searchbox", name=BOX)).not_to_be_focused()


def test_letters_on_the_start_page_begin_a_search_wherever_the_keyboard_is(
    open_page: OpenPage,
) -> None:
    page = open_page()
    ready(page)
    box = page.get_by_role("searchbox", name=BOX)
    page.locator(".photo").first.click()  # the larger view
    page.keyboard.press("Escape")
    page.keyboard.type("xmas")  # the first letters of commands, all of them
    expect(box).to_have_value("xmas")
    expect(page.locator("dialog[open]")).to_have_count(0)
    box.fill("")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard commands")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(box).to_be_focused()
    expect(box).to_have_value("")
    page.keyboard.press("?")  # at the empty box it is no search, either
    expect(page.get_by_role("dialog", name="Keyboard commands")).to_be_visible()


def test_the_box_says_what_the_page_shows(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red -blue")
    box = page.get_by_role("searchbox", name=BOX)
    expect(box).to_have_value("red -blue")  # as it was typed
    page.get_by_role("button", name="Search without “blue”").click()
    expect(box).to_have_value("red")
    search(page, "green")
    page.go_back()
    expect(box).to_have_value("red")
    box.fill("never sent")
    page.get_by_role("button", name=re.compile("^colours")).click()
    page.locator(".session-list .name", has_text="green").first.click()
    expect(box).to_have_value("green")


def test_a_server_that_goes_is_told_at_once_and_the_search_is_sent_again(
    open_page: OpenPage,
) -> None:
    page = open_page(allow=("ERR_FAILED", "Failed to load resource"))
    search(page, "red")
    take(page, "**/api/**", lambda route: route.abort())
    page.evaluate("dispatchEvent(new Event('online'))")  # the stream is opened anew, and fails
    bar = page.locator("#connection")
    expect(bar).to_contain_text("does not answer")
    box = page.get_by_role("searchbox", name=BOX)
    box.fill("green")
    page.keyboard.press("Enter")
    expect(bar).to_contain_text("Your search for “green” is sent again then.")
    page.unroute("**/api/**")
    bar.get_by_role("button", name="Try now").click()
    expect(bar).to_be_hidden()
    expect(page.locator("#bar .part")).to_have_text("green")
    expect(box).to_have_value("green")
    assert [part["text"] for part in session_of(page)["query"]["parts"]] == ["green"]


def test_a_search_waits_until_it_is_known_who_asks(open_page: OpenPage) -> None:
    """What the page shows once it knows would take the search away again."""
    page = open_page()
    sent: list[str] = []
    held: list[Route] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    page.route("**/api/v1/me", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks it
    with page.expect_request("**/api/v1/me"):
        page.reload()
    page.get_by_role("searchbox", name=BOX).fill("red")
    page.keyboard.press("Enter")
    settle(page, 50)
    sent.append("known")
    held[0].continue_()
    expect(page.locator("#bar .part")).to_have_text("red")
    begun = [at for at, line in enumerate(sent) if re.fullmatch("POST .*/sessions", line)]
    assert begun
    assert begun[0] > sent.index("known")


def test_a_page_that_could_not_be_loaded_loads_when_the_server_is_back(open_page: OpenPage) -> None:
    page = open_page(allow=("ERR_FAILED", "Failed to load resource"))
    ready(page)
    page.route("**/api/**", lambda route: route.abort())
    page.reload()
    expect(page.locator(".state")).to_contain_text("cannot be shown")
    page.unroute("**/api/**")
    until(page, "() => document.querySelector('.tile img.ready')")  # by itself
    expect(page.locator("#connection")).to_be_hidden()


def test_a_message_is_not_in_the_dark_behind_what_is_open(open_page: OpenPage) -> None:
    page = open_page("/?library=colours")
    ready(page)
    tell = "async (text) => (await import('/static/index.js')).notices.toast(text)"
    page.get_by_role("button", name=re.compile("^colours")).click()
    page.evaluate(tell, "over the sheet")
    told = page.locator("dialog[open] .toast", has_text="over the sheet")
    told.get_by_role("button", name="Close this message").click()
    expect(told).to_have_count(0)
    page.keyboard.press("Escape")
    page.evaluate(tell, "on the page")
    expect(page.locator("body > #toasts .toast", has_text="on the page")).to_be_visible()
