"""XMP files beside pictures: keywords are added, and nothing else ever changes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import relook
from relook.app.exchange import XmpChoice, export_xmp
from relook.core.errors import InputError
from relook.exchange.xmp_sidecar import with_keywords
from relook.library.picture_facts import read_xmp
from relook.testing import noise

LIGHTROOM = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><!-- a note -->
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/" xmp:Rating="4" crs:Exposure2012="+0.55">
   %s
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""
SUBJECT = b"<dc:subject><rdf:Bag><rdf:li>lake</rdf:li></rdf:Bag></dc:subject>"
SEVERAL = {
    "with keywords": LIGHTROOM % SUBJECT,
    "without": LIGHTROOM % b"",
    "bare RDF": LIGHTROOM[LIGHTROOM.index(b"<rdf:RDF") : LIGHTROOM.index(b"</x:x")] % SUBJECT,
    "other prefixes": (LIGHTROOM % SUBJECT).replace(b"rdf:", b"r:").replace(b":rdf=", b":r=")
    .replace(b"dc:", b"d:").replace(b":dc=", b":d="),
}  # fmt: skip


@pytest.mark.parametrize("packet", SEVERAL.values(), ids=list(SEVERAL))
def test_keywords_are_put_into_the_text_that_is_there(packet: bytes) -> None:
    keywords = ["lake", "dogs & <cats>", "Käse", "two\n lines", "\x00", ""]
    merged = with_keywords(packet, keywords)

    before = read_xmp(packet).get("dc:subject", [])
    new = ["dogs & <cats>", "Käse", "two lines"]
    assert read_xmp(merged)["dc:subject"] == before + ([] if before else ["lake"]) + new
    without = merged
    for size in range(len(merged) - len(packet), 0, -1):  # what was added is one piece
        for at in range(len(packet) + 1):
            if merged[:at] + merged[at + size :] == packet:
                without = packet
                break
        break
    assert without == packet
    assert with_keywords(merged, keywords) == merged


def test_a_new_file() -> None:
    assert with_keywords(b"", []) == b""
    made = with_keywords(b"", ["a dog", "a dog"])
    assert read_xmp(made) == {"dc:subject": ["a dog"]}


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"no XML", "damaged"),
        (b"<a>", "damaged"),
        (b"<a/>", "not known"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "entities"),
        ((LIGHTROOM % b"").decode().encode("utf-16"), "UTF-8"),
        (LIGHTROOM % b"<dc:subject><rdf:Bag/></dc:subject>", "not known"),
        (LIGHTROOM % b"<dc:subject>lake</dc:subject>", "not known"),
        (b" " * (1024**2 + 1), "bytes"),
    ],
)
def test_what_cannot_be_merged_is_refused(packet: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        with_keywords(packet, ["dog"])


@pytest.fixture
def folder(library: relook.Library, tmp_path: Path) -> Path:
    """Three pictures; a session marks one and a box of another, and a concept is kept of it."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate(("lake.png", "dog.png", "dog.jpg")):
        noise(number, 64, 48).save(folder / name)
    (folder / "lake.xmp").write_bytes(LIGHTROOM % SUBJECT)
    library.add(folder)
    ids = {record.path.name: record.image_id for record in library.files.catalog.each_image()}
    session = library.look("red", name="our van", captions=False)
    session.judge(ids["lake.png"], relevant=True)
    session.judge(ids["dog.png"], relevant=True, box=(0.1, 0.1, 0.5, 0.5), caption="a wheel")
    session.judge(ids["dog.jpg"], relevant=False)
    library.concepts.save(session, "vans")
    return folder


def keywords(path: Path) -> list[str]:
    return read_xmp(path.read_bytes())["dc:subject"]


def test_marks_concepts_and_captions(library: relook.Library, folder: Path) -> None:
    before = {path: (path.read_bytes(), os.stat(path).st_mtime_ns) for path in folder.glob("*g")}
    tried = export_xmp(library, XmpChoice(write=False))
    assert sorted(path.name for path in folder.glob("*.xmp")) == ["lake.xmp"]
    report = export_xmp(library)

    assert (tried.n_new, tried.n_changed) == (report.n_new, report.n_changed) == (1, 1)
    assert sorted(path.name for path in folder.iterdir() if path not in before) == [
        "dog.png.xmp", "lake.xmp",
    ]  # fmt: skip
    assert keywords(folder / "lake.xmp") == ["lake", "our van", "vans"]
    assert keywords(folder / "dog.png.xmp") == ["our van", "a wheel", "vans"]
    assert b'crs:Exposure2012="+0.55"' in (folder / "lake.xmp").read_bytes()
    assert before == {path: (path.read_bytes(), os.stat(path).st_mtime_ns) for path in before}
    again = export_xmp(library)
    assert (again.n_new, again.n_changed, again.n_unchanged) == (0, 0, 2)


def test_a_file_of_two_pictures_stays_as_it_is(library: relook.Library, folder: Path) -> None:
    (folder / "dog.xmp").write_bytes(LIGHTROOM % SUBJECT)
    export_xmp(library, XmpChoice(captions=False, concepts=False))

    assert (folder / "dog.xmp").read_bytes() == LIGHTROOM % SUBJECT
    assert keywords(folder / "dog.png.xmp") == ["lake", "our van"]
    assert b"Exposure2012" in (folder / "dog.png.xmp").read_bytes()


def test_what_is_left_out_is_told(
    library: relook.Library, folder: Path, run: Callable[..., dict]
) -> None:
    (folder / "lake.xmp").write_text("broken")
    (folder / "dog.png").unlink()
    report = run("export", "xmp", library.folder, code=3)

    assert (folder / "lake.xmp").read_text() == "broken"
    assert {Path(left["path"]).name for left in report["left_out"]} == {"lake.png", "dog.png"}
    assert report["n_new"] == report["n_changed"] == 0
