"""Words that stand in pictures, on the page: found, and outlined where they stand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import search

OpenPage = Callable[..., Page]


def test_words_of_the_query_are_outlined_where_they_stand(open_page: OpenPage) -> None:
    page = open_page("/?library=colours")
    search(page, 'text:"farm shop"')
    expect(page.locator(".tile")).to_have_count(1)
    expect(page.locator("#bar .part").first).to_contain_text('text:"farm shop"')
    _stand_right(page.locator(".tile"))
    page.locator(".photo").first.focus()
    page.keyboard.press("o")
    expect(page.locator(".viewer .view-facts")).to_contain_text("FARM Shop")
    _stand_right(page.locator(".viewer .view-photo"))


def _stand_right(picture: Locator) -> None:
    outlines = picture.locator(".written > span")
    expect(outlines).to_have_count(2)
    whole, first = picture.bounding_box(), outlines.first.bounding_box()
    assert whole is not None
    assert first is not None
    left, right = whole["x"] + 0.1 * whole["width"], whole["x"] + 0.4 * whole["width"]
    assert first["x"] == pytest.approx(left, abs=6)
    assert first["x"] + first["width"] == pytest.approx(right, abs=6)
    assert first["y"] == pytest.approx(whole["y"] + 0.2 * whole["height"], abs=6)
