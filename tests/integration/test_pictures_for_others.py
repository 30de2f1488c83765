"""Pictures that others get to see hold pixels and nothing else, whatever their files hold."""

import ast
import base64
import functools
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from openai_server import chat_server, say
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

import relook
from relook.captioners.chat_captioner import ChatCaptioner
from relook.core.images import decode, load
from relook.core.picture import reencoded
from relook.core.settings import ImageLimits
from relook.library.records import ImageRecord
from relook.mcp.replies import small_jpeg
from relook.notebook.page_view import thumbnail_uri
from relook.providers.base import Subject
from relook.providers.match import Match, MatchKind
from relook.rag.evidence import Evidence, Item
from relook.rag.fetching import small_picture
from relook.rag.prompt import build_prompt, contact_sheet
from relook.serving.pictures import browser_picture, shrunk
from relook.testing import ColourEncoder, solid

SECRET = b"PLANTED-51.5033N"
TEXT = SECRET.decode()
# What a JPEG needs to be shown: no APP1 to APP15, no comment. APP0 is JFIF's own header.
JPEG_MARKERS = {0xE0, 0xDB, 0xC0, 0xC2, 0xC4, 0xDD, 0xDA}
PNG_CHUNKS = {b"IHDR", b"IDAT", b"IEND"}


@functools.cache
def profile() -> bytes:
    """A colour profile with a planted text in which red and green are swapped."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = plain.replace(b"rXYZ", b"xXYZ").replace(b"gXYZ", b"rXYZ").replace(b"xXYZ", b"gXYZ")
    swapped = swapped.replace(
        "sRGB built-in".encode("utf-16-be"), "made at home.".encode("utf-16-be")
    )
    return swapped + SECRET


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x010E], tags[0x010F], tags[0x8298] = TEXT, TEXT, TEXT
    tags.get_ifd(0x8825).update({1: "N", 29: TEXT})
    tags.get_ifd(0x8769)[0x927C] = SECRET * 20
    return tags


def saved(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    solid("red", 96, 64).save(out, kind, **options)
    return out.getvalue()


def jpeg() -> bytes:
    data = saved("JPEG", exif=exif(), comment=SECRET, icc_profile=profile(), xmp=SECRET)
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(SECRET)) + SECRET
    segment = b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc
    return data[:2] + segment + data[2:] + SECRET  # and what stands behind the end


def mpo() -> bytes:
    second = Image.new("RGB", (96, 64), "blue")
    return saved("MPO", save_all=True, append_images=[second], exif=exif(), comment=SECRET)


def png() -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", TEXT)
    texts.add_text("Packed", TEXT, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", TEXT)
    texts.add(b"prVt", SECRET)
    return saved("PNG", exif=exif(), icc_profile=profile(), pnginfo=texts) + SECRET


def webp() -> bytes:
    return saved("WEBP", exif=exif(), icc_profile=profile(), xmp=SECRET)


def tiff() -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[700], tags[33723], tags[65000] = TEXT, SECRET, SECRET, SECRET
    for tag in (700, 33723, 65000):
        tags.tagtype[tag] = 7
    return saved("TIFF", tiffinfo=tags, icc_profile=profile())


FILES: dict[str, Callable[[], bytes]] = {
    "jpg": jpeg,
    "mpo": mpo,
    "png": png,
    "gif": lambda: saved("GIF", comment=SECRET) + SECRET,
    "webp": webp,
    "tif": tiff,
    "avif": lambda: saved("AVIF", exif=exif(), icc_profile=profile(), xmp=SECRET),
    "jp2": lambda: saved("JPEG2000", comment=TEXT),
}


def holds_only_pixels(data: bytes) -> bool:
    """Whether a JPEG or a PNG has no part but those that pixels need, and nothing behind them."""
    return SECRET not in data and (
        _is_bare_png(data) if data[:1] == b"\x89" else _is_bare_jpeg(data)
    )


def _is_bare_jpeg(data: bytes) -> bool:
    assert data[:2] == b"\xff\xd8"
    at = 2
    while data[at + 1] != 0xDA:
        assert data[at] == 0xFF
        if data[at + 1] not in JPEG_MARKERS:
            return False
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.index(b"\xff\xd9", at) == len(data) - 2


def _is_bare_png(data: bytes) -> bool:
    at, names = 8, []
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8])
        at += 12 + length
    return set(names) == PNG_CHUNKS and names[-1] == b"IEND"


def test_the_judge_sees_what_is_planted() -> None:
    """What the other tests rest on: each kind of part is noticed where it is left in."""
    plain = saved("JPEG")
    assert _is_bare_jpeg(plain)
    assert not _is_bare_jpeg(saved("JPEG", comment=b"x"))
    assert not _is_bare_jpeg(saved("JPEG", icc_profile=profile()))
    assert not _is_bare_jpeg(saved("JPEG", exif=exif()))
    assert not _is_bare_jpeg(plain + b"x")
    packed = zlib.compress(SECRET)
    assert SECRET not in packed
    assert _is_bare_png(saved("PNG"))
    assert not _is_bare_png(png())


@pytest.mark.parametrize("name", FILES)
def test_what_is_planted_is_there_and_readable(name: str) -> None:
    data = FILES[name]()
    assert SECRET in data
    assert decode(data).image.info == {}


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("name", FILES)
def test_a_picture_encoded_anew_holds_only_pixels(name: str, form: str) -> None:
    decoded = decode(FILES[name]()).image
    with Image.open(io.BytesIO(FILES[name]())) as opened:  # one that still carries everything
        opened.load()
        for image in (decoded, opened):
            assert holds_only_pixels(reencoded(image, form=form))  # type: ignore[arg-type]
            small = reencoded(image, 48, form=form)  # type: ignore[arg-type]
            assert Image.open(io.BytesIO(small)).size == (48, 32)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> relook.Library:
    folder = tmp_path_factory.mktemp("planted")
    (folder / "pictures").mkdir()
    for name, make in FILES.items():
        (folder / "pictures" / f"{name}.{name}").write_bytes(make())
    made = relook.Library(folder / "library", encoder=ColourEncoder())
    made.add(folder / "pictures")
    return made


def record_of(library: relook.Library, name: str) -> ImageRecord:
    return next(
        one
        for one in library.open_or_create().catalog.each_image()
        if one.path.name == f"{name}.{name}"
    )


def _prompt(data: bytes, record: ImageRecord) -> bytes:
    shown = build_prompt(Subject.of(data), "Where?", None).parts[1]
    return shown.data  # type: ignore[union-attr]


def _sheet(data: bytes, record: ImageRecord) -> bytes:
    match = Match("library", MatchKind.SAME, thumbnail=data)
    return contact_sheet(Evidence((Item(1, match),)), data)


def _uri(data: bytes, record: ImageRecord) -> bytes:
    return base64.b64decode(thumbnail_uri(record.path, 64).partition(",")[2])


def _caption(data: bytes, record: ImageRecord) -> bytes:
    with chat_server(say("a ball")) as service:
        captioner = ChatCaptioner(f"tiny@{service.url}")
        captioner.caption([load(record.path).image])
        captioner.close()
        return base64.b64decode(service.pictures()[-1].partition(",")[2])


LIMITS = ImageLimits()
SURFACES: dict[str, Callable[[bytes, ImageRecord], bytes]] = {
    "prompt": _prompt,
    "contact sheet": _sheet,
    "upload": lambda data, record: Subject.of(data).jpeg(1_280),
    "match": lambda data, record: small_picture(data).data,
    "mcp": lambda data, record: small_jpeg(record, LIMITS, 64, 100_000),
    "page": lambda data, record: shrunk(data, 64, LIMITS),
    "notebook": _uri,
    "captioner": _caption,
}


@pytest.mark.parametrize("surface", SURFACES)
def test_no_surface_hands_on_what_a_file_says(library: relook.Library, surface: str) -> None:
    for name, make in FILES.items():
        assert holds_only_pixels(SURFACES[surface](make(), record_of(library, name))), name


def test_a_format_that_browsers_lack_is_encoded_anew_and_others_go_whole(
    library: relook.Library,
) -> None:
    """As docs/security.md says of `/file`: originals with their places, unless made anew."""
    assert holds_only_pixels(browser_picture(record_of(library, "tif"), LIMITS)[0])
    whole = record_of(library, "jpg")
    assert browser_picture(whole, LIMITS)[0] == whole.path.read_bytes()


@pytest.mark.parametrize("isolate", [False, True])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_colours_are_what_the_profile_means(kind: str, isolate: bool) -> None:
    """The file's numbers are red; its profile says that this means green."""
    image = decode(saved(kind, icc_profile=profile()), 0, ImageLimits(isolate=isolate)).image
    red, green, blue = np.asarray(image).reshape(-1, 3).mean(axis=0)
    assert green > 180
    assert max(red, blue) < 60


def test_a_damaged_profile_counts_as_none() -> None:
    for bad in (b"nothing", b"\0" * 200, profile()[:140]):
        image = decode(saved("PNG", icc_profile=bad)).image
        assert image.getpixel((5, 5)) == (255, 0, 0)


# What is saved there is a row of the catalog.
_ROWS = ("volume.library.concepts", "lib.concepts", "library.concepts", "self.concepts")


def test_nothing_else_in_the_package_writes_a_picture() -> None:
    """`.save(...)` stands in `core.picture.reencoded` alone; arrays and drawn fakes are none."""
    root = Path(relook.__file__).parent
    writers = []
    for file in root.rglob("*.py"):
        place = file.relative_to(root).as_posix()
        if place.startswith("testing/"):  # what is drawn there is nobody's picture
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            receiver = ast.unparse(node.func.value)
            if node.func.attr in ("save", "imwrite", "imsave") and receiver not in ("np", *_ROWS):
                writers.append((place, receiver))
    assert writers == [("core/picture.py", "bare"), ("core/picture.py", "bare")]
