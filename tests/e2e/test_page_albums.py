"""Favourites and albums on the page."""

from __future__ import annotations

import json
from collections.abc import Callable

from playwright.sync_api import Page, expect

from .conftest import search, shown

OpenPage = Callable[..., Page]
NAME = "2019/07 طبيعة, and a name that is long for a list, a title and a chip"


def test_a_star_and_an_album_from_many_chosen_pictures(open_page: OpenPage) -> None:
    page = open_page(allow=("400",))
    search(page, "red")
    first, *_, third = shown(page)[:3]
    page.locator(".photo").first.focus()
    page.keyboard.press("v")
    expect(page.locator(".tile.starred")).to_have_count(1)
    page.keyboard.press("o")
    expect(page.locator(".viewer .star")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Share").click()
    page.get_by_role("button", name="Choose pictures …").click()
    chooser = page.locator("dialog.browse[open]")
    chooser.locator(".pick li").first.click()
    chooser.locator(".pick li").nth(2).click(modifiers=["Shift"])
    chooser.get_by_role("button", name="Add to album …").click()
    page.get_by_label("Name of a new album").fill("  ")
    page.get_by_role("button", name="New album").click()
    expect(page.locator("dialog.album .note")).to_contain_text("cannot be empty")
    page.get_by_label("Name of a new album").fill(NAME)
    page.get_by_role("button", name="New album").click()
    expect(page.locator(".toast")).to_contain_text("has 3 pictures")
    page.keyboard.press("Escape")
    page.reload()  # what was made is in the library, not in the page
    expect(page.locator(".tile.starred")).to_have_count(1)
    assert page.locator(".tile.starred").get_attribute("data-id") == first
    page.locator("#open-library").click()
    page.locator(".library .album-list button", has_text=NAME).click()
    album = page.locator("dialog.browse[open]")
    expect(album.locator("#browse-title")).to_have_text(f"{NAME}: 3 pictures")
    album.locator(".pick li").first.click()
    album.get_by_role("button", name="Take out of the album").click()
    expect(album.locator("#browse-title")).to_have_text(f"{NAME}: 2 pictures")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(album.locator("#browse-title")).to_have_text(f"{NAME}: 3 pictures")
    album.get_by_role("button", name="Search within these").click()
    page.get_by_role("searchbox").fill("blue")
    page.keyboard.press("Enter")
    expect(page.locator("#bar .part.only")).to_contain_text("album: 2019/07")
    expect(page.locator(".tile")).to_have_count(3)
    assert third in shown(page)


def test_an_album_is_renamed_deleted_and_brought_back(open_page: OpenPage) -> None:
    page = open_page(allow=("400",))
    page.locator(".tile img.ready").first.wait_for()
    made = page.evaluate(
        """async (body) => {
          const headers = { "Content-Type": "application/json" };
          const path = "/api/v1/libraries/colours/albums";
          return (await fetch(path, { method: "POST", body, headers })).status;
        }""",
        json.dumps({"name": "Walls", "image_ids": [1, 2]}),
    )
    assert made == 201
    page.locator("#open-library").click()
    page.locator(".library .album-list button", has_text="Walls").click()
    album = page.locator("dialog.browse[open]")
    album.get_by_role("button", name="Rename").click()
    album.get_by_label("New name").fill("Favourites")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("there is an album 'Favourites' already")
    album.get_by_label("New name").fill("Plain walls")
    page.keyboard.press("Enter")
    expect(album.locator("#browse-title")).to_have_text("Plain walls: 2 pictures")
    zipped = album.locator("[data-part=tools] a", has_text="Zip")
    assert "/export?format=zip" in str(zipped.get_attribute("href"))
    album.get_by_role("button", name="Delete").click()
    expect(page.locator("dialog.browse[open]")).to_have_count(0)
    page.locator(".toast").get_by_role("button", name="Undo").click()
    page.locator("#open-library").click()
    expect(page.locator(".library .album-list")).to_contain_text("Plain walls")
