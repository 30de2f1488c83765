"""Words reach the picture that they are about, and no other; rows that name nothing are told."""

import gzip
import json
import shutil
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_parts import picture, write_tar, write_zip
from PIL import Image

import relook
import relook.core.images
import relook.core.sources
from relook.core.archives import names_of
from relook.core.beside import NamesBeside, is_takeout_name, takeout_beside, xmp_beside
from relook.core.progress import Progress
from relook.library import words_by_name
from relook.library.picture_facts import iso_time
from relook.library.records import Words
from relook.testing import noise

TAKEOUT = {
    "title": "x.jpg", "description": "At the lake",
    "photoTakenTime": {"timestamp": "1563107400"},
    "geoData": {"latitude": 48.85, "longitude": 2.35}, "people": [{"name": "Ada"}],
}  # fmt: skip
XMP = """<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
<rdf:Description xmlns:dc='http://purl.org/dc/elements/1.1/'
 xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmp:Rating='4'>
<dc:subject><rdf:Bag><rdf:li>lake</rdf:li><rdf:li>Käse</rdf:li></rdf:Bag></dc:subject>
<dc:description><rdf:Alt><rdf:li xml:lang='de'>See</rdf:li>
<rdf:li xml:lang='x-default'>A lake</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


def words_in(library: relook.Library) -> dict[str, Words]:
    return {
        record.path.name: Words(record.title, record.caption, record.metadata)
        for record in library.files.catalog.each_image()
    }


def captions(library: relook.Library) -> dict[str, str]:
    return {name: words.caption for name, words in words_in(library).items() if words.caption}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {"2021.07.01 cat.png": 1, "2021.07.02 coffee.png": 2, "2021.07.03 man.png": 3,
             "2021.07.02 coffee.txt": "Coffee", "2021.07.01 cat.json": '{"caption": "Minka"}'},
            {"2021.07.01 cat.png": "Minka", "2021.07.02 coffee.png": "Coffee"},
        ),
        ({"J. Smith - cat.png": 1, "J. Doe - coffee.png": 2, "J. readme.txt": "no"}, {}),
        ({"000.jpg": 1, "000.mask.png": 2, "000.txt": "the picture"}, {"000.jpg": "the picture"}),
        ({"a/000.left.png": 1, "b/000.png": 2, "a/000.txt": "left"}, {"000.left.png": "left"}),
        ({"x.jpg": 1, "x.heic.png": 2, "x.txt": "x"}, {"x.jpg": "x"}),
        (
            {"PXL_1.MP.png": 1, "PXL_1.PORTRAIT-01.COVER.png": 2,
             "PXL_1.MP.png.json": "Anna", "PXL_1.PORTRAIT-01.COVER.png.json": "Bob"},
            {"PXL_1.MP.png": "Anna", "PXL_1.PORTRAIT-01.COVER.png": "Bob"},
        ),
        # Takeout counts equal names in odd places; what names another file is about that one.
        (
            {"A.png": 1, "A(1).png": 2, "A.png.json": "Anna", "A.png(1).json": "Bob"},
            {"A.png": "Anna", "A(1).png": "Bob"},
        ),
        (
            {"A.png": 1, "A(1).png": 2, "A.png.supplemental-metadata.json": "Anna",
             "A.png.supplemental-metadata(1).json": "Bob"},
            {"A.png": "Anna", "A(1).png": "Bob"},
        ),
        ({"A.png": 1, "A(1).png": 2, "A.png(1).json": "Bob"}, {"A(1).png": "Bob"}),
        ({"A.png": 1, "A.png.supplem(1).json": "of a picture in another part"}, {}),
        ({"A.png": 1, "A.MP4.json": "of a video"}, {}),
        ({"A.png": 1, "A.CR2.xmp": XMP}, {}),
        ({"A.png": 1, "A.json": '{"captions": ["one", "two"]}'}, {"A.png": "one"}),
        ({"A.png": 1, "A.caption.json": '{"caption": "its sample"}'}, {"A.png": "its sample"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_words_in_an_archive(
    library: relook.Library, folder: Path, write: Callable, members: dict, expected: dict[str, str]
) -> None:
    write(folder / ("a.tar" if write is write_tar else "a.zip"), {
        name: picture(noise(value)) if isinstance(value, int)
        else json.dumps({**TAKEOUT, "description": value}) if value in ("Anna", "Bob")
        else value
        for name, value in members.items()
    })  # fmt: skip

    library.add(folder)

    assert captions(library) == expected


def test_takeout_and_xmp_in_a_folder(library: relook.Library, folder: Path) -> None:
    for number, name in enumerate(("x.jpg", "raw.png", "plain.png")):
        noise(number).save(folder / name)
    (folder / "x.jpg.supplemental-metadata.json").write_text(json.dumps(TAKEOUT))
    (folder / "raw.xmp").write_text(XMP)
    (folder / "plain.png.json").write_text('{"caption": "some program\'s own"}')

    library.add(folder)

    words = words_in(library)
    assert words["x.jpg"] == Words("", "At the lake", {
        "taken_at": "2019-07-14T12:30:00+00:00", "taken_from": "takeout",
        "latitude": 48.85, "longitude": 2.35, "people": "Ada",
    })  # fmt: skip
    assert words["raw.png"] == Words("", "A lake", {"keywords": "lake, Käse", "rating": 4})
    assert words["plain.png"] == Words()


TITLED = """<?xml version="1.0" encoding="{}"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>T\u00f6r</dc:title>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("UTF-8", "utf-8"), ("UTF-8", "utf-8-sig"), ("UTF-16", "utf-16"), ("UTF-16", "utf-16-be"),
        ("UTF-16", "utf-16-le"), ("UTF-16", "utf-8"), ("UTF-32", "utf-32-be"),
        ("ISO-8859-1", "latin-1"), ("windows-1252", "cp1252"),
    ],
)  # fmt: skip
def test_xmp_in_the_encoding_that_it_says(
    library: relook.Library, folder: Path, declared: str, encoding: str
) -> None:
    noise(1).save(folder / "x.png")
    (folder / "x.xmp").write_bytes(TITLED.format(declared).encode(encoding))

    report = library.add(folder)

    assert words_in(library)["x.png"] == Words("T\u00f6r")
    assert report.notes == []


DAMAGED = {
    "a.png.json": (b"{cut", "it is no JSON"),
    "b.png.json": (b'{"description": "\xe4"}', "it is not UTF-8"),
    "c.xmp": (TITLED.format("UTF-8").encode("latin-1"), "it is not UTF-8"),
    "d.xmp": (b"<x:xmpmeta", "it is no whole XML"),
    "e.xmp": (TITLED.format("klingon").encode(), "it is in klingon, which is not known here"),
    "f.png.json": (b"", "it is no JSON"),
    "g.xmp": (b"<!DOCTYPE x>" + XMP.encode(), "it defines entities"),
    "h.xmp": (("<!DOCTYPE x>" + XMP).encode("utf-16"), "it defines entities"),
    "i.xmp": (b" " * 1024**2 + XMP.encode(), "it has more than 1,048,576 bytes"),
    "j.png.json": (b"[" * 100_000, "maximum recursion depth"),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("packed", [False, True])
def test_files_beside_that_cannot_be_read_are_told(
    library: relook.Library, folder: Path, name: str, packed: bool
) -> None:
    data, reason = DAMAGED[name]
    members = {f"{name[0]}.png": picture(noise(1)), name: data}
    place = str(folder / name)
    if packed:
        write_zip(folder / "a.zip", members)
        place = f"{folder}/a.zip!/{name}"
    else:
        for member, content in members.items():
            (folder / member).write_bytes(content)

    report = library.add(folder)

    assert report.n_images == 1
    (note,) = report.notes
    assert note.startswith(f"nothing was read from 1 file beside pictures: {place} ({reason}")


def test_the_first_of_several_unread_files_is_named(library: relook.Library, folder: Path) -> None:
    for number, name in enumerate(("b.png", "a.png", "c.png")):
        noise(number).save(folder / name)
        (folder / f"{name}.json").write_text('{"photoTakenTime": ')

    (note,) = library.add(folder).notes

    assert note.startswith(f"nothing was read from 3 files beside pictures: {folder}/a.png.json (")
    assert note.endswith("), and 2 more")
    assert library.add(folder).notes == []  # unchanged pictures are not read again


def test_a_damaged_word_file_costs_no_picture(library: relook.Library, folder: Path) -> None:
    write_zip(folder / "a.zip", {"x.png": picture(noise(1)), "x.txt": "the words"}, method=0)
    data = (folder / "a.zip").read_bytes()
    (folder / "a.zip").write_bytes(data.replace(b"the words", b"the wards"))

    report = library.add(folder)

    assert (report.n_images, report.n_skipped) == (1, 0)
    (note,) = report.notes
    assert "a.zip!/x.txt (its content is not what the archive says it is)" in note


def test_xmp_of_another_case_in_an_archive(library: relook.Library, folder: Path) -> None:
    members = {"a/Big.PNG": 1, "a/two.png": 2, "a/TWO.PNG": 3}
    pictures = {name: picture(noise(number)) for name, number in members.items()}
    xmp = {name: XMP.encode() for name in ("a/BIG.XMP", "a/Two.xmp", "b/big.xmp")}
    write_zip(folder / "a.zip", pictures | xmp)

    library.add(folder)

    words = words_in(library)
    assert words["Big.PNG"].metadata["rating"] == 4
    assert words["two.png"] == words["TWO.PNG"] == Words()  # nobody can say whose file it is


@pytest.mark.parametrize(
    ("name", "sidecar"),
    [
        ("x.jpg", "x.jpg.json"),
        ("x.jpg", "x.jpg.supplemental-metadata.json"),
        ("x.jpg", "x.jpg.supplem.json"),
        ("x(1).jpg", "x.jpg(1).json"),
        ("x(1).jpg", "x.jpg.supplemental-metadata(1).json"),
        ("x-edited.jpg", "x.jpg.json"),
        ("a" * 50 + ".jpg", "a" * 46 + ".json"),
        ("a" * 39 + ".jpg", "a" * 39 + ".jpg.su.json"),
    ],
)
def test_names_as_takeout_makes_them(name: str, sidecar: str) -> None:
    others = {b"y.jpg.json", b"x.json", b"xx.jpg.json", b"metadata.json"}

    assert is_takeout_name(sidecar.encode()) == (".jpg" in sidecar)
    names = NamesBeside.of({sidecar.encode(), *others})
    assert takeout_beside(name.encode(), names) == sidecar.encode()
    assert takeout_beside(name.encode(), NamesBeside.of(others)) is None


@pytest.mark.parametrize(
    ("name", "sidecar", "others", "is_its"),
    [
        ("Caf\u00e9.jpg", "Cafe\u0301.xmp", [], True),
        ("Cafe\u0301.jpg", "Caf\u00e9.jpg.json", [], True),
        ("Cafe\u0301(1).jpg", "Caf\u00e9.jpg.supplemental-metadata(1).json", [], True),
        ("Big.JPG", "BIG.XMP", [], True),
        ("UP.JPG", "up.jpg.json", [], True),
        ("UP.JPG", "up.jpg.json", ["up.jpg"], False),  # it is that one's
        ("Big.JPG", "big.xmp", ["big.png"], False),
        ("Big.JPG", "big.xmp", ["BIG.xmp"], False),  # nobody can say which of them
        ("Big.JPG", "big.xmp", ["Big.jpg.XMP"], False),
        ("big.jpg", "big.xmp", ["BIG.xmp", "BIG.jpg"], True),
        ("a.jpg", "b.xmp", [], False),
    ],
)
def test_case_and_unicode_form_are_a_second_choice(
    name: str, sidecar: str, others: list[str], is_its: bool
) -> None:
    names = NamesBeside.of([each.encode() for each in (name, sidecar, *others)])
    found = {xmp_beside(name.encode(), names), takeout_beside(name.encode(), names)}
    assert (sidecar.encode() in found) == is_its


def test_copies_have_the_words_that_stand_beside_each(
    library: relook.Library, folder: Path
) -> None:
    for name in ("a.png", "b.png", "late.png"):
        noise(1).save(folder / name)
    (folder / "late.png").rename(folder.parent / "late.png")
    (folder / "b.png.json").write_text(json.dumps(TAKEOUT))
    library.add(folder)
    (folder.parent / "late.png").rename(folder / "late.png")
    (folder / "late.png.supplemental-metadata.json").write_text(json.dumps(TAKEOUT))
    library.add()
    words = words_in(library)
    assert words["a.png"] == Words()
    assert words["b.png"].caption == words["late.png"].caption == "At the lake"
    assert words["late.png"].metadata["latitude"] == 48.85


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("写真/猫.png", "cp932"), ("テスト.png", "cp932"),
        ("照片/猫咪.png", "gbk"), ("大写/好.png", "gbk"),
        ("사진/고양이.png", "cp949"), ("Café/été.png", "utf-8"), ("写真.png", "utf-8"),
        ("Café/Cafés.png", "cp437"), ("Müll/größe.png", "cp437"),
    ],
)  # fmt: skip
def test_names_in_zips_without_the_flag(name: str, encoding: str) -> None:
    entry = zipfile.ZipInfo("x")
    entry.filename = name.encode(encoding).decode("cp437")
    entry.flag_bits = 0

    assert names_of([entry]) == [name.encode()]


def test_a_zip_of_unsaid_utf8_is_found_by_its_names(library: relook.Library, folder: Path) -> None:
    write_zip(folder / "a.zip", {"xx.png": picture(noise(1))})
    data = (folder / "a.zip").read_bytes()
    (folder / "a.zip").write_bytes(data.replace(b"xx.png", "é.png".encode()))

    library.add(folder)

    assert len(library.search("red", path="a.zip!/é.png")) == 1
    [hit] = library.search("red")
    assert relook.core.images.load(hit.path).width_px
    mojibake = "é.png".encode().decode("cp437")  # what an older library has
    assert relook.core.sources.read_bytes(f"{folder}/a.zip!/{mojibake}".encode())


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


def test_facts_with_types(library: relook.Library, folder: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[18246] = "Maker", "Model X", 4
    exif[40091] = "A title".encode("utf-16-le") + b"\0\0"
    exif[40094] = "sea;Käse".encode("utf-16-le") + b"\0\0"
    exif.get_ifd(0x8769).update({0x9004: "2019:07:14 12:30:00", 0x9012: "+02:00", 0xA434: "50mm"})
    exif.get_ifd(0x8825).update({1: "S", 2: (33.0, 51.0, 24.0), 3: "E", 4: (151.0, 12.0, 36.0)})
    noise(1).save(folder / "a.jpg", exif=exif, xmp=XMP.encode())

    library.add(folder)

    assert words_in(library)["a.jpg"] == Words("A title", "A lake", {
        "camera_make": "Maker", "camera": "Model X", "lens": "50mm", "rating": 4,
        "keywords": "lake, Käse, sea", "latitude": -33.8566667, "longitude": 151.21,
        "taken_at": "2019-07-14T12:30:00+02:00", "taken_from": "digitized",
    })  # fmt: skip


SCAN = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 photoshop:DateCreated="1975" xmp:CreateDate="2019-07-14T12:30:00"/></rdf:RDF></x:xmpmeta>"""


def test_a_scan_of_which_the_year_is_known(library: relook.Library, folder: Path) -> None:
    noise(1).save(folder / "scan.png")
    (folder / "scan.xmp").write_text(SCAN)
    noise(2).save(folder / "other.png")

    library.add(folder)

    assert words_in(library)["scan.png"].metadata == {"taken_at": "1975", "taken_from": "xmp"}
    for where, kept in (
        ({"taken_at<": "1980"}, ["scan.png"]),
        ({"taken_at>=": "1976"}, ["other.png"]),
        ({"taken_at": "1975*"}, ["scan.png"]),
    ):
        assert [hit.path.name for hit in library.search("x", where=where)] == kept


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("1975", "1975"), (" 1975:  :  ", "1975"), ("1975-00-00", "1975"),
        ("1975:00:00 00:00:00", "1975"), ("1975-06-00", "1975-06"), ("1975-06", "1975-06"),
        ("1975-06-01T10:00", "1975-06-01T10:00:00"), ("0000", ""), ("0000:00:00 00:00:00", ""),
        ("1975-13", ""), ("19750601", ""), ("75", ""), ("1975 or so", ""), ("197", ""),
    ],
)  # fmt: skip
def test_times_are_no_more_exact_than_they_are_given(text: str, iso: str) -> None:
    assert iso_time(text) == iso


@pytest.mark.parametrize("name", ["a.tgz", "a.tar.gz", "A.TGZ"])
def test_packed_tars_are_read(library: relook.Library, folder: Path, name: str) -> None:
    write_tar(folder / "plain.tar", {
        "one.png": picture(noise(1)), "two.png": picture(noise(2)), "two.txt": "Two",
    })  # fmt: skip
    (folder / name).write_bytes(gzip.compress((folder / "plain.tar").read_bytes()))
    (folder / "plain.tar").unlink()
    (folder / "cut.tgz").write_bytes((folder / name).read_bytes()[:300])

    report = library.add(folder)

    assert captions(library) == {"two.png": "Two"}
    assert [skip.code for skip in report.skipped] == ["bad_archive"]
    [hit, _] = library.search("red")
    assert relook.core.images.load(hit.path).width_px
    assert library.add(folder).n_unchanged == 2
