"""A picture is found again in a library, mirrored, edited or a part, and `ask` tells it."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import skimage
from PIL import Image, ImageOps

import relook
from relook.core.errors import MissingExtraError
from relook.core.verdicts import Verdict

_DATA = Path(skimage.__file__).parent / "data"
_NAMES = ("coffee.png", "chelsea.png", "astronaut.png", "rocket.jpg", "gravel.png", "brick.png")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[relook.Library]:
    folder = tmp_path_factory.mktemp("again")
    (folder / "pictures").mkdir()
    for name in _NAMES:
        image = Image.open(_DATA / name).convert("RGB")
        image.thumbnail((320, 320))
        image.save(folder / "pictures" / name)
    with relook.Library(folder / "library") as library:
        library.add(folder / "pictures")
        yield library


def asked(folder: Path, library: relook.Library, change: Callable[[Any], Any]) -> Path:
    source = next(
        hit.path for hit in library.search("a cup of coffee", limit=6) if "coffee" in str(hit.path)
    )
    change(Image.open(source)).save(folder / "asked.png")
    return folder / "asked.png"


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (ImageOps.mirror, Verdict.MIRRORED),
        (lambda image: image.crop((90, 50, 290, 190)), Verdict.PART),
        (lambda image: ImageOps.expand(image, 30, "white"), Verdict.EDITED),
    ],
)
def test_similar_verify_puts_the_picture_first(
    library: relook.Library, tmp_path: Path, change: Callable[[Any], Any], verdict: Verdict
) -> None:
    page = library.similar(asked(tmp_path, library, change), limit=3, verify=True)
    first = page[0]
    assert first.path.name == "coffee.png"
    assert first.verified is not None
    assert first.verified.verdict is verdict
    assert all(h.verified is None or h.verified.verdict is Verdict.SIMILAR for h in page[1:])
    told = page.as_dict()["hits"][0]["verified"]
    assert (told["verdict"], len(told["outline"])) == (verdict.value, 4)
    assert "compared point by point: 1 is this picture" in page.notes[0]


def test_an_image_of_the_library_is_not_found_as_itself(library: relook.Library) -> None:
    page = library.similar(1, limit=5, verify=True)
    assert 1 not in [hit.image_id for hit in page]
    assert "none is this picture" in page.notes[0]


def test_ask_tells_a_mirrored_picture_from_a_similar_one(
    library: relook.Library, tmp_path: Path
) -> None:
    answer = library.ask(asked(tmp_path, library, ImageOps.mirror), "What is it?")
    match = answer.evidence.item(1).match
    assert (match.kind.value, match.verified and match.verified.verdict) == ("same", "mirrored")
    assert (
        json.loads(json.dumps(answer.as_dict()))["evidence"]["items"][0]["verified"]["shows"] > 0.9
    )


def test_without_opencv_it_is_told_what_to_install(
    library: relook.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError) as caught:
        library.similar(asked(tmp_path, library, ImageOps.mirror), verify=True)
    assert "relook[verify]" in caught.value.hint
