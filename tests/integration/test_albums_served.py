"""Albums on the command line, over HTTP, for agents and in XMP files."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_parts import INDEX, Ask, Run, ask, plugin, run  # noqa: F401  (fixtures)
from mcp_parts import call, code, make_library, values
from mcp_parts import serving as serving_mcp
from server_parts import Running, error_of, serving, small_library

import relook
from relook.app.exchange import export_xmp

BLUE, GREEN, RED = 1, 2, 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with serving(small_library(tmp_path), cache=tmp_path / "cache") as running:
        yield running


def test_by_commands(
    run: Run,
    ask: Ask,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(*INDEX, pictures)
    paths = run("search", "red", "-n", 1, "-f")[1]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(paths.encode())))
    _, change = ask("album", "add", "Trip", "-", pictures / "sub", "--id", 1)
    assert (change["n_changed"], change["album"]["n_images"]) == (3, 3)
    assert run("album", "remove", "trip", "--id", 1)[1] == (
        "1 picture taken out; Trip: 2 pictures\n"
    )
    shown = ask("album", "show", "Trip")[1]
    assert [Path(image["path"]).name for image in shown["images"]] == ["red.png", "blue.png"]
    assert run("album", "show", "trip", "-f")[1].split() == [
        str(pictures / "red.png"), str(pictures / "sub" / "blue.png"),
    ]  # fmt: skip
    _, page = ask("search", "green", "--album", "TRIP")
    assert sorted(hit["path"] for hit in page["hits"]) == run("album", "export", "trip")[1].split()
    similar = ask("similar", pictures / "green.png", "--album", "trip")[1]
    assert len(similar["hits"]) == 2
    assert len(ask("look", "green", "--album", "trip")[1]["hits"]) == 2
    assert run("look", "--resume", "x", "--album", "trip")[0] == 2
    assert run("album", "rename", "trip", "2019/07")[0] == 0
    assert run("album", "delete", "2019/07")[0] == 0
    assert [line["name"] for line in ask("album", "list", "--deleted")[1]["albums"]] == ["2019/07"]
    assert run("album", "restore", "2019/07")[0] == 0
    file = tmp_path / "taken.zip"
    assert run("album", "export", "2019/07", "--format", "zip", "--to", file)[0] == 0
    assert zipfile.ZipFile(file).namelist() == ["results.csv", "0001-red.png", "0002-blue.png"]
    assert run("album", "export", "2019/07", "--to", tmp_path / "again.ZIP")[0] == 0
    assert zipfile.is_zipfile(tmp_path / "again.ZIP")
    assert run("album", "export", "2019/07", "--to", tmp_path / "a.csv")[0] == 0
    assert (tmp_path / "a.csv").read_text().count("\n") == 3
    assert run("album", "export", "2019/07", "--format", "paths", "--to", tmp_path / "a.x")[0] == 0
    listed = run("album", "list")[1]
    assert "Favourites" in listed
    assert "2019/07" in listed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("add", "Trip", "nowhere.png"), "no_image"), (("add", "Trip"), "no_pictures"),
        (("add", "Trip", "--id", 99), "no_image"), (("show", "Trip"), "no_album"),
        (("rename", "Favourites", "x"), "built_in_album"), (("add", " ", "--id", 1), "bad_name"),
        (("export", "Favourites", "--format", "zip"), "no_file"),
        (("export", "Favourites", "--to", "t.xyz"), "bad_format"),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_done(
    run: Run,
    pictures: Path,
    arguments: tuple[object, ...],
    named: str,
) -> None:
    run(*INDEX, pictures)
    done, _, told = run("album", *arguments)
    assert (done, f"error[{named}]" in told) == (1, True)
    assert "Trip" not in run("album", "list")[1]


def test_over_http(server: Running) -> None:
    client = server.client
    assert [line["name"] for line in client.albums("library")] == ["Favourites"]
    client.change_album("library", 1, add=[RED])
    made = client.create_album("library", "طبيعة / 2019", [BLUE, GREEN])
    number = made["album"]["album_id"]
    found = client.search("library", "red", where={"album": "طبيعة / 2019"})
    assert {hit["image_id"] for hit in found["hits"]} == {BLUE, GREEN}
    facets = server.post("/facets", {"where": {"album": "Favourites"}}).json()
    assert facets["albums"] == [
        {"value": "طبيعة / 2019", "n": 2}, {"value": "Favourites", "n": 1},
    ]  # fmt: skip
    browsed = server.post("/browse", {"where": {"album": "Favourites"}}).json()
    assert [image["image_id"] for image in browsed["images"]] == [RED]
    assert client.change_album("library", number, add=[RED], remove=[BLUE])["image_ids"] == [
        GREEN, RED,
    ]  # fmt: skip
    holding = server.get(f"/albums?image_id={RED}").json()["albums"]
    assert [line["name"] for line in holding] == ["Favourites", "طبيعة / 2019"]
    taken = server.get(f"/albums/{number}/export?format=zip")
    assert "2019" in taken.headers["content-disposition"]
    names = zipfile.ZipFile(io.BytesIO(taken.content)).namelist()
    assert names == ["results.csv", "0001-green.png", "0002-red.png"]
    path = f"{server.base}/albums/{number}"
    assert server.http.patch(path, json={"name": "Trip"}).json()["name"] == "Trip"
    assert server.http.delete(path).json()["name"] == "Trip"
    assert [line["name"] for line in server.get("/albums").json()["deleted"]] == ["Trip"]
    assert server.post(f"/albums/{number}/restore").json()["n_images"] == 2


def test_bad_requests_change_nothing(server: Running) -> None:
    for path, body, named in (
        ("/albums", {"name": ""}, (400, "bad_name")),
        ("/albums", {"name": "x" * 201}, (422, "bad_request")),
        ("/albums", {"name": "Favourites"}, (400, "name_taken")),
        ("/albums", {"name": "New", "image_ids": [RED, 99]}, (404, "no_image")),
        ("/albums/7/images", {"image_ids": [RED]}, (404, "no_album")),
        ("/albums/1/images", {"image_ids": [99]}, (404, "no_image")),
        ("/albums/1/images", {"image_ids": []}, (422, "bad_request")),
        ("/albums/7/restore", None, (404, "no_album")),
    ):
        assert error_of(server.post(path, body)) == named, path
    assert error_of(server.http.delete(f"{server.base}/albums/1")) == (400, "built_in_album")
    assert error_of(server.get("/albums/7/export")) == (404, "no_album")
    assert server.get("/albums").json()["albums"] == [
        {**server.get("/albums").json()["albums"][0], "name": "Favourites", "n_images": 0}
    ]


def test_for_agents(tmp_path: Path) -> None:
    folder = make_library(tmp_path)
    with serving_mcp(folder) as client:
        shown = values(call(client, "change_album", name="Trip", add=[RED, BLUE]))
        assert (shown["name"], shown["image_ids"]) == ("Trip", [RED, BLUE])
        shown = values(call(client, "change_album", name="trip", remove=[BLUE]))
        assert shown["image_ids"] == [RED]
        listed = values(call(client, "list_albums"))
        assert [album["name"] for album in listed["albums"]] == ["Favourites", "Trip"]
        found = values(call(client, "search", words="blue", where={"album": "trip"}))
        assert [hit["image_id"] for hit in found["hits"]] == [RED]
        assert code(call(client, "change_album", name="nobody")) == "no_album"
        assert code(call(client, "change_album", name="Trip", add=[BLUE, 99])) == "no_image"
        assert values(call(client, "change_album", name="Trip"))["image_ids"] == [RED]


def test_agents_rename_delete_and_restore(tmp_path: Path) -> None:
    with serving_mcp(make_library(tmp_path)) as client:

        def change(name: str, **changes: Any) -> Any:
            return call(client, "change_album", name=name, **changes)

        def names(key: str) -> list[str]:
            return [album["name"] for album in values(call(client, "list_albums"))[key]]

        renamed = values(change("Trip", add=[RED, BLUE], rename="Coast"))
        assert (renamed["name"], renamed["image_ids"], names("deleted")) == (
            "Coast",
            [RED, BLUE],
            [],
        )
        deleted = change("coast", delete=True)
        assert values(deleted)["image_ids"] == [RED, BLUE]
        assert "it is deleted" in deleted.content[0].text
        assert (names("albums"), names("deleted")) == (["Favourites"], ["Coast"])
        assert code(change("Coast")) == code(change("Coast", rename="Sea")) == "no_album"
        both = values(change("Coast", restore=True, remove=[RED], rename="Sea"))
        assert (both["name"], both["image_ids"], names("deleted")) == ("Sea", [BLUE], [])
        assert code(change("Sea", restore=True)) == "no_album"
        assert code(change("Sea", delete=True, remove=[BLUE])) == "bad_request"
        assert code(change("Sea", add=[RED], rename="favorites")) == "name_taken"
        assert values(change("Sea"))["image_ids"] == [BLUE], "all of a call, or nothing"
        assert code(change("Favourites", delete=True)) == "built_in_album"
        assert code(change("Favourites", rename="Mine")) == "built_in_album"


def test_as_keywords_beside_the_pictures(library: relook.Library, pictures: Path) -> None:
    library.add(pictures)
    [red] = library.overview.images_at(pictures / "red.png")
    library.albums.add("Sardinia", [red])
    library.albums.add("Favourites", [red])
    assert export_xmp(library).n_new == 1
    packet = (pictures / "red.png.xmp").read_text()
    assert "Sardinia" in packet
    assert "Favourites" in packet
    assert json.dumps(library.albums.get("Sardinia").as_dict())
