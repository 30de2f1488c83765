"""People over HTTP: signing in, rights for every route, libraries of others, links, the log."""

import asyncio
import contextlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from people_parts import (
    API,
    PASSWORD,
    TOKEN,
    Clock,
    Place,
    code_of,
    library_of,
    people_of,
    place,
    sign_in,
)

from relook.core.errors import InputError, NotFoundError
from relook.gateway import admission
from relook.gateway.admission import cookie_names
from relook.gateway.guard import Guard
from relook.people.rights import Right
from relook.server import (
    ServerSettings,
    create_app,
    routes_albums,
    routes_ask,
    routes_browse,
    routes_concepts,
    routes_files,
    routes_libraries,
    routes_links,
    routes_people,
    routes_sessions,
    routes_shared,
)
from relook.server.route_rights import RIGHTS, need_of

DAY_S = 86_400.0
MODULES = (
    routes_albums, routes_ask, routes_browse, routes_concepts, routes_files, routes_libraries,
    routes_links, routes_people, routes_sessions, routes_shared,
)  # fmt: skip
FILLED = {
    "image_id": "1", "session_id": "none", "judgement_id": "1", "number": "0", "album_id": "1",
    "concept_id": "1", "picture_id": "0" * 32, "job_id": "none", "action": "stop", "name": "x",
    "ask_id": "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """`photos` and `private`, with a token; Ida may index, Mark mark, Vera view photos alone."""
    folder = tmp_path_factory.mktemp("people")
    with place(folder, "photos", "private", token=TOKEN) as made:
        made.ida = made.add("Ida", photos="index")
        made.mark = made.add("Mark", photos="mark")
        made.vera = made.add("Vera", photos="view")
        _, made.link = made.people.passes.share("photos", DAY_S)
        made.guest = made.browser()
        made.guest.get("/", params={"link": made.link})
        yield made


def every_route(app: Any) -> list[tuple[str, str]]:
    """Method and path of all that the app answers, listed in its document or not."""
    found = {
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    for module in MODULES:
        for _, router in inspect.getmembers(module, lambda each: isinstance(each, APIRouter)):
            for route in router.routes:
                assert isinstance(route, APIRoute)
                found |= {(method, API + route.path) for method in route.methods}
    for route in app.routes:
        for method in getattr(route, "methods", None) or ["GET"]:
            if path := getattr(route, "path", ""):
                found.add((method, path))
    return sorted(found - {("HEAD", "/openapi.json")})


def test_every_route_has_a_right_and_every_right_a_route(served: Place) -> None:
    routes = every_route(served.app)
    assert len(routes) > 70
    missing = [route for route in routes if route[0] not in RIGHTS.get(route[1], {})]
    assert missing == []
    assert {(method, path) for path, rows in RIGHTS.items() for method in rows} == set(routes)


def address(path: str, library_id: str = "photos") -> str:
    return re.sub(r"\{(\w+)\}", lambda match: {**FILLED, "library_id": library_id}[match[1]], path)


OF_A_LIBRARY = [
    (method, path, row[0])
    for path, rows in RIGHTS.items()
    for method, row in rows.items()
    if "{library_id}" in path
]


@pytest.mark.parametrize(("method", "path", "right"), OF_A_LIBRARY)
def test_each_route_of_a_library_wants_its_right(
    served: Place, method: str, path: str, right: Right
) -> None:
    own, others = address(path), address(path, "private")
    missing = address(path, "no-such-library")
    for browser, may in (
        (served.vera, Right.VIEW), (served.guest, Right.VIEW), (served.mark, Right.MARK),
    ):  # fmt: skip
        if may < right:
            assert code_of(browser.request(method, own)) == (403, "right_needed")
        # Of a library of others: as if it were not there, however it is asked for.
        hidden, absent = browser.request(method, others), browser.request(method, missing)
        assert code_of(hidden) == code_of(absent) == (404, "no_library")
        assert hidden.text.replace("private", "no-such-library") == absent.text
    assert code_of(served.browser().request(method, own)) == (401, "sign_in_needed")
    # Who has the right gets past the door: what is answered then is the route's own.
    best = served.ida.request(method, own) if "events" not in path else None
    if best is not None and best.status_code in (401, 403):
        assert best.json()["error"]["code"] not in ("right_needed", "sign_in_needed")


def test_what_is_not_listed_is_closed_to_people(served: Place) -> None:
    for path in (
        f"{API}/nothing", f"{API}/libraries/photos/nothing", f"{API}/libraries/",
        f"{API}/libraries/photos/index\n", "//api/v1/libraries", f"{API}/libraries/photos/../x",
        f"{API}/shared/", f"{API}/shared/../libraries", f"{API}/shared/images/1/2/thumbnail",
    ):  # fmt: skip
        for method in ("POST", "GET"):
            assert need_of({"path": path, "method": method}) is None, path
    assert code_of(served.vera.post(f"{API}/nothing")) == (404, "no_route")
    assert code_of(served.vera.post(f"{API}/libraries/photos/index%0A")) == (404, "no_route")
    assert code_of(served.browser().get(f"{API}/nothing")) == (401, "sign_in_needed")


def test_where_two_rows_fit_the_one_that_needs_most_counts() -> None:
    for method, action in (("POST", "stop"), ("GET", "events")):
        scope = {"path": f"{API}/jobs/x/{action}", "method": method}
        assert need_of(scope).right is (Right.INDEX if method == "POST" else Right.VIEW)
    assert need_of({"path": f"{API}/libraries/a/sessions/import", "method": "DELETE"}).right == 3


def test_somebody_sees_only_their_libraries(served: Place) -> None:
    listed = served.vera.get(f"{API}/libraries").json()["libraries"]
    assert [(each["library_id"], each["right"], each["folders"]) for each in listed] == [
        ("photos", "view", [])
    ]
    me = served.vera.get(f"{API}/me").json()
    assert me == {
        "kind": "person",
        "name": "Vera",
        "rights": {"photos": "view"},
        "links_open": True,
    }
    assert served.guest.get(f"{API}/me").json() == {
        "kind": "link", "name": "", "rights": {"photos": "view"}, "links_open": True,
    }  # fmt: skip
    token = served.browser(headers={"Authorization": f"Bearer {TOKEN}"})
    assert len(token.get(f"{API}/libraries").json()["libraries"]) == 2
    assert token.get(f"{API}/me").json()["kind"] == "token"
    assert token.post(f"{API}/libraries/private/index").status_code == 202
    assert "private" not in served.vera.get(f"{API}/libraries/nothing").text


def test_jobs_are_of_those_who_see_their_library(served: Place) -> None:
    token = served.browser(headers={"Authorization": f"Bearer {TOKEN}"})
    job_id = token.post(f"{API}/libraries/private/index").json()["job_id"]
    for browser in (served.ida, served.vera):
        for method, path in (
            ("GET", ""), ("GET", "/events"), ("POST", "/stop"), ("POST", "/pause"),
        ):  # fmt: skip
            answer = browser.request(method, f"{API}/jobs/{job_id}{path}")
            assert answer.status_code in (403, 404)
            assert answer.json()["error"]["code"] in ("no_job", "right_needed")
    own = served.ida.post(f"{API}/libraries/photos/index").json()["job_id"]
    assert served.vera.get(f"{API}/jobs/{own}").json()["library_id"] == "photos"
    assert code_of(served.mark.post(f"{API}/jobs/{own}/stop")) == (403, "right_needed")
    assert served.ida.post(f"{API}/jobs/{own}/stop").status_code == 200


def test_asking_wants_the_right_to_mark_the_library_that_the_body_names(served: Place) -> None:
    def ask(browser: Any, **body: Any) -> Any:
        return browser.post(f"{API}/ask", json={"stream": False, "question": "what?", **body})

    assert code_of(ask(served.vera, image_id=1)) == (403, "right_needed")
    assert code_of(ask(served.guest, image_id=1)) == (403, "right_needed")
    assert code_of(ask(served.mark, image_id=1, library_id="private")) == (404, "no_library")
    assert code_of(ask(served.mark, image_id=1, library_id="nothing")) == (404, "no_library")
    answer = ask(served.mark, image_id=1)
    assert answer.status_code == 200, answer.text
    ask_id = answer.json()["ask_id"]
    assert served.mark.get(f"{API}/ask/{ask_id}/report").status_code == 200
    # The answer is of who asked, even for who has every right, and knows its id.
    assert code_of(served.ida.get(f"{API}/ask/{ask_id}/report")) == (404, "no_ask")
    assert code_of(ask(served.ida, ask_id=ask_id)) == (404, "no_ask")


def test_people_are_not_taken_for_whoever_sits_at_the_machine(served: Place) -> None:
    # The server listens on loopback; they may come through a proxy.
    base = f"{API}/libraries/photos"
    assert code_of(served.ida.post(f"{base}/images/1/show-in-folder")) == (403, "not_here")
    assert served.ida.get(base).json()["shows_folders"] is False
    assert served.ida.get(f"{API}/ask").json()["may_allow_upload"] is False
    question = {"stream": False, "image_id": 1, "allow_upload": True}
    assert code_of(served.ida.post(f"{API}/ask", json=question)) == (403, "no_consent_here")
    home = served.people.file.path.parent / "home"
    (home / "Pictures").mkdir(parents=True)
    folders = served.app.state.relook.folders
    folders._home = home
    try:
        path = str(home / "Pictures")
        token = served.browser(headers={"Authorization": f"Bearer {TOKEN}"})
        assert token.get(f"{base}/folders", params={"path": path}).status_code == 200
        seen = served.ida.get(f"{base}/folders", params={"path": path})
        assert code_of(seen) == (403, "outside_folders")
        added = served.ida.post(f"{base}/index", json={"paths": [path]})
        assert code_of(added) == (403, "outside_folders")
        assert "Home" not in served.ida.get(f"{base}/folders").text
    finally:
        folders._home = None


def test_half_characters_are_no_fault(served: Place) -> None:
    for name, password in (("\ud800", "x"), ("vera", "\ud800" * 9), ("\x00", "\x00")):
        body = json.dumps({"name": name, "password": password})
        answer = served.browser().post(f"{API}/sign-in", content=body)
        assert answer.status_code in (401, 422), answer.text
        assert served.people.accounts.authenticate(name, password) is None


def test_an_id_of_another_library_is_none_of_this_one(served: Place) -> None:
    token = served.browser(headers={"Authorization": f"Bearer {TOKEN}"})
    query = {"query": "green", "name": "a secret"}
    session = token.post(f"{API}/libraries/private/sessions", json=query).json()["session_id"]
    album = token.post(
        f"{API}/libraries/private/albums", json={"name": "Theirs", "image_ids": [1]}
    ).json()["album"]["album_id"]
    with open(next(Path(served.people.file.path.parent).glob("private-pictures/*.png")), "rb") as f:
        picture = token.post(f"{API}/libraries/private/pictures", files={"file": f}).json()
    base = f"{API}/libraries/photos"
    for path in (
        f"/sessions/{session}", f"/sessions/{session}/export", f"/sessions/{session}/events",
        f"/albums/{album}", f"/albums/{album}/export",
        f"/pictures/{picture['picture_id']}/thumbnail",
        f"/images/1/heatmap?session={session}",
    ):  # fmt: skip
        answer = served.ida.get(base + path)
        assert answer.status_code == 404, path
        assert "secret" not in answer.text
    parts = {"query": {"parts": [{"picture": picture["picture_id"], "weight": 1}]}}
    assert served.ida.post(f"{base}/search", json=parts).status_code == 404
    assert "a secret" not in served.ida.get(f"{base}/sessions").text


def test_a_viewer_searches_and_looks_and_changes_nothing(served: Place) -> None:
    base = f"{API}/libraries/photos"
    hits = served.vera.post(f"{base}/search", json={"query": "green"}).json()["hits"]
    thumbnail = hits[0]["thumbnail"]
    for address in (thumbnail, f"{thumbnail}&more=1"):  # each is answered by a route of its own
        assert served.vera.get(address).status_code == 200
        assert code_of(served.browser().get(address)) == (401, "sign_in_needed")
        hidden = served.vera.get(address.replace("/photos/", "/private/"))
        none = served.vera.get(address.replace("/photos/", "/nowhere/"))
        assert code_of(hidden) == code_of(none) == (404, "no_library")
        assert hidden.text == none.text.replace("nowhere", "private")
    assert served.vera.get(f"{base}/images/1/file").status_code == 200
    begun = served.mark.post(f"{base}/sessions", json={"query": "green"}).json()
    own = f"{base}/sessions/{begun['session_id']}"
    mark = {"image_id": 1, "relevant": True}
    assert served.vera.get(own).json()["session_id"] == begun["session_id"]
    assert code_of(served.vera.post(f"{own}/judgements", json=mark)) == (403, "right_needed")
    assert served.mark.post(f"{own}/judgements", json=mark).status_code == 201
    assert code_of(served.mark.delete(own)) == (403, "right_needed")
    assert served.ida.delete(own).status_code == 204


def test_rights_count_at_once_and_a_session_ends_at_once(served: Place) -> None:
    rita = served.add("Rita", photos="mark")
    base = f"{API}/libraries/photos"
    assert rita.post(f"{base}/sessions", json={"query": "green"}).status_code == 201
    served.people.accounts.set_rights("rita", {"photos": Right.VIEW})
    assert code_of(rita.post(f"{base}/sessions", json={"query": "green"}))[0] == 403
    served.people.accounts.set_rights("rita", {"photos": Right.NONE})
    assert code_of(rita.get(base)) == (404, "no_library")
    served.people.accounts.set_disabled("rita", True)
    assert code_of(rita.get(base)) == (401, "sign_in_needed")
    assert code_of(sign_in(served.browser(), "rita")) == (401, "bad_sign_in")


def test_the_cookie_of_a_session_is_new_hidden_and_gone_when_it_ends(served: Place) -> None:
    served.add("Cora", photos="view")
    browser = served.browser()
    name = next(name for name in served.vera.cookies if "session" in name)
    browser.cookies.set(name, "chosen-by-somebody-else")  # fixation
    answer = sign_in(browser, "cora")
    header = answer.headers["set-cookie"]
    assert "chosen-by-somebody-else" not in header
    assert re.search(r"; HttpOnly", header)
    assert re.search(r"; SameSite=strict", header)
    assert "Secure" not in header
    assert "Domain" not in header
    first = re.search(rf"{name}=([^;]+)", header)[1]
    browser.cookies.clear()
    browser.cookies.set(name, first)
    assert sign_in(browser, "cora").status_code == 204  # another one; the first has ended
    stale = served.browser(cookies={name: first})
    assert code_of(stale.get(f"{API}/me")) == (401, "sign_in_needed")
    second = browser.cookies.jar
    value = [cookie.value for cookie in second if cookie.name == name][-1]
    gone = browser.post(f"{API}/sign-out")
    assert gone.status_code == 204
    assert "Max-Age=0" in gone.headers["set-cookie"]
    kept = served.browser(cookies={name: value})
    assert code_of(kept.get(f"{API}/me")) == (401, "sign_in_needed")


def test_under_tls_the_cookie_is_secure_and_its_name_keeps_other_hosts_out(tmp_path: Path) -> None:
    with place(tmp_path, "photos", address="https://127.0.0.1") as made:
        made.people.accounts.add("Anna", PASSWORD, {"*": Right.VIEW})
        header = sign_in(made.browser(), "anna").headers["set-cookie"]
        assert header.startswith("__Host-relook_session_")
        assert "; Secure" in header


def test_other_sites_sign_nobody_in_or_out(served: Place) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = served.browser(headers=headers).post(
            f"{API}/sign-in", json={"name": "vera", "password": PASSWORD}
        )
        assert code_of(answer) == (403, "bad_origin")
        assert code_of(served.vera.post(f"{API}/sign-out", headers=headers)) == (403, "bad_origin")
    form = served.browser().post(f"{API}/sign-in", data={"name": "vera", "password": PASSWORD})
    assert form.status_code == 422  # a form of another page is no JSON


def test_wrong_names_and_passwords_answer_alike_and_are_counted(tmp_path: Path) -> None:
    with place(tmp_path, "photos") as made:
        made.people.accounts.add("Anna", PASSWORD, {})
        browser = made.browser()
        answers = {sign_in(browser, name, "wrong one").text for name in ("anna", "Bert", "' OR 1")}
        assert len(answers) == 1
        statuses = [sign_in(browser, "ANNA", "wrong one").status_code for _ in range(10)]
        assert statuses == [401] * 9 + [429]
        refused = sign_in(browser, "anna")
        assert code_of(refused) == (429, "too_many_tries")
        assert refused.headers["retry-after"] == "900"
        made.clock.now_s += 901
        assert sign_in(browser, "anna").status_code == 204
        for body in (
            {}, {"name": "anna"}, {"name": "", "password": "x"}, {"name": 3, "password": 4},
            {"name": "a" * 201, "password": "x"}, {"name": "a", "password": "x" * 2001},
        ):  # fmt: skip
            assert browser.post(f"{API}/sign-in", json=body).status_code == 422


def test_an_invitation_is_accepted_once(served: Place) -> None:
    _, token = served.people.passes.invite({"photos": Right.MARK}, DAY_S)
    browser = served.browser()
    body = {"invitation": token, "name": "Inga", "password": PASSWORD}
    path = f"{API}/invitations/accept"
    assert code_of(browser.post(path, json={**body, "name": "VERA"})) == (400, "name_taken")
    assert browser.post(path, json=body).status_code == 204
    assert browser.get(f"{API}/me").json()["rights"] == {"photos": "mark"}
    assert code_of(served.browser().post(path, json={**body, "name": "Jan"})) == (
        400, "no_invitation",
    )  # fmt: skip
    _, late = served.people.passes.invite({"photos": Right.MARK}, DAY_S)
    served.clock.now_s += DAY_S
    try:
        answer = served.browser().post(path, json={**body, "name": "Jan", "invitation": late})
    finally:
        served.clock.now_s -= DAY_S
    assert code_of(answer) == (400, "no_invitation")


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
    assert code_of(browser.request(method, address(path))) == (401, "sign_in_needed")


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


def test_the_page_itself_and_health_are_open_and_nothing_else(served: Place) -> None:
    browser = served.browser()
    for path in ("/", "/static/js/main.js", f"{API}/health"):
        assert browser.get(path).status_code == 200
    for path in ("/openapi.json", f"{API}/docs", f"{API}/version", f"{API}/libraries", "/x"):
        assert code_of(browser.get(path)) == (401, "sign_in_needed")
    assert served.vera.get("/openapi.json").status_code == 200


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


def test_without_people_all_is_as_before_and_the_first_one_closes_it(tmp_path: Path) -> None:
    with place(tmp_path, "photos") as made:
        browser = made.browser()
        me = browser.get(f"{API}/me").json()
        assert me == {
            "kind": "everyone",
            "name": "",
            "rights": {"photos": "index"},
            "links_open": False,
        }
        assert browser.post(f"{API}/libraries/photos/index").status_code == 202
        assert code_of(sign_in(browser, "anna")) == (400, "no_people")
        assert not made.people.file.exists()
        made.people.accounts.add("Anna", PASSWORD, {"*": Right.VIEW})
        assert code_of(browser.get(f"{API}/libraries")) == (401, "sign_in_needed")
        # Taking the file away opens nothing, and says so.
        made.people.file.path.unlink()
        assert code_of(browser.get(f"{API}/libraries")) == (401, "sign_in_needed")


def test_the_log_has_what_counts(tmp_path: Path) -> None:
    with place(tmp_path, "photos", token=TOKEN) as made:
        ida, vera = made.add("Ida", every="index"), made.add("Vera", every="view")
        base = f"{API}/libraries/photos"
        ida.post(f"{base}/index")
        vera.post(f"{base}/index")
        vera.get(f"{base}/selection", params={"ids": "1", "format": "paths"})
        session = ida.post(f"{base}/sessions", json={"query": "green"}).json()["session_id"]
        ida.delete(f"{base}/sessions/{session}")
        made.browser(headers={"Authorization": f"Bearer {TOKEN}"}).post(f"{base}/index")
        made.browser().post(f"{base}/index")  # of nobody: not in it
        sign_in(made.browser(), "vera", "wrong one")
        vera.post(f"{API}/sign-out")
        lines = [(line.who, line.what, line.library_id, line.outcome)
                 for line in made.people.file.lines()]  # fmt: skip
        assert lines == [
            ("Ida", "sign-in", "", "done"),
            ("Vera", "sign-in", "", "done"),
            ("Ida", "index", "photos", "done"),
            ("Vera", "index", "photos", "refused"),
            ("Vera", "export", "photos", "done"),
            ("Ida", "delete session", "photos", "done"),
            ("token", "index", "photos", "done"),
            ("Vera", "sign-in", "", "refused: wrong name or password"),
            ("Vera", "sign-out", "", "done"),
        ]


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_stream_ends_with_the_right_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_begun: bool
) -> None:
    monkeypatch.setattr(admission, "_RECHECK_S", 0.0)
    people = people_of(tmp_path, Clock())
    people.accounts.add("Anna", PASSWORD, {"photos": Right.VIEW})
    settings = ServerSettings(people=people.file.path)
    cookie = f"{cookie_names(settings).session(False)}={people.sign_in('anna', PASSWORD, '')}"
    scope = {
        "type": "http", "method": "GET", "path": f"{API}/libraries/photos/sessions/x/events",
        "query_string": b"", "client": ("10.0.0.7", 1),
        "headers": [(b"host", b"127.0.0.1"), (b"cookie", cookie.encode())],
    }  # fmt: skip
    sent: list[Any] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if has_begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
        people.accounts.set_rights("anna", {"photos": Right.NONE})
        await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(endless, settings, gives_up=True, people=people, need_of=need_of)
    asyncio.run(asyncio.wait_for(guard(scope, receive, send), 600))
    people.close()
    assert sent[0]["status"] == (200 if has_begun else 401)
    assert [message.get("body", b"")[:5] for message in sent[1:]] == (
        [b"first"] if has_begun else [b'{"err']
    )


def test_libraries_of_one_name_are_not_served_to_people(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    libraries = [library_of(tmp_path / folder, "photos") for folder in ("a", "b")]
    people = people_of(tmp_path, Clock())
    settings = ServerSettings(people=people.file.path, cache=tmp_path / "cache")
    create_app(libraries, settings, people=people).state.relook.close()
    people.accounts.add("Anna", PASSWORD, {"photos": Right.VIEW})
    with pytest.raises(InputError, match="several libraries are called 'photos'"):
        create_app(libraries, settings, people=people)
    people.close()
