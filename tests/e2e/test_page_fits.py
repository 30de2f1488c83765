"""Nothing runs out of its box, is covered or too small to touch: states of the page times widths.

Pictures that are kept would differ by machine, as fonts do; what is asserted here does not.
`pages/looks.py` has this walk take them, too, for a person to look at.
320 px is 1280 at 400% zoom, 640 is it at 200%.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .conftest import CAPTION, drag, search

OpenPage = Callable[..., Page]
Fits = Callable[[Page, str], None]
FLAWS = Path(__file__).with_name("fits.js").read_text("utf-8")
WIDTHS = {"ltr": (320, 375, 640, 768, 1360, 2560), "rtl": (320, 768, 1360)}
LONG = "Donaudampfschifffahrtsgesellschaft Rindfleischetikettierungsueberwachung"
# As a German translation would: words that are half as long again.
LONGER = """() => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const grown = (word) => word + word.toLowerCase().slice(0, Math.ceil(word.length / 2));
  while (walk.nextNode())
    if (!walk.currentNode.parentElement.closest("script, style, noscript"))
      walk.currentNode.data = walk.currentNode.data.replace(/\\p{L}{4,}/gu, grown);
}"""
RESTED = """async () => {
  for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
  document.querySelectorAll("#toasts .toast").forEach((toast) => toast.remove());
}"""


def flaws_of(page: Page) -> dict[str, list[str]]:
    """Width, direction -> what is wrong there."""
    wrong = {}
    for direction, widths in WIDTHS.items():
        page.evaluate("(dir) => { document.documentElement.dir = dir; }", direction)
        for width in widths:
            page.set_viewport_size({"width": width, "height": 800})
            page.evaluate(RESTED)
            if found := page.evaluate(FLAWS):
                wrong[f"{direction} {width}"] = found
    page.evaluate("() => { document.documentElement.dir = 'ltr'; }")
    page.set_viewport_size({"width": 1360, "height": 800})
    return wrong


# Times, ports and names of sessions are of one run.
STILL = """async () => {
  const isSeen = ({ top, bottom }) => bottom > 0 && top < innerHeight;
  const coming = [...document.images]
    .filter((image) => !image.complete && isSeen(image.getBoundingClientRect()));
  await Promise.all(coming.map((image) => image.decode().catch(() => undefined)));
  const still = (text) => text
    .replace(/\\b\\d+(\\.\\d+)? m?s\\b/g, "0 ms")
    .replace(/\\b\\d{1,2}:\\d\\d\\b/g, "0:00")
    .replace(/127\\.0\\.0\\.1:\\d+/g, "host")
    .replace(/session=[\\w-]+/g, "session=it");
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = still(walk.currentNode.data);
    if (text !== walk.currentNode.data) walk.currentNode.data = text;
  }
  for (const field of document.querySelectorAll("input[readonly]"))
    field.value = still(field.value);
}"""


def take_pictures(page: Page, state: str, folder: Path) -> None:
    """The state in both themes and four widths."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for width in (375, 768, 1360, 2560):
            page.set_viewport_size({"width": width, "height": 800})
            page.evaluate(RESTED)
            page.evaluate(STILL)
            name = re.sub(r"\W+", "-", f"{state}-{width}-{theme}")
            page.screenshot(path=folder / f"{name}.png", animations="disabled", caret="hide")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1360, "height": 800})


@pytest.fixture
def fits() -> Iterator[Fits]:
    """Looks at the page as it is now, in each width, from left to right and from right.

    All that is wrong is told at the end of the test.
    """
    told: list[str] = []

    def look(page: Page, state: str) -> None:
        if folder := os.environ.get("RELOOK_LOOKS"):
            take_pictures(page, state, Path(folder))
        for at, flaws in flaws_of(page).items():
            told.extend(f"{state}, {at}: {flaw}" for flaw in flaws)

    yield look
    assert not told, "\n".join(told)


def opened(open_page: OpenPage, path: str = "/?library=colours") -> Page:
    page = open_page(path, viewport={"width": 1360, "height": 800}, reduced_motion="reduce")
    page.locator(".tile img.ready").first.wait_for()
    return page


def marked(open_page: OpenPage) -> Page:
    """A search with long words, marks, a box with its words, and a second page."""
    page = opened(open_page)
    search(page, f"red {LONG} -blue")
    page.locator(".photo").nth(0).click()
    page.locator(".photo").nth(1).click(modifiers=["Shift"])
    page.locator("#side .primary").click()
    expect(page.locator(".history button")).to_have_count(2)
    drag(page, ".photo", (0.2, 0.2, 0.7, 0.8))
    page.locator(".boxbar .yes").click()
    expect(page.locator(".mark .chip")).to_have_text(CAPTION)
    page.locator(".mark .chip").click()
    page.get_by_label("Caption of this box").fill(LONG)
    page.keyboard.press("Enter")
    expect(page.locator(".mark .chip")).to_have_text(LONG)
    return page


def test_a_flaw_that_is_planted_is_found(open_page: OpenPage) -> None:
    page = opened(open_page)
    plant = """(style) => {
      const button = document.querySelector(".search-go");
      button.style.cssText = style;
    }"""
    for style, flaw in (
        ("width: 20px; padding: 0", "runs out of its box"),
        ("width: 20px; padding: 0; font-size: 6px", "too small to touch"),
        ("position: fixed; left: 2px; top: 2px", "is covered"),
        ("position: fixed; right: -30px", "leaves the window"),
    ):
        page.evaluate(plant, style)
        found = " ".join(page.evaluate(FLAWS))
        assert flaw in found, (style, found)


def test_the_start_and_what_opens_there(open_page: OpenPage, fits: Fits) -> None:
    page = opened(open_page)
    search(page, f"red {LONG}")
    page.goto(page.url.partition("/?")[0] + "/?library=colours")
    page.locator(".tile img.ready").first.wait_for()
    fits(page, "start")
    page.get_by_role("searchbox").click()
    expect(page.locator(".suggest")).to_be_visible()
    fits(page, "suggestions")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Filters").click()
    fits(page, "filters")
    page.get_by_role("button", name="Filters").click()
    page.evaluate(LONGER)
    fits(page, "start in longer words")


def test_what_stands_in_the_fields_of_filters_is_whole_on_a_phone(open_page: OpenPage) -> None:
    page = opened(open_page)
    page.set_viewport_size({"width": 375, "height": 800})
    page.get_by_role("button", name="Filters").click()
    cut = page.locator("#filters input[placeholder]").evaluate_all(
        """fields => fields.filter((field) => {
          const { font, paddingLeft, paddingRight } = getComputedStyle(field);
          const pen = document.createElement("canvas").getContext("2d");
          pen.font = font;
          const room = field.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
          return pen.measureText(field.placeholder).width > room;
        }).map((field) => field.placeholder)"""
    )
    assert cut == []


def test_the_search_box_is_one_line(open_page: OpenPage) -> None:
    page = opened(open_page)
    page.locator("#open-library .name").evaluate(f"name => {{ name.textContent = '{LONG}'; }}")
    for width in (*WIDTHS["ltr"], 700, 730, 950, 965, 1150, 1165):
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate(RESTED)
        high = page.locator(".search-box").evaluate("box => box.getBoundingClientRect().height")
        assert high < 60, width


def test_a_page_with_marks(open_page: OpenPage, fits: Fits) -> None:
    page = marked(open_page)
    fits(page, "marks")
    page.evaluate("() => document.getElementById('side').classList.add('up')")
    fits(page, "marks as a sheet")
    page.get_by_role("button", name="What did this mark do?").first.click()
    expect(page.locator(".mark-more .note").last).not_to_contain_text("Working it out")
    fits(page, "influence")
    page.evaluate("() => document.getElementById('side').classList.remove('up')")
    page.get_by_role("button", name="Share").click()
    fits(page, "share")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="View", exact=True).click()
    fits(page, "view")
    page.keyboard.press("Escape")
    page.evaluate("() => dispatchEvent(new Event('relook:offline'))")
    fits(page, "no server")
    page.evaluate(LONGER)
    fits(page, "marks in longer words")


def test_the_larger_view(open_page: OpenPage, fits: Fits) -> None:
    page = marked(open_page)
    page.locator(".photo").nth(0).focus()
    page.keyboard.press("o")
    page.keyboard.press("w")
    expect(page.locator(".viewer .reason").first).to_be_visible()
    page.keyboard.press("t")
    expect(page.locator(".heat-legend")).to_be_visible()
    expect(page.locator(".heat-button")).to_have_attribute("aria-busy", "false")
    page.keyboard.press("+")
    fits(page, "larger view")
    page.evaluate(LONGER)
    fits(page, "larger view in longer words")


@pytest.mark.parametrize("sheet", ["library", "browse", "ask", "help"])
def test_the_sheets(open_page: OpenPage, fits: Fits, sheet: str) -> None:
    page = marked(open_page)
    page.locator(f"#open-{sheet}").click()
    expect(page.locator("dialog[open]")).to_be_visible()
    if sheet == "library":
        expect(page.locator(".session-list li").first).to_be_visible()
        page.get_by_role("button", name="Choose …").click()
        expect(page.locator(".folder-choices button").first).to_be_visible()
    elif sheet == "browse":
        expect(page.locator(".pick li").first).to_be_visible()
    elif sheet == "ask":
        expect(page.get_by_label("Answered by")).to_be_visible()
    fits(page, sheet)
    page.evaluate(LONGER)
    fits(page, f"{sheet} in longer words")


def test_empty_results_and_failures(open_page: OpenPage, fits: Fits) -> None:
    page = opened(open_page)
    page.get_by_role("searchbox").fill(f"red {LONG}")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Path", exact=True).fill("nowhere")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".more")).to_contain_text("Nothing was found")
    fits(page, "nothing found")
    page = open_page("/?session=nosuchsession", allow=("404",))
    expect(page.locator(".state")).to_contain_text("nosuchsession")
    fits(page, "failure")


def test_what_is_pressed_is_told_in_forced_colours(open_page: OpenPage) -> None:
    page = open_page("/?library=colours", forced_colors="active")
    search(page, "red")
    page.locator(".photo").nth(0).click()
    page.locator(".photo").nth(0).focus()
    page.keyboard.press("o")
    looks = """(selector) => {
      const { backgroundColor, borderTopColor, outlineStyle, color } =
        getComputedStyle(document.querySelector(selector));
      return [backgroundColor, borderTopColor, outlineStyle, color].join();
    }"""
    pressed = page.evaluate(looks, ".view-signs [aria-pressed=true]")
    assert pressed != page.evaluate(looks, ".view-signs [aria-pressed=false]")
    page.keyboard.press("Escape")
    ring = page.evaluate(looks, ".tile.marked-relevant .photo")
    assert ring != page.evaluate(looks, ".tile:not(.marked-relevant) .photo")
