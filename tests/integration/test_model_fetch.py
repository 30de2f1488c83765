"""`relook model fetch`: resumed, checked, and only what is needed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_hub import COMMIT, Hub, serving

from relook.core import download
from relook.core.errors import FetchError, ModelError
from relook.core.retry import Retries
from relook.encoders import hub as hub_module
from relook.encoders import onnx_folder
from relook.encoders.checkpoint import fetch as fetch_checkpoint
from relook.encoders.known_models import resolve
from relook.encoders.spec import ModelSpec

NAMES = (
    "config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json",
    "onnx/vision_model.onnx", "onnx/text_model.onnx",
)  # fmt: skip
OTHERS = (
    "onnx/vision_model_int8.onnx", "onnx/text_model_int8.onnx", "onnx/model.onnx", "README.md",
    "model.safetensors",
)  # fmt: skip
Run = Callable[..., dict]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one model whose files are noise, and an empty cache."""
    from huggingface_hub import constants

    files = {name: f"{name} ".encode() * 50 for name in (*NAMES, *OTHERS)}
    files["onnx/vision_model.onnx"] = bytes(range(256)) * 4000
    files |= {name: json.dumps(_CONFIGS.get(name, {})).encode() for name in NAMES[:4]}
    with serving(Hub("org/model", files)) as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.address)
        template = served.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield served


_CONFIGS = {
    "config.json": {"model_type": "clip", "projection_dim": 16},
    "preprocessor_config.json": {
        "size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32},
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    },
    "tokenizer_config.json": {"pad_token": "<pad>"},
}  # fmt: skip


def test_only_the_files_of_the_variant_come(hub: Hub, run: Run) -> None:
    facts = run("model", "fetch", "onnx:org/model")
    assert (facts["model"], facts["revision"]) == ("org/model", COMMIT)
    folder = Path(facts["folder"])
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == set(NAMES)
    for name in NAMES:
        assert (folder / name).read_bytes() == hub.files[name]
    assert facts["n_bytes"] == sum(len(hub.files[name]) for name in NAMES)
    found = onnx_folder.find("org/model")
    assert (found.folder, found.revision) == (folder, COMMIT)
    run("model", "fetch", "onnx:org/model?variant=int8")
    assert onnx_folder.find("org/model", variant="int8").layout.variant == "int8"


def test_what_is_there_is_not_sent_again(hub: Hub, run: Run) -> None:
    run("model", "fetch", "onnx:org/model")
    before = dict(hub.n_sent)
    run("model", "fetch", "onnx:org/model")
    assert hub.n_sent == before


def test_a_cut_line_is_taken_up_where_it_broke(hub: Hub, run: Run) -> None:
    name = "onnx/vision_model.onnx"
    hub.breaks_at[name] = [300_000, 400_000]
    folder = Path(run("model", "fetch", "onnx:org/model")["folder"])
    assert (folder / name).read_bytes() == hub.files[name]
    assert hub.n_sent[name] == len(hub.files[name])


def test_the_next_run_goes_on_too(hub: Hub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "onnx/vision_model.onnx"
    hub.breaks_at[name] = [300_000, 0]
    with monkeypatch.context() as impatient:
        impatient.setattr(download, "Retries", lambda *_, **__: Retries(0, 0.0))
        error = run("model", "fetch", "onnx:org/model", code=1)["error"]
    assert error["code"] == "unreachable"
    assert "300,000 of 1,024,000 bytes are there" in error["message"]
    with pytest.raises(ModelError):  # a part of a model is none
        onnx_folder.find("org/model")
    folder = Path(run("model", "fetch", "onnx:org/model")["folder"])
    assert (folder / name).read_bytes() == hub.files[name]
    assert hub.n_sent[name] == len(hub.files[name])


def test_a_range_that_is_refused_begins_anew(
    hub: Hub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """416, as of a server that has another file there for a while."""
    monkeypatch.setattr(download, "Retries", lambda *_, **__: Retries(3, 0.0))
    name = "onnx/vision_model.onnx"
    hub.breaks_at[name] = [300_000]
    hub.refused[name] = 1
    folder = Path(run("model", "fetch", "onnx:org/model")["folder"])
    assert (folder / name).read_bytes() == hub.files[name]
    assert hub.n_sent[name] == 300_000 + len(hub.files[name])


def test_halves_of_two_versions_never_meet(hub: Hub, run: Run) -> None:
    """The file's ETag is another one after the line was cut: what is there does not count."""
    name = "onnx/vision_model.onnx"
    hub.lies[name] = bytes(reversed(hub.files[name]))
    hub.breaks_at[name] = [300_000, 0]
    with pytest.MonkeyPatch.context() as impatient:
        impatient.setattr(download, "Retries", lambda *_, **__: Retries(0, 0.0))
        assert run("model", "fetch", "onnx:org/model", code=1)["error"]["code"] == "unreachable"
    hub.lies.clear()
    folder = Path(run("model", "fetch", "onnx:org/model")["folder"])
    assert (folder / name).read_bytes() == hub.files[name]
    assert hub.n_sent[name] == 300_000 + len(hub.files[name])


@pytest.mark.parametrize("name", ["onnx/vision_model.onnx", "config.json"])
def test_another_content_than_stated_is_refused(hub: Hub, name: str) -> None:
    """In LFS by SHA-256, and else by Git's sum."""
    hub.lies[name] = bytes(reversed(hub.files[name]))
    with pytest.raises(FetchError, match=r"it is removed") as raised:
        onnx_folder.fetch("org/model")
    assert raised.value.code == "bad_checksum"
    with pytest.raises(ModelError):
        onnx_folder.find("org/model")
    hub.lies.clear()
    assert onnx_folder.fetch("org/model").layout.variant == ""


def test_a_checkpoint_of_transformers_comes_without_onnx(hub: Hub) -> None:
    found = fetch_checkpoint("org/model")
    assert (found.folder / "model.safetensors").is_file()
    assert not (found.folder / "onnx").exists()
    assert not (found.folder / "README.md").exists()


def test_a_model_that_is_only_in_onnx_says_how_to_name_it(hub: Hub, run: Run) -> None:
    del hub.files["model.safetensors"]
    error = run("model", "fetch", "org/model", code=1)["error"]
    assert (error["code"], error["hint"]) == ("model_incomplete", "write onnx:org/model")
    assert not hub.n_sent


def test_one_size_of_several_comes(hub: Hub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not taken for the other one."""
    from relook.encoders import known_models

    towers = ("vision_model.onnx", "text_model.onnx")
    for name in towers:
        data = hub.files.pop(f"onnx/{name}")
        hub.files |= {f"onnx/{size}/{name}": data + size.encode() for size in ("s0", "s2")}
    for path in [path for path in hub.files if path.endswith("_int8.onnx")]:
        del hub.files[path]
    del hub.files["onnx/model.onnx"]
    error = run("model", "fetch", "onnx:org/model", code=1)["error"]
    assert error["code"] == "no_size"
    folder = Path(run("model", "fetch", "onnx:org/model?size=s2")["folder"])
    assert {path.name for path in (folder / "onnx").iterdir()} == {"s2"}
    known = {
        size: known_models.KnownModel("B", 1, "English", None, "MIT", onnx=f"org/model?size={size}")
        for size in ("s0", "s2")
    }
    monkeypatch.setattr(known_models, "KNOWN", known)
    assert known_models.is_here(resolve(ModelSpec("s2")))
    assert not known_models.is_here(resolve(ModelSpec("s0")))


def test_a_variant_and_a_model_that_are_not_there(hub: Hub, run: Run) -> None:
    error = run("model", "fetch", "onnx:org/model?variant=q4", code=1)["error"]
    assert error["code"] == "no_variant"
    assert "float32, int8" in error["hint"]
    assert run("model", "fetch", "onnx:org/none", code=1)["error"]["code"] == "model_missing"
    error = run("model", "fetch", "builtin", code=1)["error"]
    assert error["code"] == "unknown_model"
    assert "siglip2-base" in error["hint"]
    error = run("model", "fetch", "siglp2-base", code=1)["error"]
    assert (error["code"], error["hint"]) == ("unknown_encoder", "did you mean 'siglip2-base'?")
    assert not hub.n_sent


def test_offline_what_is_here_is_enough(
    hub: Hub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    error = run("model", "fetch", "onnx:org/model", code=1)["error"]
    assert error["code"] == "model_missing"
    assert "HF_HUB_OFFLINE" in error["hint"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    folder = run("model", "fetch", "onnx:org/model")["folder"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert run("model", "fetch", "onnx:org/model")["folder"] == folder


def test_a_branch_is_found_by_its_name(hub: Hub) -> None:
    onnx_folder.fetch("org/model", {"revision": "v2"})
    assert onnx_folder.find("org/model", "v2").revision == COMMIT
    with pytest.raises(ModelError) as raised:
        onnx_folder.find("org/model")
    assert raised.value.hint == "fetch it: relook model fetch onnx:org/model"


def test_without_links_the_files_are_copies(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(hub_module.Path, "symlink_to", refuse)
    found = onnx_folder.fetch("org/model")
    assert not found.image_tower.is_symlink()
    assert found.image_tower.read_bytes() == hub.files["onnx/vision_model.onnx"]


def test_a_form_that_was_fetched_is_the_one_that_is_meant(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from relook.encoders import known_models

    known = known_models.KnownModel("B", 1, "English", None, "MIT", "org/other", "org/model")
    monkeypatch.setattr(known_models, "KNOWN", {"mine": known})
    assert str(resolve(ModelSpec("mine"))) == "hf:org/other"
    onnx_folder.fetch("org/model")
    assert str(resolve(ModelSpec("mine"))) == "onnx:org/model"
