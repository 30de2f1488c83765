"""Unpacking: nothing outside the folder, no links, no bombs, and it goes on after a stop."""

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from relook.core.errors import InputError, StorageError
from relook.datasets.obtain import unpack

MEMBERS = {"val/1.jpg": b"one", "val/2.jpg": b"two!", "notes/a.json": b"{}"}


def zipped(path: Path, members: dict[str, bytes], **changes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in changes.items():
                setattr(info, key, value)
            file.writestr(info, data)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_members_are_unpacked_and_counted(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {**MEMBERS, "val/": b""})
    assert unpack(archive, tmp_path / "out", 100) == 3
    assert tree(tmp_path / "out") == MEMBERS


def test_only_what_is_wanted(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", MEMBERS)
    assert unpack(archive, tmp_path / "out", 100, ("val/",)) == 2
    assert set(tree(tmp_path / "out")) == {"val/1.jpg", "val/2.jpg"}
    with pytest.raises(InputError, match="no member begins with test/"):
        unpack(archive, tmp_path / "out", 100, ("test/",))


def test_a_second_run_writes_what_is_missing(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", MEMBERS)
    unpack(archive, tmp_path / "out", 100)
    before = (tmp_path / "out/val/1.jpg").stat().st_mtime_ns
    (tmp_path / "out/val/2.jpg").write_bytes(b"tw")
    (tmp_path / "out/notes/a.json").unlink()
    assert unpack(archive, tmp_path / "out", 100) == 3
    assert tree(tmp_path / "out") == MEMBERS
    assert (tmp_path / "out/val/1.jpg").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "name",
    ["../evil.jpg", "val/../../evil.jpg", "/evil.jpg", "..\\evil.jpg", "C:/evil.jpg", "a/.."],
)
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / "a.zip", {"good.jpg": b"x", name: b"x"})
    with pytest.raises(InputError, match="leads out of the folder") as raised:
        unpack(archive, tmp_path / "in" / "out", 100)
    assert raised.value.code == "bad_archive"
    assert not (tmp_path / "in").exists()  # the good member is not written either


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    archive = zipped(tmp_path / "a.zip", {"x": b"/etc/passwd"}, external_attr=(kind | 0o777) << 16)
    with pytest.raises(InputError, match="a link or a device"):
        unpack(archive, tmp_path / "out", 100)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_link_already(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "out" / "val").symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match="is a link out of"):
        unpack(zipped(tmp_path / "a.zip", MEMBERS), tmp_path / "out", 100)
    assert list((tmp_path / "other").iterdir()) == []


def test_a_file_that_is_a_link_already_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out" / "val").mkdir(parents=True)
    (tmp_path / "other").write_bytes(b"old")
    (tmp_path / "out" / "val" / "1.jpg").symlink_to(tmp_path / "other")
    unpack(zipped(tmp_path / "a.zip", MEMBERS), tmp_path / "out", 100)
    assert (tmp_path / "other").read_bytes() == b"old"
    assert tree(tmp_path / "out") == MEMBERS


def test_a_bomb_is_not_lit(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a": bytes(50_000_000)})
    assert archive.stat().st_size < 100_000
    with pytest.raises(InputError, match="would unpack to 50,000,000 bytes; at most 1,000,000"):
        unpack(archive, tmp_path / "out", 1_000_000)
    assert not (tmp_path / "out").exists()


def test_a_member_larger_than_it_says(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a": bytes(1_000_000)})
    data = bytearray(archive.read_bytes())
    # Both headers say 10 bytes; the stream has a million.
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.index(signature) + offset
        data[at : at + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(data)
    with pytest.raises(InputError) as raised:
        unpack(archive, tmp_path / "out", 100)
    assert raised.value.code == "bad_archive"
    assert tree(tmp_path / "out") == {}


def test_damage(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a": os.urandom(10_000)})
    data = bytearray(archive.read_bytes())
    data[5_000] ^= 1
    for bad in (data, data[:5_000], b"", b"no zip"):
        archive.write_bytes(bad)
        with pytest.raises(InputError, match="is not unpacked") as raised:
            unpack(archive, tmp_path / "out", 100_000)
        assert raised.value.code == "bad_archive"
    assert tree(tmp_path / "out") == {}


def test_two_members_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a", b"2")
    with pytest.raises(InputError, match="two members are called 'a'"):
        unpack(tmp_path / "a.zip", tmp_path / "out", 100)


def test_an_encrypted_member(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a": b"x"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(InputError, match="is encrypted"):
        unpack(archive, tmp_path / "out", 100)


def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> io.BytesIO:
        raise OSError(28, "No space left on device")

    archive = zipped(tmp_path / "a.zip", MEMBERS)
    monkeypatch.setattr("builtins.open", full)
    monkeypatch.setattr("io.open", open)
    with pytest.raises(StorageError, match="No space left"):
        unpack(archive, tmp_path / "out", 100)
