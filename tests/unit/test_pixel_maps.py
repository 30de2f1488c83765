"""Maps of a picture's pixels: what they light up, and that they are only looked at."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage import data

from relook.providers.base import Subject
from relook.rag.answer_report import PixelMaps, pixel_maps


def saved(image: Image.Image, form: str = "PNG", **how: object) -> Subject:
    out = io.BytesIO()
    image.save(out, form, **how)
    return Subject.of(out.getvalue())


def shown(jpeg: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG"
    return np.asarray(image.convert("L"), np.float32)


def maps_of(subject: Subject) -> PixelMaps:
    maps = pixel_maps(subject)
    assert maps is not None
    return maps


def photograph() -> Image.Image:
    return Image.fromarray(data.astronaut()).filter(ImageFilter.GaussianBlur(1.5))


def test_what_was_never_a_jpeg_stands_out_in_error_levels() -> None:
    once = io.BytesIO()
    photograph().save(once, "JPEG", quality=90)
    image = Image.open(once).convert("RGB")
    grain = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    image.paste(Image.fromarray(grain), (192, 192))
    levels = shown(maps_of(saved(image)).error_level)
    assert levels[200:312, 200:312].mean() > 5 * levels[:160].mean()


def test_a_noisy_part_stands_out_in_noise() -> None:
    image = np.asarray(photograph(), np.int16).copy()
    noise = np.random.default_rng(0).normal(0, 20, (128, 128, 1))
    image[192:320, 192:320] += noise.astype(np.int16)
    noisy = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    levels = shown(maps_of(saved(noisy)).noise)
    assert levels[200:312, 200:312].mean() > 3 * levels[:160].mean()


@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (300, 200)])
def test_a_picture_of_one_colour_is_dark_whatever_its_shape(size: tuple[int, int]) -> None:
    maps = maps_of(saved(Image.new("RGB", size, "teal")))
    for jpeg in (maps.error_level, maps.noise):
        levels = shown(jpeg)
        assert max(levels.shape) <= 640
        assert levels.max() < 140  # at most one grey level was lost


def test_a_picture_that_cannot_be_decoded_has_none() -> None:
    subject = saved(Image.new("RGB", (40, 40), "teal"), "JPEG")
    broken = Subject(**{**{name: getattr(subject, name) for name in subject.__slots__},
                        "data": subject.data[:60]})  # fmt: skip
    assert pixel_maps(broken) is None
