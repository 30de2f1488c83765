"""The window of a session in an agent's program: the agent proposes, the person decides."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

import relook
from relook.mcp import McpState
from relook.testing import ColourEncoder

from .conftest import until, write_pictures
from .mcp_host import AgentHost

FEW = 12


@pytest.fixture(scope="module")
def agent_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("window")
    write_pictures(folder / "pictures")
    with relook.Library(folder / "library", encoder=ColourEncoder()) as library:
        library.add(folder / "pictures")
    return folder / "library"


@pytest.fixture
def host(agent_library: Path, browser: Browser) -> Iterator[AgentHost]:
    """A program whose windows do nothing that the extension forbids."""
    library = relook.Library(agent_library, encoder=ColourEncoder())
    state = McpState([library], caption=lambda crop, about: "a patch")
    made = AgentHost(browser, state)
    try:
        yield made
        made.close()
        assert made.troubles == []
    finally:
        state.close()


def begin(host: AgentHost) -> tuple[str, list[int]]:
    page = host.call("begin_session", words="red", limit=FEW)["structuredContent"]
    return page["session_id"], [hit["image_id"] for hit in page["hits"]]


def marks_of(host: AgentHost, session_id: str) -> list[tuple[int, bool, bool]]:
    """Image, sign, and whether it is a box, of what the library has."""
    session = host.call("show_session", session_id=session_id)["structuredContent"]
    return [(mark["image_id"], mark["relevant"], mark["box"] is not None)
            for mark in session["judgements"]]  # fmt: skip


def in_window(page: Page) -> Any:
    return page.frames[1]


def accessible(page: Page) -> list[str]:
    """What axe-core has against the window."""
    found = importlib.util.find_spec("axe_playwright_python")
    assert found is not None
    assert found.origin is not None
    in_window(page).evaluate(Path(found.origin).with_name("axe.min.js").read_text("utf-8"))
    run = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
      .filter((found) => ["serious", "critical"].includes(found.impact))
      .map((found) => `${found.id} ${found.nodes[0].html.slice(0, 200)}`)"""
    return list(in_window(page).evaluate(run))


def pictures_came(page: Page, window: FrameLocator, n: int) -> None:
    expect(window.locator(".grid .tile")).to_have_count(n)
    window.locator(".grid .tile").first.scroll_into_view_if_needed()
    until(in_window(page), "() => document.querySelector('.grid img').naturalWidth > 8")


def rewritten(host: AgentHost, page: Page, window: FrameLocator, session_id: str) -> list[str]:
    """The words of boxes that the library has, after the person has changed some."""
    window.get_by_role("button", name="Caption: the edge. Edit").click()
    window.get_by_label("Caption of this box").fill("a red edge")
    window.get_by_label("Caption of this box").press("Enter")
    expect(window.locator(".window-list .mark .chip")).to_have_text("a red edge")
    until(page, "() => log.called.at(-1)[0] === 'change_judgement'")
    session = host.call("show_session", session_id=session_id)["structuredContent"]
    return [mark["caption"] for mark in session["judgements"] if mark["box"]]


def test_the_person_decides_about_proposals_and_looks_again(host: AgentHost) -> None:
    session_id, ids = begin(host)
    marks = [
        {"image_id": ids[7], "reason": "there is red in it"},
        {"image_id": ids[4], "relevant": False, "box": [0.1, 0.1, 0.6, 0.6], "caption": "a spot"},
        {"image_id": ids[5], "box": [0.0, 0.0, 0.5, 0.5], "caption": "the edge"},
    ]
    page, window = host.open("propose_marks", session_id=session_id, marks=marks)
    pictures_came(page, window, FEW)
    cards = window.locator(".proposal")
    expect(cards).to_have_count(3)
    expect(cards.first).to_contain_text("there is red in it")
    expect(cards.first).to_contain_text("Would do: ")
    expect(window.locator(".grid .proposed-box")).to_have_count(2)
    assert marks_of(host, session_id) == []
    assert accessible(page) == []
    cards.first.locator("summary").click()
    until(in_window(page), "() => document.querySelector('.strip img')?.naturalWidth > 8")

    cards.first.get_by_role("button", name="Accept").click()
    cards.first.get_by_role("button", name="Veto").click()
    cards.first.get_by_role("button", name="Accept").click()
    expect(window.locator("#proposals")).to_be_hidden()
    window.locator(f".tile[data-id='{ids[2]}'] .photo").click(modifiers=["Shift"])
    expect(window.locator(".window-list .mark")).to_have_count(3)
    until(page, "() => log.contexts.at(-1)?.includes('vetoed')")

    window.get_by_role("button", name="Look again", exact=True).click()
    expect(window.get_by_role("heading", level=1)).to_contain_text("page 2")
    made = [(ids[7], True, False), (ids[5], True, True), (ids[2], False, False)]
    assert marks_of(host, session_id) == made
    asked = page.evaluate("log.called.filter(([name]) => name === 'look_again')")
    assert asked == [["look_again", {"session_id": session_id, "library_id": "library"}]]
    until(page, "() => log.contexts.at(-1).includes('page 2')")
    told = page.evaluate("log.contexts.at(-1)")
    assert f"image {ids[4]} box 0.10 0.10 0.60 0.60 irrelevant: vetoed" in told

    assert rewritten(host, page, window, session_id) == ["a red edge"]

    window.get_by_role("button", name="Take this mark back").last.click()
    expect(window.locator(".window-list .mark")).to_have_count(2)
    until(page, "() => log.called.at(-1)[0] === 'take_back'")
    page.evaluate("change({ theme: 'dark' })")
    until(in_window(page), "() => getComputedStyle(document.body).colorScheme === 'dark'")
    assert accessible(page) == []
    height = in_window(page).evaluate("Math.ceil(document.body.getBoundingClientRect().height)")
    until(page, f"() => log.sizes.at(-1) === {height}")

    page.evaluate("forbid('look_again')")
    window.get_by_role("button", name="Look again", exact=True).click()
    expect(window.locator(".toast.bad")).to_contain_text("look_again is not for the window")
    page.evaluate("again()")
    later = window.locator(".window-later")
    expect(later).to_contain_text("This session has gone on: page 2 is the current one.")
    expect(window.get_by_role("heading", level=1)).to_contain_text("the first page")
    later.get_by_role("button", name="Show it").click()
    expect(window.get_by_role("heading", level=1)).to_contain_text("page 2")
    expect(window.locator(".window-list .mark")).to_have_count(2)


def test_a_search_is_marked_with_the_keyboard_on_a_narrow_window(host: AgentHost) -> None:
    page, window = host.open("search", theme="dark", width_px=375, words="blue", limit=FEW)
    pictures_came(page, window, FEW)
    window.get_by_role("button", name="Mark pictures").press("Enter")
    expect(window.get_by_role("heading", level=1)).to_contain_text("the first page")
    first, second = (window.locator(".grid .tile").nth(at) for at in (0, 1))
    first.locator(".photo").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("r")
    expect(second.locator(".badge.relevant")).to_be_visible()
    for key in ("b", "ArrowRight", "Alt+ArrowDown", "i", "e"):
        page.keyboard.press(key)
    expect(window.get_by_label("Caption of this box")).to_be_focused()
    for key in ("Escape", "Escape"):
        page.keyboard.press(key)
    expect(second.locator(".box.irrelevant")).to_be_visible()
    page.keyboard.press("w")
    expect(window.locator(".detail .reason").first).to_be_visible()
    assert in_window(page).evaluate("document.documentElement.scrollWidth") == 375
    page.keyboard.press("Escape")
    expect(window.locator(".detail")).to_have_count(0)
    session_id = page.evaluate("log.called.find(([name]) => name === 'judge')[1].session_id")
    image_id = int(second.get_attribute("data-id") or 0)
    page.keyboard.press("Enter")
    expect(window.get_by_role("heading", level=1)).to_contain_text("page 2")
    assert marks_of(host, session_id) == [(image_id, True, False), (image_id, False, True)]
