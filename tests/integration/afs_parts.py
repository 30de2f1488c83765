"""A library that summaries are trained on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import relook
from relook.bench.query_files import Caption, read_captions
from relook.core.registry import Adapter
from relook.core.types import Box
from relook.encoders import ENCODERS
from relook.learning.attentive import Size
from relook.learning.course import TrainOptions
from relook.learning.lessons import LessonOptions
from relook.testing import COLOURS, ColourEncoder, patched

SMALL = TrainOptions(epochs=3, batch=8, size=Size(16, 2, 2), lessons=LessonOptions(page=3))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """28 pictures of two colours, the left one wider, with two captions each."""
    folder = tmp_path_factory.mktemp("pairs")
    lines = []
    for at, left in enumerate(COLOURS):
        for right in COLOURS[at + 1 :]:
            box = Box(0.6, 0.0, 1.0, 1.0)
            patched(left, right, box).save(folder / f"{left}-{right}.png")
            lines += [f"{left}-{right}.png\t{text}" for text in (f"{left} {right}", left)]
    (folder / "captions.tsv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def captions(pictures: Path) -> list[Caption]:
    return read_captions(pictures / "captions.tsv")


@pytest.fixture
def library(pictures: Path, tmp_path: Path) -> Iterator[relook.Library]:
    with relook.Library(tmp_path / "lib", encoder=ColourEncoder()) as made:
        made.add(pictures)
        yield made


@pytest.fixture
def by_command(
    library: relook.Library, run: Callable[..., dict], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict]:
    """Runs a command on the library, whose encoder has a name."""
    adapter = Adapter("relook.testing.fakes:ColourEncoder", "eight colours")
    monkeypatch.setitem(ENCODERS.builtin, "colour", adapter)  # type: ignore[index]
    return lambda *words, **more: run(*words, "--library", library.folder, **more)
