"""Checkpoints that are missing, damaged, unsafe or of another kind: each says what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from relook.core.errors import InputError, MissingExtraError, ModelError
from relook.encoders.checkpoint import fetch, find
from relook.encoders.hf import HfEncoder
from relook.testing.checkpoints import tiny_clip, tiny_llava


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("made") / "clip")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "clip"))


def change(folder: Path, name: str, edit: Callable[[dict], object]) -> None:
    values = json.loads((folder / name).read_text())
    edit(values)
    (folder / name).write_text(json.dumps(values))


def refused(folder: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        HfEncoder(folder).load()
    return caught.value


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer"]
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    for path in folder.glob(f"{name}*"):
        path.unlink()
    error = refused(folder)
    assert error.code == "model_incomplete"
    assert name in error.message
    assert str(folder) in error.message


def test_a_pickle_is_never_opened(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    error = refused(folder)
    assert error.code == "no_safetensors"
    assert "pytorch_model.bin" in error.message


def test_weights_that_are_missing_are_not_made_up(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    weights = load_file(file)
    del weights["visual_projection.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    error = refused(folder)
    assert error.code == "weights_missing"
    assert "visual_projection.weight" in error.message


def test_weights_of_another_shape_are_not_made_up(folder: Path) -> None:
    change(folder, "config.json", lambda values: values.update(projection_dim=24))
    error = refused(folder)
    assert error.code == "model_changed"
    assert "other shapes than its config.json says" in error.message


def test_damaged_files_are_named(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert refused(folder).code == "model_changed"
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        assert HfEncoder(folder).fingerprint
    (folder / "config.json").write_text("{")
    assert "config.json" in refused(folder).message


@pytest.mark.parametrize("name", ["modules.json", "model.safetensors.index.json"])
@pytest.mark.parametrize("text", ["{", "[1]", "{}", '{"weight_map": [1]}', "3"])
def test_a_damaged_list_of_weights_is_named(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    error = refused(folder)
    assert error.code == "model_changed"
    assert name in error.message


def test_a_vision_model_as_it_is_saved_has_no_text_tower(folder: Path) -> None:
    """It brings no tokenizer, and that is not what the person has to hear."""
    from transformers import CLIPVisionModelWithProjection

    from relook.encoders.torch_models import quiet

    with quiet():
        model = CLIPVisionModelWithProjection.from_pretrained(folder)
        model.save_pretrained(folder.parent / "vision")
    shutil.copy(folder / "preprocessor_config.json", folder.parent / "vision")
    assert refused(folder.parent / "vision").code == "no_text_tower"


def test_a_checkpoint_without_a_text_tower(folder: Path) -> None:
    def only_vision(values: dict) -> None:
        vision = values.pop("vision_config")
        values.clear()
        values.update(vision, model_type="clip_vision_model")

    change(folder, "config.json", only_vision)
    assert refused(folder).code == "no_text_tower"


def test_another_kind_of_model(tmp_path: Path) -> None:
    error = refused(tiny_llava(tmp_path / "llava"))
    assert error.code == "unknown_family"
    assert "get_text_features" in error.message


def test_an_unknown_family(folder: Path) -> None:
    change(folder, "config.json", lambda values: values.update(model_type="clap-trap"))
    error = refused(folder)
    assert error.code == "unknown_family"
    assert "clap-trap" in error.message


def test_code_of_a_checkpoint_is_not_run(folder: Path) -> None:
    marker = folder / "was_run"
    (folder / "own.py").write_text(f"open({str(marker)!r}, 'w')\n")
    change(
        folder,
        "config.json",
        lambda v: v.update(
            model_type="own", auto_map={"AutoConfig": "own.C", "AutoModel": "own.M"}
        ),
    )
    error = refused(folder)
    assert error.code == "unknown_family"
    assert "its own code" in error.message
    assert not marker.exists()


@pytest.mark.parametrize(
    "edit",
    [
        {"max_num_patches": 256},
        {"do_pad": True},
        {"do_resize": False},
        {"image_mean": [0.5]},
        {"size": {"longest_edge": 3}},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_preprocessing_that_is_not_known_is_refused(folder: Path, edit: dict) -> None:
    change(folder, "preprocessor_config.json", lambda values: values.update(edit))
    assert refused(folder).code == "unknown_preprocessing"


def test_a_folder_and_a_hub_id_that_are_not_there(tmp_path: Path, hub: Path) -> None:
    with pytest.raises(ModelError) as caught:
        find(str(tmp_path / "none"))
    assert "relook index --encoder hf:FOLDER" in caught.value.hint
    with pytest.raises(ModelError) as caught:
        find("org/name", "v2")
    assert caught.value.hint == "fetch it: relook model fetch org/name --revision v2"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def cached(hub: Path, folder: Path, commit: str = "a" * 40) -> None:
    """Puts a checkpoint where the hub's client would have put org/clip."""
    model = hub / "models--org--clip"
    (model / "refs").mkdir(parents=True, exist_ok=True)
    (model / "refs" / "main").write_text(commit)
    shutil.copytree(folder, model / "snapshots" / commit)


def test_a_hub_id_is_found_in_the_cache(hub: Path, folder: Path) -> None:
    cached(hub, folder)
    encoder = HfEncoder("org/clip", device="cpu")
    assert encoder.spec == f"hf:org/clip?revision={'a' * 40}&tiles=grid"
    local = HfEncoder(folder, device="cpu")
    assert encoder.fingerprint == local.fingerprint
    assert (encoder.encode_texts(["a dog"]) == local.encode_texts(["a dog"])).all()


def test_a_fetch_offline_says_so(hub: Path) -> None:
    with pytest.raises(ModelError) as caught:
        fetch("org/other")
    assert caught.value.code == "model_missing"
    assert "HF_HUB_OFFLINE" in caught.value.hint


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError) as caught:
        find("org/name")
    assert caught.value.hint == "pip install 'relook[hf]'"


def test_numbers_that_are_not_finite_are_refused(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["visual_projection.weight"] = torch.full_like(
        weights["visual_projection.weight"], torch.nan
    )
    save_file(weights, file, metadata={"format": "pt"})
    error = refused(folder)
    assert (error.code, error.hint) == ("not_finite", "use --dtype float32")


def test_tiles_and_devices_that_are_none(folder: Path) -> None:
    with pytest.raises(InputError, match="'tall'"):
        HfEncoder(folder, tiles="tall")
    with pytest.raises(InputError, match="'gpu'"):
        HfEncoder(folder, device="gpu").load()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_gives_nearly_the_same_vectors(folder: Path, dtype: str) -> None:
    """What a library stores may be searched in another precision: cosines stay above .999."""
    from relook.testing import noise

    full = HfEncoder(folder, tiles="none", device="cpu", dtype="float32")
    half = HfEncoder(folder, tiles="none", device="cpu", dtype=dtype)
    assert full.fingerprint == half.fingerprint
    pictures = [noise(seed) for seed in range(8)]
    for one, other in zip(
        full.encode_prepared([full.prepare(p) for p in pictures]),
        half.encode_prepared([half.prepare(p) for p in pictures]),
        strict=True,
    ):
        assert float(one[0] @ other[0]) > 0.999
