"""What is there already stays, but for files of the kind that is written."""

import os
from pathlib import Path

import pytest

from relook.core.errors import InputError
from relook.core.outputs import JSON, check_output, check_place


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.JPG", "a.heic", "a.nef", "a.mp4", "a.zip", "a.tar.gz", "a.json.png"]
)
def test_a_picture_or_an_archive_is_never_written_over(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"theirs")
    for kind in (JSON, (file.suffix.lower(),)):
        with pytest.raises(InputError, match="is there already") as refused:
            check_output(file, kind)
        assert refused.value.code == "file_exists"


def test_only_its_own_kind_is_written_over(tmp_path: Path) -> None:
    for name in ("new.json", "new.jpg", "no/folder/new.json"):
        check_output(tmp_path / name, JSON)
    (tmp_path / "old.JSON").write_text("{}")
    check_output(tmp_path / "old.JSON", JSON)
    (tmp_path / "empty").touch()  # as mktemp makes one
    check_output(tmp_path / "empty", JSON)
    os.mkfifo(tmp_path / "pipe")
    check_output(tmp_path / "pipe", JSON)
    check_output(Path(os.devnull), JSON)
    for name in ("notes.txt", "letter", "script.py"):
        (tmp_path / name).write_text("theirs")
        with pytest.raises(InputError, match=r"only one that ends in \.json is written over"):
            check_output(tmp_path / name, JSON)


def test_of_a_link_what_it_leads_to_counts(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"theirs")
    (tmp_path / "link.json").symlink_to("a.jpg")
    with pytest.raises(InputError, match="never written over"):
        check_output(tmp_path / "link.json", JSON)


def test_nothing_goes_into_a_library(tmp_path: Path) -> None:
    library = tmp_path / "library"
    (library / "ann").mkdir(parents=True)
    (library / "catalog.sqlite3").touch()
    (tmp_path / "link").symlink_to(library)
    for path in (library, library / "ann" / "x.json", library / "new.json", tmp_path / "link/y"):
        with pytest.raises(InputError, match="is in the library") as refused:
            check_place(path)
        assert refused.value.code == "in_library"
    check_place(tmp_path / "x.json")
    with pytest.raises(InputError, match="no name of a file"):
        check_place(Path("-"))
