"""People over HTTP: rights for every route, libraries of others, the log."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from people_parts import (  # noqa: F401  (one is a fixture)
    API,
    PASSWORD,
    TOKEN,
    Clock,
    Place,
    address_of,
    code_of,
    library_of,
    people_of,
    place,
    served,
    sign_in,
)

from relook.core.errors import InputError
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

MODULES = (
    routes_albums, routes_ask, routes_browse, routes_concepts, routes_files, routes_libraries,
    routes_links, routes_people, routes_sessions, routes_shared,
)  # fmt: skip


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
    own, others = address_of(path), address_of(path, "private")
    missing = address_of(path, "no-such-library")
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


def test_the_page_itself_and_health_are_open_and_nothing_else(served: Place) -> None:
    browser = served.browser()
    for path in ("/", "/static/js/main.js", f"{API}/health"):
        assert browser.get(path).status_code == 200
    for path in ("/openapi.json", f"{API}/docs", f"{API}/version", f"{API}/libraries", "/x"):
        assert code_of(browser.get(path)) == (401, "sign_in_needed")
    assert served.vera.get("/openapi.json").status_code == 200


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
