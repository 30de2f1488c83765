"""Each row of the table of VisualReF's keys says what `relook config import` does."""

import re
from pathlib import Path

import pytest

from relook.compat.visualref import translate

PAGE = (Path(__file__).parents[2] / "docs" / "migrating-from-visualref.md").read_text("utf-8")
TABLE = PAGE.split("What becomes of each key:")[1].split("## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TABLE.splitlines()
    if line.startswith("| `")
]
BASE = {"VLM_MODEL_NAME": "openai/clip-vit-base-patch32", "MODEL_ID": "llava-hf/llava-1.5-7b-hf"}
VALUES = {
    "VLM_MODEL_FAMILY": "clip", "MODEL_FAMILY": "llava", "INDEX_PATH": "faiss/x/image.faiss",
    "IMAGE_CORPUS_PATH": "photos", "TOP_K": 7, "USE_8BIT": True, "DEVICE": "cuda:1",
    "PROMPT": "USER: <image> For {}: a {}? ASSISTANT:", "FUSE_INITIAL_QUERY": False,
    "IMG_SIZE": 224, "PATCH_SIZE": 32, "SHOW_IMAGE_GALLERY": True, "SHOW_ANNOTATORS": True,
    "RETRIEVAL_LOGS_PATH": "logs.json", **BASE,
}  # fmt: skip
KEY = re.compile(r"`([A-Z_0-9]+)`")
SETTING = re.compile(r"`((?:encoder|library|search|captioner|prompts|feedback)\.[a-z_]+)")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_is_true(row: list[str]) -> None:
    keys, told = KEY.findall(row[0]), row[1]
    translation = translate({**BASE, **{key: VALUES[key] for key in keys}})
    for setting in SETTING.findall(told):
        assert setting in translation.settings
    for setting, value in re.findall(r'`([a-z_.]+) = "([^"]+)"', told):
        assert str(translation.settings[setting]).startswith(value.rstrip("."))
    if "needless" in told or "note" in told:
        for key in keys:
            assert any(note.startswith(f"{key}:") for note in translation.notes)


def test_every_key_that_is_known_has_a_row() -> None:
    told = {key for row in ROWS for key in KEY.findall(row[0])}
    assert told == set(VALUES)


@pytest.mark.parametrize(("fuse", "rounds"), [(True, "fused"), (False, "chained"), (None, "fused")])
def test_rounds_are_as_the_page_says(fuse: bool | None, rounds: str) -> None:
    given = {} if fuse is None else {"FUSE_INITIAL_QUERY": fuse}
    settings = translate({**BASE, **given}).settings
    assert settings["feedback.rounds"] == rounds
    assert settings["search.limit"] == 5
    assert settings["feedback.strategy"] == "caption-rocchio"


def test_a_key_of_the_summarizer_is_told_and_any_other_is_unknown() -> None:
    translation = translate({"pooler_config": {}, "COLOUR": 1})
    assert "AFS" in translation.notes[0]
    assert translation.unknown == ["COLOUR"]
