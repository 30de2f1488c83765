"""A library without a search: counts that narrow each other, pictures by time, copies."""

import csv
import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageFilter
from server_parts import Running, error_of, serving

import relook
from relook.core.types import Part, Query
from relook.search.copy_list import as_script
from relook.testing import noise

FACTS = {
    "paris": {"taken_at": "2019-07-14T12:30:00", "latitude": 48.8584, "longitude": 2.2945,
              "rating": 5, "camera_make": "Canon", "camera": "Canon EOS R5"},
    "louvre": {"taken_at": "2019-08-01T09:00:00", "latitude": 48.8606, "longitude": 2.3376,
               "rating": 3, "camera_make": "SONY", "camera": "ILCE-7M3"},
    "fiji": {"taken_at": "2021", "latitude": -17.7, "longitude": 179.99, "rating": 5},
    "bare": {},
}  # fmt: skip
JULY = {"taken_at>=": "2019-07", "taken_at<": "2019-08"}


@pytest.fixture
def library(library: relook.Library, tmp_path: Path) -> relook.Library:
    """Four pictures with facts, two in a folder of their own; the file of `bare` is of 2015."""
    folder = tmp_path / "pictures"
    (folder / "far").mkdir(parents=True)
    rows = []
    for number, (name, facts) in enumerate(FACTS.items()):
        path = ("far/" if name in ("fiji", "bare") else "") + f"{name}.png"
        noise(number, 64, 48).save(folder / path)
        rows.append(json.dumps({"path": path, **facts}))
    os.utime(folder / "far" / "bare.png", times=(1_430_784_000,) * 2)
    (folder / "facts.jsonl").write_text("\n".join(rows))
    library.add(folder, metadata=[folder / "facts.jsonl"])
    return library


def pairs(counts: object) -> dict[str, int]:
    return {count.value: count.n for count in counts}  # type: ignore[attr-defined]


def test_counts_of_everything(library: relook.Library, tmp_path: Path) -> None:
    facets = library.overview.facets()

    assert (facets.n_images, facets.n_no_time, facets.n_no_place) == (4, 0, 1)
    assert list(pairs(facets.months)) == ["2015-05", "2019-07", "2019-08", "2021-01"]
    assert pairs(facets.cameras) == {"Canon EOS R5": 1, "SONY ILCE-7M3": 1}
    folder = tmp_path / "pictures"
    assert pairs(facets.folders) == {str(folder): 2, str(folder / "far"): 2}
    assert pairs(facets.ratings) == {"5": 2, "3": 1}
    assert pairs(facets.orientations)["landscape"] == 4
    assert sum(cell.n for cell in facets.places) == 3


def test_counts_narrow_each_other_and_keep_other_choices_of_their_kind(
    library: relook.Library,
) -> None:
    facets = library.overview.facets(JULY)

    assert facets.n_images == 1
    assert len(facets.months) == 4
    assert pairs(facets.cameras) == {"Canon EOS R5": 1}
    both = library.overview.facets({**JULY, "camera": "SONY ILCE-7M3"})
    assert both.n_images == 0
    assert list(pairs(both.months)) == ["2019-08"]
    assert pairs(both.cameras) == {"Canon EOS R5": 1}


def test_every_count_is_what_its_filter_finds(library: relook.Library) -> None:
    facets = library.overview.facets()
    keys = {"camera": facets.cameras, "folder": facets.folders, "rating": facets.ratings,
            "orientation": facets.orientations, "place~": facets.places}  # fmt: skip
    for key, counts in keys.items():
        for count in counts:
            value = count.near if key == "place~" else count.value  # type: ignore[union-attr]
            assert library.overview.browse({key: value}).n_images == count.n, (key, value)


def test_keywords_are_counted_and_found_one_by_one(library: relook.Library, tmp_path: Path) -> None:
    of = {
        "paris": "Beach, lake, beach", "louvre": "beachhead, lake at dawn",
        "far/fiji": ["Lake", "café bar"], "far/bare": "BEACH",
    }  # fmt: skip
    rows = [json.dumps({"path": f"{path}.png", "keywords": value}) for path, value in of.items()]
    words = tmp_path / "pictures" / "words.jsonl"
    words.write_text("\n".join(rows))
    library.add(metadata=[words])
    counted = pairs(library.overview.facets().keywords)
    assert counted == {
        "Beach": 2, "lake": 2, "beachhead": 1, "lake at dawn": 1, "café bar": 1,
    }  # fmt: skip
    for value, n in counted.items():
        assert library.overview.browse({"keywords": value}).n_images == n, value
    assert library.overview.browse({"keywords!=": "beach"}).n_images == 2
    assert library.overview.browse({"keywords": "beach*"}).n_images == 3
    assert library.overview.browse({"keywords": "*bar"}).n_images == 1
    assert library.overview.browse({"keywords": "beach, lake, beach"}).n_images == 1
    narrowed = library.overview.facets({"keywords": "beach", "orientation": "landscape"})
    assert (narrowed.n_images, pairs(narrowed.keywords)) == (2, counted)
    assert pairs(library.overview.facets({"folder": "*/far"}).keywords)["Beach"] == 1


def test_pictures_by_time_newest_first(library: relook.Library) -> None:
    names = ["fiji", "louvre", "paris", "bare"]
    page = library.overview.browse(limit=3)
    rest = library.overview.browse(limit=3, skip=3)

    assert [record.path.stem for record in page.records + rest.records] == names
    assert page.n_images == 4
    far = library.overview.browse(path="*/far/*").records
    assert [record.path.stem for record in far] == ["fiji", "bare"]


@pytest.fixture
def copies(library: relook.Library, tmp_path: Path) -> Path:
    """Copies of one picture: equal, recompressed, and larger but blurred."""
    folder = tmp_path / "pictures"
    picture = noise(40, 40, 30).resize((400, 300), Image.Resampling.BICUBIC)
    picture.save(folder / "sea.png")
    shutil.copy(folder / "sea.png", folder / "far" / "sea (1).png")
    picture.resize((200, 150)).save(folder / "far" / "sea small.jpg", quality=80)
    blurred = picture.resize((800, 600)).filter(ImageFilter.GaussianBlur(14))
    blurred.save(folder / "sea-enlarged.jpg")
    library.add(folder, metadata=[folder / "facts.jsonl"])
    return folder


def test_copies_with_which_to_keep_and_why(library: relook.Library, copies: Path) -> None:
    found = library.overview.copies()

    [group] = found.groups
    assert group.copies[0].path.name == "sea.png"
    assert {copy.path.name for copy in group.copies} == {
        "sea.png", "sea (1).png", "sea small.jpg", "sea-enlarged.jpg",
    }  # fmt: skip
    assert group.why == "its name is no copy's"
    assert set(group.differs) >= {"file", "size", "format", "folder", "sharpness"}
    assert (found.n_groups, found.n_others) == (1, 3)
    assert group.n_bytes == sum(copy.size_bytes for copy in group.copies[1:])
    [unread] = library.overview.copies(measure=False).groups
    assert unread.copies[0].path.name == "sea-enlarged.jpg"
    assert library.overview.copies(equal_only=True).groups == ()


def test_equal_files_alone(library: relook.Library, copies: Path) -> None:
    for name in ("far/sea small.jpg", "sea-enlarged.jpg"):
        library.forget(copies / name)
    [group] = library.overview.copies(equal_only=True).groups

    assert [copy.is_same_file for copy in group.copies] == [True, True]
    assert group.differs == ("folder",)
    session = library.look(Query((Part(image_id=group.copies[1].image_id),)))
    again = library.overview.copies(equal_only=True).groups[0]
    assert again.copies == group.copies[::-1]  # the session's picture stays
    assert again.why == "it was marked, or is in an album"
    session.delete()
    assert library.overview.copies(equal_only=True).groups == (group,)


def test_the_script_moves_the_others_and_only_them(
    library: relook.Library, copies: Path, tmp_path: Path
) -> None:
    odd = copies / "far" / "it's $(touch hacked)\n; rm -rf x.png"
    shutil.copy(copies / "sea.png", odd)
    library.add(copies, metadata=[copies / "facts.jsonl"])
    script = tmp_path / "copies.sh"
    script.write_bytes(as_script(library.overview.copies()))
    before = {path for path in copies.rglob("*") if path.is_file()}
    for _ in range(2):  # a second time changes nothing
        subprocess.run(["sh", script, tmp_path / "others"], check=True, cwd=tmp_path)

    moved = {path.name.partition("-")[2] for path in (tmp_path / "others").iterdir()}
    assert moved == {"sea (1).png", "sea small.jpg", "sea-enlarged.jpg", odd.name}
    assert before - {path for path in copies.rglob("*") if path.is_file()} == {
        path for path in before if path.name in moved
    }
    assert not (tmp_path / "hacked").exists()


def test_the_command(library: relook.Library, copies: Path, run, tmp_path: Path, capsys) -> None:
    place = ("--library", library.folder)
    found = run("copies", *place)
    assert (found["n_groups"], len(found["groups"][0]["copies"])) == (1, 4)
    from relook.cli.main import main

    assert main(["copies", *map(str, place), "--format", "csv", "--out", str(tmp_path / "c")]) == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "c").read_text())))
    assert [row["keep"] for row in rows] == ["yes", "no", "no", "no"]
    capsys.readouterr()
    assert main(["copies", *map(str, place)]) == 0
    assert "1 group; 3 pictures are copies" in capsys.readouterr().out
    assert main(["copies", *map(str, place), "--out", "x"]) == 2


@pytest.fixture
def server(library: relook.Library, copies: Path, tmp_path: Path) -> Iterator[Running]:
    with serving(library, cache=tmp_path / "cache") as running:
        yield running


def test_over_http(server: Running) -> None:
    facets = server.post("/facets", {"where": JULY}).json()
    assert facets["n_images"] == 1
    assert facets["cameras"] == [{"value": "Canon EOS R5", "n": 1}]
    browsed = server.post("/browse", {"where": {"rating>=": "3"}, "limit": 2}).json()
    assert browsed["n_images"] == 3
    assert [image["path"].rpartition("/")[2] for image in browsed["images"]] == [
        "fiji.png", "louvre.png",
    ]  # fmt: skip
    assert browsed["images"][0]["thumbnail"].startswith("/api/v1/")
    found = server.http.get(f"{server.base}/copies").json()
    copies = found["groups"][0]["copies"]
    assert copies[0]["path"].endswith("sea.png")
    group = server.post("/copies/group", {"image_ids": [copies[1]["image_id"]] * 2}).json()
    assert [copy["image_id"] for copy in group["copies"]] == [copies[1]["image_id"]]
    script = server.http.get(f"{server.base}/copies/list", params={"format": "sh"})
    assert script.text.startswith("#!/bin/sh")
    assert 'filename="copies.sh"' in script.headers["content-disposition"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/facets", {"where": {"taken_at>=": "soon"}}, (400, "bad_filter")),
        ("/browse", {"limit": 0}, (422, "bad_request")),
        ("/browse", {"skip": -1}, (422, "bad_request")),
        ("/copies/group", {"image_ids": []}, (422, "bad_request")),
        ("/copies/group", {"image_ids": [999]}, (404, "no_image")),
    ],
)
def test_what_cannot_be_asked(
    server: Running, path: str, body: dict[str, object], status: tuple[int, str]
) -> None:
    assert error_of(server.post(path, body)) == status
