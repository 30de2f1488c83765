"""People at the page: signing in, what each may do, sessions that end, an invitation, links."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from people_parts import PASSWORD, Clock, library_of, people_of
from playwright.sync_api import Browser, Page, expect

import relook
from relook.people.people import People
from relook.people.rights import Right
from relook.server import Server, ServerSettings, bind, create_app

from .conftest import PATIENCE_MS, WATCH, until
from .test_page_axe import axe, violations  # noqa: F401  (fixtures)
from .test_page_fits import LONG, LONGER, Fits
from .test_page_fits import fits as fits_everywhere  # noqa: F401  (a fixture)

PHONE = {"viewport": {"width": 375, "height": 720}, "color_scheme": "dark"}
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return people_of(tmp_path_factory.mktemp("people"), Clock())


@pytest.fixture(scope="module")
def photos(people: People) -> relook.Library:
    return library_of(people.file.path.parent, "photos")


@pytest.fixture(scope="module")
def address(people: People, photos: relook.Library) -> Iterator[str]:
    folder = people.file.path.parent
    people.accounts.add("Vera", PASSWORD, {"*": Right.VIEW})
    settings = ServerSettings(
        port=0, cache=folder / "cache", people=people.file.path, home=False, timeout_s=600
    )
    app = create_app([photos], settings, people=people)
    with bind(settings) as sock:
        server = Server(app)
        thread = threading.Thread(target=server.run, args=([sock],), name="people")
        thread.start()
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        server.should_exit = True
        thread.join(600)


@pytest.fixture
def visit(address: str, browser: Browser) -> Iterator[Open]:
    """Opens the page in a browser of its own; afterwards nothing may have gone wrong in it."""
    contexts, troubles = [], []

    def opened(path: str = "/", **options: Any) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(WATCH)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(f"exception: {error}"))
        page.goto(address + path)
        return page

    yield opened
    for context in contexts:
        for page in context.pages:
            troubles += page.evaluate("window.violations")
        context.close()
    assert troubles == []


def sign_in(page: Page, name: str, password: str) -> None:
    dialog = page.get_by_role("dialog", name="Sign in")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def fits(page: Page) -> bool:
    width: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return width


def test_a_viewer_signs_in_looks_and_goes_on_after_the_session_has_ended(
    visit: Open, people: People, violations: Callable[[Page], list[Any]]
) -> None:
    page = visit(viewport={"width": 1280, "height": 800})
    dialog = page.get_by_role("dialog", name="Sign in")
    expect(dialog.get_by_label("Name")).to_be_focused()
    sign_in(page, "vera", "wrong password")
    expect(dialog.get_by_role("alert")).to_contain_text("nobody of this name with this password")
    assert violations(page) == []
    sign_in(page, "vera", PASSWORD)
    expect(dialog).to_be_hidden()
    page.locator(".tile img.ready").first.wait_for()
    expect(page.locator("#open-ask")).to_be_hidden()
    box = page.get_by_role("searchbox", name="What to look for")
    box.fill("green")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What are you looking for?")).to_have_count(0)
    first = page.locator(".tile").first
    first.locator("img.ready").wait_for()
    first.hover()
    expect(first.locator(".tools .like")).to_be_visible()
    for tool in (".yes", ".no", ".ask"):
        expect(first.locator(f".tools {tool}")).to_be_hidden()
    expect(page.locator("#side")).to_be_hidden()
    page.locator("#open-library").click()
    library = page.get_by_role("dialog", name="photos")
    expect(library.locator("[data-part=me]")).to_contain_text(
        "Signed in as Vera. You may look at this library."
    )
    for words in ("Add folder", "Import a session", "Import a concept"):
        expect(library.get_by_role("button", name=words)).to_have_count(0)
    page.keyboard.press("Escape")
    # Her session ends, by another password for instance, while she types.
    box.fill("red, as it was typed")
    people.accounts.set_password("vera", PASSWORD)
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("What you typed here stays")
    sign_in(page, "Vera", PASSWORD)
    expect(dialog).to_be_hidden()
    expect(box).to_have_value("red, as it was typed")
    page.locator("#open-library").click()
    library.get_by_role("button", name="Sign out").click()
    expect(dialog.get_by_label("Name")).to_be_focused()


def test_an_invitation_makes_somebody_who_marks_and_a_link_shows_on_a_phone(
    visit: Open, people: People, violations: Callable[[Page], list[Any]]
) -> None:
    _, invitation = people.passes.invite({"photos": Right.MARK}, 86_400)
    page = visit(f"/#{urlencode({'invitation': invitation})}", **PHONE)
    dialog = page.get_by_role("dialog", name="You are invited")
    name, word, again = (dialog.locator("input").nth(at) for at in range(3))
    name.fill("Mia")
    word.fill("a long sentence")
    again.fill("another sentence")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("differ")
    assert violations(page) == []
    assert fits(page)
    again.fill("a long sentence")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    assert invitation not in page.url
    page.locator(".tile img.ready").first.wait_for()
    page.get_by_role("searchbox", name="What to look for").fill("green")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "session=" in url)
    page.locator("#open-library").click()
    library = page.get_by_role("dialog", name="photos")
    expect(library).to_contain_text("Signed in as Mia. You may look at this library and mark.")
    expect(library.get_by_role("button", name="Import a session")).to_be_visible()
    for words in ("Add folder", "Delete the search “green”"):
        expect(library.get_by_role("button", name=words)).to_have_count(0)
    assert fits(page)

    made, link = people.passes.share("photos", 86_400)
    page = visit(f"/?{urlencode({'link': link})}", **PHONE)
    page.locator(".tile img.ready").first.wait_for()
    assert link not in page.url
    page.locator("#open-library").click()
    expect(page.get_by_role("dialog", name="photos")).to_contain_text(
        "You came by a link. You may look at this library."
    )
    people.passes.revoke(made.name)
    page = visit(f"/?{urlencode({'link': link})}", **PHONE)
    expect(page.get_by_role("dialog", name="Sign in")).to_contain_text("This link has ended.")


def test_a_link_to_an_album_shows_its_pictures_and_says_when_it_has_ended(
    visit: Open, people: People, photos: relook.Library, violations: Callable[[Page], list[Any]],
    fits_everywhere: Fits,
) -> None:  # fmt: skip
    photos.albums.add("Küste", [3, 1])
    made, link = people.passes.share_album("photos", "Küste", 86_400)
    page = visit(f"/?{urlencode({'link': link})}", **PHONE)
    expect(page.get_by_role("heading", level=1)).to_have_text("Küste")
    assert link not in page.url
    expect(page.get_by_role("status")).to_contain_text("2 pictures, to look at until")
    pictures = page.locator("#pictures img")
    expect(pictures).to_have_count(2)
    until(page, "() => [...document.images].filter((image) => image.naturalWidth).length === 2")
    assert violations(page) == []
    fits_everywhere(page, "a shared album")
    pictures.first.click()
    large = page.get_by_role("dialog")
    expect(large.get_by_text("Picture 1 of 2", exact=True)).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(large.locator("img")).to_have_attribute("src", re.compile("/images/1/.*size=1280"))
    expect(large.get_by_role("button", name="Next")).to_be_disabled()
    until(page, "() => document.querySelector('#picture').naturalWidth > 0")
    assert violations(page) == []
    page.evaluate(LONGER)
    fits_everywhere(page, "a picture of a shared album in longer words")
    people.passes.revoke(made.name)
    page.reload()
    expect(page.get_by_role("status")).to_contain_text("This link has ended.")


def test_who_may_change_a_library_makes_and_ends_links_to_its_albums(
    visit: Open, people: People, photos: relook.Library, violations: Callable[[Page], list[Any]],
    fits_everywhere: Fits,
) -> None:  # fmt: skip
    photos.albums.add("Harbour", [1, 2])
    people.accounts.add("Ida", PASSWORD, {"photos": Right.INDEX})
    page = visit(**PHONE)
    sign_in(page, "Vera", PASSWORD)
    share = open_album(page, "Harbour").get_by_role("button", name="Share this album")
    expect(page.get_by_role("link", name="Zip")).to_be_visible()
    expect(share).to_be_hidden()  # who may look only
    page = visit(**PHONE)
    sign_in(page, "Ida", PASSWORD)
    share = open_album(page, "Harbour").get_by_role("button", name="Share this album")
    share.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Share “Harbour”")
    expect(dialog.get_by_label("Days until it ends")).to_be_focused()
    expect(dialog.get_by_role("listitem")).to_have_text("There is none now.")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Copy link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("status")).to_contain_text(re.compile("^(Copied|Copy it)"))
    link = dialog.get_by_label("The link", exact=True).input_value()
    expect(dialog.get_by_role("listitem")).to_contain_text("by Ida, until")
    assert violations(page) == []
    fits_everywhere(page, "sharing an album")
    guest = visit(link.removeprefix(re.match("https?://[^/]+", link)[0]))
    expect(guest.get_by_role("heading", level=1)).to_have_text("Harbour")
    photos.albums.rename("Harbour", "Port " + LONG[:40])
    people.passes.share("photos", 3 * 86_400, LONG[:40])
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    open_album(page, "Port").get_by_role("button", name="Share this album").click()
    lines = page.locator("dialog.links").get_by_role("listitem")
    expect(lines.nth(0)).to_contain_text("The whole library")
    expect(lines.nth(1)).to_contain_text("It shows nothing: there is no album of this name now.")
    page.evaluate(LONGER)
    fits_everywhere(page, "links of a library in longer words")
    lines.nth(1).get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(lines).to_have_count(1)
    guest.reload()
    expect(guest.get_by_role("status")).to_contain_text("This link has ended.")


def open_album(page: Page, name: str) -> Page:
    """Shows the pictures of an album."""
    page.locator(".tile img.ready").first.wait_for()
    page.locator("#open-library").click()
    page.locator(".album-list button").filter(has_text=name).click()
    return page


def test_what_signs_in_and_out_fits_everywhere(
    visit: Open, people: People, fits_everywhere: Fits
) -> None:
    people.accounts.add(LONG[:40], PASSWORD, {"*": Right.MARK})
    page = visit(reduced_motion="reduce")
    sign_in(page, LONG[:40], "a wrong sentence")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    page.evaluate(LONGER)
    fits_everywhere(page, "sign-in that failed, in longer words")
    page = visit(reduced_motion="reduce")
    sign_in(page, LONG[:40], PASSWORD)
    page.locator(".tile img.ready").first.wait_for()
    page.locator("#open-library").click()
    page.locator("[data-part=me]").scroll_into_view_if_needed()
    page.evaluate(LONGER)
    fits_everywhere(page, "account in longer words")
    _, invitation = people.passes.invite({"photos": Right.MARK}, 86_400)
    page = visit(f"/#{urlencode({'invitation': invitation})}", reduced_motion="reduce")
    expect(page.get_by_role("dialog", name="You are invited")).to_be_visible()
    page.evaluate(LONGER)
    fits_everywhere(page, "invitation in longer words")
