"""Search, sessions, judgements, rounds, explanation and files over HTTP."""

import csv
import io
import json
import re
import threading
import zipfile
from pathlib import Path

import pytest
from api_parts import GREEN, RED, server  # noqa: F401  (some are fixtures)
from PIL import Image
from server_parts import Running, wait_for

import relook
from relook.core.errors import InputError, NotFoundError
from relook.testing import solid

# The three pictures are indexed in the order of their paths.
GREEN, RED, BLUE = 1, 2, 3


def _ids(page: dict) -> list[int]:
    return [hit["image_id"] for hit in page["hits"]]


def test_health_version_and_strategies(server: Running) -> None:
    assert server.http.get("/api/v1/health").json() == {"status": "ok"}
    version = {"version": relook.__version__, "api": "v1"}
    assert server.http.get("/api/v1/version").json() == version
    told = server.http.get("/api/v1/strategies").json()
    assert told["default"] == "auto"
    assert told["strategies"][0]["name"] == "auto"


def test_a_library_tells_what_it_holds(server: Running, pictures: Path) -> None:
    told = server.client.library("library")
    (listed,) = server.client.libraries()
    assert {**listed, "backup_age_s": None} == {**told, "backup_age_s": None}
    expected = {
        "library_id": "library", "name": "library", "n_images": 3, "n_tiles": 15, "n_skipped": 0,
        "encoder": "colour", "dim": 16, "roots": [str(pictures)], "folders": [str(pictures)],
        "job_id": None, "format_version": 1,
    }  # fmt: skip
    assert {key: told[key] for key in expected} == expected


def test_what_is_away_is_left_out_counted_and_shown(server: Running, pictures: Path) -> None:
    session = server.client.begin("library", "red")
    (pictures / "sub").rename(pictures.parent / "aside")
    list(server.client.progress(server.client.index("library")["job_id"]))
    told = server.client.library("library")
    assert (told["n_images"], told["n_away"]) == (3, 1)
    assert told["away"] == [{"place": f"{pictures}/sub", "reason": "is not there", "n": 1}]
    page = server.client.search("library", "blue")
    assert len(page["hits"]) == 2
    assert page["notes"] == [f"1 picture is away: {pictures}/sub is not there"]
    shown = server.client.search("library", "blue", away=True)
    assert shown["hits"][0]["away"] == f"{pictures}/sub is not there"
    kept = server.client.session("library", session["session_id"])
    assert [bool(hit["away"]) for hit in kept["page"]["hits"]] == [False, False, True]
    (pictures.parent / "aside").rename(pictures / "sub")
    list(server.client.progress(server.client.index("library")["job_id"]))
    assert server.client.library("library")["n_away"] == 0


def test_a_search_answers_with_hits_and_addresses(server: Running, pictures: Path) -> None:
    page = server.client.search("library", "red", limit=1)
    (hit,) = page["hits"]
    assert (hit["image_id"], hit["path"]) == (RED, str(pictures / "red.png"))
    assert (hit["tile"], hit["folded"]) == ([0, 0, 1, 1], [])
    assert (hit["width_px"], hit["height_px"]) == (60, 40)
    assert page["query"] == {"parts": [{"text": "red", "weight": 1.0}]}
    assert server.http.get(hit["file"]).content == (pictures / "red.png").read_bytes()
    thumbnail = server.http.get(hit["thumbnail"] + "&size=160")
    assert Image.open(io.BytesIO(thumbnail.content)).size == (60, 40)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("blue", BLUE),
        ("id:2", RED),
        ("0.5:red + blue", BLUE),
        ({"parts": [{"image_id": BLUE}, {"text": "red", "weight": -0.5}]}, BLUE),
        ({"parts": [{"image_id": GREEN, "box": [0.5, 0.5, 1, 1]}]}, GREEN),
    ],
)
def test_queries_of_every_kind(server: Running, query: object, first: int) -> None:
    assert server.post("/search", {"query": query, "limit": 1}).json()["hits"][0]["image_id"] == (
        first
    )


def test_filters(server: Running) -> None:
    page = server.post("/search", {"query": "red", "path": "sub"}).json()
    assert _ids(page) == [BLUE]
    page = server.post("/search", {"query": "red", "where": {"format": "PNG"}}).json()
    assert page["hits"][0]["image_id"] == RED
    assert len(page["hits"]) == 3


def test_a_picture_is_a_query_and_is_not_indexed(server: Running, tmp_path: Path) -> None:
    file = tmp_path / "asked.png"
    solid("blue", 30, 20).save(file)
    assert _ids(server.client.search_picture("library", file, limit=1)) == [BLUE]
    told = server.client.add_picture("library", file)
    assert (told["width_px"], told["height_px"]) == (30, 20)
    part = {"picture": told["picture_id"]}
    page = server.client.search("library", {"parts": [part]}, limit=1)
    assert _ids(page) == [BLUE]
    assert page["query"] == {"parts": [{**part, "weight": 1.0}]}
    shown = server.get(f"/pictures/{told['picture_id']}/thumbnail")
    assert Image.open(io.BytesIO(shown.content)).size == (30, 20)
    assert server.client.library("library")["n_images"] == 3


def test_a_session_with_a_picture_outlives_the_server(
    server: Running, tmp_path: Path, library: relook.Library
) -> None:
    file = tmp_path / "asked.png"
    solid("blue").save(file)
    picture_id = server.client.add_picture("library", file)["picture_id"]
    asked = {"parts": [{"picture": picture_id}]}
    session = server.client.begin("library", asked, limit=1)
    volume = server.state.libraries.get("library")
    volume.pictures.close()
    again = server.client.session("library", session["session_id"])
    assert again["query"]["parts"][0]["picture"] == picture_id
    assert server.client.again("library", session["session_id"])["page"]["hits"][0]["image_id"]


def test_embeddings_are_the_encoders(server: Running) -> None:
    (vector,) = server.client.embed("library", ["red"])
    assert vector == [0.0] * 4 + [1.0] + [0.0] * 11


def test_judge_look_again_undo_branch(server: Running) -> None:
    client = server.client
    session = client.begin("library", "red", limit=1, name="mine")
    session_id = session["session_id"]
    assert (session["name"], session["current_round"], _ids(session["page"])) == ("mine", 0, [RED])
    one = client.judge("library", session_id, RED, False)
    expected = {
        "judgement_id": one["judgement_id"], "round": 0, "image_id": RED, "relevant": False,
        "box": None, "caption": None, "caption_by": "person", "weight": 1.0, "led_to": None,
    }  # fmt: skip
    assert one == expected
    assert client.revise("library", session_id, one["judgement_id"], relevant=True, weight=2.0) == {
        **expected, "relevant": True, "weight": 2.0,
    }  # fmt: skip
    made = client.again("library", session_id, strategy="rocchio")
    assert made["round"]["number"] == 1
    assert made["round"]["parent"] == 0
    assert made["session"]["current_round"] == 1
    assert RED not in _ids(made["page"])
    assert list(made["changes"].values()) == [{"rank": 1, "rank_before": 1}]
    shown = server.get(f"/sessions/{session_id}/rounds/0").json()
    assert (shown["round"]["number"], _ids(shown["page"])) == (0, [RED])
    back = client.change_session("library", session_id, current_round=0, name="ours")
    assert (back["current_round"], back["name"]) == (0, "ours")
    branch = client.again("library", session_id, strategy="none")
    assert (branch["round"]["number"], branch["round"]["parent"]) == (2, 0)
    undone = client.undo("library", session_id)
    assert undone["told"] == "back on page 1; page 3 is kept"
    assert [row["number"] for row in undone["session"]["rounds"]] == [0, 1, 2]
    redone = client.redo("library", session_id)
    assert (redone["told"], redone["session"]["current_round"]) == ("on page 3 again", 2)
    refused = server.post(f"/sessions/{session_id}/redo")
    assert refused.json()["error"]["code"] == "nothing_to_redo"
    client.delete_session("library", session_id)
    assert client.sessions("library") == []
    with pytest.raises(NotFoundError, match="no session"):
        client.session("library", session_id)


def test_changes_tell_what_came_up(server: Running) -> None:
    client = server.client
    session_id = client.begin("library", "red", limit=1)["session_id"]
    client.judge("library", session_id, BLUE, True)
    made = client.again(
        "library", session_id, strategy="rocchio", limit=3, keep_shown=True, keep_judged=True
    )
    assert _ids(made["page"])[:2] == [RED, BLUE]
    before = {key: one["rank_before"] for key, one in made["changes"].items()}
    assert before == {"2": 1, "3": 3, "1": 2}
    assert [made["changes"][str(i)]["rank"] for i in _ids(made["page"])] == [1, 2, 3]


def test_why_and_influence(server: Running) -> None:
    client = server.client
    session_id = client.begin("library", "red", limit=3)["session_id"]
    one = client.judge("library", session_id, BLUE, True)
    told = client.why("library", session_id, BLUE, strategy="rocchio")
    names = {reason["name"]: reason["judgement_id"] for reason in told["reasons"]}
    assert names == {"red": None, f"relevant {one['judgement_id']}": one["judgement_id"]}
    assert told["score"] == pytest.approx(sum(r["amount"] for r in told["reasons"]), abs=1e-5)
    moved = client.influence("library", session_id, one["judgement_id"], strategy="rocchio")
    assert [image["image_id"] for image in moved["raised"]] == [BLUE]
    with pytest.raises(NotFoundError, match="not on the current page"):
        client.why("library", session_id, 999)


def test_a_heat_map_is_hot_where_the_words_are(server: Running) -> None:
    told = server.get(f"/images/{GREEN}/heatmap", params={"text": "green", "cells": 3}).json()
    assert told["cells"][2][2] == told["max"] > 0.9
    assert told["cells"][0][0] == told["min"] == 0.0
    session_id = server.client.begin("library", "green")["session_id"]
    same = server.get(f"/images/{GREEN}/heatmap", params={"session": session_id, "cells": 3})
    assert same.json() == told
    neither = server.get(f"/images/{GREEN}/heatmap")
    assert (neither.status_code, neither.json()["error"]["code"]) == (400, "bad_request")


def test_results_as_files(server: Running, pictures: Path) -> None:
    client = server.client
    session_id = client.begin("library", "blue", limit=2)["session_id"]
    page = json.loads(client.export("library", session_id, "json", "results"))
    assert _ids(page)[0] == BLUE
    rows = list(
        csv.reader(io.StringIO(client.export("library", session_id, "csv", "results").decode()))
    )
    assert rows[0][:5] == ["rank", "image_id", "score", "fit", "path"]
    score = str(page["hits"][0]["score"])
    assert rows[1][:5] == ["1", "3", score, "", str(pictures / "sub" / "blue.png")]
    pack = zipfile.ZipFile(io.BytesIO(client.export("library", session_id, "zip", "results")))
    assert pack.namelist()[:2] == ["results.csv", "0001-blue.png"]
    assert pack.read("0001-blue.png") == (pictures / "sub" / "blue.png").read_bytes()
    with pytest.raises(InputError, match="not exported as zip"):
        client.export("library", session_id, "zip", "session")


def test_a_session_is_exported_and_imported(server: Running) -> None:
    client = server.client
    session_id = client.begin("library", "red", limit=2)["session_id"]
    client.judge("library", session_id, RED, True)
    client.again("library", session_id)
    exported = client.export("library", session_id)
    told = client.import_session("library", exported)
    assert told["notes"] == []
    twin = client.session("library", told["session_id"])
    assert [row["number"] for row in twin["rounds"]] == [0, 1]
    assert [one["image_id"] for one in twin["judgements"]] == [RED]
    form = {"file": ("session.json", exported)}
    assert server.http.post(f"{server.base}/sessions/import", files=form).status_code == 201


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"[" * 50_000, b"\xff", b'{"format": "relook-session-1"}'],
)
def test_a_damaged_session_is_refused(server: Running, data: bytes) -> None:
    answer = server.http.post(f"{server.base}/sessions/import", content=data)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_session_file")


def test_several_people_at_once(server: Running) -> None:
    """Twelve people, each with a session of their own, and one session of them all."""
    shared = server.client.begin("library", "red", limit=1)["session_id"]
    failures: list[object] = []

    def person(number: int) -> None:
        try:
            with relook.Client(server.address) as client:
                own = client.begin("library", "blue", limit=2, name=str(number))["session_id"]
                client.judge("library", own, BLUE, True)
                assert _ids(client.again("library", own, strategy="rocchio")["page"])
                assert client.session("library", own)["name"] == str(number)
                client.again("library", shared, strategy="none", limit=1, keep_shown=True)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=person, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    assert failures == []
    rounds = server.client.session("library", shared)["rounds"]
    assert [row["number"] for row in rounds] == list(range(13))


def test_the_reference_names_every_route(server: Running) -> None:
    document = server.http.get("/openapi.json").json()
    reference = server.http.get("/api/v1/docs").text
    routes = [(m.upper(), path) for path, methods in document["paths"].items() for m in methods]
    assert len(routes) >= 37
    for method, path in routes:
        assert f"{method} {path}</code>" in reference
    assert "<script" not in reference
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert route["description"], (method, path)


def test_the_block_of_the_docs_runs(server: Running) -> None:
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    (block,) = re.findall(r"```py\n(.*?)```", page, re.DOTALL)
    block = block.replace("http://127.0.0.1:8765", server.address)
    block = block.replace("photos-relook", "library").replace(", 423,", f", {GREEN},")
    names: dict = {}
    exec(block, names)
    assert names["page"]["session_id"] == names["session"]["session_id"]


@pytest.fixture
def others() -> set[threading.Thread]:
    """Threads that were there before the server: tests before this may have left some."""
    return set(threading.enumerate())


def test_idle_threads_do_not_outlive_the_server(
    others: set[threading.Thread], server: Running
) -> None:
    def ours() -> list[threading.Thread]:
        new = set(threading.enumerate()) - others
        return [thread for thread in new if thread.name.startswith("relook-")]

    assert ours()
    server.server.should_exit = True
    wait_for(lambda: not ours())
