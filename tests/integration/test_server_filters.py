"""Filters that hold for a whole session, and the pictures that sessions keep."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from library_parts import many
from server_parts import Running, error_of, serving

import relook
from relook.core.errors import InputError
from relook.testing import noise, solid

GREEN, RED, BLUE = 1, 2, 3


@pytest.fixture
def server(library: relook.Library, pictures: Path, tmp_path: Path) -> Iterator[Running]:
    sidecar = tmp_path / "about.csv"
    sidecar.write_text("path,title,city\npictures/red.png,A barn,Oslo\npictures/green.png,,oslo\n")
    library.add(pictures, metadata=sidecar)
    with serving(library, cache=tmp_path / "cache") as running:
        yield running


def _ids(page: dict) -> set[int]:
    return {hit["image_id"] for hit in page["hits"]}


def test_the_names_that_a_filter_may_use(server: Running) -> None:
    assert server.client.fields("library") == [
        "title", "caption", "format", "taken_at", "folder", "orientation", "album",
        "city",
    ]  # fmt: skip


def test_a_filter_holds_for_every_page_of_a_session(server: Running) -> None:
    client = server.client
    begun = client.begin("library", "blue", where={"city": "OSLO"}, path="*.png")
    session_id = begun["session_id"]
    assert (begun["where"], begun["path"]) == ({"city": "OSLO"}, "*.png")
    assert _ids(begun["page"]) == {RED, GREEN}
    one = client.judge("library", session_id, RED, True)
    made = client.again("library", session_id, keep_shown=True, keep_judged=True, limit=3)
    assert _ids(made["page"]) == {RED, GREEN}
    assert set(made["changes"]) == {str(RED), str(GREEN)}
    moved = client.influence("library", session_id, one["judgement_id"])
    assert {one["image_id"] for one in moved["raised"] + moved["lowered"]} <= {RED, GREEN}
    assert client.session("library", session_id)["where"] == {"city": "OSLO"}
    twin = client.import_session("library", client.export("library", session_id))["session_id"]
    assert client.session("library", twin)["path"] == "*.png"
    again = client.again("library", twin, keep_shown=True, keep_judged=True, limit=3)
    assert _ids(again["page"]) == {RED, GREEN}


def test_a_least_fit_holds_for_every_page_of_a_session(
    server: Running, library: relook.Library, tmp_path: Path
) -> None:
    many(tmp_path / "more", 40)
    library.add(tmp_path / "more")
    client = server.client
    fits = {hit["image_id"]: hit["fit"] for hit in client.search("library", "blue")["hits"]}
    begun = client.begin("library", "blue", min_fit=fits[BLUE])
    assert (begun["min_fit"], _ids(begun["page"])) == (fits[BLUE], {BLUE})
    session_id = begun["session_id"]
    client.judge("library", session_id, BLUE, True)
    made = client.again("library", session_id, keep_shown=True, keep_judged=True, limit=9)
    assert (_ids(made["page"]), made["session"]["min_fit"]) == ({BLUE}, fits[BLUE])
    assert error_of(server.post("/sessions", {"query": "red", "min_fit": 1.1})) == (
        422,
        "bad_request",
    )


def test_a_session_without_a_filter_says_so(server: Running) -> None:
    begun = server.client.begin("library", "blue")
    assert (begun["where"], begun["path"], begun["min_fit"]) == ({}, None, 0)
    assert _ids(begun["page"]) == {RED, GREEN, BLUE}


def test_a_filter_that_cannot_be_is_refused(server: Running) -> None:
    with pytest.raises(InputError, match="not a metadata key"):
        server.client.begin("library", "blue", where={'a"b': "c"})
    answer = server.post("/sessions", {"query": "blue", "path": "*a*a*a*a*a*a*a*"})
    assert error_of(answer) == (422, "bad_request")


@pytest.mark.parametrize(
    "only",
    [7, [], {"where": 7}, {"where": {"a": 7}}, {"path": 7}, {"path": "*" * 7},
     {"where": {"a" * 101: "b"}}, {"where": {str(n): "b" for n in range(9)}}, {"min_fit": 2}],
)  # fmt: skip
def test_an_imported_filter_is_checked_as_well(server: Running, only: object) -> None:
    session_id = server.client.begin("library", "red")["session_id"]
    exported = json.loads(server.client.export("library", session_id))
    exported["rounds"][0]["record"]["only"] = only
    answer = server.post("/sessions/import", exported)
    assert error_of(answer) == (400, "bad_session_file")


def _upload(server: Running, seed: int) -> str:
    data = io.BytesIO()
    noise(seed).save(data, "PNG")
    answer = server.http.post(f"{server.base}/pictures", files={"file": ("a.png", data.getvalue())})
    return str(answer.json()["picture_id"])


def test_a_picture_is_kept_as_long_as_a_session_asks_with_it(
    server: Running, tmp_path: Path
) -> None:
    client, kept = server.client, tmp_path / "library" / "query-pictures"
    first, second = _upload(server, 1), _upload(server, 2)

    def begin(picture: str) -> str:
        parts = [{"picture": picture}, {"text": "red"}]
        return str(client.begin("library", {"parts": parts})["session_id"])

    sessions = [begin(first), begin(first), begin(second)]
    assert {file.stem for file in kept.glob("[!.]*")} == {first, second}
    client.delete_session("library", sessions[0])
    assert {file.stem for file in kept.glob("[!.]*")} == {first, second}
    client.delete_session("library", sessions[1])
    assert {file.stem for file in kept.glob("[!.]*")} == {second}
    assert client.session("library", sessions[2])["query"]["parts"][0]["picture"] == second
    (kept / "notes.txt").write_text("not ours")
    client.delete_session("library", sessions[2])
    assert sorted(file.name for file in kept.iterdir()) == [".relook-untrusted", "notes.txt"]
    again = begin(first)  # its upload is still there
    assert client.session("library", again)["page"]["hits"]


def test_a_picture_is_not_swept_while_its_session_begins(server: Running) -> None:
    from relook.core.types import Part, Query

    pictures = server.state.libraries.get("library").pictures
    data = io.BytesIO()
    solid("red").save(data, "PNG")
    stored = pictures.add(data.getvalue())
    with pictures.kept(Query((Part(image=stored.path),))) as asked:
        path = asked.parts[0].image
        assert path is not None
        pictures.sweep(list)
        assert path.exists()
    pictures.sweep(list)
    assert not path.exists()
