"""Scenes of a video are found in every container, within bounds, and damage is never a crash."""

import os
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from video_files import LIMITS, endless, film, times, turned

from relook.core import isolation, video_scenes
from relook.core.errors import ImageError
from relook.core.picture_paths import is_archive, member_path, scene_name, split_member, split_scene
from relook.core.videos import scene_picture, scenes_of, video_at


def colour(path: Path, time_s: float) -> str:
    """The channel that is brightest in the middle of a scene."""
    image = scene_picture(os.fsencode(path), time_s).image
    pixel = image.getpixel((image.width // 2, image.height // 2))
    return ("red", "green", "blue")[pixel.index(max(pixel))]


def test_paths_of_scenes() -> None:
    path = member_path(b"/a/clip.MP4", scene_name(12.5))
    assert path == b"/a/clip.MP4#t=12.5"
    assert split_scene(path) == (b"/a/clip.MP4", 12.5)
    assert split_member(path) == (b"/a/clip.MP4", b"12.5")
    assert is_archive(b"/a/clip.MP4")
    assert scene_name(0.0) == b"0"
    for other in (b"/a/x.png#t=1", b"/a/c.mp4#t=", b"/a/c.mp4#t=-1"):
        assert split_scene(other) is None


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".MP4"])
def test_scenes_of_every_container(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"clip{suffix}")

    found = times(path)

    assert [colour(path, time_s) for time_s in found] == ["red", "green", "blue"]
    assert found == pytest.approx((0.0, 2.0, 4.0), abs=1.0)


def test_a_scene_that_comes_again_is_no_other_one(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", ("red", "blue", "red", "blue"))

    assert len(times(path)) == 2


def test_at_most_so_many_scenes_and_those_that_differ_most(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", ("red", "#e00000", "#c00000", "blue", "#0000d0"))

    found = times(path, replace(LIMITS, video_scenes=2))

    assert [colour(path, time_s) for time_s in found] == ["red", "blue"]


def test_scenes_between_distant_key_frames(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", ("red", "green", "blue"), scene_s=5.0, key_every=1000)

    assert [colour(path, time_s) for time_s in times(path)] == ["red", "green", "blue"]


@pytest.mark.parametrize("how", ["irregular", "sound", "wide", "one frame"])
def test_odd_videos_are_read(tmp_path: Path, how: str) -> None:
    options = {
        "irregular": {"irregular": True}, "sound": {"sound": True}, "one frame": {"scene_s": 0.2},
        "wide": {"square": Fraction(2, 1)},
    }[how]  # fmt: skip
    colours = ("red",) if how == "one frame" else ("red", "blue")
    path = film(tmp_path / "a.mp4", colours, **options)  # type: ignore[arg-type]

    assert [colour(path, time_s) for time_s in times(path)] == list(colours)
    shown = scene_picture(os.fsencode(path), 0.0)
    assert (shown.width_px, shown.height_px) == ((96, 32) if how == "wide" else (48, 32))


def test_a_phones_video_comes_out_upright(tmp_path: Path) -> None:
    path = turned(tmp_path / "b.mp4", film(tmp_path / "a.mp4", ("red",)))

    shown = scene_picture(os.fsencode(path), 0.0)

    assert (shown.width_px, shown.height_px) == (32, 48)


def test_a_video_without_an_end(tmp_path: Path) -> None:
    path = endless(tmp_path / "a.webm")

    assert scenes_of(video_at(os.fsencode(path)), LIMITS).duration_s == 0
    assert [colour(path, time_s) for time_s in times(path)] == ["red", "blue"]


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".avi"])
def test_a_video_that_is_cut_short_is_read_as_far_as_it_goes(tmp_path: Path, suffix: str) -> None:
    whole = film(tmp_path / f"a{suffix}", scene_s=4.0).read_bytes()
    cut = tmp_path / f"b{suffix}"
    cut.write_bytes(whole[: len(whole) * 4 // 5])

    assert colour(cut, times(cut)[0]) == "red"


def test_damage_anywhere_in_a_video_is_no_crash(tmp_path: Path) -> None:
    whole = film(tmp_path / "a.mp4").read_bytes()
    codes = set()
    for at in range(0, len(whole), len(whole) // 24):
        broken = bytearray(whole)
        broken[at : at + 40] = bytes(255 - value for value in broken[at : at + 40])
        path = tmp_path / f"{at}.mp4"
        path.write_bytes(broken)
        codes.add(_outcome(path))
    assert codes <= {"read", "not_an_image", "undecodable", "too_many_pixels"}


def _outcome(path: Path) -> str:
    """What comes of a video: nothing wrong, or the code of the error."""
    try:
        for time_s in times(path):
            scene_picture(os.fsencode(path), time_s)
    except ImageError as error:
        return error.code
    return "read"


def test_a_video_may_take_so_long_and_no_longer() -> None:
    hello = b'{"n_bytes": 0, "unbounded": []}'
    said = len(hello).to_bytes(4, "big") + hello
    script = f"import os, time; os.write(1, {said!r}); time.sleep(600)"
    workers = isolation.Workers(LIMITS.isolated_bytes, command=(sys.executable, "-c", script))
    job = isolation._Job({"scenes_of": ""}, b"", LIMITS, 0.2, isolation._scenes)

    with pytest.raises(ImageError) as raised:
        workers.work(job)

    assert raised.value.code == "decoder_timeout"
    assert "images.video_s" in raised.value.hint
    workers.close()


def test_scenes_found_in_part_of_the_time_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "a.mp4", scene_s=4.0)
    monkeypatch.setattr(video_scenes, "_SHARE", 0.0)

    told = video_scenes.find_scenes(os.fsencode(path), LIMITS)

    assert told["times_s"] == [0.0]


def test_a_video_may_have_so_many_pixels(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")

    with pytest.raises(ImageError) as raised:
        times(path, replace(LIMITS, max_decoded_pixels=1000))

    assert raised.value.code == "too_many_pixels"
