"""Decoding: every odd kind of picture comes out right, every bad one says why."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relook.core.errors import ImageError
from relook.core.images import content_hash, decode, dhash, load
from relook.core.settings import ImageLimits
from relook.core.sources import read_file
from relook.core.types import Box
from relook.testing import noise, solid


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def code_of(data: bytes, limits: ImageLimits | None = None) -> str:
    with pytest.raises(ImageError) as raised:
        decode(data, 32, limits)
    return raised.value.code


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG file written by hand."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )  # fmt: skip


# What the file must hold so that the upright picture has its red pixel at the top left.
def stored_for(orientation: int) -> Image.Image:
    upright = Image.new("RGB", (48, 32), "white")
    upright.paste((255, 0, 0), (0, 0, 16, 16))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    return upright if orientation == 1 else upright.transpose(undo[orientation])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_every_exif_orientation_comes_out_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(encoded(stored_for(orientation), kind, exif=exif))
    assert (picture.image.size, picture.width_px, picture.height_px) == ((48, 32), 48, 32)
    pixels = np.asarray(picture.image).astype(int)
    assert pixels[8, 8, 0] > 200
    assert pixels[8, 8, 1] < 60
    assert pixels[8, 40].min() > 200
    assert pixels[24, 8].min() > 200


def test_an_orientation_that_does_not_exist_is_left_alone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert decode(encoded(stored_for(1), "PNG", exif=exif)).image.size == (48, 32)


def test_grey_of_16_bits_keeps_its_levels() -> None:
    levels = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    picture = decode(encoded(Image.fromarray(levels), "PNG"))
    assert picture.image.mode == "RGB"
    assert np.asarray(picture.image)[..., 1].ravel().tolist() == list(range(256))


def test_colour_of_16_bits_keeps_its_levels() -> None:
    row = b"\0" + struct.pack(">6H", 65535, 0, 32896, 257, 514, 771)
    picture = decode(png(2, 1, 16, 2, row))
    assert np.asarray(picture.image).tolist() == [[[255, 0, 128], [1, 2, 3]]]


def test_float_grey_is_stretched_from_its_darkest_to_its_brightest() -> None:
    values = np.array([[-2.0, 0.0], [np.nan, 2.0]], np.float32)
    picture = decode(encoded(Image.fromarray(values), "TIFF"))
    assert np.asarray(picture.image)[..., 0].tolist() == [[0, 127], [0, 255]]


def test_cmyk_becomes_rgb() -> None:
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")
    pixels = np.asarray(decode(data, 8).image)
    assert pixels[0, 0, 0] > 200
    assert pixels[0, 0, 1:].max() < 60


def test_a_transparent_palette_colour_becomes_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putpixel((0, 0), 0)
    pixels = np.asarray(decode(encoded(image, "PNG", transparency=0)).image)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[3, 3].tolist() == [255, 0, 0]


def test_half_transparent_pixels_lie_on_white() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((1, 1), (0, 0, 0, 51))
    pixels = np.asarray(decode(encoded(image, "PNG")).image)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[1, 1].tolist() == [204, 204, 204]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_shows_its_first_frame(kind: str) -> None:
    frames = [solid("red"), solid("blue"), solid("green")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    pixels = np.asarray(decode(data).image).astype(int)
    assert pixels[30, 30, 0] > 200
    assert pixels[30, 30, 1:].max() < 60


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I", "F", "YCbCr", "LAB"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new(mode, (8, 8))
    kind = "TIFF" if mode in ("I", "F", "YCbCr", "LAB") else "PNG"
    assert decode(encoded(image, kind)).image.mode == "RGB"


def test_one_pixel() -> None:
    picture = decode(encoded(solid("green", 1, 1), "PNG"), 224)
    assert np.asarray(picture.image).tolist() == [[[0, 255, 0]]]
    assert picture.crop(Box(0.4, 0.4, 0.5, 0.5)).size == (1, 1)


def test_sixty_thousand_pixels_in_a_row() -> None:
    picture = decode(encoded(noise(1, 60_000, 4), "PNG"), 224)
    assert (picture.width_px, picture.height_px) == (60_000, 4)


def test_a_large_jpeg_is_decoded_at_a_reduced_scale_and_told_at_its_own_size() -> None:
    picture = decode(encoded(noise(2, 1600, 1200), "JPEG"), 224)
    assert (picture.width_px, picture.height_px) == (1600, 1200)
    assert 224 <= min(picture.image.size) < 600
    assert decode(encoded(noise(2, 1600, 1200), "JPEG")).image.size == (1600, 1200)


def test_a_crop_is_the_region() -> None:
    picture = decode(encoded(stored_for(1), "PNG"))
    crop = np.asarray(picture.crop(Box(0, 0, 1 / 3, 0.5)))
    assert crop.shape == (16, 16, 3)
    assert (crop == (255, 0, 0)).all()
    assert picture.crop(Box(1 - 1e-9, 1 - 1e-9, 1, 1)).size == (1, 1)


def test_a_truncated_jpeg() -> None:
    data = encoded(noise(3, 400, 400), "JPEG")
    assert code_of(data[: len(data) // 2]) == "truncated"


def test_a_truncated_png() -> None:
    data = encoded(noise(3, 400, 400), "PNG", compress_level=0)
    assert code_of(data[: len(data) // 2]) == "truncated"


@pytest.mark.parametrize(
    "data", [b"hello, I am text\n" * 50, b"\xff\xd8\xff", b"GIF89a", b"\x89PNG\r\n"]
)
def test_bytes_that_are_no_picture(data: bytes) -> None:
    assert code_of(data) in ("not_an_image", "undecodable", "truncated")


def test_text_is_not_an_image() -> None:
    assert code_of(b"hello, I am text\n" * 50) == "not_an_image"


def test_a_postscript_file_is_never_run() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    assert code_of(eps) == "not_an_image"


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    bomb = png(60_000, 60_000, 8, 2, b"\0" * 1000)
    assert code_of(bomb) == "too_many_pixels"


def test_a_picture_over_a_limit_says_both_numbers() -> None:
    limits = ImageLimits(max_pixels=3_000_000)
    with pytest.raises(ImageError, match=r"has 4 megapixels; the limit is 3"):
        decode(encoded(solid("red", 2000, 2000), "PNG"), 32, limits)


def test_a_jpeg_counts_after_its_reduced_scale() -> None:
    data = encoded(solid("red", 2000, 2000), "JPEG")
    limits = ImageLimits(max_decoded_pixels=1_000_000)
    assert decode(data, 200, limits).width_px == 2000
    with pytest.raises(ImageError, match="the limit is 1"):
        decode(data, 0, limits)


def test_a_damaged_exif_block_does_not_cost_the_picture() -> None:
    data = encoded(stored_for(1), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert decode(data).image.size == (48, 32)


def test_reading_says_why_not(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "big.jpg").write_bytes(b"x" * 100)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "memory.jpg").symlink_to("/proc/self/mem")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    codes = {
        "empty.jpg": "empty_file", "big.jpg": "file_too_large", "pipe.jpg": "not_a_file",
        "memory.jpg": "unreadable", "dangling.jpg": "vanished", "loop.jpg": "unreadable",
        ".": "unreadable", "big.jpg/below.jpg": "vanished", "nul\0.jpg": "unreadable",
        "x" * 300: "unreadable",
    }  # fmt: skip
    for name, code in codes.items():
        with pytest.raises(ImageError) as raised:
            read_file(f"{tmp_path}/{name}", ImageLimits(max_file_bytes=99))
        assert (name, raised.value.code) == (name, code)


def test_load_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"text")
    with pytest.raises(ImageError, match=r"a\.jpg: the content is not a picture") as raised:
        load(tmp_path / "a.jpg")
    assert raised.value.code == "not_an_image"


def test_the_difference_hash_of_a_ramp_and_of_its_mirror() -> None:
    ramp = Image.fromarray(np.tile(np.linspace(255, 0, 90, dtype=np.uint8), (80, 1)))
    assert dhash(ramp) == -1  # every pixel brighter than its right neighbour: 64 bits set
    assert dhash(ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == 0


def test_the_difference_hash_of_a_smaller_copy_is_near() -> None:
    image = noise(5, 640, 640)
    copy = decode(encoded(image.resize((320, 320)), "JPEG", quality=80)).image
    apart = (dhash(image) ^ dhash(copy)) & 0xFFFF_FFFF_FFFF_FFFF
    assert apart.bit_count() <= 3
    far = (dhash(image) ^ dhash(noise(6, 640, 640))) & 0xFFFF_FFFF_FFFF_FFFF
    assert far.bit_count() > 12


def test_the_content_hash_is_of_the_bytes() -> None:
    assert content_hash(b"a") == content_hash(b"a")
    assert content_hash(b"a") != content_hash(b"b")
    assert len(content_hash(b"")) == 16
