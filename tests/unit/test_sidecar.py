"""Titles and captions from files beside the pictures, and from the pictures themselves."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from relook.core.errors import MetadataError
from relook.core.images import decode
from relook.library.image_words import Sidecars
from relook.library.picture_facts import embedded_words
from relook.library.records import Words
from relook.testing import solid


def said(file: Path, text: str | bytes, path: str) -> Words | None:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    sidecars, full = Sidecars([file]), str(file.parent / path).encode()
    row = sidecars.likely(full)
    return sidecars.get(full) or (None if row is None else sidecars.take(row))


def test_csv_with_every_column(tmp_path: Path) -> None:
    text = 'path,title,caption,place,empty\nsub/a.jpg,Dog,"runs, fast",Bern,\n'
    assert said(tmp_path / "m.csv", text, "sub/a.jpg") == Words(
        "Dog", "runs, fast", {"place": "Bern"}
    )


@pytest.mark.parametrize("column", ["caption", "Title", " CAPTION "])
def test_commas_without_quotes_belong_to_words_that_stand_last(tmp_path: Path, column: str) -> None:
    text = f'file,{column},\na.jpg,a "red" dog, running,\n\nb.jpg,a cat,,\n'
    words, other = (said(tmp_path / "m.csv", text, name) for name in ("a.jpg", "b.jpg"))
    assert words is not None
    assert other is not None
    assert (words.title or words.caption) == 'a "red" dog, running'
    assert (other.title or other.caption) == "a cat"


@pytest.mark.parametrize(
    ("text", "line", "called"),
    [
        ("path,caption,city\na.jpg,a dog,Ulm\nb.jpg,a cat, a mat,Ulm\n", 3, "a comma in a cell"),
        ("path,city,caption\na.jpg,Ulm, Germany,a dog\n", 2, "a comma in a cell"),
        ("path;rating\na.jpg;3;4\n", 2, "a semicolon in a cell"),
    ],
)
def test_a_row_with_more_cells_than_columns_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, called: str
) -> None:
    """Which column the comma belongs to is not known; what stood behind the last one was cut."""
    with pytest.raises(MetadataError, match=rf"m\.csv line {line} has \d cells") as cut:
        said(tmp_path / "m.csv", text, "a.jpg")
    assert cut.value.code == "bad_sidecar"
    assert (cut.value.hint or "").startswith(called)


def test_csv_from_a_spreadsheet_with_lines_within_a_field(tmp_path: Path) -> None:
    text = '\ufefffile,caption\r\na.jpg,"first\nsecond\u2028third"\r\nb.jpg,other\r\n'
    assert said(tmp_path / "m.csv", text, "a.jpg") == Words("", "first\nsecond\u2028third")
    assert said(tmp_path / "m.csv", text, "b.jpg") == Words("", "other")


@pytest.mark.parametrize(("name", "text"), [
    ("m.csv", "path,title\r\na.jpg,K\u00f6ln\r\n"),
    ("m.jsonl", '{"path": "a.jpg", "title": "K\u00f6ln"}\r\n'),
])  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_lists_in_any_unicode(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    assert said(tmp_path / name, text.encode(encoding), "a.jpg") == Words("K\u00f6ln")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["Path,Title,Ort", "title,FileName,Ort", 'title ,"path",Ort'])
@pytest.mark.parametrize("name", ["m.csv", "m.tsv"])
def test_tables_as_spreadsheets_write_them(
    tmp_path: Path, delimiter: str, header: str, name: str
) -> None:
    row = "a.jpg,T,x" if header.startswith("Path") else "T,a.jpg,x"
    text = f"{header}\n{row}\n".replace(",", delimiter)
    assert said(tmp_path / name, text, "a.jpg") == Words("T", "", {"Ort": "x"})


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"caption": ["a dog", "a cat"]}, Words("", "a dog", {"captions": "a dog | a cat"})),
        ({"captions": ["a dog", "", "a cat"]}, Words("", "a dog", {"captions": "a dog | a cat"})),
        (
            {"caption": "both", "captions": ["a dog", "a cat"]},
            Words("", "both", {"captions": "a dog | a cat"}),
        ),
        ({"caption": "a dog", "captions": "x | y"}, Words("", "a dog", {"captions": "x | y"})),
        ({"Caption": ["a dog"], "title": ["T", "U"]}, Words("T", "a dog", {"titles": "T | U"})),
        ({"caption": {"en": "a dog"}}, Words("", "", {"caption": {"en": "a dog"}})),
        ({"caption": [], "title": None}, Words()),
        ({"title": 1999}, Words("1999")),
    ],
)
def test_several_captions_in_one_row(tmp_path: Path, row: dict, expected: Words) -> None:
    text = json.dumps({"path": "a.jpg", **row})
    assert said(tmp_path / "m.jsonl", text, "a.jpg") == expected


def test_json_lines(tmp_path: Path) -> None:
    line = {"file_name": "a.jpg", "caption": "one\u2028line", "year": 1999, "tags": ["x"]}
    text = json.dumps(line, ensure_ascii=False) + "\n\n"
    expected = Words("", "one\u2028line", {"year": 1999, "tags": ["x"]})
    assert said(tmp_path / "m.jsonl", text, "a.jpg") == expected


def test_json_that_cannot_be_stored_is_made_to_fit(tmp_path: Path) -> None:
    text = '{"path": "a.jpg", "title": "x\\ud800y", "n": NaN, "deep": {"k": "\\udfff"}}\n'
    assert said(tmp_path / "m.jsonl", text, "a.jpg") == Words("x?y", "", {"deep": {"k": "?"}})


def test_a_path_that_our_own_json_printed_finds_the_odd_file(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"path": "odd\\udcff.jpg", "title": "T"}\n')
    found = Sidecars([tmp_path / "m.jsonl"]).get(bytes(tmp_path) + b"/odd\xff.jpg")
    assert found == Words("T")


COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
    "categories": [{"id": 7, "name": "dog"}, {"id": 8, "name": "ball"}],
    "annotations": [
        {"image_id": 1, "caption": " a dog plays "},
        {"image_id": 1, "caption": "a ball"},
        {"image_id": 1, "category_id": 7},
        {"image_id": 1, "category_id": 8},
        {"image_id": 1, "category_id": 7},
    ],
}


def test_coco(tmp_path: Path) -> None:
    facts = {"objects": "ball, dog", "captions": "a dog plays | a ball"}
    text = json.dumps(COCO)
    assert said(tmp_path / "m.json", text, "a.jpg") == Words("", "a dog plays", facts)
    assert said(tmp_path / "m.json", text, "b.jpg") == Words()


def test_later_files_win(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / f"{name}.csv").write_text(f"path,title\na.jpg,{name}\n")
    files = [tmp_path / "1.csv", tmp_path / "2.csv"]
    assert Sidecars(files).get(bytes(tmp_path / "a.jpg")) == Words("2")


def test_a_bare_name_finds_a_picture_that_lies_elsewhere(tmp_path: Path) -> None:
    assert said(tmp_path / "m.csv", "path,title\nold/a.jpg,T\n", "new/place/a.jpg") == Words("T")


def test_a_bare_name_that_two_entries_share_finds_nothing(tmp_path: Path) -> None:
    text = "path,title\n1/a.jpg,T1\n2/a.jpg,T2\n1/a.jpg,T3\n"
    assert said(tmp_path / "m.csv", text, "3/a.jpg") is None
    assert said(tmp_path / "m.csv", text, "1/a.jpg") == Words("T3")


def test_an_entry_whose_own_picture_is_there_is_about_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    text = "path,title\na.jpg,T\n"
    assert said(tmp_path / "m.csv", text, "a.jpg") == Words("T")
    assert said(tmp_path / "m.csv", text, "other/a.jpg") is None


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("m.csv", "title,caption\nx,y\n", "line 1 does not say which column names the pictures"),
        ("m.csv", "a.jpg,a dog\n", "line 1 does not say which column names the pictures"),
        ("m.csv", "", "line 1 does not say which column names the pictures"),
        ("m.csv", "path,title\n,y\n", "line 2 does not say which picture"),
        ("m.csv", b"path,title\na.jpg,\xff\xfe\n", "cannot read"),
        ("m.csv", "path,title\na.jpg," + "x" * 200_000, "field larger than field limit"),
        ("m.jsonl", '{"path": "a.jpg"}\n{"path": \n', "line 2"),
        ("m.jsonl", "[1, 2]\n", "line 1 does not say which picture"),
        ("m.jsonl", '{"path": "\\ud800.jpg"}\n', "cannot be a path"),
        ("m.json", "[]", "is not a COCO annotation file"),
        ("m.json", '{"images": [{"id": 1}]}', "is not a COCO annotation file"),
        ("m.json", "{", "is not a COCO annotation file"),
        ("m.txt", "a.jpg", "is no sidecar"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(
    tmp_path: Path, name: str, text: str | bytes, told: str
) -> None:
    with pytest.raises(MetadataError, match=told) as raised:
        said(tmp_path / name, text, "a.jpg")
    assert raised.value.code == "bad_sidecar"
    assert name in raised.value.message


def test_a_sidecar_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="there is no"):
        Sidecars([tmp_path / "none.csv"])


def embedded(**options: object) -> Words:
    buffer = io.BytesIO()
    solid("red").save(buffer, "JPEG", **options)
    return embedded_words(decode(buffer.getvalue()))


def test_exif_gives_caption_camera_and_time() -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x010F], exif[0x0110] = "A dog\0\0 runs ", "Maker ", "Model X"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    assert embedded(exif=exif) == Words(
        "",
        "A dog runs",
        {
            "taken_at": "2020-01-02T03:04:05",
            "taken_from": "original",
            "camera_make": "Maker",
            "camera": "Model X",
        },
    )


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("OLYMPUS DIGITAL CAMERA         ", ""),
        ('{"shape": [64, 96, 3]}', ""),
        ("ImageJ=1.53t\nimages=3", ""),
        ("SONY DSC", ""),
        ("File written by Adobe Photoshop\N{DIAERESIS} 5.0", ""),
        ("Created with The GIMP", ""),
        ("Optimized by JPEGmini 3.9.20.0L 0xbd4a5d04", ""),
        ("charset=Ascii", ""),
        ("---", ""),
        ("Created by my daughter", "Created by my daughter"),
        ("my digital camera", "my digital camera"),
        ("Image of a dog", "Image of a dog"),
    ],
)
def test_what_a_camera_or_a_program_writes_is_no_caption(text: str, kept: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = text
    assert embedded(exif=exif).caption == kept


def iptc(*fields: tuple[int, bytes]) -> bytes:
    """An APP13 segment as Photoshop writes it."""
    body = b"".join(
        b"\x1c\x02" + bytes([kind]) + len(text).to_bytes(2, "big") + text for kind, text in fields
    )
    resource = b"8BIM\x04\x04\0\0" + len(body).to_bytes(4, "big") + body + b"\0" * (len(body) % 2)
    data = b"Photoshop 3.0\0" + resource
    return b"\xff\xed" + (len(data) + 2).to_bytes(2, "big") + data


def test_iptc_wins_over_exif() -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = "from EXIF", "EXIF artist"
    buffer = io.BytesIO()
    solid("red").save(buffer, "JPEG", exif=exif)
    data = buffer.getvalue()
    fields = iptc(
        (5, b"Title"), (120, "Straße".encode()), (25, b"dog"), (25, "Käse".encode("latin-1")),
        (80, b"By Line"),
    )  # fmt: skip
    found = embedded_words(decode(data[:2] + fields + data[2:]))
    assert found == Words("Title", "Straße", {"artist": "By Line", "keywords": "dog, Käse"})


def test_a_picture_that_says_nothing() -> None:
    assert embedded() == Words()


def test_words_over_words_keep_what_the_new_ones_do_not_say() -> None:
    old = Words("old", "old", {"a": 1, "b": 1})
    assert Words("", "new", {"b": 2}).over(old) == Words("old", "new", {"a": 1, "b": 2})


def test_a_text_may_hold_a_nul_and_one_of_utf_16_without_its_mark_is_told(tmp_path: Path) -> None:
    text = "path,title\na.jpg,T\0\n"
    assert said(tmp_path / "m.csv", text, "a.jpg") == Words("T\0")
    with pytest.raises(MetadataError, match="NULs"):
        said(tmp_path / "m.csv", text.encode("utf-16-le"), "a.jpg")
