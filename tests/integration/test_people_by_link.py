"""Who comes by a link: what it opens, to a library or an album, and until when."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from people_parts import (  # noqa: F401  (one is a fixture)
    API,
    DAY_S,
    TOKEN,
    Place,
    address_of,
    code_of,
    served,
    sign_in,
)

from relook.core.errors import NotFoundError
from relook.server.route_rights import RIGHTS


def test_a_link_becomes_a_cookie_and_ends(served: Place) -> None:
    browser = served.browser()
    opened = browser.get("/", params={"link": served.link})
    assert (opened.status_code, opened.headers["location"]) == (303, "/?library=photos")
    assert "HttpOnly" in opened.headers["set-cookie"]
    assert browser.get(f"{API}/libraries/photos").json()["right"] == "view"
    wrong = served.browser().get("/", params={"link": "x" * 40})
    assert wrong.headers["location"] == "/#link-ended"
    assert "set-cookie" not in wrong.headers
    served.clock.now_s += DAY_S
    try:
        assert code_of(browser.get(f"{API}/libraries/photos")) == (401, "sign_in_needed")
    finally:
        served.clock.now_s -= DAY_S
    # It shows the page, too, when a page of somewhere else leads to it.
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert served.browser().get("/", params={"link": served.link}, headers=headers).is_redirect


def test_the_head_of_a_link_is_answered_as_the_link_is(served: Place) -> None:
    """Previews and checkers of links ask for it; it said 200 of an ended link, too."""
    _, album = served.people.passes.share_album("photos", "coast", DAY_S)
    asked = ({"link": served.link}, {"link": album}, {"link": "x" * 40}, {"token": TOKEN})
    for parameters in asked:
        whole, head = (
            served.browser().request(method, "/", params=parameters) for method in ("GET", "HEAD")
        )
        assert (head.status_code, head.content) == (303, b"")
        for name in ("location", "set-cookie"):
            assert head.headers.get(name) == whole.headers.get(name)


@pytest.fixture(name="by_album")
def who_came_by_an_album(served: Place) -> Iterator[Any]:
    """Somebody with a link to an album that holds the first picture of three."""
    albums = served.app.state.relook.libraries.get("photos").library.albums
    albums.add("Coast", [1])
    made, link = served.people.passes.share_album("photos", "coast", DAY_S)
    browser = served.browser()
    opened = browser.get("/", params={"link": link})
    assert (opened.status_code, opened.headers["location"]) == (303, "/static/shared.html")
    assert "HttpOnly" in opened.headers["set-cookie"]
    yield made, browser, albums
    with contextlib.suppress(NotFoundError):
        served.people.passes.revoke(made.name)
    albums.delete("Coast")


def test_a_link_to_an_album_shows_its_pictures_alone_until_it_ends(
    served: Place, by_album: Any
) -> None:
    made, browser, albums = by_album

    def shown(image_id: int) -> tuple[int, str]:
        answer = browser.get(f"{API}/shared/images/{image_id}/thumbnail")
        return (200, answer.headers["cache-control"]) if answer.is_success else code_of(answer)

    there, hidden = (200, "private, no-cache"), (404, "no_image")
    album = browser.get(f"{API}/shared").json()
    assert (album["name"], album["ends_s"]) == ("Coast", made.ends_s)
    assert [set(image) for image in album["images"]] == [{"image_id", "width_px", "height_px"}]
    assert [shown(image_id) for image_id in (1, 2, 3, 99)] == [there, hidden, hidden, hidden]
    albums.add("Coast", [2])
    albums.remove("Coast", [1])
    assert (shown(1), shown(2)) == (hidden, there)
    albums.rename("Coast", "Sea")
    assert shown(2) == code_of(browser.get(f"{API}/shared")) == (404, "no_album")
    albums.rename("Sea", "Coast")
    albums.delete("Coast")
    assert shown(2) == (404, "no_album")
    albums.restore("Coast")
    assert shown(2) == there
    served.clock.now_s += 2 * DAY_S
    assert shown(2) == code_of(browser.get(f"{API}/shared")) == (401, "sign_in_needed")
    served.clock.now_s -= 2 * DAY_S
    assert shown(2) == there
    served.people.passes.revoke(made.name)
    assert shown(2) == (401, "sign_in_needed")
    again, link = served.people.passes.share_album("photos", "Coast", DAY_S)
    assert again in served.people.passes.all()
    served.people.passes.revoke(again.name)
    assert browser.get("/", params={"link": link}).headers["location"] == "/#link-ended"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, path)
        for path, rows in RIGHTS.items()
        for method, (right, *_) in rows.items()
        if right is not None and not path.startswith(f"{API}/shared")
    ],
)
def test_a_link_to_an_album_opens_nothing_else(by_album: Any, method: str, path: str) -> None:
    _, browser, _ = by_album
    assert code_of(browser.request(method, address_of(path))) == (401, "sign_in_needed")


def test_nobody_else_is_shown_the_album_of_a_link(served: Place, by_album: Any) -> None:
    """Rights open what they opened; a link opens its album and adds to no right."""
    _, browser, _ = by_album
    for other in (served.ida, served.vera, served.guest, served.browser()):
        assert code_of(other.get(f"{API}/shared")) == (401, "sign_in_needed")
        thumbnail = other.get(f"{API}/shared/images/1/thumbnail")
        assert code_of(thumbnail) == (401, "sign_in_needed")
    token = {"Authorization": f"Bearer {TOKEN}"}
    assert code_of(served.browser().get(f"{API}/shared", headers=token)) == (404, "no_album")
    before = served.vera.get(f"{API}/me").json()
    served.vera.cookies.update(browser.cookies)
    assert served.vera.get(f"{API}/shared").json()["name"] == "Coast"
    assert served.vera.get(f"{API}/me").json() == before
    for name in dict(browser.cookies):
        served.vera.cookies.delete(name)


def test_the_token_in_a_link_still_opens_everything(served: Place) -> None:
    browser = served.browser()
    opened = browser.get("/", params={"token": TOKEN})
    assert opened.status_code == 303
    assert browser.get(f"{API}/me").json()["kind"] == "token"
    # Somebody who signs in there is themselves; signing out takes the token away, too.
    sign_in(browser, "vera")
    assert browser.get(f"{API}/me").json()["name"] == "Vera"
    browser.post(f"{API}/sign-out")
    assert code_of(browser.get(f"{API}/me")) == (401, "sign_in_needed")
    assert code_of(served.browser().get(f"{API}/me", params={"token": "wrong" * 5})) == (
        401, "sign_in_needed",
    )  # fmt: skip
