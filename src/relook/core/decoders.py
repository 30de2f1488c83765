"""Formats that Pillow leaves to other packages, and what a file is that is no picture. Layer: core.

A file's content says what it is; its name does not count. HEIC is read by pi-heif, camera RAW by
rawpy, colours of more than 8 bits in TIFF by tifffile (all in the extra `formats`), and JPEG XL
by pillow-jxl-plugin where a person has installed it. Each is imported when the first such
picture comes.

Sources: TIFF 6.0; DNG 1.7 (tag 50706, photometric 32803 and 34892); ISO/IEC 14496-12 (`ftyp`)
and 23008-12 (its HEIF brands); ISO/IEC 18181-2 (JPEG XL).
"""

import importlib
import importlib.util
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from PIL import Image, ImageChops, ImageFile, UnidentifiedImageError

from relook.core.errors import ImageError
from relook.core.picture_paths import VIDEO_EXTRA

Kind = Literal["", "heif", "jxl", "raw", "deep_tiff", "packed_tar", "video"]
"""A format that needs another package than Pillow; empty for the others."""

NO_DECODER = "no_decoder"
"""Code of the error for a format whose package is not installed."""

_FORMATS_EXTRA = 'install it with: pip install "relook[formats]"'


@dataclass(frozen=True, slots=True)
class _Package:
    """What reads a kind: its module, and how a person gets it."""

    what: str
    module: str
    hint: str = _FORMATS_EXTRA


_PACKAGES: dict[Kind, _Package] = {
    "heif": _Package("HEIC/HEIF", "pi_heif"),
    "raw": _Package("camera RAW", "rawpy"),
    "deep_tiff": _Package("a TIFF with colours of more than 8 bits", "tifffile"),
    "packed_tar": _Package("a tar packed by gzip", "indexed_gzip"),
    "video": _Package("a video", "av", VIDEO_EXTRA),
    "jxl": _Package(
        "JPEG XL",
        "pillow_jxl.JpegXLImagePlugin",
        "install it with: pip install pillow-jxl-plugin (GPL-3.0)",
    ),
}
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"}
_AVIF = {b"avif", b"avis"}
_RAW_MAGIC = (
    b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM",
    b"II\x1a\0\0\0HEAPCCDR",
)  # fmt: skip
_JXL_MAGIC = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
_TIFF_MAGIC = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
_BIG = (b"II+\0", b"MM\0+")  # BigTIFF: as TIFF, with places of 8 bytes
_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 258, 259, 262, 277
_PLANAR, _SUB_IFDS, _SAMPLE_FORMAT, _DNG_VERSION = 284, 330, 339, 50706
_WANTED = {
    _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR, _SUB_IFDS, _SAMPLE_FORMAT, _DNG_VERSION,
}  # fmt: skip
_SENSOR = {32803, 34892}  # photometric interpretations of what a sensor saw
_PLAIN_PACKINGS = {1, 8, 32773, 32946}  # which tifffile reads without further packages
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MOST_TAGS, _MOST_VALUES, _MOST_DIRECTORIES = 1000, 64, 16
_END = b"\xff\xd9"
_FILLERS = (b"\x00", b"\xaa")
_N_FILLER = 256
_N_PREFIX = 16  # bytes by which Pillow's formats are told apart
_OTHERS: tuple[tuple[int, tuple[bytes, ...], str], ...] = (
    (4, (b"ftypqt", b"ftypmp4", b"ftypisom", b"ftypM4V", b"ftyp3gp", b"ftypavc1", b"moov",
         b"ftypiso", b"mdat", b"wide"), "a film (MP4 or QuickTime)"),
    (8, (b"AVI ",), "a film (AVI)"),
    (0, (b"\x1aE\xdf\xa3",), "a film (Matroska or WebM)"),
    (0, (b"%PDF",), "a PDF document"),
    (0, (b"8BPS",), "a Photoshop document"),
    (0, (b"PK\x03\x04",), "a zip archive or an office document"),
    (0, (b"\x1f\x8b",), "a gzip archive"),
    (0, (b"<!doctype html", b"<html"), "a web page"),
    (0, (b"<?xml", b"<svg"), "an XML or SVG document"),
    (0, (b"\0\x05\x16\x07", b"\0\x05\x16\0"), "a macOS resource file"),
    (0, (b"version https://git-lfs",), "a Git LFS pointer, not the file itself"),
)  # fmt: skip


def kind_of(data: bytes) -> Kind:
    """The format of a file's content, where another package than Pillow reads it."""
    if data.startswith(_JXL_MAGIC):
        return "jxl"
    if data.startswith(_RAW_MAGIC):
        return "raw"
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4], "big"), 256)
        brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
        if data[8:12] == b"crx ":
            return "raw"
        return "heif" if brands & _HEIF and not brands & _AVIF else ""
    if data[:4] in _TIFF_MAGIC:
        return _kind_of_tiff(data)
    return ""


def real_kind(data: bytes) -> str:
    """What a file is that is no picture ("a PDF document"); empty where nobody knows."""
    head = data[:64].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    for at, signatures, name in _OTHERS:
        if head[at:].startswith(tuple(signature.lower() for signature in signatures)):
            return name
    return ""


def decoder(kind: Kind) -> ModuleType:
    """The package that reads a kind.

    Raises:
        ImageError: `no_decoder`, with what to install.
    """
    try:
        return importlib.import_module(_PACKAGES[kind].module)
    except ImportError as error:
        raise no_decoder(kind) from error


def no_decoder(kind: Kind) -> ImageError:
    """The error for a kind whose package is not installed, with what to install."""
    package = _PACKAGES[kind]
    return ImageError(
        NO_DECODER, f"it is {package.what}, and the package that reads it is not installed",
        package.hint,
    )  # fmt: skip


def has_decoder(kind: Kind) -> bool:
    """Whether the package that reads a kind is installed."""
    return importlib.util.find_spec(_PACKAGES[kind].module.partition(".")[0]) is not None


def is_now_read(message: str) -> bool:
    """Whether the format that a `no_decoder` error is about has got its package since then."""
    return any(package.what in message and has_decoder(kind) for kind, package in _PACKAGES.items())


def opened(kind: Kind, data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """A HEIC or JPEG XL picture, opened as Pillow opens others.

    Args:
        kind: Which of them.
        data: The whole file.
        max_pixels: A JPEG XL, whose decoder opens no header alone, may have.

    Raises:
        ImageError: `no_decoder` or `too_many_pixels`.
        Exception: whatever the decoder makes of a damaged file.
    """
    package = decoder(kind)
    image: ImageFile.ImageFile
    if kind == "heif":
        image = package.HeifImageFile(io.BytesIO(data))
        return image
    width, height = _jxl_size(_codestream(data))
    if width * height > max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"the picture has {width * height / 1e6:.0f} megapixels;"
            f" the limit is {max_pixels / 1e6:.0f}",
            "raise images.max_decoded_pixels in the configuration",
        )
    image = package.JXLImageFile(io.BytesIO(data))
    return image


def recognised(data: bytes, formats: Sequence[str]) -> ImageFile.ImageFile:
    """The picture as the first of Pillow's formats that knows it reads it, of any size.

    As `Image.open`, but for its bound on pixels, which cameras on sale exceed. The bound is a
    variable of Pillow's module: to change it would be to change it for other threads, too.

    Args:
        data: The whole file.
        formats: Pillow's names of formats whose pixels are read after they are opened.

    Raises:
        UnidentifiedImageError: none of them knows it; whatever a format makes of damaged bytes.
    """
    tried: set[str] = set()
    for load_plugins in (Image.preinit, Image.init):  # the common ones, then all, as Pillow does
        load_plugins()
        for name in formats:
            if name in tried or name not in Image.OPEN:
                continue
            tried.add(name)
            factory, accepts = Image.OPEN[name]
            if accepts is not None and accepts(data[:_N_PREFIX]) is not True:
                continue
            try:
                return factory(io.BytesIO(data), "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue  # another format that begins alike may know it
    raise UnidentifiedImageError("no format knows it")


def make_room(image: ImageFile.ImageFile) -> None:
    """Makes room for the pixels of a TIFF beyond Pillow's bound, which its reader holds against it.

    Other readers make room without asking the bound again. The caller has checked the size.
    """
    bound = Image.MAX_IMAGE_PIXELS
    if image.format == "TIFF" and bound is not None and image.width * image.height > bound:
        image.im = Image.new(image.mode, getattr(image, "_tile_size", image.size)).im


def _codestream(data: bytes) -> bytes:
    """The beginning of the codestream of a JPEG XL file (ISO/IEC 18181-2, 9)."""
    at = 0
    while not data.startswith(_JXL_MAGIC[0]) and at + 8 <= len(data):
        n_box, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        start = at + (16 if n_box == 1 else 8)
        if name in (b"jxlc", b"jxlp"):
            start += 4 if name == b"jxlp" else 0
            return data[start : start + 32]
        at += int.from_bytes(data[at + 8 : at + 16], "big") if n_box == 1 else max(n_box, 8)
    return data[:32]


def _jxl_size(codestream: bytes) -> tuple[int, int]:
    """Width and height, from the header (ISO/IEC 18181-1, SizeHeader)."""
    bits = int.from_bytes(codestream[2:], "little")

    def take(n_bits: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << n_bits) - 1), bits >> n_bits
        return value

    def side(small: int) -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = take(1)
    height = side(small)
    ratio = take(3)
    if not ratio:
        return side(small), height
    across, down = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return height * across // down, height


def ended(data: bytes) -> bytes | None:
    """A JPEG with its end marker, where that is all it lacks; None where pixels are missing.

    Whatever follows a complete picture is ignored, and what follows an incomplete one is taken
    for the rest of it. So the picture is complete if two different continuations look the same.
    """
    if not data.startswith(b"\xff\xd8") or data.endswith(_END):
        return None
    data = data[:-1] if data.endswith(b"\xff") else data
    shown = []
    for filler in _FILLERS:
        image = Image.open(io.BytesIO(data + filler * _N_FILLER + _END), formats=("JPEG",))
        image.draft(None, (1024, 1024))
        image.load()
        shown.append(image)
    return None if ImageChops.difference(*shown).getbbox() else data + _END


def _kind_of_tiff(data: bytes) -> Kind:
    if data[8:10] == b"CR":
        return "raw"
    directories = _directories(data)
    if not directories:
        return ""
    first = directories[0]
    if _DNG_VERSION in first or any(
        _SENSOR.intersection(tags.get(_PHOTOMETRIC, ())) for tags in directories
    ):
        return "raw"
    n_samples, bits = first.get(_SAMPLES, (1,))[0], max(first.get(_BITS, (1,)))
    form = first.get(_SAMPLE_FORMAT, (1,))
    plain = first.get(_COMPRESSION, (1,))[0] in _PLAIN_PACKINGS
    odd = first.get(_PLANAR, (1,))[0] == 2 or 3 in form
    # Pillow reads 16 bits of a colour as 8; that is right but for 12 bits in 16.
    better = plain and importlib.util.find_spec("tifffile") is not None
    if n_samples >= 3:
        return "deep_tiff" if bits > 8 and (odd or better) else ""
    # Grey with alpha, signed, of 64 bits, of 32 that are no fractions or of 16 that are is
    # another to Pillow.
    strange = n_samples == 2 or 2 in form or bits == 64 or (bits == 32) == (3 not in form)
    return "deep_tiff" if bits > 8 and strange and better else ""


def _directories(data: bytes) -> list[dict[int, tuple[int, ...]]]:
    """The few tags that are wanted here, of the first directory and those below it."""
    order, is_big = _TIFF_MAGIC[data[:4]], data[:4] in _BIG
    try:
        (offset,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
        directories = [_directory(data, order, offset, is_big)]
        below = directories[0].get(_SUB_IFDS, ())[:_MOST_DIRECTORIES]
        directories += [_directory(data, order, offset, is_big) for offset in below]
    except struct.error:
        return []
    return directories


def _directory(data: bytes, order: str, offset: int, is_big: bool) -> dict[int, tuple[int, ...]]:
    count, number, n_room = ("Q", "Q", 8) if is_big else ("H", "I", 4)
    n_count, n_entry = struct.calcsize(f"{order}{count}"), 4 + 2 * n_room
    (n_tags,) = struct.unpack_from(order + count, data, offset)
    tags = {}
    first = offset + n_count
    for at in range(first, first + n_entry * min(n_tags, _MOST_TAGS), n_entry):
        tag, type_, n_values = struct.unpack_from(f"{order}HH{number}", data, at)
        if tag in _WANTED and type_ in _TYPES and 0 < n_values <= _MOST_VALUES:
            form = f"{order}{n_values}{_TYPES[type_]}"
            place = at + 4 + n_room
            if struct.calcsize(form) > n_room:
                (place,) = struct.unpack_from(order + number, data, place)
            tags[tag] = struct.unpack_from(form, data, place)
    return tags
