"""What phones, cameras and scanners write is read right, in this process and apart from it."""

import importlib
import io
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from camera_files import HEIC, dng
from PIL import Image

from relook.core import picture as plain
from relook.core.decoders import is_now_read
from relook.core.errors import ImageError
from relook.core.images import decode
from relook.core.picture import Picture
from relook.core.settings import ImageLimits

LIMITS = ImageLimits()
EVERYWHERE = pytest.mark.parametrize(
    "limits", [LIMITS, replace(LIMITS, isolate=True)], ids=["here", "apart"]
)
RED, BLUE = (220, 20, 20), (20, 20, 220)


def corners(width: int = 96, height: int = 64) -> Image.Image:
    """White, with a red quarter at the top left and a blue one at the bottom right."""
    image = Image.new("RGB", (width, height), "white")
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(BLUE, (width // 2, height // 2, width, height))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(values: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def assert_corners(picture: Picture, tolerance: int = 4) -> None:
    pixels = np.asarray(picture.image).astype(int)
    assert np.abs(pixels[4, 4] - RED).max() <= tolerance
    assert np.abs(pixels[-4, -4] - BLUE).max() <= tolerance
    assert np.abs(pixels[4, -4] - 255).max() <= tolerance


@EVERYWHERE
def test_a_phones_heic_is_read_with_its_tags(limits: ImageLimits) -> None:
    picture = decode(HEIC, 0, limits)

    assert (picture.format, picture.width_px, picture.height_px) == ("HEIF", 96, 64)
    assert picture.exif[0x0110] == "iPhone 12"
    assert_corners(picture)


@EVERYWHERE
def test_tga_is_read(limits: ImageLimits) -> None:
    assert_corners(decode(encoded(corners(), "TGA"), 0, limits))


@EVERYWHERE
def test_a_raw_file_shows_the_cameras_preview(limits: ImageLimits) -> None:
    green = Image.new("RGB", (960, 640), (10, 200, 10))

    picture = decode(dng(corners(960, 640), green), 0, limits)

    assert (picture.format, picture.width_px, picture.height_px) == ("RAW", 960, 640)
    assert picture.exif[0x0110] == "D750"
    assert np.abs(np.asarray(picture.image).mean((0, 1)) - (10, 200, 10)).max() < 3


@pytest.mark.parametrize(
    ("preview", "limits"),
    [
        (None, LIMITS),
        (Image.new("RGB", (96, 64), (10, 200, 10)), LIMITS),
        (Image.new("RGB", (960, 640), (10, 200, 10)), replace(LIMITS, develop_raw=True)),
    ],
    ids=["no preview", "a small one", "on request"],
)
def test_a_raw_file_is_developed(preview: Image.Image | None, limits: ImageLimits) -> None:
    picture = decode(dng(corners(960, 640), preview), 0, limits)

    top_left, bottom_right = picture.image.getpixel((9, 9)), picture.image.getpixel((950, 630))
    assert picture.image.size == (960, 640)
    assert top_left[0] > 200 > top_left[1] + 100
    assert bottom_right[2] > 200 > bottom_right[1] + 100


def test_a_developed_raw_file_is_made_smaller_where_that_is_enough() -> None:
    picture = decode(dng(corners(960, 640)), 200)

    assert picture.image.size == (480, 320)
    assert (picture.width_px, picture.height_px) == (960, 640)


@pytest.mark.parametrize("with_preview", [True, False])
def test_a_turned_raw_file_comes_out_upright(with_preview: bool) -> None:
    preview = corners(960, 640) if with_preview else None

    picture = decode(dng(corners(960, 640), preview, orientation=6), 0)

    assert (picture.width_px, picture.height_px) == picture.image.size == (640, 960)
    red, green, _ = picture.image.getpixel((630, 9))  # turned right, the top left is there
    assert red > 200 > green + 100


RGB = np.asarray(corners())
DEEP = RGB.astype(np.uint16)


@EVERYWHERE
@pytest.mark.parametrize(
    ("values", "options"),
    [
        (DEEP * 257, {}),
        (DEEP * 16, {}),
        (np.moveaxis(DEEP * 257, -1, 0), {"planarconfig": "separate"}),
        (np.moveaxis(DEEP * 64, -1, 0), {"planarconfig": "separate"}),
        ((RGB / 255).astype(np.float32), {}),
        ((RGB / 255).astype(np.float32), {"compression": "zlib"}),
        (np.moveaxis(RGB / 255, -1, 0), {"planarconfig": "separate"}),
    ],
    ids=["16", "12", "planar", "planar 14", "float", "float zlib", "planar double"],
)
def test_deep_colours(values: np.ndarray, options: dict, limits: ImageLimits) -> None:
    assert_corners(decode(tiff(values, photometric="rgb", **options), 0, limits))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["tiff", "png"])
def test_grey_is_as_bright_as_its_bits(bits: int, kind: str) -> None:
    grey = np.asarray(corners().convert("L")).astype(np.uint32)
    values = (grey * (2**bits - 1) // 255).astype(np.uint16)
    data = tiff(values) if kind == "tiff" else encoded(Image.fromarray(values), "PNG")

    shown = np.asarray(decode(data).image)[..., 0].astype(int)

    assert np.abs(shown - grey).max() <= 1


def test_grey_whose_lowest_value_is_white() -> None:
    grey = np.asarray(corners().convert("L")).astype(np.uint16)

    shown = np.asarray(decode(tiff(65535 - grey * 257, photometric="miniswhite")).image)[..., 0]

    assert np.abs(shown.astype(int) - grey).max() <= 1


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("n_missing", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_marker_is_read(progressive: bool, n_missing: int) -> None:
    data = encoded(NOISE, "JPEG", progressive=progressive)

    picture = decode(data[:-n_missing])

    assert picture.image.tobytes() == decode(data).image.tobytes()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("n_missing", [4, 40, 2000])
def test_a_jpeg_that_lacks_pixels_is_not(progressive: bool, n_missing: int) -> None:
    with pytest.raises(ImageError) as raised:
        decode(encoded(NOISE, "JPEG", progressive=progressive)[:-n_missing])

    assert raised.value.code == "truncated"


def test_a_phones_200_megapixels_are_read_at_a_smaller_scale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(Image.new("L", (16320, 12240), 99), "JPEG")
    bound, seen = Image.MAX_IMAGE_PIXELS, []
    reduced = plain._reduced
    monkeypatch.setattr(
        plain,
        "_reduced",
        lambda *args: seen.append(Image.MAX_IMAGE_PIXELS) or reduced(*args),
    )

    picture = decode(data, 224)

    assert (picture.width_px, picture.height_px) == (16320, 12240)
    assert picture.image.size == (340, 255)
    assert seen == [bound]  # other threads keep Pillow's own bound meanwhile


def test_a_fax_of_200_megapixels_is_read() -> None:
    page = Image.new("1", (16320, 12240), 1)

    picture = decode(encoded(page, "TIFF", compression="group4"), 224)

    assert picture.image.getpixel((9, 9)) == (255, 255, 255)


@pytest.mark.parametrize("setting", ["max_pixels", "max_decoded_pixels"])
def test_too_many_pixels_name_the_setting_that_lets_them_in(setting: str) -> None:
    data = encoded(Image.new("RGB", (2000, 1000)), "PNG")

    with pytest.raises(ImageError) as raised:
        decode(data, 0, replace(LIMITS, **{setting: 1_000_000}))

    assert raised.value.code == "too_many_pixels"
    assert f"images.{setting}" in raised.value.hint
    assert decode(data, 0, replace(LIMITS, **{setting: 2_000_000})).width_px == 2000


GREY = np.repeat(np.array([[1.0, 0.5, 0.0]]), 64, axis=0).repeat(32, axis=1)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ((GREY * 65535).astype(np.uint16), {"bigtiff": True}),
        ((GREY * (2**32 - 1)).astype(np.uint32), {}),
        ((GREY * 32767).astype(np.int16), {}),
        (GREY, {}),
        (GREY.astype(np.float16), {}),
        (np.dstack([(GREY * 65535).astype(np.uint16)] * 2),
         {"photometric": "minisblack", "extrasamples": ["unassalpha"]}),
        (65535 - np.dstack([(GREY * 65535).astype(np.uint16)] * 3 + [np.full((64, 96), 65535)])
         .astype(np.uint16), {"photometric": "separated"}),
        (np.stack([GREY.astype(np.float32)] * 3),
         {"photometric": "rgb", "planarconfig": "separate", "bigtiff": True}),
    ],
    ids=["BigTIFF", "32 bits", "signed", "64 bits", "halves", "alpha", "inks",
         "planes of a BigTIFF"],
)  # fmt: skip
def test_odd_depths_show_what_they_mean(values: np.ndarray, options: dict) -> None:
    shown = decode(tiff(values, **options)).image

    assert shown.size == (96, 64)
    seen = [shown.getpixel((x, 30))[0] for x in (5, 48, 90)]
    assert seen == pytest.approx([255, 127, 0], abs=4)


@pytest.mark.parametrize(
    ("data", "module", "hint"),
    [
        (HEIC, "pi_heif", "relook[formats]"),
        (dng(corners()), "rawpy", "relook[formats]"),
        (tiff(np.moveaxis(DEEP, -1, 0), planarconfig="separate", photometric="rgb"),
         "tifffile", "relook[formats]"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "pillow_jxl.JpegXLImagePlugin", "jxl-plugin"),
    ],
)  # fmt: skip
def test_a_format_without_its_package_says_what_to_install(
    data: bytes, module: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = importlib.import_module

    def absent(name: str, package: str | None = None) -> object:
        if name == module:
            raise ModuleNotFoundError(name)
        return original(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ImageError) as raised:
        decode(data)

    assert raised.value.code == "no_decoder"
    assert hint in raised.value.hint
    assert is_now_read(raised.value.message) == ("jxl" not in module)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a film"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, what: str) -> None:
    with pytest.raises(ImageError, match=what) as raised:
        decode(data)

    assert raised.value.code == "not_an_image"
