"""Whether two pictures are one: what was done to a picture is named; others are not it."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import skimage
from PIL import Image, ImageDraw, ImageOps

from relook.core.same_picture import Asked
from relook.core.verdicts import Verdict, Verified

_DATA = Path(skimage.__file__).parent / "data"


def picture(name: str) -> Image.Image:
    image = Image.open(_DATA / name).convert("RGB")
    image.thumbnail((320, 320))
    return image


@pytest.fixture(scope="module")
def coffee() -> Image.Image:
    return picture("coffee.png")


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=45)
    return Image.open(buffer)


def part(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 4, height // 5, width * 9 // 10, height * 9 // 10))


def written_over(image: Image.Image) -> Image.Image:
    image = image.copy()
    ImageDraw.Draw(image).rectangle((0, 170, 400, 196), fill="white")
    return image


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda image: image, Verdict.SAME),
        (recompressed, Verdict.SAME),
        (lambda image: image.resize((160, 107)), Verdict.SAME),
        (part, Verdict.PART),
        (ImageOps.mirror, Verdict.MIRRORED),
        (lambda image: part(ImageOps.mirror(image)), Verdict.MIRRORED),
        (lambda image: image.rotate(8, Image.Resampling.BICUBIC), Verdict.EDITED),
        (lambda image: ImageOps.colorize(image.convert("L"), "#201005", "#fff0c0"), Verdict.EDITED),
        (lambda image: ImageOps.expand(image, 24, "white"), Verdict.EDITED),
        (written_over, Verdict.EDITED),
    ],
)
def test_what_was_done_to_a_picture_is_named(
    coffee: Image.Image, change: Callable[[Image.Image], Image.Image], verdict: Verdict
) -> None:
    verified = Asked(change(coffee)).compared(coffee)
    assert verified.verdict is verdict
    assert verified.n_points >= 10
    assert len(verified.outline) == 4


def test_the_outline_is_where_the_part_lies(coffee: Image.Image) -> None:
    verified = Asked(part(coffee)).compared(coffee)
    expected = [(0.25, 0.2), (0.9, 0.2), (0.9, 0.9), (0.25, 0.9)]
    for corner, wanted in zip(verified.outline, expected, strict=True):
        assert corner == pytest.approx(wanted, abs=0.02)
    assert verified.shows == pytest.approx(0.65 * 0.7, abs=0.03)
    assert "45%" in verified.words or "46%" in verified.words
    other_way = Asked(coffee).compared(part(coffee))
    assert (other_way.verdict, other_way.words[:3]) == (Verdict.PART, "is ")


def test_the_outline_of_a_mirrored_part_begins_at_its_own_top_left_corner(
    coffee: Image.Image,
) -> None:
    asked = part(ImageOps.mirror(coffee))  # its left edge is 0.75 from the left of the original
    (left, top), *_ = Asked(asked).compared(coffee).outline
    assert (left, top) == pytest.approx((0.75, 0.2), abs=0.02)


@pytest.mark.parametrize("name", ["chelsea.png", "astronaut.png", "rocket.jpg", "gravel.png"])
def test_another_picture_is_only_similar(coffee: Image.Image, name: str) -> None:
    assert Asked(coffee).compared(picture(name)) == Verified(Verdict.SIMILAR)


def test_a_shared_frame_with_words_is_not_the_same_picture() -> None:
    def framed(name: str) -> Image.Image:
        image = ImageOps.fit(picture(name), (320, 240))
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 190, 320, 240), fill="white")
        draw.text((8, 196), "THE DAILY PICTURE No. 1", fill="black", font_size=24)
        return image

    assert not Asked(framed("coffee.png")).compared(framed("chelsea.png")).is_same_picture


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (64, 48)])
def test_pictures_that_show_nothing_prove_nothing(
    coffee: Image.Image, size: tuple[int, int]
) -> None:
    plain = Image.new("RGB", size, "red")
    assert Asked(plain).compared(plain.copy()).verdict is Verdict.SIMILAR
    assert Asked(plain).compared(coffee).verdict is Verdict.SIMILAR
    assert Asked(coffee).compared(plain).verdict is Verdict.SIMILAR
