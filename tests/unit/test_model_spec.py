"""The one string that names a model, and the tilings."""

from pathlib import Path

import pytest

from relook.core.errors import InputError
from relook.core.types import WHOLE
from relook.encoders.pixels import TILINGS, cut, tiling
from relook.encoders.spec import ModelSpec
from relook.testing import noise


@pytest.mark.parametrize(
    ("text", "kind", "model", "options"),
    [
        ("builtin", "builtin", "", {}),
        ("hf:openai/clip-vit-base-patch32", "hf", "openai/clip-vit-base-patch32", {}),
        ("openai/clip-vit-base-patch32", "hf", "openai/clip-vit-base-patch32", {}),
        ("hf:a/b?revision=v1&tiles=none", "hf", "a/b", {"revision": "v1", "tiles": "none"}),
        ("hf:/models/what? a=b", "hf", "/models/what? a=b", {}),
        ("st:sentence-transformers/clip-ViT-B-32", "st", "sentence-transformers/clip-ViT-B-32", {}),
        ("hf:C:\\models", "hf", "C:\\models", {}),
        ("hf:a/b?revision=x%26y", "hf", "a/b", {"revision": "x&y"}),
    ],
)
def test_a_spec_is_read_and_written(
    text: str, kind: str, model: str, options: dict[str, str]
) -> None:
    spec = ModelSpec.parse(text)
    assert (spec.kind, spec.model, dict(spec.options)) == (kind, model, options)
    assert ModelSpec.parse(str(spec)) == spec


def test_a_folder_with_a_config_is_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert str(ModelSpec.parse(str(tmp_path))) == f"hf:{tmp_path}"


@pytest.mark.parametrize("text", ["", "hf:", "two words", "a/b/c", "Ünicode"])
def test_what_is_no_model_says_so(text: str) -> None:
    with pytest.raises(InputError) as caught:
        ModelSpec.parse(text)
    assert caught.value.code == "bad_model"


def test_an_option_that_a_kind_does_not_have_is_named() -> None:
    with pytest.raises(InputError, match="'tile'"):
        ModelSpec.parse("hf:a/b?tile=grid").check_options(["tiles"])


def test_options_are_set_where_something_is_said() -> None:
    spec = ModelSpec.parse("hf:a/b?tiles=none").with_options(revision="v2", tiles=None)
    assert str(spec) == "hf:a/b?revision=v2&tiles=none"


def test_tilings_have_the_whole_first_and_grow() -> None:
    assert {name: len(boxes) for name, boxes in TILINGS.items()} == {
        "none": 1, "grid": 5, "pyramid": 14,
    }  # fmt: skip
    for boxes in TILINGS.values():
        assert boxes[0] == WHOLE
        assert len(set(boxes)) == len(boxes)
    assert TILINGS["pyramid"][:5] == TILINGS["grid"]
    quarter = TILINGS["grid"][4]
    assert (quarter.x1, quarter.y1) == (1.0, 1.0)
    with pytest.raises(InputError, match="'tall'"):
        tiling("tall")


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2), (1000, 700)])
def test_a_crop_has_at_least_a_pixel(size: tuple[int, int]) -> None:
    picture = noise(1, *size)
    for crop in cut(picture, TILINGS["pyramid"]):
        assert min(crop.size) >= 1
        crop.load()
