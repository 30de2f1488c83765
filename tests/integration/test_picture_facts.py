"""Facts that files say of pictures: with types, and no more exact than they are given."""

from pathlib import Path

import pytest
from PIL import Image
from words_parts import XMP, folder, words_in  # noqa: F401  (one is a fixture)

import relook
from relook.library.picture_facts import iso_time
from relook.library.records import Words
from relook.testing import noise


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
