"""Bad pictures: each is listed with its reason, the run goes on, and nothing else is lost."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from library_parts import ids, many, names
from PIL import Image

import relook
from relook.core.errors import EncoderMismatchError, InputError, LibraryFormatError, NotFoundError
from relook.core.settings import ImageLimits, IndexSettings
from relook.library import reading
from relook.library.scan import Scan
from relook.testing import ColourEncoder, noise, solid


def spoil(folder: Path) -> dict[bytes, str]:
    """One of each bad file; returns code by name."""
    good = folder / "good.jpg"
    noise(1, 200, 200).save(good)
    (folder / "cut.jpg").write_bytes(good.read_bytes()[:2000])
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("I am not a picture")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "memory.jpg").symlink_to("/proc/self/mem")
    (folder / "dangling.jpg").symlink_to("nowhere")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "new\nline \x1b[31m.jpg").write_text("text")
    with open(os.fsencode(folder) + b"/odd\xff.jpg", "wb") as file:
        file.write(b"text")
    Image.new("1", (32_000, 32_000)).save(folder / "large.png")
    good.unlink()
    return {
        b"cut.jpg": "truncated", b"empty.png": "empty_file", b"text.jpg": "not_an_image",
        b"pipe.jpg": "not_a_file", b"memory.jpg": "unreadable", b"dangling.jpg": "vanished",
        b"loop.jpg": "unreadable", b"new\nline \x1b[31m.jpg": "not_an_image",
        b"odd\xff.jpg": "not_an_image", b"large.png": "too_many_pixels",
    }  # fmt: skip


def skipped(report: object) -> dict[bytes, str]:
    return {os.path.basename(f.facts.path): f.code for f in report.skipped}  # type: ignore[attr-defined]


def test_each_bad_file_is_listed_and_the_good_ones_are_in(
    library: relook.Library, pictures: Path
) -> None:
    expected = spoil(pictures)
    report = library.add(pictures, settings=IndexSettings(batch=2, commit_every=3))
    assert skipped(report) == expected
    assert report.n_added == len(library) == 3
    assert all(file.message for file in report.skipped)
    assert library.info()["n_skipped"] == len(expected)
    assert names(library.search("red", limit=1)) == ["red.png"]


def test_bad_files_stay_listed_and_are_not_read_again(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = spoil(pictures)
    library.add(pictures)
    seen = []
    real = reading.read_bytes

    def read_bytes(path: bytes, limits: ImageLimits) -> bytes:
        seen.append(os.path.basename(path))
        return real(path, limits)

    monkeypatch.setattr(reading, "read_bytes", read_bytes)
    assert skipped(library.add(pictures)) == expected
    # What may have been a passing trouble is tried again.
    assert sorted(seen) == [b"dangling.jpg", b"loop.jpg", b"memory.jpg"]
    seen.clear()
    library.add(pictures, settings=IndexSettings(retry_skipped=True))
    assert set(seen) == set(expected)


def test_a_bad_file_that_was_mended_or_removed_is_listed_no_more(
    library: relook.Library, pictures: Path
) -> None:
    expected = spoil(pictures)
    library.add(pictures)
    solid("yellow").save(pictures / "cut.jpg")
    for name in expected:
        if name != b"cut.jpg":
            os.unlink(os.path.join(os.fsencode(pictures), name))
    report = library.add(pictures)
    assert (report.n_added, report.skipped) == (1, [])
    assert library.info()["n_skipped"] == 0
    assert names(library.search("yellow", limit=1)) == ["cut.jpg"]


ODD_NAMES = (
    b"new\nline.png",
    "🐕 ü.png".encode(),
    b"odd\xff\xfe.png",
    b"tab\t\x1b[31m.png",
    b"-rf.png",
)


def test_odd_names_are_indexed_found_and_kept_as_bytes(
    library: relook.Library, tmp_path: Path
) -> None:
    folder = os.fsencode(tmp_path / "pictures")
    os.mkdir(folder)
    for seed, name in enumerate(ODD_NAMES):
        with open(os.path.join(folder, name), "wb") as file:
            noise(seed).save(file, "PNG")
    assert library.add(tmp_path / "pictures").n_added == len(ODD_NAMES)
    found = library.search("red", limit=9)
    assert {os.path.basename(bytes(hit.path)) for hit in found} == set(ODD_NAMES)
    assert library.add(tmp_path / "pictures").n_unchanged == len(ODD_NAMES)
    assert len(library.search("red", path="odd\udcff")) == 1
    for name in ODD_NAMES:
        assert library.forget(os.fsdecode(os.path.join(folder, name))) == 1


def test_sixteen_bits_cmyk_palette_animation_and_thin_pictures_are_in(
    library: relook.Library, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    deep = np.full((20, 20), 60_000, np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(folder / "cmyk.jpg")
    clear = Image.new("P", (20, 20), 0)
    clear.putpalette([0, 0, 255])
    clear.save(folder / "clear.png", transparency=0)
    frames = [solid("green"), solid("blue")]
    for kind in ("gif", "webp", "png"):
        frames[0].save(folder / f"moving.{kind}", save_all=True, append_images=frames[1:])
    solid("cyan", 1, 1).save(folder / "one.png")
    solid("magenta", 60_000, 2).save(folder / "wide.png")
    report = library.add(folder)
    assert (report.n_added, report.skipped) == (8, [])
    found = {name: names(library.search(name, limit=3)) for name in ("white", "green")}
    assert set(found["white"][:2]) == {"deep.png", "clear.png"}
    assert set(found["green"]) == {"moving.gif", "moving.webp", "moving.png"}
    for colour, name, size in (
        ("red", "cmyk.jpg", (20, 20)), ("cyan", "one.png", (1, 1)),
        ("magenta", "wide.png", (60_000, 2)),
    ):  # fmt: skip
        [hit] = library.search(colour, limit=1)
        assert (hit.path.name, (hit.width_px, hit.height_px)) == (name, size)


def test_a_turned_picture_is_found_by_its_upright_corner(
    library: relook.Library, tmp_path: Path
) -> None:
    upright = Image.new("RGB", (64, 48), "white")
    upright.paste((255, 0, 0), (32, 0, 64, 24))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    (tmp_path / "pictures").mkdir()
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "pictures" / "turned.jpg", exif=exif, quality=95)
    library.add(tmp_path / "pictures")
    [hit] = library.search("red")
    assert hit.tile.as_list() == [0.5, 0, 1, 0.5]
    assert (hit.width_px, hit.height_px) == (64, 48)
    assert hit.score == pytest.approx(0.9, abs=0.01)


def test_a_file_that_becomes_bad_is_away_and_listed(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    (pictures / "red.png").write_bytes(b"gone bad")
    for _ in range(2):
        report = library.add(pictures)
        assert (report.n_removed, report.n_away) == (0, 1)
        assert skipped(report) == {b"red.png": "not_an_image"}
    assert {hit.path.name for hit in library.search("red")} == {"green.png", "blue.png"}
    assert "red.png cannot be used" in report.notes[-1]


def test_a_file_that_only_cannot_be_read_now_keeps_its_image(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    before = ids(library)
    (pictures / "red.png").unlink()
    (pictures / "red.png").symlink_to("/proc/self/mem")
    report = library.add(pictures)
    assert (report.n_removed, skipped(report)) == (0, {b"red.png": "unreadable"})
    assert ids(library) == before
    (pictures / "red.png").unlink()
    solid("red").save(pictures / "red.png")
    report = library.add(pictures)
    assert (report.skipped, ids(library)) == ([], before)


def test_a_file_that_could_not_be_read_and_is_as_before_is_listed_no_more(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    (pictures / "red.png").rename(pictures / "kept")
    (pictures / "red.png").symlink_to("/proc/self/mem")
    library.add(pictures)
    (pictures / "red.png").unlink()
    (pictures / "kept").rename(pictures / "red.png")
    report = library.add(pictures)
    assert (report.skipped, report.n_unchanged) == ([], 3)
    assert library.info()["n_skipped"] == 0


def test_a_folder_that_vanishes_during_the_run(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(pictures / "zz", 30)
    gone = threading.Event()
    real = reading.read_bytes

    def read_bytes(path: bytes, limits: ImageLimits) -> bytes:
        if path.endswith(b"0010.png") and not gone.is_set():
            shutil.rmtree(pictures / "zz")
            gone.set()
        return real(path, limits)

    monkeypatch.setattr(reading, "read_bytes", read_bytes)
    report = library.add(pictures, settings=IndexSettings(workers=1, batch=2, commit_every=4))
    assert report.n_added == 3 + 10
    assert set(skipped(report).values()) == {"vanished"}
    assert len(report.skipped) == 20
    monkeypatch.undo()
    after = library.add(pictures)
    assert (after.n_away, after.n_unchanged, after.skipped) == (10, 3, [])
    assert sorted(names(library.search("red", limit=50))) == ["blue.png", "green.png", "red.png"]


def test_scanning_a_tree_of_links_ends(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        solid("red").save(tmp_path / name / "x.png")
    (tmp_path / "a" / "b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "a").symlink_to(tmp_path / "a")
    scan = Scan([os.fsencode(tmp_path)], avoid=b"/nowhere")
    assert len([file for files in scan for file in files]) == 2
    assert scan.unlisted == {}


def test_a_path_that_is_not_there(library: relook.Library, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"cannot index .*none: No such file") as raised:
        library.add(tmp_path / "none")
    assert raised.value.code == "no_path"


def test_a_library_that_is_not_there(tmp_path: Path) -> None:
    missing = relook.Library(tmp_path / "none", encoder=ColourEncoder())
    asks: list[Callable[[], object]] = [
        lambda: missing.search("red"), missing.info, lambda: missing.forget(tmp_path),
    ]  # fmt: skip
    for ask in asks:
        with pytest.raises(NotFoundError) as raised:
            ask()
        assert raised.value.code == "no_library"
    assert len(missing) == 0
    assert not (tmp_path / "none").exists()


def test_a_folder_of_other_files_does_not_become_a_library(pictures: Path) -> None:
    with relook.Library(pictures, encoder=ColourEncoder()) as wrong:
        with pytest.raises(InputError, match="holds other files") as raised:
            wrong.add(pictures)
        assert raised.value.code == "folder_in_use"
    assert sorted(os.listdir(pictures)) == ["green.png", "red.png", "sub"]


def test_an_unknown_encoder_makes_no_library(tmp_path: Path, pictures: Path) -> None:
    with relook.Library(tmp_path / "library", encoder="bultin") as library:
        with pytest.raises(NotFoundError, match="no encoder is called 'bultin'") as raised:
            library.add(pictures)
        assert raised.value.hint == "did you mean 'builtin'?"
    assert not (tmp_path / "library").exists()


def test_a_library_of_another_encoder_is_refused(
    library: relook.Library, open_library: Callable[..., relook.Library], pictures: Path
) -> None:
    library.add(pictures)
    with pytest.raises(EncoderMismatchError) as raised:
        open_library(encoder=ColourEncoder(revision="2"))
    assert raised.value.code == "other_encoder"
    assert raised.value.message.startswith("this library was made by colour 1 (")
    assert "; the encoder at hand is colour 2 (" in raised.value.message
    with pytest.raises(EncoderMismatchError):
        open_library(encoder="builtin")
    assert len(library) == 3


def test_a_newer_format_is_refused_and_left_alone(
    library: relook.Library, open_library: Callable[..., relook.Library], pictures: Path
) -> None:
    library.add(pictures)
    library.close()
    manifest = library.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 99'))
    before = {path.name: path.read_bytes() for path in library.folder.iterdir()}
    with pytest.raises(LibraryFormatError) as raised:
        open_library()
    assert raised.value.code == "newer_format"
    assert {path.name: path.read_bytes() for path in library.folder.iterdir()} == before


def test_vectors_that_are_gone_are_told(
    library: relook.Library, open_library: Callable[..., relook.Library], pictures: Path
) -> None:
    library.add(pictures)
    library.close()
    (library.folder / "vectors.f16").unlink()
    with pytest.raises(LibraryFormatError, match="holds 0 rows; the catalog names 15") as raised:
        open_library()
    assert raised.value.code == "vectors_missing"
