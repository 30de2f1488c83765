"""A library that an older encoder made is offered the present one, and goes over to it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

import relook
from relook.server import Server, ServerSettings, bind, create_app
from relook.testing import noise

from .conftest import PATIENCE_MS


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server over a library of the built-in encoder, of a revision that is not there any more."""
    (tmp_path / "pictures").mkdir()
    for seed in range(6):
        noise(seed).save(tmp_path / "pictures" / f"{seed}.png")
    folder = tmp_path / "old"
    with relook.Library(folder) as library:
        library.add(tmp_path / "pictures")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["fingerprint"] |= {"revision": "1", "weights": "gone"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    settings = ServerSettings(port=0, cache=tmp_path / "thumbnails")
    server = Server(create_app([relook.Library(folder)], settings))
    with bind(settings) as sock:
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        server.should_exit = True
        thread.join(600)


def test_the_library_view_offers_the_upgrade_and_shows_its_progress(
    browser: Browser, address: str
) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.locator("#open-library").click()
    offer = page.get_by_role("region", name="Upgrade")
    expect(offer).to_contain_text("Version 1 of the encoder made this library")
    expect(offer).to_contain_text(re.compile(r"6 pictures, about \d+ s"), timeout=PATIENCE_MS)
    offer.get_by_role("button", name="Upgrade").click()
    expect(page.get_by_text("Upgraded to builtin")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", name="Made by an older encoder")).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("searchbox", name="What to look for").fill("red")
    page.keyboard.press("Enter")
    expect(page.locator(".tile img.ready").first).to_be_visible(timeout=PATIENCE_MS)
    page.close()
