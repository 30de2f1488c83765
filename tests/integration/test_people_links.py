"""Links to an album that people make over HTTP, list, and end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from people_parts import API, TOKEN, Place, code_of, place

from relook.server import ServerSettings, create_app

LINKS = f"{API}/libraries/photos/links"
WEEK_S = 7 * 86_400


@pytest.fixture(name="served", scope="module")
def a_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """`photos` and `private`; Ida may index photos."""
    with place(tmp_path_factory.mktemp("links"), "photos", "private", token=TOKEN) as made:
        made.ida = made.add("Ida", photos="index")
        yield made


def album_of(served: Place, name: str, library: str = "photos") -> tuple[Any, str]:
    albums = served.app.state.relook.libraries.get(library).library.albums
    made = albums.add(name, [1]).album
    return albums, f"{API}/libraries/{library}/albums/{made.album_id}/links"


def listed(browser: TestClient) -> list[dict[str, Any]]:
    links: list[dict[str, Any]] = browser.get(LINKS).json()["links"]
    return links


def test_a_link_is_made_listed_opened_and_ended(served: Place) -> None:
    _, path = album_of(served, "Coast")
    made = served.ida.post(path, json={"lasts_s": WEEK_S})
    assert made.status_code == 201
    link = made.json()["link"]
    assert link == {
        "name": "album-1", "album": "Coast", "is_there": True, "made_by": "Ida",
        "created_s": served.clock.now_s, "ends_s": served.clock.now_s + WEEK_S,
    }  # fmt: skip
    assert listed(served.ida) == [link]
    assert "link=" not in served.ida.get(LINKS).text  # the secret is told once
    guest = served.browser()
    assert guest.get(made.json()["path"]).headers["location"] == "/static/shared.html"
    assert guest.get(f"{API}/shared").json()["name"] == "Coast"
    assert code_of(guest.get(LINKS)) == (401, "sign_in_needed")
    lines = [(line.who, line.what, line.library_id) for line in served.people.file.lines()]
    assert lines[-1] == ("Ida", "make link", "photos")
    assert served.ida.delete(f"{LINKS}/album-1").status_code == 204
    assert code_of(served.ida.delete(f"{LINKS}/album-1")) == (404, "no_pass")
    assert listed(served.ida) == []
    assert code_of(guest.get(f"{API}/shared")) == (401, "sign_in_needed")
    lines = [(line.who, line.what, line.outcome) for line in served.people.file.lines()]
    assert lines[-2:] == [("Ida", "end link", "done"), ("Ida", "end link", "refused")]


def test_the_list_says_which_link_shows_nothing_and_who_made_it(served: Place) -> None:
    albums, path = album_of(served, "Harbour")
    token = {"Authorization": f"Bearer {TOKEN}"}
    by_token = served.browser().post(path, json={"lasts_s": 60}, headers=token)
    served.people.passes.share("photos", WEEK_S)
    albums.rename("Harbour", "Port")
    shown = [(link["album"], link["is_there"], link["made_by"]) for link in listed(served.ida)]
    assert shown == [("Harbour", False, "token"), (None, True, "console")]
    albums.rename("Port", "harbour")
    assert listed(served.ida)[0]["is_there"] is True
    albums.delete("harbour")
    assert listed(served.ida)[0]["is_there"] is False
    assert code_of(served.ida.post(path, json={"lasts_s": 60})) == (404, "no_album")
    for link in listed(served.ida):
        assert served.ida.delete(f"{LINKS}/{link['name']}").status_code == 204
    assert by_token.status_code == 201


def test_a_link_of_another_library_is_none_of_this_one(served: Place) -> None:
    _, path = album_of(served, "Secret", "private")
    assert code_of(served.ida.post(path, json={"lasts_s": 60})) == (404, "no_library")
    other, _ = served.people.passes.share_album("private", "Secret", WEEK_S)
    invitation, _ = served.people.passes.invite({}, WEEK_S)
    assert listed(served.ida) == []
    for name in (other.name, invitation.name, "x"):
        assert code_of(served.ida.delete(f"{LINKS}/{name}")) == (404, "no_pass")
    assert len(served.people.passes.all()) == 2


@pytest.mark.parametrize("lasts_s", [0, 59, 366 * 86_400 + 1, "a week", None])
def test_a_link_ends_within_a_year(served: Place, lasts_s: Any) -> None:
    _, path = album_of(served, "Short")
    assert served.ida.post(path, json={"lasts_s": lasts_s}).status_code == 422


def test_where_nobody_signs_in_there_are_no_links(served: Place, tmp_path: Path) -> None:
    """Such a server looks at no link: who reaches it sees everything as it is."""
    assert served.ida.get(f"{API}/me").json()["links_open"] is True
    library = served.app.state.relook.libraries.get("photos").library
    settings = ServerSettings(
        cache=tmp_path / "cache", home=False, people=tmp_path / "people.sqlite3"
    )
    app = create_app([library], settings)
    try:
        browser = TestClient(app, base_url="http://127.0.0.1")
        assert browser.get(f"{API}/me").json()["links_open"] is False
        assert listed(browser) == []
        path = f"{API}/libraries/photos/albums/1/links"
        assert code_of(browser.post(path, json={"lasts_s": 60})) == (400, "no_people")
        assert code_of(browser.delete(f"{LINKS}/album-1")) == (404, "no_pass")
    finally:
        app.state.relook.close()
