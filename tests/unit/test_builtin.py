"""The built-in encoder says what is wrong with its files, and loads only the tower it needs."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import skimage
from PIL import Image

from relook.core.errors import ModelError
from relook.core.settings import EncoderSettings
from relook.encoders import builtin
from relook.encoders.base import Unread
from relook.encoders.builtin import BuiltinEncoder
from relook.encoders.spec import ModelSpec
from relook.testing import solid

FOLDER = Path(builtin.__file__).with_name("builtin_model")
PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
SEEN = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The model's small files, and links to the large ones."""
    for file in FOLDER.iterdir():
        if file.suffix == ".onnx":
            (tmp_path / file.name).symlink_to(file)
        elif file.is_file():
            shutil.copy(file, tmp_path)
    return tmp_path


def told(raised: pytest.ExceptionInfo[ModelError]) -> tuple[str, str]:
    assert raised.value.hint.startswith("copy the whole folder again, or train it anew")
    return raised.value.code, raised.value.message


def encode_both(encoder: BuiltinEncoder) -> None:
    encoder.encode_texts(["a dog"])
    encoder.encode_prepared([encoder.prepare(solid("red"))])


def test_the_shipped_files_are_those_that_were_recorded() -> None:
    BuiltinEncoder().verify()


def test_a_package_without_its_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "_FOLDER", tmp_path)
    with pytest.raises(ModelError) as raised:
        BuiltinEncoder()
    assert raised.value.message == f"the built-in encoder's files are not in {tmp_path}"
    assert raised.value.hint == "install relook again: the wheel carries the model"


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ([], "name the folder that training/train.py --quick wrote (its --target)"),
        (["config.json", "model.safetensors"], "another kind: write hf:{folder}"),
        (["config.json", "onnx/vision_model.onnx"], "another kind: write onnx:{folder}"),
    ],
)
def test_a_folder_of_another_kind(files: list[str], hint: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    with pytest.raises(ModelError) as raised:
        opened(tmp_path)
    assert raised.value.code == "model_missing"
    assert f"{tmp_path} is no model of this kind: it has no model.json" in raised.value.message
    assert raised.value.hint.endswith(hint.format(folder=tmp_path))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as raised:
        opened(tmp_path / "none")
    assert raised.value.message == f"there is no folder {tmp_path / 'none'}"
    assert "relook index --encoder builtin:FOLDER" in raised.value.hint


def opened(folder: Path) -> BuiltinEncoder:
    return BuiltinEncoder.open(ModelSpec("builtin", str(folder)), EncoderSettings())


def test_a_folder_is_checked_before_a_library_is_made_for_it(copied: Path) -> None:
    encoder = opened(copied)
    encoder.load()
    assert encoder.spec == f"builtin:{copied}"
    card = json.loads((copied / "model.json").read_text())
    changes = [
        ({"dim": 383}, "image.onnx"),
        ({"tiles": card["tiles"][:5]}, "image.onnx"),
        ({"sha256": {**card["sha256"], "text.onnx": "0"}}, "text.onnx"),
    ]
    for change, name in changes:
        (copied / "model.json").write_text(json.dumps(card | change))
        with pytest.raises(ModelError) as raised:
            opened(copied).load()
        code, message = told(raised)
        assert (code, message.split()[0]) == ("model_changed", name)


def test_the_shipped_model_in_a_folder_has_the_same_vectors(copied: Path) -> None:
    assert opened(copied).fingerprint == BuiltinEncoder().fingerprint
    assert BuiltinEncoder().spec == "builtin"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"tiles": [[0, 0, 1]]})])
def test_a_broken_card(copied: Path, text: str) -> None:
    (copied / "model.json").write_text(text)
    with pytest.raises(ModelError) as raised:
        BuiltinEncoder(copied)
    assert told(raised)[0] == "model_changed"


@pytest.mark.parametrize("name", ["image.onnx", "text.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    encoder = BuiltinEncoder(copied)
    with pytest.raises(ModelError) as raised:
        encoder.verify()
    assert told(raised)[0] == "model_missing"
    with pytest.raises(ModelError) as raised:
        encode_both(encoder)
    code, message = told(raised)
    assert code == "model_missing"
    assert message.startswith(f"cannot load {name} of the model in {copied}")


@pytest.mark.parametrize("name", ["image.onnx", "text.onnx", "tokenizer.json"])
def test_a_changed_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    (copied / name).write_bytes(b"something else")
    encoder = BuiltinEncoder(copied)
    with pytest.raises(ModelError) as raised:
        encoder.verify()
    expected = f"{name} of the model in {copied} is not the file that was recorded"
    assert told(raised) == ("model_changed", expected)
    with pytest.raises(ModelError):
        encode_both(encoder)


def test_words_never_load_the_image_tower(copied: Path) -> None:
    (copied / "image.onnx").unlink()
    encoder = BuiltinEncoder(copied)
    assert encoder.encode_texts(["a dog"]).shape == (1, encoder.dim)
    assert "_image_tower" not in vars(encoder)


def test_a_few_texts_are_read_by_the_tower_that_opens_quickly(copied: Path) -> None:
    encoder = BuiltinEncoder(copied)
    texts = [f"dog number {n}" for n in range(builtin.FEW_TEXTS)]
    plain = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert ("_plain_text_tower" in vars(encoder), "_text_tower" in vars(encoder)) == (True, False)
    again = encoder.encode_texts(texts)
    assert ("_plain_text_tower" in vars(encoder), "_text_tower" in vars(encoder)) == (False, True)
    assert np.abs(plain - again).max() < 1e-5
    encoder.encode_texts(["a dog"])
    assert "_plain_text_tower" not in vars(encoder)


def test_many_texts_are_never_read_by_the_tower_that_reads_slowly(copied: Path) -> None:
    encoder = BuiltinEncoder(copied)
    encoder.encode_texts(["a dog"] * (builtin.FEW_TEXTS + 1))
    assert "_plain_text_tower" not in vars(encoder)


def test_pictures_never_load_the_text_tower(copied: Path) -> None:
    (copied / "text.onnx").unlink()
    encoder = BuiltinEncoder(copied)
    [rows] = encoder.encode_prepared([encoder.prepare(solid("red"))])
    assert rows.shape == (len(encoder.tiles_for(64, 64)), encoder.dim)


def test_other_weights_make_another_fingerprint(copied: Path) -> None:
    card = json.loads((copied / "model.json").read_text())
    card["sha256"]["text.onnx"] = "0" * 64
    (copied / "model.json").write_text(json.dumps(card))
    assert BuiltinEncoder(copied).fingerprint.digest != BuiltinEncoder().fingerprint.digest


def test_words_behind_the_longest_text_are_counted_and_change_nothing() -> None:
    encoder = BuiltinEncoder()
    room = int(json.loads((FOLDER / "model.json").read_text())["max_tokens"]) - 2
    exactly, longer = " ".join(["dog"] * room), " ".join([*["dog"] * room, "cat", "bird", "fish"])
    assert encoder.n_tokens_cut(exactly) == 0
    assert encoder.n_tokens_cut(longer) == 3
    first, second = encoder.encode_texts([exactly, longer])
    assert np.abs(first - second).max() < 1e-4


def test_letters_of_another_form_are_read_as_the_plain_ones() -> None:
    same = ["dog", "\uff44\uff4f\uff47", "d\u200bo\u200dg\ufe0f", "\U0001d41d\U0001d428\U0001d420"]
    vectors = BuiltinEncoder().encode_texts(same)
    assert np.abs(vectors - vectors[0]).max() < 1e-6


def test_what_is_not_read_is_told() -> None:
    encoder = BuiltinEncoder()
    run = "q" * 101
    assert encoder.unread("a dog, 2 caf\u00e9s") == Unread()
    assert encoder.unread("\U0001f415 dog") == Unread(("\U0001f415",))
    assert encoder.unread(f"dog {run}") == Unread((run,))
    for text in ("\U0001f415", "\U0001f415\U0001f33b \U0001f30a", "\u200b", run):
        assert encoder.unread(text).is_all


def test_capitals_do_not_change_what_is_found_and_a_plural_hardly() -> None:
    words = ["bicycle", "Bicycle", "BICYCLE", "bicycles", "motorcycle", "tree", "wheel"]
    vectors = BuiltinEncoder().encode_texts(words)
    likeness = vectors @ vectors[0]
    assert likeness[1:3].min() > 0.9999
    assert likeness[3] > likeness[4:].max() + 0.05


def test_a_processor_does_not_change_what_is_seen() -> None:
    """Integers that saturate (AVX2 without VNNI) would turn vectors by as much as 45 degrees."""
    encoder = BuiltinEncoder()
    pictures = [Image.open(PHOTOGRAPHS / name).convert("RGB") for name in SEEN]
    prepared = [encoder.prepare(picture) for picture in pictures]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(
        str(FOLDER / "image.onnx"), options, providers=["CPUExecutionProvider"]
    )
    expected = plain.run(None, {"pixels": np.stack(prepared)})[0]  # [n, t, d]
    found = np.stack(encoder.encode_prepared(prepared))
    cosines = (found * expected).sum(axis=2)
    assert cosines.min() > 0.97, cosines.round(3)
