"""Readers of caption files: COCO, Karpathy's splits, Flickr's token files."""

import json
from pathlib import Path

import pytest

from relook.bench.query_files import Caption, read_captions
from relook.core.errors import MetadataError

KARPATHY = {
    "dataset": "coco",
    "images": [
        {"filename": "COCO_val2014_1.jpg", "filepath": "val2014", "split": "test",
         "sentences": [{"raw": "A cat."}, {"raw": " A grey cat. "}]},
        {"filename": "COCO_train2014_2.jpg", "split": "train", "sentences": [{"raw": "A dog."}]},
    ],
}  # fmt: skip
COCO = {
    "images": [{"id": 7, "file_name": "007.jpg"}, {"id": 8, "file_name": "008.jpg"}],
    "annotations": [
        {"id": 1, "image_id": 8, "caption": "two cups\n"},
        {"id": 2, "image_id": 7, "caption": "a spoon"},
    ],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "captions"


def test_karpathys_file_knows_its_splits(file: Path) -> None:
    file.write_text(json.dumps(KARPATHY))
    cat = [Caption("COCO_val2014_1.jpg", "A cat."), Caption("COCO_val2014_1.jpg", "A grey cat.")]
    assert read_captions(file, "test") == cat
    assert read_captions(file) == [*cat, Caption("COCO_train2014_2.jpg", "A dog.")]
    with pytest.raises(MetadataError, match="no captions of split 'val'"):
        read_captions(file, "val")


def test_cocos_captions_keep_their_order(file: Path) -> None:
    file.write_text(json.dumps(COCO))
    assert read_captions(file) == [Caption("008.jpg", "two cups"), Caption("007.jpg", "a spoon")]


def test_a_token_file_and_its_split_file(file: Path, tmp_path: Path) -> None:
    file.write_text("1.jpg#0\tA child .\n1.jpg#1\tA girl .\n2.jpg#0\tA dog .\n")
    assert read_captions(file)[1] == Caption("1.jpg", "A girl .")
    split = tmp_path / "Flickr_8k.testImages.txt"
    split.write_text("2.jpg\n")
    assert read_captions(file, str(split)) == [Caption("2.jpg", "A dog .")]


def test_csv_and_json_lines_as_sidecar_files_have_them(file: Path) -> None:
    read = [
        Caption("1.jpg", "a child, a dog"),
        Caption("1.jpg", "two\nlines"),
        Caption("2.jpg", "x"),
    ]
    file.write_text(
        'split,"path",caption\ntrain,a/1.jpg,"a child, a dog"\n'
        'test,1.jpg,"two\nlines"\ntrain,2.jpg,x\n'
    )
    assert read_captions(file) == read
    assert read_captions(file, "train") == [read[0], read[2]]
    rows = [
        {"image": "a/1.jpg", "captions": ["a child, a dog", "two\nlines"], "split": "train"},
        {"path": "2.jpg", "caption": "x", "rating": 3},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    assert read_captions(file) == read
    file.write_text(json.dumps(rows[1]))
    assert read_captions(file) == read[2:]


def test_commas_without_quotes_belong_to_a_caption_that_stands_last(file: Path) -> None:
    """All behind the first comma was cut, and nobody was told."""
    file.write_text("split,path,caption\ntrain,1.jpg,a child, a dog, and a ball\ntest,2.jpg,x,,\n")
    assert read_captions(file) == [
        Caption("1.jpg", "a child, a dog, and a ball"),
        Caption("2.jpg", "x"),
    ]
    file.write_text("path,caption,split\n1.jpg,a child,train\n2.jpg,a child, a dog,train\n")
    with pytest.raises(
        MetadataError, match="line 3 has 4 cells, and the first line names 3"
    ) as cut:
        read_captions(file)
    assert cut.value.code == "bad_captions"
    assert "needs quotes" in (cut.value.hint or "")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("path,caption\n1.jpg,a\n2.jpg\n", 3), ('{"path": "1.jpg"}\n', 1),
        ('{"path": 1, "caption": ""}', 1),
        ('{"path": "1.jpg", "caption": "a"}\n{torn', 2), ("path,text\n1.jpg,a\n", 2),
    ],
)  # fmt: skip
def test_a_row_without_a_caption_is_named(file: Path, text: str, line: int) -> None:
    file.write_text(text)
    with pytest.raises(MetadataError, match=f"line {line} is not a caption"):
        read_captions(file)


def test_a_hash_in_a_name_of_another_layout_stays(file: Path) -> None:
    file.write_text("dev\tphoto#2\ta hill\n")
    assert read_captions(file, "dev") == [Caption("photo#2", "a hill")]


@pytest.mark.parametrize(
    "text",
    [
        '{"images": []', '{"images": [{"filename": "a.jpg"}]}', '{"other": 1}',
        '{"images": [], "annotations": [{"image_id": 1, "caption": "x"}]}', "{}",
        '{"images": 3, "annotations": []}',
    ],
)  # fmt: skip
def test_json_of_another_kind_says_what_is_read(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(MetadataError, match="holds no captions") as raised:
        read_captions(file)
    assert raised.value.code == "bad_captions"
    assert "Karpathy" in raised.value.hint
