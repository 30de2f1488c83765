"""The main jobs in Firefox, where there is one: `browser.sh` leaves this file out elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import CAPTION, PATIENCE_MS, WATCH, Site
from .firefox import ENTER, ESCAPE, FirefoxPage, installed, started


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirefoxPage]:
    path = installed()
    if path is None:
        pytest.fail("no Firefox; on Debian: apt-get install firefox-esr", pytrace=False)
    with started(path, tmp_path_factory.mktemp("firefox"), PATIENCE_MS / 1000) as page:
        page.watch(WATCH)
        yield page


@pytest.fixture
def page(firefox: FirefoxPage, site: Site) -> Iterator[FirefoxPage]:
    """The start page; afterwards nothing may have gone wrong in it."""
    firefox.troubles.clear()
    firefox.open(site.address)
    yield firefox
    assert [*firefox.troubles, *firefox.run("() => window.violations")] == []


def search(page: FirefoxPage, words: str) -> None:
    page.click("input[name=q]")
    page.press(words + ENTER)
    page.text("#bar .part", words)
    page.see(".tile img.ready")


def test_words_marks_and_boxes_make_the_next_page(page: FirefoxPage) -> None:
    search(page, "red")
    page.click(".tile:nth-child(2) .photo")
    page.see(".tile:nth-child(2).marked-relevant")
    page.drag(".tile .photo", ((0.2, 0.2), (0.4, 0.5), (0.7, 0.8)))
    page.click(".boxbar .yes")
    page.text(".mark .chip", CAPTION)
    page.click(".mark .chip")
    page.run("() => document.querySelector('.chip-edit').select()")
    page.press(f"my own words{ENTER}")
    page.text(".mark .chip", "my own words")
    page.run("() => document.querySelector('.tile .photo').focus()")
    page.press(ENTER)
    page.text(".history [aria-current]", "2")
    page.text("#bar h1", "page 2")


def test_the_keyboard_looks_closer_marks_and_leaves(page: FirefoxPage) -> None:
    search(page, "green")
    page.run("() => document.querySelector('.tile .photo').focus()")
    page.press("o")
    page.see(".viewer .view-photo img")
    page.press("r")
    page.see(".tile.marked-relevant")
    page.press(ESCAPE)
    page.until("() => !document.querySelector('.viewer')?.checkVisibility()")
    page.press("?")
    page.see("dialog[open]")


def test_a_picture_is_asked_about(page: FirefoxPage) -> None:
    search(page, "blue")
    page.run("() => document.querySelector('.tile .photo').focus()")
    page.press("a")
    page.see("#ask-model, label[for=ask-model]")
    page.press("What is this?" + ENTER)  # the field for the question has the keyboard
    page.text(".ask-answer", "No model was asked.")
    page.see(".card img")
