"""The page with the Ask panel open, on a server that has models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from relook.testing.chat_server import ChatServer, chat_server, say

from .ask_site import Asking, asking_site
from .conftest import search

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def chat() -> Iterator[ChatServer]:
    with chat_server(say("Hm.")) as server:
        yield server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, chat: ChatServer) -> Iterator[Asking]:
    """Instead of the package's: a server with models and a recorded web search."""
    with asking_site(tmp_path_factory.mktemp("ask"), chat) as running:
        yield running


@pytest.fixture
def open_ask(open_page: OpenPage, chat: ChatServer) -> Callable[..., tuple[Page, Locator]]:
    """The page with the panel open for the red picture."""
    chat.requests.clear()

    def visit(*, web: bool = False, model: str = "", **options: Any) -> tuple[Page, Locator]:
        page = open_page("/", **options)
        search(page, "red")
        page.locator(".photo").nth(0).focus()
        page.keyboard.press("a")
        panel = page.get_by_role("dialog", name="Ask about a picture")
        expect(panel.get_by_label("Answered by")).to_be_visible()
        if web:
            panel.get_by_label(re.compile("^replay: web.jsonl")).check()
        if model:
            panel.get_by_label("Answered by").select_option(label=model)
        return page, panel

    return visit


def ask(panel: Locator, question: str) -> None:
    panel.get_by_label("Your question").fill(question)
    panel.get_by_label("Your question").press("Enter")


def posted(page: Page) -> list[dict[str, Any]]:
    """Bodies of the questions that the page sends from now on."""
    bodies: list[dict[str, Any]] = []

    def hear(request: Any) -> None:
        if request.method == "POST" and request.url.endswith("/api/v1/ask"):
            bodies.append(json.loads(request.post_data))

    page.on("request", hear)
    return bodies
