"""Signing in over HTTP: cookies, other sites, guessed passwords, invitations, and their ends."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from people_parts import (  # noqa: F401  (one is a fixture)
    API,
    DAY_S,
    PASSWORD,
    Clock,
    Place,
    code_of,
    people_of,
    place,
    served,
    sign_in,
)

from relook.gateway import admission
from relook.gateway.admission import cookie_names
from relook.gateway.guard import Guard
from relook.people.rights import Right
from relook.server import ServerSettings
from relook.server.route_rights import need_of


def test_half_characters_are_no_fault(served: Place) -> None:
    for name, password in (("\ud800", "x"), ("vera", "\ud800" * 9), ("\x00", "\x00")):
        body = json.dumps({"name": name, "password": password})
        answer = served.browser().post(f"{API}/sign-in", content=body)
        assert answer.status_code in (401, 422), answer.text
        assert served.people.accounts.authenticate(name, password) is None


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
