"""Videos: their scenes are images, with the promises that pictures have."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from library_parts import ids
from server_parts import error_of, serving
from video_files import film, song, times

import relook
from relook.core import decoders
from relook.core.images import load
from relook.core.settings import ImageLimits, IndexSettings, SearchSettings
from relook.core.videos import moving_beside
from relook.library.build import Builder
from relook.testing import ColourEncoder, noise, solid


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.mp4", "empty"), ("text.mov", "not a video"), ("page.mkv", "a web page"),
        ("song.mp4", "sound, and no moving pictures"), ("cut.mp4", "cannot be opened"),
        ("hollow.mp4", "cannot be opened"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_listed_with_a_reason(
    library: relook.Library, folder: Path, name: str, reason: str
) -> None:
    whole = film(folder / "whole.mp4").read_bytes()
    solid("red").save(folder / "red.png")
    content = {
        "empty.mp4": b"", "text.mov": b"x" * 3000, "page.mkv": b"<!doctype html>" * 90,
        "cut.mp4": whole[: len(whole) // 3], "hollow.mp4": whole[:32] + b"\0" * 4000,
    }  # fmt: skip
    if name in content:
        (folder / name).write_bytes(content[name])
    else:
        song(folder / name)

    report = library.add(folder)

    [skipped] = report.skipped
    assert os.path.basename(os.fsdecode(skipped.facts.path)) == name
    assert reason in skipped.message
    assert (report.n_added, report.notes) == (4, [])
    assert library.add(folder).n_skipped == 1  # and is not looked through again


def test_scenes_are_images_of_the_library(library: relook.Library, folder: Path) -> None:
    film(folder / "clip.mp4", made="2021-07-01T10:00:00")
    solid("white").save(folder / "white.png")

    report = library.add(folder)

    assert (report.n_added, report.n_skipped, report.others) == (4, 0, [])
    [hit, *_] = library.search("blue")
    assert (hit.path, hit.time_s) == (folder / f"clip.mp4#t={hit.time_s:g}", hit.time_s)
    assert (hit.width_px, hit.height_px) == (48, 32)
    [record] = library.files.catalog.images([hit.image_id])
    assert record.format == "MP4"
    assert record.metadata["taken_at"] == "2021-07-01T10:00:00+00:00"
    assert load(hit.path).image.size == (48, 32)
    assert library.search("white", limit=1)[0].time_s is None
    assert library.similar(hit.path, limit=1)[0].image_id == hit.image_id


def test_hits_are_folded_by_video(
    open_library: Callable[..., relook.Library], folder: Path
) -> None:
    library = open_library(search=SearchSettings(fold=True))
    film(folder / "a.mp4")
    shutil.copy(folder / "a.mp4", folder / "copy.mp4")
    film(folder / "b.mp4", ("cyan", "yellow"))
    library.add(folder)

    page = library.search("blue")

    assert {hit.path.name.partition("#")[0] for hit in page} == {"a.mp4", "b.mp4"}
    assert sorted(len(hit.folded) for hit in page) == [1, 5]
    assert len(library.search("blue", fold=False)) == 8


def test_unchanged_touched_moved_changed_deleted_and_back(
    library: relook.Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = film(folder / "clip.mp4")
    solid("white").save(folder / "white.png")
    library.add(folder)
    before = ids(library)
    session = library.look("blue")
    session.judge(before[f"clip.mp4#t={times(clip)[2]:g}"], relevant=True)

    with monkeypatch.context() as patch:
        patch.setattr("relook.library.known.scenes_of", again)
        patch.setattr("relook.library.reading.scene_picture", again)
        assert library.add(folder).n_unchanged == 4
        os.utime(clip, (1, 1))
        assert library.add(folder).n_unchanged == 4
        clip.rename(folder / "moved.mp4")
        assert library.add(folder).n_moved == 3
    now = ids(library)
    assert sorted(now.values()) == sorted(before.values())
    assert all(name.startswith(("moved.mp4#t=", "white")) for name in now)

    (folder / "moved.mp4").rename(folder.parent / "aside.mp4")
    report = library.add(folder)
    assert (report.n_removed, report.n_away, report.n_images) == (3, 0, 1)
    (folder.parent / "aside.mp4").rename(folder / "back.mp4")
    report = library.add(folder)
    assert (report.n_added, report.n_images) == (3, 4)
    [judgement] = library.session(session.session_id).judgements
    assert judgement.image_id in ids(library).values()

    film(folder / "back.mp4", ("yellow", "cyan"))
    assert library.add(folder).n_images == 3
    assert {hit.time_s for hit in library.search("yellow", limit=1)} == {0.0}


def test_a_video_is_away_with_its_folder_and_when_it_is_damaged(
    library: relook.Library, folder: Path
) -> None:
    clip = film(folder / "disk" / "clip.mp4")
    whole = clip.read_bytes()
    solid("white").save(folder / "white.png")
    library.add(folder)
    before = ids(library)

    (folder / "disk").rename(folder.parent / "unplugged")
    assert library.add(folder).n_away == 3
    (folder.parent / "unplugged").rename(folder / "disk")
    assert library.add(folder).n_back == 3
    clip.write_bytes(whole[:1000])
    report = library.add(folder)
    assert (report.n_away, report.n_skipped, report.n_removed) == (3, 1, 0)
    clip.write_bytes(whole)
    assert library.add(folder).n_back == 3
    assert ids(library) == before


def test_relook_move_takes_videos_along(library: relook.Library, folder: Path) -> None:
    film(folder / "clip.mp4")
    library.add(folder)
    before = sorted(ids(library).values())
    folder.rename(folder.parent / "elsewhere")

    library.move(folder, folder.parent / "elsewhere")

    paths = [image.facts.path for image in library.files.catalog.each_image()]
    assert all(os.fsencode(folder.parent / "elsewhere") in path for path in paths)
    assert sorted(image.image_id for image in library.files.catalog.each_image()) == before
    assert library.forget(folder.parent / "elsewhere" / "clip.mp4") == 3


def interrupted(_: Builder) -> None:
    raise KeyboardInterrupt


def again(*_: object) -> None:
    raise AssertionError("it is looked through again")


def test_a_run_that_was_stopped_goes_on(
    library: relook.Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(folder / "a.mp4")
    film(folder / "b.mp4", ("yellow", "cyan"))
    with monkeypatch.context() as patch:
        patch.setattr(Builder, "_encode", interrupted)
        assert library.add(folder).interrupted
    monkeypatch.setattr("relook.library.known.scenes_of", again)

    assert library.add(folder).n_added == 5


def test_another_number_of_scenes_counts_when_it_is_tried_again(
    open_library: Callable[..., relook.Library], folder: Path
) -> None:
    film(folder / "a.mp4")
    open_library().add(folder)

    library = open_library(limits=ImageLimits(video_scenes=2))
    assert library.add(folder).n_images == 3
    assert library.add(folder, settings=IndexSettings(retry_skipped=True)).n_images == 2


def test_without_the_extra_videos_are_counted_with_what_to_install(
    library: relook.Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(folder / "a.mp4")
    solid("white").save(folder / "white.png")
    library.add(folder)
    monkeypatch.setattr("relook.library.scan.has_decoder", lambda _: False)
    film(folder / "b.mkv")

    report = library.add(folder)

    assert report.n_images == 4  # what was read stays
    assert {(files.suffix, files.n) for files in report.others} == {(".mp4", 1), (".mkv", 1)}
    assert 'pip install "relook[video]"' in report.notes[0]
    monkeypatch.setattr("relook.core.videos.has_decoder", lambda _: False)
    assert decoders.NO_DECODER in [file.code for file in library.add(folder / "b.mkv").skipped]


def test_a_live_photo_is_its_still(library: relook.Library, folder: Path) -> None:
    noise(1).convert("RGB").save(folder / "IMG_1.JPG")
    film(folder / "IMG_1.MOV", ("red", "blue"), scene_s=1.0)
    noise(2).convert("RGB").save(folder / "IMG_2.JPG")
    film(folder / "IMG_2.MOV", scene_s=3.0)  # too long for one

    report = library.add(folder)

    assert report.left_out == {"Live Photo": 1}
    assert "1 video moves in a Live Photo" in " ".join(report.notes)
    assert set(ids(library)) & {"IMG_1.JPG", "IMG_2.JPG"} == {"IMG_1.JPG", "IMG_2.JPG"}
    assert not [name for name in ids(library) if name.startswith("IMG_1.MOV")]
    assert report.n_images == 5
    again = library.add(folder)
    assert (again.left_out, again.n_unchanged) == ({"Live Photo": 1}, 5)
    (folder / "IMG_1.JPG").unlink()
    report = library.add(folder)
    assert (report.n_added, report.n_removed, report.left_out) == (2, 1, {})
    noise(1).convert("RGB").save(folder / "IMG_1.JPG")  # the still comes after its video
    report = library.add(folder)
    assert (report.n_removed, report.n_away, report.n_images) == (2, 0, 5)


def test_a_live_photo_whose_names_differ_in_case_is_its_still(
    library: relook.Library, folder: Path
) -> None:
    noise(1).convert("RGB").save(folder / "img_1.jpg")
    film(folder / "IMG_1.MOV", ("red", "blue"), scene_s=1.0)
    for name in ("Img_2.jpg", "img_2.jpg"):  # nobody can say whose video it is
        noise(2).convert("RGB").save(folder / name)
    film(folder / "IMG_2.MOV", scene_s=1.0)

    report = library.add(folder)

    assert report.left_out == {"Live Photo": 1}
    assert any(name.startswith("IMG_2.MOV") for name in ids(library))
    assert moving_beside(os.fsencode(folder / "img_1.jpg")) == os.fsencode(folder / "IMG_1.MOV")


def test_the_command_line_tells_the_moment(
    run: Callable[..., dict], folder: Path, tmp_path: Path
) -> None:
    film(folder / "clip.mp4")

    run("index", folder, "--library", tmp_path / "lib")
    [hit] = run("search", "blue", "--library", tmp_path / "lib")["hits"]

    assert hit["path"].endswith(f"clip.mp4#t={hit['time_s']:g}")
    assert len(hit["folded"]) == 2


def test_videos_are_served_in_parts(library: relook.Library, folder: Path, tmp_path: Path) -> None:
    clip = film(folder / "clip.webm")
    noise(1).convert("RGB").save(folder / "IMG_1.jpg")
    film(folder / "IMG_1.mov", ("red",), scene_s=1.0)
    noise(2).convert("RGB").save(folder / "still.jpg")
    with_motion = (folder / "still.jpg").read_bytes()
    behind = film(tmp_path / "behind.mp4", ("red",)).read_bytes()
    says = b"\xff\xe1\0\x20" + b'GCamera:MotionPhoto="1"'.ljust(30)
    (folder / "moving.jpg").write_bytes(with_motion[:2] + says + with_motion[2:] + behind)
    library.add(folder)
    by_name = ids(library)
    scene = next(image_id for name, image_id in by_name.items() if name.startswith("clip"))
    data = clip.read_bytes()
    with serving(library, cache=tmp_path / "cache") as server:
        [hit] = server.client.search("library", "blue", limit=1)["hits"]
        assert hit["time_s"] is not None
        assert hit["video"].endswith(f"/images/{hit['image_id']}/video")
        whole = server.get(f"/images/{scene}/video")
        assert (whole.status_code, whole.content) == (200, data)
        assert whole.headers["content-type"] == "video/webm"
        part = server.get(f"/images/{scene}/video", headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, data[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{len(data)}"
        last = server.get(f"/images/{scene}/video", headers={"Range": "bytes=-5"})
        assert last.content == data[-5:]
        beyond = server.get(f"/images/{scene}/video", headers={"Range": f"bytes={len(data)}-"})
        assert beyond.status_code == 416
        still = server.get(f"/images/{by_name['IMG_1.jpg']}").json()
        assert server.http.get(still["video"]).content == (folder / "IMG_1.mov").read_bytes()
        assert server.get(f"/images/{by_name['moving.jpg']}/video").content == behind
        assert server.get(f"/images/{by_name['still.jpg']}").json()["video"] is None
        assert error_of(server.get(f"/images/{by_name['still.jpg']}/video")) == (404, "no_video")
        thumbnail = server.get(f"/images/{scene}/thumbnail")
        assert thumbnail.headers["content-type"] == "image/jpeg"
        assert server.get(f"/images/{scene}/file").headers["content-type"] == "image/jpeg"
        clip.write_bytes(film(tmp_path / "other.webm", ("yellow",)).read_bytes())
        assert error_of(server.get(f"/images/{scene}/video")) == (404, "picture_changed")
        (folder / "IMG_1.mov").unlink()
        (folder / "IMG_1.mov").symlink_to(tmp_path / "behind.mp4")
        assert error_of(server.get(f"/images/{by_name['IMG_1.jpg']}/video")) == (404, "no_video")


def test_only_who_may_see_pictures_may_see_videos(
    library: relook.Library, folder: Path, tmp_path: Path
) -> None:
    film(folder / "clip.mp4")
    library.add(folder)
    with serving(library, cache=tmp_path / "cache", token="a-token-of-24-characters") as server:
        assert error_of(server.get("/images/1/video")) == (401, "bad_token")


def test_a_library_made_before_opens(tmp_path: Path, folder: Path) -> None:
    solid("white").save(folder / "white.png")
    with relook.Library(tmp_path / "lib", encoder=ColourEncoder()) as library:
        library.add(folder)
        with library.files.catalog.transaction() as db:
            db.execute("DROP TABLE videos")
    film(folder / "clip.mp4")

    with relook.Library(tmp_path / "lib", encoder=ColourEncoder()) as library:
        assert library.add(folder).n_added == 3
        assert json.dumps(library.search("blue")[0].as_dict())
