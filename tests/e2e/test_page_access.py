"""Keyboard, touch, narrow screens, contrast, names: the page is for everybody."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from .conftest import CAPTION, edges_of, search, session_of, settle, shown

OpenPage = Callable[..., Page]

# WCAG 2.2, 1.4.3: relative luminance and contrast of an element's text on what lies behind it.
CONTRAST = """(selectors) => {
  const scratch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    scratch.clearRect(0, 0, 1, 1);
    scratch.fillStyle = colour;
    scratch.fillRect(0, 0, 1, 1);
    return [...scratch.getImageData(0, 0, 1, 1).data];
  };
  const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255)
    + 0.0722 * channel(b / 255);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] > 250) return colour;
      // A veil over a photograph: at its worst, the photograph is white.
      const veil = colour[3] / 255;
      if (veil > 0.5) return colour.map((v) => v * veil + 255 * (1 - veil));
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  for (const selector of selectors) for (const one of document.querySelectorAll(selector)) {
    if (!one.checkVisibility()) continue;
    const [a, b] = [light(rgba(getComputedStyle(one).color)), light(ground(one))];
    found.push([selector, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
  }
  return found;
}"""
TEXTS = [
    ".brand", "#open-library", "#open-library .count", ".search-go", "input[type=search]",
    ".part", ".part .sign", ".summary", ".segmented button", ".history button", ".side h2",
    ".tray-group > h3", ".mark strong", ".mark-name", ".chip", ".side-foot .primary", ".check",
    ".quiet", ".boxbar button", ".more p", ".moved",
]  # fmt: skip


def test_the_main_job_with_the_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page()
    page.locator(".tile img.ready").first.wait_for()
    press = page.keyboard.press
    press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("magenta")
    press("Enter")
    expect(page.locator(".photo").first).to_be_focused()
    before = shown(page)
    press("r")
    press("ArrowRight")
    press("i")
    press("l")
    press("b")  # a box, put where it belongs, then its sign
    press("ArrowRight")
    press("Shift+ArrowDown")
    press("Alt+Shift+ArrowRight")
    press("r")
    expect(page.locator(".mark .chip")).to_have_text(CAPTION)
    press("e")
    page.keyboard.type("a corner")
    press("Enter")
    expect(page.locator(".mark .chip")).to_have_text("a corner")
    marks = session_of(page)["judgements"]
    assert [(str(one["image_id"]), one["relevant"]) for one in marks] == [
        (before[0], True), (before[1], False), (before[2], True),
    ]  # fmt: skip
    box = marks[2]["box"]
    assert box[0] > 0.3
    assert box[1] > 0.33
    assert box[2] - box[0] > 0.42
    press("Escape")
    page.locator(".photo[tabindex='0']").focus()
    press("Enter")
    expect(page.locator(".history [aria-current]")).to_have_text("2")
    expect(page.locator(".photo").first).to_be_focused()
    assert not set(before[:3]) & set(shown(page))
    press("x")
    expect(page.locator(".summary")).to_contain_text("the page before")
    press("z")
    expect(page.locator(".mark")).to_have_count(3)
    press("?")
    expect(page.get_by_role("dialog", name="Keyboard commands")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard commands")).to_be_hidden()


def test_single_keys_can_be_switched_off(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red")
    page.keyboard.press("?")
    page.get_by_label("Single keys give commands").uncheck()
    page.keyboard.press("Escape")
    page.locator(".photo").first.focus()
    page.keyboard.press("r")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".photo").nth(1)).to_be_focused()
    expect(page.locator(".mark")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(open_page: OpenPage, scheme: str) -> None:
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    search(page, "red -blue")
    page.locator(".photo").nth(0).click()
    page.locator(".photo").nth(1).click(modifiers=["Shift"])
    page.locator("#side .primary").click()
    expect(page.locator(".history button")).to_have_count(2)
    page.locator(".photo").nth(2).focus()
    page.keyboard.press("b")
    page.keyboard.press("r")
    expect(page.locator(".mark .chip")).to_have_text(CAPTION)
    settle(page, 150)
    found = page.evaluate(CONTRAST, TEXTS)
    assert {name for name, _ in found} >= {".brand", ".chip", ".mark-name", ".boxbar button"}
    assert [(name, round(ratio, 2)) for name, ratio in found if ratio < 4.5] == []
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (ground == "rgb(18, 19, 21)") == (scheme == "dark")


def test_a_phone_marks_by_touch(open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 375, "height": 720}, has_touch=True, is_mobile=True)
    search(page, "red")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".photo").nth(0).tap()
    page.locator(".tile").nth(1).get_by_role("button", name="Irrelevant").tap()
    expect(page.locator("#dock .button")).to_have_text("Marked 2")
    edges = edges_of(page, ".photo", 2)
    touch = page.context.new_cdp_session(page)
    x, y = edges["x"] + 30, edges["y"] + 30

    def finger(kind: str, dx: float = 0, dy: float = 0) -> None:
        points = [] if kind == "touchEnd" else [{"x": x + dx, "y": y + dy}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    finger("touchStart")
    settle(page, 450)  # a finger that rests draws; one that moves at once scrolls
    for step in range(1, 5):
        finger("touchMove", step * 15, step * 12)
    finger("touchEnd")
    expect(page.locator(".box.draft.selected")).to_have_count(1)
    page.locator(".boxbar .no").tap()
    expect(page.locator(".box.irrelevant")).to_have_count(1)
    page.locator("#dock .button").tap()
    expect(page.locator("#side.up .mark")).to_have_count(3)
    expect(page.locator("#side .chip")).to_have_text(CAPTION)
    page.locator("#dock .primary").tap()
    expect(page.locator(".history [aria-current]")).to_have_text("2")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_header_of_a_phone_takes_two_rows_and_says_what_to_type(open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 375, "height": 720}, has_touch=True, is_mobile=True)
    expect(page.locator("#open-library .count")).not_to_be_empty()
    page.locator("#open-library .name").evaluate(
        "one => { one.textContent = 'holidays-on-the-island-of-2019.relook'; }"
    )
    brand, help_, top = (edges_of(page, one) for one in (".brand", "#open-help", ".top"))
    assert abs(brand["y"] - help_["y"]) < 4  # one row, however long the library's name is
    assert help_["x"] + help_["width"] <= 375
    assert top["height"] <= 104  # what sticky parts below keep free
    room = page.get_by_role("searchbox").evaluate(
        """(field) => {
          const style = getComputedStyle(field);
          const brush = document.createElement("canvas").getContext("2d");
          brush.font = style.font;
          return field.clientWidth - parseFloat(style.paddingLeft)
            - brush.measureText(field.placeholder).width;
        }"""
    )
    assert room >= 0


def test_a_page_loads_one_script_and_one_style_sheet(open_page: OpenPage) -> None:
    """Seventy files would make the first page late."""
    page = open_page()
    page.locator(".tile img.ready").first.wait_for()
    names = page.evaluate("performance.getEntriesByType('resource').map((file) => file.name)")
    loaded = {urlsplit(name).path for name in names if name.endswith((".js", ".css"))}
    assert loaded == {"/static/index.js", "/static/index.css"}


def test_everything_that_can_be_pressed_has_a_name(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red")
    page.locator(".photo").nth(0).click()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, a, input, select")].filter((one) =>
          !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length))
          .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    expect(page.locator("#live")).to_have_text(re.compile("Picture relevant. 1 mark so far."))


def test_commands_of_the_larger_view_keep_the_keyboard_where_they_put_it(
    open_page: OpenPage,
) -> None:
    page = open_page()
    search(page, "red")
    page.locator(".photo").nth(1).focus()
    page.keyboard.press("o")
    page.keyboard.press("b")
    page.keyboard.press("r")
    expect(page.locator(".mark .chip")).to_have_text(CAPTION)
    page.keyboard.press("e")
    page.keyboard.type("a red corner")
    page.keyboard.press("Enter")
    expect(page.locator(".mark .chip")).to_have_text("a red corner")
    expect(page.locator(".viewer")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("blue")
    expect(page.get_by_role("searchbox")).to_have_value("blue")
    page.locator(".photo").nth(1).focus()
    page.keyboard.press("o")
    page.keyboard.press("Escape")  # leaves the box
    page.keyboard.press("Escape")
    expect(page.locator(".viewer")).to_be_hidden()
    expect(page.locator(".photo").nth(1)).to_be_focused()
