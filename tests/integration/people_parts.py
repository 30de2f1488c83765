"""A server with people, spoken to in this process, at a low cost of passwords and with a clock."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.testclient import TestClient

import relook
from relook.people.passwords import Passwords
from relook.people.people import People
from relook.people.rights import Right
from relook.server import ServerSettings, create_app
from relook.testing import ColourEncoder, solid

PASSWORD = "a long sentence"
API = "/api/v1"
TOKEN = "a-token-of-24-characters"
DAY_S = 86_400.0
FILLED = {
    "image_id": "1", "session_id": "none", "judgement_id": "1", "number": "0", "album_id": "1",
    "concept_id": "1", "picture_id": "0" * 32, "job_id": "none", "action": "stop", "name": "x",
    "ask_id": "none",
}  # fmt: skip


def cheap() -> Passwords:
    """Hashes that take no time."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


class Clock:
    """Seconds that go on when they are told to."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


def people_of(folder: Path, clock: Clock) -> People:
    """People of a file that is not there yet."""
    return People(folder / "people.sqlite3", clock, clock, cheap())


def library_of(folder: Path, name: str) -> relook.Library:
    """A blue, a green and a red picture."""
    pictures = folder / f"{name}-pictures"
    pictures.mkdir()
    for colour in ("blue", "green", "red"):
        solid(colour).save(pictures / f"{colour}.png")
    library = relook.Library(folder / name, encoder=ColourEncoder())
    library.add(pictures)
    return library


class Place:
    """A server with people: `browser` makes clients, each with cookies of its own."""

    def __init__(self, app: FastAPI, people: People, clock: Clock, address: str) -> None:
        self.app, self.people, self.clock, self.address = app, people, clock, address

    def browser(self, **how: Any) -> TestClient:
        return TestClient(self.app, base_url=self.address, follow_redirects=False, **how)

    def add(self, name: str, **rights: str) -> TestClient:
        """A person, signed in; `every` stands for `*`."""
        chosen = {key.replace("every", "*"): Right[word.upper()] for key, word in rights.items()}
        self.people.accounts.add(name, PASSWORD, chosen)
        return self.signed_in(name)

    def signed_in(self, name: str, password: str = PASSWORD) -> TestClient:
        browser = self.browser()
        answer = sign_in(browser, name, password)
        assert answer.status_code == 204, answer.text
        return browser


def sign_in(browser: TestClient, name: str, password: str = PASSWORD) -> Any:
    return browser.post(f"{API}/sign-in", json={"name": name, "password": password})


def code_of(answer: Any) -> tuple[int, str]:
    """Status and code of an error."""
    return answer.status_code, answer.json()["error"]["code"]


@contextmanager
def place(
    folder: Path, *names: str, token: str | None = None, address: str = "http://127.0.0.1",
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Place]:  # fmt: skip
    """A server of libraries with these names."""
    clock = Clock()
    people = people_of(folder, clock)
    made = ServerSettings(
        token=token, cache=folder / "cache", home=False, people=people.file.path, timeout_s=600,
        **(settings or {}),
    )  # fmt: skip
    app = create_app([library_of(folder, name) for name in names], made, people=people)
    try:
        yield Place(app, people, clock, address)
    finally:
        app.state.relook.close()


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


def address_of(path: str, library_id: str = "photos") -> str:
    return re.sub(r"\{(\w+)\}", lambda match: {**FILLED, "library_id": library_id}[match[1]], path)
