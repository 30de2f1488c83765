"""Answers in the API's own form, for what a small server of a test does not say."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page

from .conftest import take

EVIL = "<img src=x onerror=window.hurt=1><script>window.hurt=1</script>"


def item(number: int, title: str, **more: Any) -> dict[str, Any]:
    """One piece of evidence."""
    return {
        "number": number, "kind": "page", "title": title, "source": "", "page_url": "",
        "image_url": "", "thumbnail_url": "https://elsewhere.example/a.jpg", "text": "", "date": "",
        "similarity": None, "rank": 0, "image_id": None, "metadata": {}, "thumbnail": None,
        "providers": ["web"], "others": [], "page_text": "", "pinned": False, "struck": False,
        **more,
    }  # fmt: skip


def answered(text: str, items: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A whole answer."""
    return {
        **_written(text),
        "ask_id": "a1", "question": "What?", "answerer": "openai", "when": "always", "why": "",
        "without": None, "sent": [], "stages": {"model": 0.4}, "took_s": 0.5,
        "evidence": {"items": items, "notes": [], "providers": []},
        **more,
    }  # fmt: skip


def without(text: str, **more: Any) -> dict[str, Any]:
    """The answer beside it."""
    return {**_written(text), **more}


def _written(text: str) -> dict[str, Any]:
    return {
        "text": text, "citations": [], "invented": [], "finish": "done", "model": "tiny",
        "usage": {"prompt_tokens": 9, "completion_tokens": 3}, "notes": [],
        "prompt": {"system": "s", "parts": [{"text": "the evidence"}]},
    }  # fmt: skip


def serve_answer(page: Page, answer: dict[str, Any]) -> None:
    """Has the page get this answer to whatever it asks."""
    body = f"event: answer\ndata: {json.dumps(answer)}\n\n"
    headers = {"content-type": "text/event-stream"}

    def fulfil(route: Any) -> None:
        if route.request.method == "POST":
            route.fulfill(body=body, headers=headers)
        else:
            route.fallback()

    take(page, "**/api/v1/ask", fulfil)
