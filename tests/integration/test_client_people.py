"""`relook.Client` as a person: signing in and out, what is refused, a session that ends."""

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from people_parts import PASSWORD, TOKEN, Place, place

import relook
from relook.core.errors import (
    AccessError,
    InputError,
    OverloadError,
    RelookError,
    SignInError,
    TriesError,
)
from relook.people.rights import Right


@pytest.fixture(name="served", scope="module", params=["http://127.0.0.1", "https://127.0.0.1"])
def a_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Where Mark may mark, with TLS and without: its cookies are different ones."""
    folder = tmp_path_factory.mktemp("client")
    with place(folder, "photos", token=TOKEN, address=request.param) as made:
        made.people.accounts.add("Mark", PASSWORD, {"*": Right.MARK})
        yield made


def client_of(served: Place, **how: Any) -> relook.Client:
    browser = served.browser()

    def answer(request: httpx.Request) -> httpx.Response:
        browser.cookies.clear()  # they are the client's to keep
        given = browser.request(
            request.method, str(request.url), headers=dict(request.headers), content=request.read()
        )
        cookies = [("set-cookie", line) for line in given.headers.get_list("set-cookie")]
        return httpx.Response(given.status_code, headers=cookies, content=given.content)

    return relook.Client(served.address, transport=httpx.MockTransport(answer), **how)


def test_a_redirect_takes_neither_token_nor_picture_elsewhere() -> None:
    hosts = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(307, headers={"location": "http://other.example/api/v1/libraries"})

    transport = httpx.MockTransport(answer)
    with relook.Client("http://127.0.0.1", token="t", transport=transport) as client:
        for ask in (client.libraries, lambda: client.search("photos", "dog")):
            with pytest.raises(InputError) as refused:
                ask()
            assert refused.value.code == "server_redirects"
            assert "it points to http://other.example/api/v1/libraries" in refused.value.message
    assert set(hosts) == {"127.0.0.1"}


def test_what_cannot_be_sent_or_read_is_told_as_that() -> None:
    for address in ("http://[::1", None):
        with pytest.raises(InputError) as bad:
            relook.Client(address)
        assert bad.value.code == "bad_address"
    page = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>"))
    with relook.Client("http://127.0.0.1", transport=page) as client:
        for box in ([float("nan"), 0, 1, 1], [object()]):
            with pytest.raises(InputError) as bad:
                client.judge("photos", "session", 1, True, box=box)
            assert bad.value.code == "bad_request"
        with pytest.raises(RelookError) as no_json:
            client.libraries()
        assert no_json.value.code == "bad_answer"


def n_sessions(served: Place) -> int:
    (person,) = served.people.accounts.all()
    return person.n_sessions


def test_a_person_signs_in_works_with_their_rights_and_is_signed_out(
    served: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with client_of(served, name="mark", password=PASSWORD) as client:
        assert n_sessions(served) == 1
        session = client.begin("photos", "green")
        client.judge("photos", session["session_id"], 1, True)
        with pytest.raises(AccessError) as refused:
            client.index("photos")
        assert refused.value.code == "right_needed"
        kept = repr([vars(client), vars(client._http), client])
        assert PASSWORD not in kept
    assert n_sessions(served) == 0
    assert PASSWORD not in caplog.text
    client.close()  # a second time is fine


def test_what_is_wrong_with_a_sign_in_is_said(served: Place) -> None:
    for name, password in (("Mark", "another sentence"), ("nobody", PASSWORD)):
        with pytest.raises(SignInError) as refused:
            client_of(served, name=name, password=password)
        assert refused.value.code == "bad_sign_in"
        assert password not in str(refused.value)
    for _ in range(9):
        with pytest.raises(SignInError):
            client_of(served, name="Mark", password="x")
    with pytest.raises(TriesError) as too_many:
        client_of(served, name="Mark", password=PASSWORD)
    assert too_many.value.code == "too_many_tries"
    served.clock.now_s += 3600
    client_of(served, name="Mark", password=PASSWORD).close()


@pytest.mark.parametrize(
    "how",
    [
        {"name": "Mark"}, {"password": PASSWORD},
        {"name": "Mark", "password": PASSWORD, "token": TOKEN},
    ],
)  # fmt: skip
def test_half_a_sign_in_or_one_beside_a_token_is_refused(how: dict[str, str]) -> None:
    with pytest.raises(InputError) as refused:
        relook.Client("http://127.0.0.1:9", **how)
    assert refused.value.code == "bad_credentials"


def test_a_session_that_has_ended_says_to_sign_in_again(served: Place) -> None:
    client = client_of(served, name="Mark", password=PASSWORD)
    served.people.accounts.set_password("Mark", PASSWORD)  # ends every session
    for ask in (client.libraries, lambda: next(client.progress("none"))):
        with pytest.raises(SignInError) as ended:
            ask()
        assert ended.value.code == "session_ended"
        assert "sign in again" in ended.value.hint
    client.close()
    with client_of(served) as stranger, pytest.raises(SignInError) as needed:
        stranger.libraries()
    assert needed.value.code == "sign_in_needed"


def test_where_nobody_signs_in_a_name_is_refused(tmp_path: Any) -> None:
    with place(tmp_path, "photos") as open_to_all, pytest.raises(InputError) as refused:
        client_of(open_to_all, name="Mark", password=PASSWORD)
    assert refused.value.code == "no_people"


def test_a_server_that_went_keeps_nobody_from_closing(caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/sign-in"):
            return httpx.Response(204)
        raise httpx.ConnectError("gone")

    transport = httpx.MockTransport(answer)
    client = relook.Client(name="Mark", password=PASSWORD, transport=transport)
    with pytest.raises(OverloadError):
        client.libraries()
    client.close()
    assert "Mark is not signed out" in caplog.text
