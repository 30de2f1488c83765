"""What an ended process left is swept; what a living one works on is not."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from relook.core.leftovers import (
    OwnFolder,
    ended_files,
    ended_folders,
    new_file,
    sweep_files,
    sweep_folders,
)

PREFIX = "relook-test-"
HOLDER = """
import sys
from pathlib import Path
from relook.core.leftovers import OwnFolder, new_file
folder = OwnFolder(sys.argv[2])
with new_file(Path(sys.argv[1]) / "picture.png") as file:
    file.write(b"half")
    file.flush()
    print(folder.path, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return place


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.png") as file:
        file.write(b"whole")
        assert sorted(os.listdir(tmp_path)) == ["a.png.new", "temporary"]
        assert ended_files(tmp_path) == []
    assert (tmp_path / "a.png").read_bytes() == b"whole"
    with pytest.raises(OSError, match="full"), new_file(tmp_path / "b.png"):
        raise OSError("the disk is full")
    assert sorted(os.listdir(tmp_path)) == ["a.png", "temporary"]


def test_a_killed_process_leaves_what_the_next_one_sweeps(tmp_path: Path) -> None:
    """While it lives, nobody takes anything of it; a kill is enough, no clock is asked."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path), PREFIX]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        folder = Path(one.stdout.readline().strip())
        (folder / "query.jpg").write_bytes(b"somebody's picture")
        assert (ended_files(tmp_path), ended_folders(PREFIX)) == ([], [])
        assert (sweep_files(tmp_path), sweep_folders(PREFIX)) == (0, 0)
        one.kill()
        one.wait()
    assert ended_files(tmp_path) == [tmp_path / "picture.png.new"]
    assert ended_folders(PREFIX) == [folder]
    assert (sweep_files(tmp_path), sweep_folders(PREFIX)) == (1, 1)
    assert not folder.exists()
    assert os.listdir(tmp_path) == ["temporary"]


def test_a_file_that_a_killed_process_was_writing_is_written_by_the_next_one(
    tmp_path: Path,
) -> None:
    """And by no second one while the first still writes it."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path), PREFIX]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        one.stdout.readline()
        with pytest.raises(FileExistsError), new_file(tmp_path / "picture.png"):
            pass
        one.kill()
        one.wait()
    assert (tmp_path / "picture.png.new").read_bytes() == b"half"
    with new_file(tmp_path / "picture.png") as file:
        file.write(b"whole")
    assert (tmp_path / "picture.png").read_bytes() == b"whole"
    assert sorted(os.listdir(tmp_path)) == ["picture.png", "temporary"]


def test_an_own_folder_lives_until_it_is_closed() -> None:
    folder = OwnFolder(PREFIX)
    assert folder.path.is_dir()
    assert sweep_folders(PREFIX) == 0
    folder.close()
    assert not folder.path.exists()
    folder.close()


def test_only_folders_that_are_surely_leftovers_are_swept(
    own_temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one that is just being made, no link, no file, and nobody else's."""
    young, old, link = (own_temporary / f"{PREFIX}{name}" for name in ("young", "old", "link"))
    young.mkdir()
    old.mkdir()
    os.utime(old, (1, 1))
    elsewhere = own_temporary / "elsewhere"
    elsewhere.mkdir()
    os.utime(elsewhere, (1, 1))
    link.symlink_to(elsewhere)
    (own_temporary / f"{PREFIX}file").write_bytes(b"")
    assert ended_folders(PREFIX) == [old]
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert ended_folders(PREFIX) == []
    assert sweep_folders(PREFIX) == 1
    assert elsewhere.is_dir()
    assert young.is_dir()


def test_a_folder_that_is_not_there_has_no_leftovers(tmp_path: Path) -> None:
    assert ended_files(tmp_path / "nowhere") == []
