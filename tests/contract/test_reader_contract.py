"""Every reader passes the reader suite, and the real one reads real letters where they stand."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from relook.core.types import Box
from relook.readers.base import TextLine
from relook.testing import ColourReader, ContractError, check_reader

LINES = {"red": ["Stop here"], "white": []}


def test_the_colour_reader_keeps_the_contract() -> None:
    check_reader(lambda: ColourReader(LINES))


class Forgetful(ColourReader):
    """One that reads each picture once."""

    def read(self, image: Image.Image) -> list[TextLine]:
        return super().read(image) if self.n_read < 4 else []


class Wordless(ColourReader):
    """One that finds lines without words."""

    def read(self, image: Image.Image) -> list[TextLine]:
        return [replace(line, words=()) for line in super().read(image)]


@pytest.mark.parametrize("broken", [Forgetful, Wordless])
def test_the_suite_rejects_a_broken_reader(broken: type[ColourReader]) -> None:
    with pytest.raises(ContractError):
        check_reader(lambda: broken(LINES))


def test_rapidocr_reads_words_where_they_stand() -> None:
    rapid = pytest.importorskip("relook.readers.rapid")
    image = Image.new("RGB", (320, 160), "white")
    font = ImageFont.load_default(size=32)
    draw = ImageDraw.Draw(image)
    draw.text((20, 16), "Invoice 2021", font=font, fill="black")
    draw.text((20, 96), "Thank you", font=font, fill="black")
    reader = rapid.RapidReader.open("")
    try:
        first, second = reader.read(image)
        nothing = reader.read(Image.new("RGB", (64, 64), "white"))
    finally:
        reader.close()
    assert [word.text for word in first.words] == ["Invoice", "2021"]
    assert [word.text for word in second.words] == ["Thank", "you"]
    assert first.words[0].box.intersection(Box(0.05, 0.1, 0.4, 0.35)) > 0.03
    assert first.words[1].box.x0 > first.words[0].box.x1 - 0.02
    assert nothing == []
    parted = rapid._parted("Café  12.50", np.array([[0, 0], [110, 0], [110, 10], [0, 10]], float))
    assert [(word, box[:, 0].round().tolist()) for word, box in parted] == [
        ("Café", [0.0, 40.0, 40.0, 0.0]), ("12.50", [60.0, 110.0, 110.0, 60.0]),
    ]  # fmt: skip
    assert reader.name.startswith("rapidocr ")
