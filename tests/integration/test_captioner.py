"""The built-in captioner on the shipped bank, and on damaged ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relook.captioners import CAPTIONERS, DEFAULT
from relook.captioners.phrases import PhraseCaptioner, packed
from relook.core.errors import ModelError
from relook.core.settings import CaptionerSettings
from relook.encoders.builtin import BuiltinEncoder


@pytest.fixture(scope="module")
def encoder() -> BuiltinEncoder:
    return BuiltinEncoder()


def make_bank(folder: Path, encoder: BuiltinEncoder, phrases: list[str]) -> Path:
    np.save(folder / "phrases.npy", packed(encoder.encode_texts(phrases).astype(np.float16)))
    card = {"encoder": encoder.fingerprint.digest, "phrases": phrases}
    (folder / "phrases.json").write_text(json.dumps(card))
    return folder


def test_the_shipped_bank_fits_the_shipped_encoder() -> None:
    captioner = CAPTIONERS.open(DEFAULT, "", CaptionerSettings())
    phrases = captioner.caption([Image.new("RGB", (50, 40), "blue")], limit=3)
    assert len(phrases) == 1
    assert len(phrases[0]) == 3
    assert all(1 <= len(phrase.text.split()) <= 4 for phrase in phrases[0])
    assert [p.score for p in phrases[0]] == sorted((p.score for p in phrases[0]), reverse=True)
    assert max(len(phrase.split()) for phrase in captioner._phrases) <= 4
    captioner.close()
    captioner.close()


def test_it_names_what_is_in_real_photographs() -> None:
    """Photographs that scikit-image ships: a cat, a cup of coffee."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    captioner = PhraseCaptioner()
    images = [Image.open(folder / name).convert("RGB") for name in ("chelsea.png", "coffee.png")]
    cat, coffee = captioner.caption(images, limit=3)
    assert any("cat" in phrase.text.split() for phrase in cat)
    assert {"coffee", "espresso", "cup", "mug"} & {w for p in coffee for w in p.text.split()}


def test_a_phrase_that_says_nothing_new_is_left_out(
    tmp_path: Path, encoder: BuiltinEncoder
) -> None:
    bank = make_bank(tmp_path, encoder, ["blue sky", "sky", "blue", "violin"])
    captioner = PhraseCaptioner(bank, encoder)
    scores = np.array([0.9, 0.8, 0.7, 0.1], np.float32)
    assert [phrase.text for phrase in captioner._pick(scores, 2)] == ["blue sky", "violin"]


def test_a_bank_of_other_weights_is_refused(tmp_path: Path, encoder: BuiltinEncoder) -> None:
    bank = make_bank(tmp_path, encoder, ["sky"])
    card = json.loads((bank / "phrases.json").read_text())
    (bank / "phrases.json").write_text(json.dumps({**card, "encoder": "0" * 16}))
    with pytest.raises(ModelError) as caught:
        PhraseCaptioner(bank, encoder)
    assert caught.value.code == "other_bank"
    (bank / "phrases.json").unlink()
    with pytest.raises(ModelError) as caught:
        PhraseCaptioner(bank, encoder)
    assert caught.value.code == "model_missing"


def test_no_crops_no_captions(tmp_path: Path, encoder: BuiltinEncoder) -> None:
    assert PhraseCaptioner(make_bank(tmp_path, encoder, ["sky"]), encoder).caption([]) == []
