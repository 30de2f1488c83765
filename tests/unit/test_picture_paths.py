"""Places of pictures are put together and taken apart without a loss."""

import os
import pickle
from pathlib import Path

import pytest

from relook.core.picture_paths import (
    Address,
    as_path,
    inside,
    is_archive,
    is_below,
    is_url,
    member_path,
    split_member,
)


@pytest.mark.parametrize(
    "archive", [b"/a/b.tar", b"/a/B.ZIP", b"s3://bucket/x.tar", b"/a!/b.zip", b"/c.TGZ"]
)
@pytest.mark.parametrize("name", [b"1.jpg", b"cats/1.jpg", b"odd \xff!.jpg", b"x.tar!.jpg"])
def test_a_member_is_taken_apart_as_it_was_put_together(archive: bytes, name: bytes) -> None:
    path = member_path(archive, name)
    assert split_member(path) == (archive, name)
    assert is_below(path, archive)
    assert os.fsencode(as_path(path)) == path


@pytest.mark.parametrize(
    "path", [b"/a!/b.jpg", b"/a.tar.xz!/b.jpg", b"/a.tar/b.jpg", b"/a.tar", b""]
)
def test_other_paths_are_no_members(path: bytes) -> None:
    assert split_member(path) is None


def test_a_folder_of_that_name_wins(tmp_path: Path) -> None:
    (tmp_path / "a.tar!").mkdir()
    assert split_member(os.fsencode(tmp_path) + b"/a.tar!/1.jpg") is None
    assert split_member(os.fsencode(tmp_path) + b"/b.tar!/1.jpg") is not None


def test_an_address_stays_one_as_a_path() -> None:
    for text in ("s3://bucket/a//b.jpg", "https://host/a%20b.jpg", "memory://x/./y.png"):
        path = as_path(text.encode())
        assert isinstance(path, Address)
        assert (str(path), os.fspath(path), bytes(path)) == (text, text, text.encode())
        assert path.name == text.rpartition("/")[2]
        assert str(pickle.loads(pickle.dumps(path))) == text
        assert is_url(bytes(path))
    assert type(as_path(b"/a/b.jpg")) is type(Path())
    assert not is_url(bytes(Address("s3://bucket/x").parent))


def test_below_means_in_the_folder_or_in_the_archive() -> None:
    assert is_below(b"/a/b", b"/a")
    assert is_below(b"/a", b"/a")
    assert is_below(b"/a", b"/")
    assert not is_below(b"/ab", b"/a")
    assert not is_below(b"/a!/b", b"/a")
    assert inside(b"/a.zip") == (b"/a.zip/", b"/a.zip!/")
    assert is_archive(b"/a.tar.gz")
    assert not is_archive(b"/a.tar.xz")
