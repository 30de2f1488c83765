"""Words of files beside a picture reach it, and no other; files that cannot be read are told."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_parts import picture, write_tar, write_zip
from words_parts import XMP, captions, folder, words_in  # noqa: F401  (one is a fixture)

import relook
import relook.core.images
import relook.core.sources
from relook.core.archives import names_of
from relook.core.beside import NamesBeside, is_takeout_name, takeout_beside, xmp_beside
from relook.library.records import Words
from relook.testing import noise

TAKEOUT = {
    "title": "x.jpg", "description": "At the lake",
    "photoTakenTime": {"timestamp": "1563107400"},
    "geoData": {"latitude": 48.85, "longitude": 2.35}, "people": [{"name": "Ada"}],
}  # fmt: skip


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
