"""Words that stand in pictures go along with exports, and come in from their files."""

import shutil
from pathlib import Path

import pytest
from picture_text_parts import TEXT, fake_reader, folder, names, texts  # noqa: F401  (some are fixtures)

import relook
from relook.app.exchange import export, import_faiss, import_texts
from relook.cli.main import main
from relook.library.text_table import TextTable
from relook.testing import ColourEncoder, solid


@pytest.mark.parametrize("kind", ["faiss", "npy", "parquet", "webdataset"])
def test_every_export_carries_the_words_to_libraries_with_these_pictures(
    texts: relook.Library, folder: Path, tmp_path: Path, kind: str
) -> None:
    report = export(texts, kind, tmp_path / "out")
    assert tmp_path / "out" / "image_texts.jsonl" in report.files
    shutil.copytree(folder, tmp_path / "elsewhere")
    solid("cyan").save(tmp_path / "elsewhere" / "new.png")
    with relook.Library(tmp_path / "other", encoder=ColourEncoder()) as other:
        other.add(tmp_path / "elsewhere")
        TextTable(other.files.catalog).make()
        assert import_texts(other, tmp_path / "out") == 4
        assert import_texts(other, tmp_path / "out" / "image_texts.jsonl") == 0
        (hit,) = other.search('text:"invoice 2021"')
        assert hit.path == tmp_path / "elsewhere" / "blue.png"
        assert hit.written == texts.search('text:"invoice 2021"')[0].written
        assert (other.info()["n_text_read"], other.info()["n_text_found"]) == (4, 3)
        assert other.add(settings=TEXT).n_text_read == 1


def test_an_index_of_faiss_brings_the_words_that_lie_beside_it(
    texts: relook.Library, tmp_path: Path
) -> None:
    export(texts, "faiss", tmp_path / "out")
    with relook.Library(tmp_path / "other", encoder=ColourEncoder()) as other:
        report = import_faiss(other, tmp_path / "out")
        assert "the words in 4 pictures came along" in report.notes
        assert names(other.search("text:stop")) == ["red"]


def test_words_of_a_damaged_file_are_not_taken_in_part(
    texts: relook.Library, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(texts, "npy", tmp_path / "out")
    file = tmp_path / "out" / "image_texts.jsonl"
    whole = file.read_text().splitlines()
    with relook.Library(tmp_path / "other", encoder=ColourEncoder()) as other:
        other.add(folder)
    for bad in (
        "{", "[]", '{"content": "00", "reader": "r"}',
        '{"content": "xy", "reader": "r", "lines": []}',
        '{"content": "00", "reader": "r",'
        ' "lines": [{"words": [{"text": "a", "box": [0, 0, 1, 2]}]}]}',
    ):  # fmt: skip
        file.write_text("\n".join([*whole, bad]))
        assert main(["import", "text", str(file), str(tmp_path / "other")]) == 1
        assert f"error[bad_text_file]: {file} line 5" in capsys.readouterr().err
    with relook.Library(tmp_path / "other", encoder=ColourEncoder()) as other:
        assert other.info()["n_text_read"] == 0
    file.write_text("\n".join(whole))
    assert main(["import", "text", str(tmp_path / "out"), str(tmp_path / "other")]) == 0
    assert "took the words in 4 pictures" in capsys.readouterr().out
    assert main(["info", "--library", str(tmp_path / "other")]) == 0
    shown = capsys.readouterr().out
    assert "looked through for words" in shown
    assert "with words in them" in shown
