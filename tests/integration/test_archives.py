"""Tar and zip files are read where they are: nothing is unpacked, nothing in them is trusted."""

import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_parts import picture, write_tar, write_zip
from library_parts import CORNER, ids, names
from test_incremental import counts

import relook
from relook.core import sources
from relook.core.picture_paths import split_member
from relook.core.settings import ImageLimits, IndexSettings
from relook.exchange.export import export_webdataset
from relook.library import reading, survey
from relook.serving.pictures import original
from relook.testing import noise, patched, solid

WRITERS = {"tar": write_tar, "zip": write_zip}
Write = Callable[..., Path]
RED, BLUE, GREEN = (picture(solid(colour)) for colour in ("red", "blue", "green"))


@pytest.fixture(params=WRITERS)
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    return made


def skipped(report: object) -> dict[str, str]:
    found = report.skipped  # type: ignore[attr-defined]
    return {os.fsdecode(one.facts.path).split("/pictures/")[-1]: one.code for one in found}


def test_members_are_images_and_can_be_had_one_by_one(
    library: relook.Library, folder: Path, suffix: str
) -> None:
    white = picture(patched("white", "green", CORNER))
    WRITERS[suffix](folder / f"a.{suffix}", {"./cats/1.png": RED, "2.png": white, "n.txt": "x"})
    assert counts(library.add(folder)) == {"n_added": 2}
    assert ids(library) == {f"a.{suffix}!/cats/1.png": 1, f"a.{suffix}!/2.png": 2}
    [hit] = library.search("red", limit=1)
    assert hit.path == folder / f"a.{suffix}!" / "cats" / "1.png"
    assert original(library.image(1), ImageLimits()) == RED
    [corner] = library.search(f"id:2@{','.join(map(str, CORNER.as_list()))}", limit=1)
    assert corner.image_id == 2  # a region is cut from the member's pixels


def test_an_unchanged_archive_costs_a_stat(
    library: relook.Library, folder: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRITERS[suffix](folder / f"a.{suffix}", {"1.png": RED, "2.png": BLUE, "bad.png": "no picture"})
    assert counts(library.add(folder)) == {"n_added": 2, "n_skipped": 1}
    monkeypatch.setattr(survey, "archive_at", None)
    monkeypatch.setattr(reading, "read_bytes", None)
    again = library.add(folder)
    assert counts(again) == {"n_unchanged": 2, "n_skipped": 1}
    assert skipped(again) == {f"a.{suffix}!/bad.png": "not_an_image"}


def test_of_a_changed_archive_only_what_changed_is_encoded(
    library: relook.Library, folder: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / f"a.{suffix}"
    WRITERS[suffix](path, {"1.png": RED, "2.png": BLUE, "3.png": picture(noise(3))})
    library.add(folder)
    before = ids(library)
    WRITERS[suffix](path, {"0.png": picture(noise(4)), "1.png": RED, "2.png": GREEN})
    os.utime(path, (1, 1))
    read, decoded = [], []
    real_read, real_decode = reading.read_bytes, reading.decode
    monkeypatch.setattr(
        reading, "read_bytes", lambda path, limits: read.append(path) or real_read(path, limits)
    )
    monkeypatch.setattr(
        reading, "decode", lambda data, *more: decoded.append(data) or real_decode(data, *more)
    )
    assert counts(library.add(folder)) == {
        "n_added": 1, "n_updated": 1, "n_unchanged": 1, "n_removed": 1,
    }  # fmt: skip
    # A zip says which members changed; a tar's are read and known by their content.
    assert len(read) == (2 if suffix == "zip" else 3)
    assert set(decoded) == {GREEN, picture(noise(4))}
    del before[f"a.{suffix}!/3.png"]
    assert before.items() <= ids(library).items()


def test_a_renamed_archive_keeps_its_images_and_those_of_one_not_there_are_away(
    library: relook.Library, folder: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    solid("yellow").save(folder / "plain.png")
    WRITERS[suffix](folder / f"a.{suffix}", {"1.png": RED, "2.png": BLUE})
    library.add(folder)
    before = ids(library)
    (folder / f"a.{suffix}").rename(folder / f"b.{suffix}")
    monkeypatch.setattr(reading, "decode", None)
    assert counts(library.add(folder)) == {"n_moved": 2, "n_unchanged": 1}
    assert ids(library) == {name.replace("a.", "b."): one for name, one in before.items()}
    (folder / f"b.{suffix}").unlink()
    assert counts(library.add(folder)) == {"n_away": 2, "n_unchanged": 1}


def test_webdataset_words_become_captions_and_filters(
    library: relook.Library, folder: Path, suffix: str
) -> None:
    WRITERS[suffix](
        folder / f"s.{suffix}",
        {
            "0001.png": RED, "0001.txt": "a rose", "0001.cls": "7",
            "0002.png": BLUE, "0002.json": {"title": "Sea", "place": "coast", "list": [1]},
            "0003.png": GREEN, "0003.json": "{damaged",
        },
    )  # fmt: skip
    assert counts(library.add(folder)) == {"n_added": 3}
    [rose] = library.search("red", limit=1)
    assert (rose.caption, library.image(rose.image_id).metadata) == ("a rose", {"class": "7"})
    assert names(library.search("red", where={"place": "COAST", "title": "sea"})) == ["0002.png"]
    WRITERS[suffix](folder / f"s.{suffix}", {"0001.png": RED, "0001.txt": "a tulip"})
    os.utime(folder / f"s.{suffix}", (1, 1))
    library.add(folder)
    assert library.search("red", limit=1)[0].caption == "a tulip"


def test_our_own_shards_come_back_with_their_words(
    library: relook.Library, folder: Path, tmp_path: Path, pictures: Path
) -> None:
    (pictures / "m.csv").write_text("path,title,place\nred.png,Rose,garden\n")
    library.add(pictures, metadata=pictures / "m.csv")
    export_webdataset(library.files, tmp_path / "shards")
    with relook.Library(tmp_path / "second", encoder=library.encoder) as second:
        assert second.add(tmp_path / "shards").n_added == 3
        [hit] = second.search("red", limit=1)
        assert (hit.title, second.image(hit.image_id).metadata) == ("Rose", {"place": "garden"})


def test_a_folder_may_be_called_like_an_archive(library: relook.Library, folder: Path) -> None:
    inside = folder / "a.tar!"
    inside.mkdir()
    solid("red").save(inside / "1.png")
    (folder / "odd!").mkdir()
    solid("blue").save(folder / "odd!" / "2.png")
    assert counts(library.add(folder)) == {"n_added": 2}
    assert names(library.search("red", limit=1)) == ["1.png"]
    assert original(library.image(1), ImageLimits()) == picture(solid("red"))
    write_tar(folder / "a.tar", {"1.png": GREEN})
    report = library.add(folder)
    assert skipped(report) == {"a.tar": "ambiguous_name"}
    assert counts(report) == {"n_unchanged": 2, "n_skipped": 1}
    assert original(library.image(1), ImageLimits()) == picture(solid("red"))
    shutil.rmtree(inside)
    assert counts(library.add(folder)) == {"n_updated": 1, "n_unchanged": 1}
    assert split_member(os.fsencode(folder / "odd!" / "2.png")) is None


def test_an_archive_given_itself_is_a_root_and_can_be_forgotten(
    library: relook.Library, folder: Path, suffix: str
) -> None:
    path = WRITERS[suffix](folder / f"a.{suffix}", {"1.png": RED, "2.png": BLUE})
    assert counts(library.add(path)) == {"n_added": 2}
    assert counts(library.add()) == {"n_unchanged": 2}
    assert library.forget(f"{path}!/1.png") == 1
    assert counts(library.add(path)) == {"n_added": 1, "n_unchanged": 1}
    assert library.forget(path) == 2
    assert counts(library.add(path)) == {"n_added": 2}


def test_hidden_members_are_left_out(library: relook.Library, folder: Path) -> None:
    write_zip(folder / "a.zip", {"1.png": RED, ".2.png": BLUE, "__MACOSX/1.png": GREEN})
    assert counts(library.add(folder)) == {"n_added": 1}
    assert counts(library.add(folder, settings=IndexSettings(hidden=True)))["n_added"] == 2


def test_hostile_members_are_skipped_with_reasons(library: relook.Library, folder: Path) -> None:
    with tarfile.open(folder / "a.tar", "w") as tar:
        for name, kind, link in [
            ("link.png", tarfile.SYMTYPE, "/etc/passwd"), ("hard.png", tarfile.LNKTYPE, "ok.png"),
            ("device.png", tarfile.CHRTYPE, ""), ("pipe.png", tarfile.FIFOTYPE, ""),
        ]:  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info)
        for name in ("../../up.png", "/root.png", "ok.png", "inner.tar"):
            info = tarfile.TarInfo(name)
            info.size = len(RED)
            tar.addfile(info, io.BytesIO(RED))
        tar.addfile(tarfile.TarInfo("empty.png"))
    report = library.add(folder)
    assert skipped(report) == {
        "a.tar!/link.png": "link_in_archive", "a.tar!/hard.png": "link_in_archive",
        "a.tar!/device.png": "not_a_file", "a.tar!/pipe.png": "not_a_file",
        "a.tar!/../../up.png": "unsafe_name", "a.tar!//root.png": "unsafe_name",
        "a.tar!/inner.tar": "nested_archive", "a.tar!/empty.png": "empty_file",
    }  # fmt: skip
    assert list(ids(library)) == ["a.tar!/ok.png"]
    again = library.add(folder)
    assert counts(again) == {"n_unchanged": 1, "n_skipped": 8}


def test_folders_in_an_archive_may_be_called_like_one(
    library: relook.Library, folder: Path, suffix: str
) -> None:
    archive = f"a.{suffix}"
    members = {"Hawaii!/1.png": RED, "Hawaii!/1.txt": "hula", f"{archive}!/2.png": BLUE}
    WRITERS[suffix](folder / archive, members)

    assert counts(library.add(folder)) == {"n_added": 2}

    assert ids(library) == {f"{archive}!/Hawaii!/1.png": 1, f"{archive}!/{archive}!/2.png": 2}
    assert library.image(1).caption == "hula"
    assert original(library.image(1), ImageLimits()) == RED
    assert original(library.image(2), ImageLimits()) == BLUE
    assert counts(library.add(folder)) == {"n_unchanged": 2}
    assert library.forget(folder / archive) == 2


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_picture_whose_name_comes_again_is_told(library: relook.Library, folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as pack:
        for data in (RED, BLUE, GREEN, GREEN):  # equal ones are one picture
            pack.writestr("1.png", data)
        starts = [entry.header_offset for entry in pack.infolist()]

    report = library.add(folder)

    assert ids(library) == {"a.zip!/1.png": 1}
    assert original(library.image(1), ImageLimits()) == GREEN
    assert skipped(report) == {f"a.zip!/1.png at byte {at}": "same_name" for at in starts[:2]}
    assert counts(library.add(folder)) == {"n_unchanged": 1, "n_skipped": 2}
    write_zip(folder / "a.zip", {"1.png": GREEN})
    assert skipped(library.add(folder)) == {}


def test_a_tar_may_replace_its_members(library: relook.Library, folder: Path) -> None:
    with tarfile.open(folder / "a.tar", "w") as tar:
        for data in (RED, BLUE):
            info = tarfile.TarInfo("1.png")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

    report = library.add(folder)

    assert original(library.image(1), ImageLimits()) == BLUE
    assert skipped(report) == {}


def test_members_that_a_person_may_miss_are_listed(library: relook.Library, folder: Path) -> None:
    others = dict.fromkeys(("clip.MP4", "b.wmv", "c.pdf", "notes.md", "d.npy", ".e.mov"), b"x")
    write_zip(folder / "a.zip", {"1.png": RED, "1.txt": b"words", **others})
    write_tar(folder / "b.tar", {"clip.mov": b"x"})
    report = library.add(folder)
    assert {(file.code, file.message) for file in report.skipped} == {
        ("not_read", "videos in archives are not read; unpack it"),
        ("not_read", "videos are not read; make them MP4"),
        ("not_read", "documents are not read; export their pages as PNG or JPEG"),
    }
    assert set(skipped(report)) == {
        "a.zip!/clip.MP4", "a.zip!/b.wmv", "a.zip!/c.pdf", "b.tar!/clip.mov",
    }  # fmt: skip
    assert counts(library.add(folder)) == {"n_unchanged": 1, "n_skipped": 4}
    write_zip(folder / "a.zip", {"1.png": RED})
    assert set(skipped(library.add(folder))) == {"b.tar!/clip.mov"}


def test_hostile_zips_are_refused(library: relook.Library, folder: Path) -> None:
    solid("red").save(folder / "plain.png")
    write_zip(folder / "packed.zip", {"1.png": RED}, zipfile.ZIP_LZMA)
    write_zip(folder / "large.zip", {"1.png": b"\0" * 5_000_000})
    flagged = bytearray(write_zip(folder / "locked.zip", {"1.png": RED}).read_bytes())
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        flagged[flagged.index(mark) + at] |= 1
    (folder / "locked.zip").write_bytes(flagged)
    lying = bytearray(write_zip(folder / "lying.zip", {"1.png": BLUE}).read_bytes())
    at = lying.index(b"PK\1\2") + 24
    lying[at : at + 4] = (len(BLUE) - 9).to_bytes(4, "little")
    (folder / "lying.zip").write_bytes(lying)
    library.limits = ImageLimits(max_file_bytes=1_000_000)
    report = library.add(folder)
    assert skipped(report) == {
        "packed.zip!/1.png": "unknown_packing", "large.zip!/1.png": "file_too_large",
        "locked.zip!/1.png": "encrypted", "lying.zip!/1.png": "bad_member",
    }  # fmt: skip
    assert report.n_added == 1


def test_an_overlapping_zip_is_refused_whole(library: relook.Library, folder: Path) -> None:
    solid("red").save(folder / "plain.png")
    path = write_zip(folder / "bomb.zip", {f"{n}.png": RED for n in range(50)})
    data = path.read_bytes()
    directory = data.index(b"PK\1\2")
    one = data.index(b"PK\3\4", 4)  # every entry points at the first member
    entries = bytearray(data[directory:])
    at = 0
    while (at := entries.find(b"PK\1\2", at)) >= 0:
        entries[at + 42 : at + 46] = b"\0\0\0\0"
        at += 4
    end = entries.index(b"PK\5\6")
    entries[end + 16 : end + 20] = one.to_bytes(4, "little")
    path.write_bytes(data[:one] + entries)
    report = library.add(folder)
    assert skipped(report) == {"bomb.zip": "bad_archive"}
    assert "overlap" in report.skipped[0].message
    assert report.n_added == 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 0.7, 0.95])
def test_a_damaged_archive_ends_nothing_and_its_images_stay(
    library: relook.Library, folder: Path, suffix: str, share: float
) -> None:
    solid("yellow").save(folder / "plain.png")
    path = WRITERS[suffix](
        folder / f"a.{suffix}", {"1.png": RED, "2.png": BLUE, "3.png": picture(noise(1))}
    )
    assert library.add(folder).n_added == 4
    before = ids(library)
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data[: int(share * len(data))] + b"\x01" * 40)
    report = library.add(folder)
    assert skipped(report) == {f"a.{suffix}": "bad_archive"}
    assert ids(library) == before
    assert any("cannot list" in note for note in report.notes)
    assert counts(library.add(folder)) == {"n_unchanged": 1, "n_skipped": 1, "n_away": 3}
    assert ids(library) == before
    WRITERS[suffix](path, {"1.png": RED})
    mended = library.add(folder)
    assert counts(mended) == {"n_removed": 2, "n_unchanged": 2, "n_back": 1}


def test_archives_are_only_read(library: relook.Library, folder: Path, suffix: str) -> None:
    path = WRITERS[suffix](folder / f"a.{suffix}", {"1.png": RED})
    before = path.read_bytes(), path.stat().st_mtime_ns
    path.chmod(0o444)
    library.add(folder)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert sorted(os.listdir(folder)) == [path.name]


def test_a_header_that_claims_gigabytes_is_not_believed(
    library: relook.Library, folder: Path
) -> None:
    info = tarfile.TarInfo("x" * 100)
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8 * 1024**3
    (folder / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)
    report = library.add(folder)
    assert skipped(report) == {"a.tar": "bad_archive"}
    assert "claims" in report.skipped[0].message


def test_an_archive_that_changed_behind_the_catalog_is_listed_again(
    library: relook.Library, folder: Path, suffix: str
) -> None:
    path = WRITERS[suffix](folder / f"a.{suffix}", {"1.png": RED})
    library.add(folder)
    WRITERS[suffix](path, {"0.png": BLUE, "1.png": GREEN})
    os.utime(path, (5, 5))
    assert sources.read_bytes(f"{path}!/1.png") == GREEN
