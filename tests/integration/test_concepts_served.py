"""Concepts on the command line, over HTTP and for agents."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp_parts import call, code, make_library, values
from mcp_parts import serving as serving_mcp
from server_parts import Running, serving

import relook
from relook.cli.main import main
from relook.core.registry import Adapter
from relook.encoders import ENCODERS
from relook.testing import ColourEncoder

BLUE, GREEN, RED, WILD = 1, 2, 3, 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_library(tmp_path)


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[Running]:
    library = relook.Library(folder, encoder=ColourEncoder())
    with serving(library, cache=tmp_path / "cache") as running:
        yield running


def test_by_commands(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    colour = Adapter("relook.testing.fakes:ColourEncoder", "for tests")
    monkeypatch.setitem(ENCODERS.builtin, "colour", colour)

    def run(*words: object) -> tuple[int, dict]:
        done = main([*map(str, words), "--library", str(folder), "--json"])
        told = capsys.readouterr()
        return done, json.loads(told.out or told.err or "{}")

    assert run("concept", "list") == (0, {"concepts": []})
    assert run("concept", "save", "van")[1]["error"]["code"] == "no_session"
    _, begun = run("look", "red", "--limit", 4)
    assert run("concept", "save", "van")[1]["error"]["code"] == "nothing_learnt"
    run("refine", begun["session_id"], "--relevant", 1, "--irrelevant", 2, "--words", "bright red")
    done, kept = run("concept", "save", "our  Van")
    assert (done, kept["name"], kept["relevant_words"]) == (0, "our Van", "bright red")
    assert kept["examples"][0]["image_id"] == RED
    done, page = run("search", "@our van + green")
    assert page["query"]["parts"][0] == {"concept": "our van", "weight": 1.0}
    assert done == 0
    _, shown = run("concept", "show", "OUR VAN")
    wrong = shown["examples"][1]["example_id"]
    _, edited = run("concept", "edit", "our van", "--rename", "truck", "--without", wrong)
    assert (edited["name"], edited["n_irrelevant"]) == ("truck", 0)
    assert run("concept", "edit", "truck")[1]["error"]["code"] == "no_change"
    file = tmp_path / "truck.json"
    assert main(["concept", "export", "truck", "-l", str(folder), "--to", str(file)]) == 0
    assert run("concept", "import", file)[1]["error"]["code"] == "name_taken"
    _, twin = run("concept", "import", file, "--name", "twin")
    assert twin["notes"] == []
    _, both = run("concept", "merge", "truck", "twin", "--into", "both")
    assert (both["name"], both["n_relevant"]) == ("both", 1)
    _, album = run("concept", "album", "both")
    assert (album["hits"][0]["image_id"], album["n_pictures"]) == (RED, 1)
    assert main(["concept", "delete", "both", "-l", str(folder)]) == 0
    assert [line["name"] for line in run("concept", "list")[1]["concepts"]] == ["truck", "twin"]
    error = run("concept", "import", tmp_path / "none")[1]["error"]
    assert (error["code"], error["message"]) == ("bad_concept_file", f"there is no {tmp_path}/none")
    file.write_text(file.read_text(), "utf-8-sig")
    assert run("concept", "import", file, "--name", "marked")[1]["notes"] == []
    capsys.readouterr()
    assert main(["concept", "list", "-l", str(folder)]) == 0
    assert "@truck" in capsys.readouterr().out


def test_over_http(server: Running) -> None:
    client = server.client
    session = client.begin("library", "red", limit=3)["session_id"]
    body = {"session_id": session, "name": "van"}
    assert server.post("/concepts", body).json()["error"]["code"] == "nothing_learnt"
    client.judge("library", session, RED, True)
    client.judge("library", session, BLUE, False)
    made = client.save_concept("library", session, "van")
    assert [(one["image_id"], one["relevant"]) for one in made["examples"]] == [
        (RED, True), (BLUE, False),
    ]  # fmt: skip
    assert f"/images/{RED}/thumbnail" in made["examples"][0]["thumbnail"]
    assert (
        made["query"]["parts"] == [{"text": "red", "weight": 1.0, "picture": None}]
        or made["query"]["parts"][0]["text"] == "red"
    )
    taken = server.post("/concepts", body)
    assert (taken.status_code, taken.json()["error"]["code"]) == (400, "name_taken")
    replaced = client.save_concept("library", session, "VAN", replace=True)
    number = replaced["concept_id"]
    assert number == made["concept_id"]
    page = client.search("library", {"parts": [{"concept": "van"}, {"text": "green"}]})
    assert page["query"]["parts"][0]["concept"] == "van"
    assert client.search("library", "@van")["hits"][0]["image_id"] == RED
    album = client.album("library", number)
    assert [hit["image_id"] for hit in album["page"]["hits"]] == [RED]
    (line,) = client.concepts("library")
    assert (line["name"], line["n_pictures"]) == ("VAN", 1)
    wrong = replaced["examples"][1]["example_id"]
    path = f"{server.base}/concepts/{number}"
    changed = server.http.patch(path, json={"name": "truck", "without": [wrong]}).json()
    assert (changed["name"], changed["n_irrelevant"]) == ("truck", 0)
    exported = server.http.get(f"{path}/export")
    assert "relook-concept-truck.json" in exported.headers["content-disposition"]
    files = {"file": ("truck.json", exported.content)}
    again = server.http.post(f"{server.base}/concepts/import", files=files)
    assert again.json()["error"]["code"] == "name_taken"
    other = server.http.post(f"{server.base}/concepts/import?name=other", files=files).json()
    merge = {"first": number, "second": other["concept"]["concept_id"], "name": "both"}
    assert server.post("/concepts/merge", merge).json()["concept"]["n_relevant"] == 1
    bad = server.http.post(f"{server.base}/concepts/import", content=b"{}")
    assert bad.json()["error"]["code"] == "bad_concept_file"
    assert server.http.delete(path).status_code == 204
    assert server.http.get(path).status_code == 404
    wide = server.http.patch(path, json={"title": "x"})
    assert wide.status_code in (400, 422)


def test_for_agents(folder: Path) -> None:
    with serving_mcp(folder) as server:
        begun = values(call(server, "begin_session", words="red", limit=3))
        session = begun["page"]["session_id"] if "page" in begun else begun["session_id"]
        assert code(call(server, "save_concept", session_id=session, name="v")) == "nothing_learnt"
        call(server, "look_again", session_id=session, relevant=[RED], irrelevant=[BLUE])
        kept = values(call(server, "save_concept", session_id=session, name="our van"))
        assert [one["image_id"] for one in kept["examples"]] == [RED, BLUE]
        page = values(call(server, "search", words="@our van + green", limit=2))
        assert page["query"]["parts"][0]["concept"] == "our van"
        shown = values(call(server, "show_concept", name="@Our van", album=5))
        assert (shown["n_pictures"], shown["album"]["hits"][0]["image_id"]) == (1, RED)
        wrong = kept["examples"][1]["example_id"]
        changed = values(
            call(server, "change_concept", name="our van", rename="truck", without=[wrong])
        )
        assert (changed["name"], len(changed["examples"])) == ("truck", 1)
        call(server, "save_concept", session_id=session, name="second")
        both = values(call(server, "merge_concepts", first="truck", second="second", into="both"))
        assert both["n_relevant"] == 1
        told = values(call(server, "delete_concept", name="both"))
        assert told["notes"] == ["it is removed"]
        names = [one["name"] for one in values(call(server, "list_concepts"))["concepts"]]
        assert names == ["second", "truck"]
        assert code(call(server, "show_concept", name="both")) == "no_concept"
