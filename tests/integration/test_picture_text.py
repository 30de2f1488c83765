"""Words that stand in pictures: read once a picture, kept with it, searched, outlined."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from picture_text_parts import TEXT, Reader, fake_reader, folder, n_read, names, scores, texts  # noqa: F401  (some are fixtures)
from PIL import Image

import relook
from relook.app.upkeep import compact_library
from relook.cli.main import main
from relook.core.errors import InputError, MissingExtraError
from relook.core.progress import READING_TEXT, Progress
from relook.core.registry import Adapter
from relook.core.types import Box, WrittenWord
from relook.library.catalog import Catalog
from relook.library.check import check
from relook.library.repair import repair
from relook.library.report import Stop
from relook.library.text_table import TextTable
from relook.readers import READERS
from relook.readers.base import TextLine
from relook.search.written import LIFT
from relook.testing import ColourEncoder, solid


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('text:"invoice 2021"', ["blue"]),
        ("text:invoi", ["blue"]),
        ("text:cafes", ["blue"]),
        ("text:發票", []),
        ("text:発票", ["green"]),
        ('text:"2021 thank"', ["blue"]),  # a phrase goes on in the next line
        ('text:"thank invoice"', []),
        ('text:"thankyou"', []),
        ('text:"stop OR invoice"', []),
        ("text:NOT", []),
        ("text:stop text:here", ["red"]),
        ("text:stop text:invoice", []),
        ("a picture -text:stop -text:invoice", ["green", "white"]),
        ("red text:invoice", ["blue"]),
    ],
)
def test_text_finds_the_pictures_in_which_it_stands(
    texts: relook.Library, line: str, found: list[str]
) -> None:
    assert sorted(names(texts.search(line))) == found


def test_a_hit_says_which_words_stand_where(texts: relook.Library) -> None:
    (hit,) = texts.search('text:"invoice 2021"')
    assert hit.written is not None
    assert [word.text for word in hit.written] == ["INVOICE", "2021"]
    assert hit.written[0] == WrittenWord("INVOICE", Box(0, 0, 0.5, 0.3333))
    assert hit.as_dict()["written"][1] == {"text": "2021", "box": [0.5, 0.0, 1.0, 0.3333]}
    assert all("written" not in each.as_dict() for each in texts.search("white")[:1])


def test_words_of_a_plain_query_raise_the_picture_in_which_all_stand(
    tmp_path: Path, folder: Path
) -> None:
    with relook.Library(tmp_path / "plain", encoder=ColourEncoder()) as library:
        library.add(folder)
        before = library.search("white label", fold=False)
        library.add(settings=TEXT)
        after = library.search("white label", fold=False)
        assert names(before)[0] == "white"
        assert scores(after)["white"] == scores(before)["white"] == 1.0
        assert scores(before)["blue"] == 0.0
        way = 1.0 - 0.25  # from the mean of the four to the best
        assert scores(after)["blue"] == pytest.approx(LIFT * way, abs=1e-4)
        assert [word.text for word in after[names(after).index("blue")].written or ()] == [
            "White", "label",
        ]  # fmt: skip
        half = library.search("white invoice paper sky", fold=False)
        assert scores(half)["blue"] == pytest.approx(LIFT * 0.25 * way, abs=1e-4)
        assert scores(library.search("white paper sky", fold=False))["blue"] == 0.0
        asked = library.search("show me pictures of a white label, please", fold=False)
        assert scores(asked)["blue"] == scores(after)["blue"]  # words that only ask are not counted
        small = library.search("the for of 3", fold=False)  # such words say nothing
        assert not any(hit.written for hit in small)


def test_pictures_without_words_change_no_plain_search(texts: relook.Library) -> None:
    """Scores and order are those of a library whose words were never read."""
    for line in ("red", "a green thing", "cyan - blue"):
        read = texts.search(line)
        with sqlite3.connect(texts.folder / "catalog.sqlite3") as db:
            rows = db.execute("SELECT words FROM picture_texts").fetchall()
        assert len(rows) == 4
        hits = [(hit.image_id, hit.score) for hit in read]
        table = TextTable.is_there
        try:
            TextTable.is_there = lambda _: False  # type: ignore[method-assign]
            assert [(hit.image_id, hit.score) for hit in texts.search(line)] == hits
        finally:
            TextTable.is_there = table  # type: ignore[method-assign]


def test_every_picture_is_read_once_and_again_when_it_changes(
    texts: relook.Library, folder: Path
) -> None:
    assert n_read() == 4
    assert texts.add(settings=TEXT).n_text_read == 0  # the white one is not read again either
    shutil.copy(folder / "red.png", folder / "copy.png")
    (folder / "blue.png").rename(folder / "moved.png")
    assert texts.add(settings=TEXT).n_text_read == 0
    assert names(texts.search("text:invoice")) == ["moved"]
    assert sorted(names(texts.search("text:stop"))) == ["copy", "red"]
    solid("blue", 70, 70).save(folder / "red.png")
    (folder / "copy.png").unlink()
    report = texts.add(settings=TEXT)
    assert (report.n_text_read, report.n_text_found) == (1, 1)
    assert not texts.search("text:stop")
    assert TextTable(texts.files.catalog).n_read() == 4
    assert texts.files.catalog.count("picture_texts") == 4
    assert n_read() == 5


def test_a_picture_that_is_away_is_read_when_it_is_back(tmp_path: Path, folder: Path) -> None:
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        library.add(folder)
        folder.rename(tmp_path / "elsewhere")
        assert library.add(settings=TEXT).n_text_read == 0
        (tmp_path / "elsewhere").rename(folder)
        assert library.add(settings=TEXT).n_text_read == 4
        folder.rename(tmp_path / "elsewhere")
        library.add()
        assert names(library.search("text:stop", away=True)) == ["red"]


def test_a_run_that_is_stopped_keeps_what_it_read(tmp_path: Path, folder: Path) -> None:
    def stop(now: Progress) -> None:
        if now.stage == READING_TEXT and now.done:
            assert now.total == 5
            raise Stop

    solid("cyan").save(folder / "cyan.png")
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        report = library.add(folder, settings=TEXT, progress=stop)
        assert report.interrupted
        assert report.n_text_read == 5  # all of them are tried before a rate is told
        assert library.add(settings=TEXT).n_text_read == 0


def test_pictures_that_fail_do_not_stop_the_others(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Reader.read

    def fails(self: Reader, image: Image.Image) -> list[TextLine]:
        if image.getpixel((0, 0)) == (255, 0, 0):
            raise RuntimeError("no reading today")
        return read(self, image)

    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        library.add(folder)
        (folder / "blue.png").write_bytes(b"no picture")
        monkeypatch.setattr(Reader, "read", fails)
        report = library.add(settings=TEXT)
        assert report.n_text_read == 2
        assert any("1 picture could not be read" in note for note in report.notes)
        monkeypatch.setattr(Reader, "read", read)
        assert library.add(settings=TEXT).n_text_read == 1


def test_a_page_of_a_million_letters_is_bounded(texts: relook.Library) -> None:
    record = next(texts.files.catalog.each_image())
    page = [TextLine((WrittenWord("letter" * 200_000, Box(0, 0, 1, 1)),))]
    page += [TextLine((WrittenWord(f"word{n}", Box(0, 0, 1, 1)),)) for n in range(6_000)]
    TextTable(texts.files.catalog).put([(record.content, page)], "test")
    assert names(texts.search("text:word4998")) == [record.path.stem]
    assert not texts.search("text:word5001")
    rows = texts.files.catalog.ask("SELECT max(length(lines)) FROM picture_texts")
    assert int(str(rows[0][0])) < 500_000


def test_a_library_without_text_says_how_to_read_it(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        library.add(folder)
        with pytest.raises(InputError, match="not been read yet") as caught:
            library.search("text:stop")
        assert caught.value.code == "no_text"
        assert "relook index --text" in (caught.value.hint or "")
        library.add(settings=TEXT)
        solid("magenta").save(folder / "new.png")
        library.add()
        assert "1 of 5 pictures" in " ".join(library.search("text:stop").notes)


def test_without_the_extra_nothing_is_indexed(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Adapter("no_such_package_of_readers:Reader", "", extra="ocr")
    monkeypatch.setitem(READERS.builtin, "rapidocr", missing)  # type: ignore[index]
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        with pytest.raises(MissingExtraError) as caught:
            library.add(folder, settings=TEXT)
        assert caught.value.hint == "pip install 'relook[ocr]'"
        assert len(library) == 0


def test_the_command_reads_and_finds(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--library", str(tmp_path / "library")]
    for number in range(9):
        solid("white", 40 + number, 50).save(folder / f"w{number}.png")
    assert main(["index", str(folder), "--text", *place]) == 0
    out, err = capsys.readouterr()
    assert "words read in 13 (3 have some)" in out
    assert "reading the words of 13 pictures takes about" in err
    assert "Ctrl-C keeps what is done" in err
    assert main(["search", 'text:"invoice 2021"', *place]) == 0
    assert "“INVOICE 2021”" in capsys.readouterr().out
    assert main(["search", "text:stop", *place, "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert [word["text"] for word in hits[0]["written"]] == ["Stop"]
    assert main(["search", 'text:"stop', *place]) == 1
    assert "error[bad_part]: a quote is not closed" in capsys.readouterr().err


def test_a_session_keeps_to_written_words(texts: relook.Library, folder: Path) -> None:
    solid("red", 50, 40).save(folder / "red-too.png")
    texts.add(settings=TEXT)
    session = texts.look("text:stop", limit=5)
    assert sorted(names(session.page)) == ["red", "red-too"]
    session.judge(session.page[0], relevant=True)
    later = session.again(keep_shown=True, keep_judged=True)
    assert sorted(names(later)) == ["red", "red-too"]
    assert all(hit.written for hit in later)
    assert session.replay().same
    concept = texts.concepts.save(session, "stops")
    assert concept.query is not None
    assert concept.query.text == "stop"


def test_a_check_finds_what_is_wrong_with_texts_and_a_repair_mends_it(
    texts: relook.Library, folder: Path
) -> None:
    place = texts.folder
    texts.close()
    assert check(place).sound
    with sqlite3.connect(place / "catalog.sqlite3") as db:
        db.execute("DROP TRIGGER texts_removed")
        db.execute("DELETE FROM text_index_docsize WHERE id = 1")
        db.execute("UPDATE picture_texts SET lines = '{' WHERE text_id = 2")
        db.execute("INSERT INTO picture_texts VALUES (99, x'00', 'test', '[]', 'loose')")
    db.close()
    codes = {finding.code for finding in check(place).findings}
    assert {"text_not_indexed", "bad_text_row", "loose_text"} <= codes
    assert repair(place).sound
    with sqlite3.connect(place / "catalog.sqlite3") as db:
        db.execute("DROP TABLE text_index")
    db.close()
    assert [finding.code for finding in check(place).findings] == ["text_not_indexed"]
    assert repair(place).sound
    with relook.Library(place, encoder=ColourEncoder()) as library:
        assert not library.search("text:loose")
        library.add(settings=TEXT)
        found = {names(library.search(line))[0] for line in ("text:stop", "text:invoice")}
        assert found == {"red", "blue"}


def test_an_upgrade_and_a_compaction_keep_words(texts: relook.Library, folder: Path) -> None:
    texts.upgrade(ColourEncoder(revision="2"))
    (folder / "white.png").unlink()
    texts.add()
    compact_library(texts)
    assert names(texts.search("text:stop")) == ["red"]
    assert texts.add(settings=TEXT).n_text_read == 0


def test_a_library_that_may_only_be_read_is_searched(texts: relook.Library) -> None:
    catalog = Catalog(texts.folder / "catalog.sqlite3", writable=False)
    ids, _ = TextTable(catalog).matching('"stop"')
    catalog.close()
    assert len(ids) == 1


def test_scores_of_written_words_alone_are_similarities_in_the_order_of_the_words(
    texts: relook.Library, folder: Path
) -> None:
    """BM25 is no similarity: "white" is unlike a blue picture, whatever stands in it."""
    both = [TextLine((WrittenWord("label", Box(0, 0, 1, 1)),))]
    by_name = {record.path.stem: record for record in texts.files.catalog.each_image()}
    TextTable(texts.files.catalog).put([(by_name["white"].content, both)], "test")
    ids, fits = TextTable(texts.files.catalog).matching('"label"')
    assert min(fits) > 0
    page = texts.search("text:label")
    assert [hit.image_id for hit in page] == ids.tolist()
    (hit,) = texts.search('text:"white label"')
    assert (hit.path.stem, hit.score) == ("blue", 0.0)
    assert texts.search("white")[0].score == 1.0
