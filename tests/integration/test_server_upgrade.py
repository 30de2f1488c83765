"""An upgrade over HTTP: what it takes, a job, and searches by the new encoder afterwards."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from library_parts import many
from server_parts import Running, serving
from upgrade_parts import NewEncoder, register

import relook
from relook.core.errors import RelookError
from relook.core.settings import SearchSettings

CORNER = [0.5, 0.5, 1.0, 1.0]


@pytest.fixture
def folder(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    register(monkeypatch)
    many(pictures / "more", 9)
    with relook.Library(tmp_path / "library", encoder="old") as library:
        library.add(pictures)
    return tmp_path / "library"


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[Running]:
    settings = SearchSettings(fold=False)
    with (
        relook.Library(folder, search=settings) as library,
        serving(library, cache=tmp_path / "cache") as running,
    ):
        yield running


def best(server: Running, words: str) -> str:
    return Path(server.client.search("library", words, limit=1)["hits"][0]["path"]).name


def test_a_server_follows_an_upgrade_by_another_process(server: Running, folder: Path) -> None:
    session = server.client.begin("library", "green", limit=4)
    session_id, hit = session["session_id"], session["page"]["hits"][0]
    server.client.judge("library", session_id, hit["image_id"], True, box=CORNER, caption="")
    before = server.client.session("library", session_id)
    assert len(server.client.embed("library", ["green"])[0]) == 16
    with relook.Library(folder) as other:
        other.upgrade("new")
    assert best(server, "green") == "green.png"
    assert server.client.embed("library", ["green"]) == [
        pytest.approx(NewEncoder().encode_texts(["green"])[0].tolist())
    ]
    assert server.client.session("library", session_id)["judgements"] == before["judgements"]
    page = server.client.again("library", session_id)["page"]
    assert page["hits"]
    assert server.client.library("library")["dim"] == 24
    job = server.client.index("library")
    *_, last = server.client.progress(job["job_id"])
    assert (last["state"], last["report"]["n_unchanged"]) == ("done", 12)


def test_an_upgrade_is_a_job(folder: Path, tmp_path: Path) -> None:
    manifest = folder / "manifest.json"
    values = json.loads(manifest.read_text())
    values["fingerprint"]["revision"] = "0"  # of an encoder that is not there any more
    manifest.write_text(json.dumps(values))
    with relook.Library(folder) as library, serving(library, cache=tmp_path / "cache") as server:
        with pytest.raises(RelookError, match="relook upgrade"):
            server.client.search("library", "red")
        assert server.client.sessions("library") == []
        cost = server.client.upgrade_cost("library")
        assert (cost["n_images"], cost["n_left"], cost["is_needed"]) == (12, 12, True)
        assert cost["seconds"] is not None
        job = server.client.upgrade("library")
        assert job["kind"] == "upgrade"
        *_, last = server.client.progress(job["job_id"])
        assert (last["state"], last["error"]) == ("done", None)
        assert (last["report"]["n_encoded"], last["report"]["n_unread"]) == (12, 0)
        assert best(server, "green") == "green.png"
        assert not server.client.upgrade_cost("library")["is_needed"]
