"""axe-core finds no serious or critical violation in any main view.

Its file comes with the Python package `axe-playwright-python`, so a fresh clone has it: these
tests are never left out where the page is tested at all.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .ask_answers import answered, item, serve_answer, without
from .conftest import CAPTION, drag, search, settle, take

OpenPage = Callable[..., Page]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CONTRAST = ["color-contrast"]  # all that a theme can change
RUN = """async (runOnly) => {
  const told = await axe.run(document, { runOnly, resultTypes: ["violations"] });
  return told.violations.map(({ id, impact, nodes }) => [
    id, impact, nodes.slice(0, 3).map((one) => `${one.html.slice(0, 160)} ${one.failureSummary}`),
  ]);
}"""
VIEWS = {
    "desk": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 375, "height": 720}, "has_touch": True, "is_mobile": True},
}


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core."""
    found = importlib.util.find_spec("axe_playwright_python")
    assert found is not None, "pip install 'relook[dev]' brings axe-core"
    assert found.origin is not None
    source = Path(found.origin).with_name("axe.min.js").read_text("utf-8")
    version = re.search(r"axe v(\d+)\.", source)
    assert version is not None
    assert int(version[1]) >= 4
    return source


@pytest.fixture
def violations(axe: str) -> Callable[[Page], list[Any]]:
    """What is wrong with a page now, and serious, in both themes; it is looked at at rest."""

    def look(page: Page) -> list[Any]:
        page.emulate_media(reduced_motion="reduce")  # colours that fade have none of their own
        settle(page, 200)
        if not page.evaluate("'axe' in window"):
            page.evaluate(axe)
        found: list[Any] = page.evaluate(RUN, RULES)
        page.emulate_media(color_scheme="dark")
        found += page.evaluate(RUN, CONTRAST)
        page.emulate_media(color_scheme="light")
        return [violation for violation in found if violation[1] in ("serious", "critical")]

    return look


def test_axe_finds_what_is_planted(open_page: OpenPage, violations: Any) -> None:
    """A view without a violation says nothing unless the same look finds one."""
    page = open_page()
    page.locator(".tile img.ready").first.wait_for()
    page.evaluate("document.querySelector('.search-go').innerHTML = ''")
    assert [violation[0] for violation in violations(page)] == ["button-name"]


def test_axe_finds_what_is_planted_in_the_dark(open_page: OpenPage, violations: Any) -> None:
    page = open_page()
    page.locator(".tile img.ready").first.wait_for()
    page.evaluate(
        """() => {
          const planted = new CSSStyleSheet();
          const grey = ".search-go { color: #777; background: #888; }";
          planted.insertRule(`@media (prefers-color-scheme: dark) { ${grey} }`);
          document.adoptedStyleSheets = [planted];
        }"""
    )
    assert [violation[0] for violation in violations(page)] == ["color-contrast"]


@pytest.mark.parametrize("look", VIEWS)
def test_the_search_has_no_serious_violation(
    open_page: OpenPage, violations: Any, look: str
) -> None:
    page = open_page("/?library=colours", **VIEWS[look])
    page.locator(".tile img.ready").first.wait_for()
    assert violations(page) == []  # the start page
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Path", exact=True).fill("e")
    assert violations(page) == []
    search(page, "red -blue")
    page.locator(".photo").nth(0).click()
    page.locator(".tile").nth(1).get_by_role("button", name="Irrelevant").click(force=True)
    page.locator(".photo").nth(2).focus()
    page.keyboard.press("b")
    assert violations(page) == []  # a box without a sign
    page.keyboard.press("r")
    tray = page.locator("#side")
    if look == "phone":
        page.locator("#dock .button").click()
    expect(tray.locator(".chip")).to_have_text(CAPTION)
    tray.get_by_role("button", name="What did this mark do?").first.click()
    expect(tray.locator(".mark-more")).to_contain_text(re.compile("Moved|moved nothing"))
    assert violations(page) == []  # the list of marks
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.locator("#dock .primary" if look == "phone" else "#side .primary").click()
    expect(page.locator(".history button")).to_have_count(2)
    assert violations(page) == []  # the page after looking again


@pytest.mark.parametrize("look", VIEWS)
def test_what_opens_over_the_page_has_no_serious_violation(
    open_page: OpenPage, violations: Any, look: str
) -> None:
    allow = ("Failed to load resource",)  # at its end the server is taken away
    page = open_page("/?library=colours", allow, **VIEWS[look])
    search(page, "red")
    page.locator(".photo").nth(0).click()
    page.locator(".photo").nth(1).focus()
    page.keyboard.press("w")
    expect(page.locator(".viewer .reason").first).to_be_visible()
    page.keyboard.press("t")
    expect(page.locator(".view-photo canvas.heat")).to_be_visible()
    drag(page, ".view-photo", (0.3, 0.3, 0.6, 0.6))
    expect(page.locator(".viewer .box.draft")).to_have_count(1)
    page.keyboard.press("r")
    expect(page.locator(".viewer .box.relevant")).to_have_count(1)
    assert violations(page) == []  # the larger view with a box
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert violations(page) == []  # the keyboard commands
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Share").click()
    assert violations(page) == []  # a menu
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("^colours")).click()
    expect(page.locator(".skipped-list")).to_contain_text("notes.jpg")
    expect(page.locator(".session-list li").first).to_be_visible()
    assert violations(page) == []  # the library view
    page.keyboard.press("Escape")
    take(page, "**/api/**", lambda route: route.abort())
    page.evaluate("window.dispatchEvent(new Event('relook:offline'))")
    expect(page.locator("#connection")).to_be_visible()
    assert violations(page) == []  # without a server


@pytest.mark.parametrize("look", VIEWS)
def test_the_ask_panel_has_no_serious_violation(
    open_page: OpenPage, violations: Any, look: str
) -> None:
    allow = ("Failed to load resource",)  # at its end the server is taken away
    page = open_page("/?library=colours", allow, **VIEWS[look])
    page.locator(".tile img.ready").first.wait_for()
    page.get_by_role("button", name="Ask", exact=True).click()
    panel = page.get_by_role("dialog", name="Ask about a picture")
    expect(panel.get_by_label("Answered by")).to_be_visible()
    assert violations(page) == []  # without a picture
    page.keyboard.press("Escape")
    page.locator(".photo").nth(0).focus()
    page.locator(".tile").nth(0).locator(".tools .ask").dispatch_event("click")
    panel.get_by_label("Your question").press("Enter")
    expect(panel.locator(".ask-sent")).to_contain_text("Nothing was sent")
    panel.get_by_role("button", name="Strike out evidence 1").click()
    panel.get_by_role("button", name="Pin evidence 2").click()
    assert violations(page) == []  # an answer, with evidence struck out and pinned
    items = [item(1, "Rila", page_url="https://a.example/", similarity=0.5, text="word " * 90)]
    sent = [{"host": "api.example.com", "n_bytes": 54000, "what": "the picture"}]
    beside = without("A church.", finish="length")
    serve_answer(page, answered("Rila [1].", items, sent=sent, without=beside, invented=[7]))
    panel.locator(".ask-form .primary").click()
    expect(panel.locator(".ask-two")).to_be_visible()
    panel.locator(".ask-how summary").click()
    panel.locator(".cite").click()
    assert violations(page) == []  # both versions, a flag, a link, what was sent
    page.unroute("**/api/v1/ask")
    take(page, "**/api/v1/ask", lambda route: route.abort())
    panel.locator(".ask-form .primary").click()
    expect(panel.get_by_role("alert")).to_be_visible()
    assert violations(page) == []  # a failure
