"""Rows of words reach the picture that they name, and no other; those that name none are told."""

import shutil
import unicodedata
from pathlib import Path

import pytest
from words_parts import captions, folder  # noqa: F401  (one is a fixture)

import relook
from relook.core.progress import Progress
from relook.library import words_by_name
from relook.testing import noise

ROWS = "path,caption\n"


def captioned(library: relook.Library) -> dict[Path, str]:
    """Captions by path, of the pictures that are there and have some."""
    page = library.search("red", limit=99, fold=False)
    return {hit.path: hit.caption for hit in page if hit.caption}


def add_rows(library: relook.Library, folder: Path, text: str) -> list[str]:
    (folder / "words.csv").write_text(text)
    report = library.add(folder, metadata=[folder / "words.csv"])
    return [note for note in report.notes if "row" in note]


@pytest.mark.parametrize(
    "row",
    [
        "sub\\Café.png", "C:\\old\\disk\\Café.png", "SUB/CAFÉ.PNG", "sub/café.png",
        unicodedata.normalize("NFC", "sub/Café.png"), unicodedata.normalize("NFD", "sub/Café.png"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_second_choices_of_rows(library: relook.Library, folder: Path, row: str, form: str) -> None:
    (folder / "sub").mkdir()
    noise(1).save(folder / "sub" / unicodedata.normalize(form, "Café.png"))

    notes = add_rows(library, folder, f" path , caption \n{row},here\n")

    assert list(captions(library).values()) == ["here"]
    assert not notes


def test_a_row_of_another_file_is_no_second_choice(library: relook.Library, folder: Path) -> None:
    noise(1).save(folder / "a.png")
    noise(2).save(folder / "A.png")

    add_rows(library, folder, ROWS + "A.png,capital\n")

    assert captions(library) == {"A.png": "capital"}


def test_a_bare_name_that_several_pictures_have_is_none_of_theirs(
    library: relook.Library, folder: Path
) -> None:
    for number in range(3):
        (folder / f"{number}").mkdir()
        noise(number % 2).save(folder / f"{number}" / "img.png")
    [note] = add_rows(library, folder, ROWS + "img.png,Anna\n")
    assert note == "1 of 1 row fits several pictures: img.png (3); write their paths"
    assert captioned(library) == {}
    shutil.rmtree(folder / "1")
    library.forget(folder / "1")

    report = library.add(folder, metadata=folder / "words.csv")

    both = {folder / place / "img.png": "Anna" for place in ("0", "2")}
    assert captioned(library) == both  # equal copies are one picture
    assert (report.n_metadata, report.notes) == (2, [])


def test_many_rows_by_bare_name_are_taken_together_and_told(
    library: relook.Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words_by_name, "_WRITTEN_AT_ONCE", 4)
    (folder / "sub").mkdir()
    for number in range(10):
        noise(number).save(folder / "sub" / f"{number}.png")
    rows = "".join(f"{number}.png,no {number}\n" for number in range(10))
    (folder / "words.csv").write_text(ROWS + rows)
    seen: list[tuple[int, int | None]] = []

    def note(progress: Progress) -> None:
        if progress.stage == "words":
            seen.append((progress.done, progress.total))

    library.add(folder, metadata=folder / "words.csv", progress=note)

    assert captions(library) == {f"{number}.png": f"no {number}" for number in range(10)}
    assert seen == [(0, 10), (4, 10), (8, 10)]


@pytest.mark.parametrize("how", ["away", "deleted"])
def test_a_row_of_a_picture_that_is_not_there_now_goes_to_no_other(
    library: relook.Library, folder: Path, how: str
) -> None:
    for at, place in enumerate(("2019/img.png", "2019/more.png", "2023/img.png")):
        (folder / place).parent.mkdir(exist_ok=True)
        noise(at).save(folder / place)
    assert not add_rows(library, folder, ROWS + "2019/img.png,Anna\n")
    lost = folder / ("2019" if how == "away" else "2019/img.png")
    lost.rename(folder.parent / "lost")

    library.add(folder, metadata=folder / "words.csv")

    assert captioned(library) == {}
    (folder.parent / "lost").rename(lost)
    assert not library.add(folder, metadata=folder / "words.csv").notes
    assert captioned(library) == {folder / "2019" / "img.png": "Anna"}


def test_rows_that_name_no_picture_are_told(library: relook.Library, folder: Path) -> None:
    noise(1).save(folder / "a.png")

    [note] = add_rows(library, folder, ROWS + "a.png,1\nb.png,2\nc/d.png,3\ne.png,4\n")

    assert note == "3 of 4 rows name no picture: b.png, c/d.png, e.png"
    [again] = add_rows(library, folder, ROWS + "a.png,1\nb.png,2\n")
    assert again.startswith("1 of 2 rows")


def test_names_in_another_unicode_form(library: relook.Library, folder: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))
    (folder / apart).mkdir()
    noise(1).save(folder / apart / "1.png")
    library.add(folder)

    assert len(library.search("red", path=composed)) == 1
    assert len(library.search("red", path=composed.upper())) == 1
    assert len(library.similar(folder / composed / "1.png")) == 1
    assert library.add(folder / composed).n_unchanged == 1
    (folder / apart / "1.png").unlink()
    assert library.forget(folder / composed) == 1
