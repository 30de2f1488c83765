"""Caption files: both layouts are read, and a line that is neither is named."""

from pathlib import Path

import pytest

from relook.bench.query_files import Caption, read_captions
from relook.core.errors import MetadataError


def write(folder: Path, text: str) -> Path:
    (folder / "captions.tsv").write_bytes(text.encode())
    return folder / "captions.tsv"


def test_two_columns(tmp_path: Path) -> None:
    file = write(tmp_path, "\ufeffa.jpg\tA dog .\r\n\nsub/b.jpg\t a\u2028cat\x85 \n")
    assert read_captions(file) == [Caption("a.jpg", "A dog ."), Caption("b.jpg", "a\u2028cat")]


def test_three_columns_and_a_split(tmp_path: Path) -> None:
    file = write(tmp_path, "dev\ta.jpg\tone\ntest\tb.jpg\ttwo\ntest\tb.jpg\tthree\n")
    assert len(read_captions(file)) == 3
    assert read_captions(file, "test") == [Caption("b.jpg", "two"), Caption("b.jpg", "three")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a.jpg\tone\nb.jpg\n", "line 2 is not"),
        ("a.jpg\t \n", "line 1 is not"),
        ("a\tb\tc\td\n", "line 1 is not"),
        ("\n\n", "has no captions"),
    ],
)
def test_a_file_that_is_not_one_says_where(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(MetadataError, match=told) as raised:
        read_captions(write(tmp_path, text))
    assert raised.value.code == "bad_captions"


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="has no captions of split 'test'"):
        read_captions(write(tmp_path, "dev\ta.jpg\tone\n"), "test")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="cannot read"):
        read_captions(tmp_path / "none.tsv")
