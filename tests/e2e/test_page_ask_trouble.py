"""The Ask panel when an answer fails, is stopped, breaks off, or comes while it is closed."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from relook.testing.chat_server import ChatServer, fail, say, trickle

from .ask_answers import answered, serve_answer
from .ask_panel import ask, chat, open_ask, site  # noqa: F401  (some are fixtures)
from .conftest import take


def test_a_failure_says_what_to_do_and_can_be_tried_again(open_ask: Any, chat: ChatServer) -> None:
    chat.behaviours[:] = [fail(400, "no pictures, please"), say("Now red [1].")]
    _, panel = open_ask(model="tiny")
    ask(panel, "Which colour?")
    trouble = panel.get_by_role("alert")
    expect(trouble).to_contain_text("no pictures, please")
    expect(panel.locator(".card").first).to_be_visible()  # what was found is not lost
    expect(panel.get_by_role("list", name="What goes on")).to_contain_text("7 matches")
    trouble.get_by_role("button", name="Try again").click()
    expect(panel.locator(".ask-answer .ask-text")).to_have_text("Now red 1.")
    expect(trouble).to_have_count(0)


@pytest.mark.parametrize("width", [1280, 375])
def test_an_answer_is_stopped(open_ask: Any, chat: ChatServer, width: int) -> None:
    chat.behaviours[:] = [trickle(0.02, 150)]
    _, panel = open_ask(model="tiny", viewport={"width": width, "height": 720})
    ask(panel, "Which colour?")
    expect(panel.locator(".ask-draft")).to_contain_text("la la")
    stop = panel.get_by_role("button", name="Stop")
    expect(stop).to_be_focused()
    expect(stop).to_be_in_viewport()
    stop.press("Enter")
    expect(panel.locator(".ask-failure")).to_contain_text("Stopped.")
    expect(panel.locator(".ask-form").get_by_role("button", name="Ask", exact=True)).to_be_focused()
    expect(panel.locator(".spinner")).to_have_count(0)


def test_a_lost_server_is_told_inside_the_panel(open_ask: Any) -> None:
    page, panel = open_ask(allow=("ERR_FAILED", "Failed to load resource"))
    take(page, "**/api/v1/ask", lambda route: route.abort())
    ask(panel, "Which colour?")
    expect(panel.get_by_role("alert")).to_contain_text("The Relook server does not answer.")
    page.unroute("**/api/v1/ask")
    panel.get_by_role("button", name="Try again").click()
    expect(panel.locator(".ask-answer")).to_contain_text("No model was asked.")


def test_nothing_found_is_told(open_ask: Any) -> None:
    page, panel = open_ask()
    serve_answer(page, answered("No model was asked, and there is no evidence to report.", []))
    ask(panel, "Which colour?")
    found = panel.get_by_role("region", name="Evidence")
    expect(found.get_by_role("heading")).to_have_text("Nothing was found")
    expect(found).to_contain_text("No provider knows the picture.")


def test_an_answer_comes_while_the_panel_is_closed(open_ask: Any, chat: ChatServer) -> None:
    chat.behaviours[:] = [trickle(0.02, 60)]
    page, panel = open_ask(model="tiny")
    ask(panel, "Which colour?")
    expect(panel.locator(".ask-draft")).to_contain_text("la la")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    page.locator(".toast", has_text="The answer is there.").get_by_role("button").first.click()
    expect(panel.locator(".ask-answer .ask-text")).to_contain_text("la la")


def test_an_answer_that_breaks_off_is_told(open_ask: Any) -> None:
    page, panel = open_ask()
    half = 'event: providers\ndata: {"names": ["library"]}\n\n'
    headers = {"content-type": "text/event-stream"}
    take(page, "**/api/v1/ask", lambda route: route.fulfill(body=half, headers=headers))
    ask(panel, "Which colour?")
    expect(panel.get_by_role("alert")).to_contain_text("broke off")
    expect(panel.locator(".stage-row.bad")).to_contain_text("your library")
