"""Videos on the page: a scene is found, plays from its moment, and stays where nothing can play."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from .conftest import search, until

OpenPage = Callable[..., Page]
PLAYS = "() => document.querySelector('.viewer video')?.currentTime >= 3.9"


def test_a_scene_plays_from_its_moment(open_page: OpenPage) -> None:
    page = open_page("/?library=moving")
    search(page, "blue")
    moment = page.locator(".tile .moment").first
    expect(moment).to_have_text("0:04")
    expect(page.locator(".photo").first).to_have_attribute(
        "aria-label", re.compile(r"clip\.webm at 0:04")
    )

    moment.click()

    video = page.locator(".viewer video")
    expect(video).to_be_visible()
    until(page, PLAYS)
    assert page.evaluate("document.querySelector('.viewer video').error") is None
    page.get_by_role("button", name="Show the picture").click()
    expect(video).to_have_count(0)
    expect(page.get_by_role("button", name="Play from 0:04", exact=True)).to_be_visible()
    page.keyboard.press("p")
    expect(video).to_be_visible()


def test_a_video_that_no_browser_plays_shows_its_picture(open_page: OpenPage) -> None:
    page = open_page("/?library=moving")
    search(page, "yellow")

    page.locator(".tile .moment").first.click()

    expect(page.locator(".toast")).to_contain_text("cannot play old.avi")
    expect(page.locator(".viewer video")).to_have_count(0)
    expect(page.locator(".viewer .view-photo img")).to_be_visible()
