"""Folders that the page may choose from: below the allowed ones, and below home on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from server_parts import Running, serving, small_library

from relook.testing import noise


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with pictures, a hidden folder, and a link that leads out."""
    folder = tmp_path / "home"
    (folder / "Pictures" / "2019").mkdir(parents=True)
    (folder / ".ssh" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    (folder / "to-hidden").symlink_to(folder / ".ssh")
    noise(3).save(folder / "Pictures" / "one.png")
    (folder / "Pictures" / "notes.txt").write_text("no picture")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


@pytest.fixture
def server(tmp_path: Path, home: Path) -> Iterator[Running]:
    with serving(small_library(tmp_path), cache=tmp_path / "cache", home=True) as running:
        yield running


def listed(server: Running, path: object = "") -> dict[str, object]:
    answer = server.get("/folders", params={"path": str(path)})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def names(listing: dict[str, object]) -> list[str]:
    folders = listing["folders"]
    assert isinstance(folders, list)
    return [folder["name"] for folder in folders]


def test_folders_below_home_are_listed_and_nothing_else(server: Running, home: Path) -> None:
    top = listed(server)
    assert (top["path"], top["above"], top["may_add"]) == (None, None, False)
    assert names(top) == ["Home", "pictures"]
    at_home = listed(server, home)
    assert names(at_home) == ["Pictures"]  # neither hidden ones nor links that lead out
    assert (at_home["above"], at_home["may_add"]) == (None, False)
    inside = listed(server, home / "Pictures")
    assert (names(inside), inside["n_pictures"]) == (["2019"], 1)
    assert (inside["above"], inside["may_add"]) == (str(home), True)
    own = listed(server, home.parent / "pictures")
    assert (own["above"], own["may_add"], own["n_pictures"]) == (None, True, 3)


def test_a_folder_below_home_is_indexed(server: Running, home: Path) -> None:
    job = server.post("/index", {"paths": [str(home / "Pictures")]})
    assert job.status_code == 202, job.text
    *_, last = server.client.progress(job.json()["job_id"])
    assert last["report"]["n_added"] == 1


@pytest.mark.parametrize(
    "path", ["{home}", "{home}/.ssh", "{home}/.ssh/deep", "{home}/out", "{home}/to-hidden", "/etc"]
)
def test_home_itself_and_what_is_hidden_are_refused(server: Running, home: Path, path: str) -> None:
    path = path.format(home=home)
    answer = server.post("/index", {"paths": [path]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "outside_folders")
    if path != str(home):
        refused = server.get("/folders", params={"path": path})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "outside_folders")


def test_a_folder_that_is_not_there_is_told(server: Running, home: Path) -> None:
    for path in (home / "nowhere", home / "Pictures" / "one.png"):
        answer = server.get("/folders", params={"path": str(path)})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_path")


@pytest.mark.parametrize(
    "options",
    [{"home": False}, {"host": "0.0.0.0", "token": "a-token-of-24-characters"}],
    ids=["switched off", "beyond this machine"],
)
def test_home_is_closed_where_others_come(
    tmp_path: Path, home: Path, options: dict[str, object]
) -> None:
    library = small_library(tmp_path)
    with serving(library, cache=tmp_path / "cache", **{"home": True, **options}) as running:
        token = {"Authorization": f"Bearer {options.get('token', 'none')}"}
        top = running.get("/folders", headers=token).json()
        assert names(top) == ["pictures"]
        body = {"paths": [str(home / "Pictures")]}
        answer = running.post("/index", body, headers=token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "outside_folders")


def test_the_servers_own_stream_says_hello_and_ends_with_it(tmp_path: Path, home: Path) -> None:
    library = small_library(tmp_path)
    with (
        serving(library, cache=tmp_path / "cache") as running,
        running.http.stream("GET", "/api/v1/events") as stream,
    ):
        lines = stream.iter_lines()
        assert "event: hello" in [next(lines) for _ in range(4)]
        running.state.stop()
        assert not any(line.startswith("event:") for line in lines)  # and it ends
