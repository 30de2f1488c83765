"""Folders of ONNX files: partial, damaged, of another kind; and libraries made by them."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import relook
from relook.core.errors import InputError, ModelError
from relook.core.images import decode
from relook.encoders import onnx_export
from relook.encoders.hf import HfEncoder
from relook.encoders.onnx import OnnxEncoder
from relook.encoders.onnx_export import export
from relook.encoders.onnx_layout import layout_of
from relook.encoders.spec import ModelSpec
from relook.testing import noise
from relook.testing.checkpoints import tiny_clip

Run = Callable[..., dict]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("checkpoint") / "clip")


@pytest.fixture(scope="module")
def made(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "clip-onnx"
    export(str(checkpoint), folder, int8=True)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "model"))


def refused(folder: Path, **options: str) -> ModelError:
    with pytest.raises(ModelError) as caught:
        OnnxEncoder(folder, **options).load()
    return caught.value


@pytest.mark.parametrize(
    "name",
    [
        "config.json", "preprocessor_config.json", "tokenizer.json", "onnx/vision_model.onnx",
        "onnx/text_model.onnx",
    ],
)  # fmt: skip
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    for variant in folder.glob(name.replace(".onnx", "*.onnx")):
        variant.unlink()
    error = refused(folder)
    assert error.code == "model_incomplete"
    assert f"has no {name}" in error.message
    assert str(folder) in error.message


def test_everything_that_is_missing_is_named_at_once(folder: Path) -> None:
    for name in ("config.json", "tokenizer.json", "onnx/text_model.onnx"):
        (folder / name).unlink()
    (folder / "onnx" / "text_model_int8.onnx").unlink()
    told = refused(folder).message
    assert "no onnx/text_model.onnx and no config.json and no tokenizer.json" in told


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["visual/model.onnx"], "textual/model.onnx"),
        (["textual/model.onnx", "visual/preprocess_cfg.json"], "visual/model.onnx"),
        (["text_model.onnx"], "vision_model.onnx"),
        (["visual.onnx"], "text.onnx"),
        (["onnx/model.onnx", "onnx/config.json"], "preprocessor_config.json"),
        (["visual/model.onnx", "textual/model.onnx"], "visual/preprocess_cfg.json"),
    ],
)
def test_a_part_of_any_layout_is_known(names: list[str], missing: str) -> None:
    with pytest.raises(ModelError, match=f"no {missing}"):
        layout_of(names, "m", "", "again")


def test_a_folder_of_another_kind_says_what_was_looked_for(
    checkpoint: Path, tmp_path: Path
) -> None:
    error = refused(tmp_path)
    assert "visual/model.onnx" in error.message
    assert "onnx/vision_model.onnx" in error.message
    error = refused(checkpoint)
    assert f"hf:{checkpoint}" in error.hint
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"x")
    assert "has no config.json and no preprocessor_config.json" in refused(tmp_path).message


def test_a_graph_of_one_tower_under_the_name_of_both(folder: Path) -> None:
    """The hub has text models as `model.onnx`, too."""
    (folder / "onnx" / "text_model.onnx").rename(folder / "onnx" / "model.onnx")
    for path in (folder / "onnx").glob("*_model*.onnx"):
        path.unlink()
    error = refused(folder)
    assert error.code == "unknown_inputs"
    assert "input_ids" in error.message
    assert "of both towers in one graph, one is missing" in error.message


def test_variants_that_are_not_there(folder: Path) -> None:
    error = refused(folder, variant="q4")
    assert error.code == "no_variant"
    assert "float32, int8" in error.hint
    with pytest.raises(InputError, match="'int9'"):
        OnnxEncoder(folder, variant="int9")
    for tower in ("vision", "text"):
        (folder / "onnx" / f"{tower}_model.onnx").unlink()
    assert OnnxEncoder(folder).spec == f"onnx:{folder}?tiles=grid&variant=int8"
    for tower in ("vision", "text"):
        shutil.copy(
            folder / "onnx" / f"{tower}_model_int8.onnx", folder / "onnx" / f"{tower}_model_q4.onnx"
        )
    assert "int8, q4" in refused(folder).hint


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("onnx/text_model.onnx", b"no graph"),
        ("onnx/vision_model.onnx", b""),
        ("config.json", b"{"),
        ("config.json", b"[]"),
        ("tokenizer.json", b"{}"),
        ("tokenizer_config.json", b'{"model_max_length": "many"}'),
        ("tokenizer_config.json", b'{"pad_token": "nobody"}'),
    ],
)
def test_a_damaged_file_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    error = refused(folder)
    assert error.code == "model_changed"
    assert name.rpartition("/")[2].partition("_config")[0] in error.message
    assert "copy the whole model" in error.hint


def test_a_pointer_of_git_lfs_is_no_model(folder: Path) -> None:
    (folder / "onnx" / "text_model.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    error = refused(folder)
    assert "pointer of Git LFS" in error.message
    assert error.hint == "git lfs pull"


@pytest.mark.parametrize("edit", [{"do_pad": True}, {"size": {"longest_edge": 3}}])
def test_pixels_that_are_not_known_are_refused(folder: Path, edit: dict) -> None:
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | edit))
    assert refused(folder).code == "unknown_preprocessing"


def test_towers_without_their_projection_are_refused(folder: Path) -> None:
    import onnx

    file = folder / "onnx" / "text_model.onnx"
    graph = onnx.load(file)
    for node in graph.graph.node:
        node.output[:] = [n.replace("text_embeds", "pooler_output") for n in node.output]
    graph.graph.output[0].name = "pooler_output"
    onnx.save(graph, file)
    assert refused(folder).code == "no_projection"


def test_vectors_of_another_length_than_stated_are_refused(folder: Path) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"projection_dim": 24}))
    assert "gives 16 numbers; its config says 24" in refused(folder).message


def test_devices_and_precisions_that_are_none(folder: Path) -> None:
    with pytest.raises(InputError, match="'gpu'"):
        OnnxEncoder(folder, device="gpu").load()
    with pytest.raises(InputError, match="variant=fp16"):
        OnnxEncoder(folder, dtype="bfloat16").load()


def test_the_fingerprint_is_of_what_the_files_hold(folder: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    first = OnnxEncoder(folder).fingerprint
    assert OnnxEncoder(moved).fingerprint == first
    for name in ("onnx/text_model.onnx", "onnx/vision_model.onnx", "tokenizer.json"):
        file = moved / name
        whole = file.read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        file.write_bytes(whole + b" " if name.endswith(".json") else flipped)
        assert OnnxEncoder(moved).fingerprint.digest != first.digest, name
        file.write_bytes(whole)
    (moved / "README.md").write_text("another")
    assert OnnxEncoder(moved).fingerprint == first


def test_weights_beside_a_graph_are_read_and_count(folder: Path) -> None:
    import onnx

    file = folder / "onnx" / "text_model.onnx"
    whole = OnnxEncoder(folder)
    graph = onnx.load(file)
    onnx.save_model(
        graph, file, save_as_external_data=True, location="text_model.onnx_data", size_threshold=0
    )
    split = OnnxEncoder(folder)
    assert "onnx/text_model.onnx_data" in split.files.layout.files
    assert np.array_equal(split.encode_texts(["a dog"]), whole.encode_texts(["a dog"]))
    data, digest = folder / "onnx" / "text_model.onnx_data", split.fingerprint.digest
    data.write_bytes(bytes(len(data.read_bytes())))
    assert OnnxEncoder(folder).fingerprint.digest != digest
    data.unlink()
    error = refused(folder)
    assert error.code == "model_changed"
    assert "text_model.onnx_data" in error.message


def test_a_bare_folder_is_read_as_what_it_holds(folder: Path, checkpoint: Path) -> None:
    assert ModelSpec.parse(str(folder)).kind == "onnx"
    assert ModelSpec.parse(str(checkpoint)).kind == "hf"


def test_a_library_lives_with_a_model_of_onnx_files(
    folder: Path, pictures: Path, tmp_path: Path, run: Run
) -> None:
    library = tmp_path / "lib"
    encoder = f"onnx:{folder}?variant=int8"
    run("index", pictures, "-l", library, "--encoder", encoder, "--tiles", "none")
    hits = run("search", "a red ball", "-l", library, "--no-fold")["hits"]
    info = run("info", "-l", library)
    assert info["encoder"] == f"onnx:{folder}?tiles=none&variant=int8"
    assert info["languages"] == "not known"
    error = run("index", "-l", library, "--encoder", f"onnx:{folder}?variant=float32", code=1)
    assert error["error"]["code"] == "other_encoder"
    moved = folder.rename(tmp_path / "moved")
    assert run("search", "red", "-l", library, code=1)["error"]["code"] == "model_missing"
    run("index", "-l", library, "--encoder", f"onnx:{moved}")  # still the variant it was
    again = run("search", "a red ball", "-l", library, "--no-fold")["hits"]
    assert [hit["score"] for hit in again] == [hit["score"] for hit in hits]


def test_no_torch_is_loaded(folder: Path, pictures: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from relook.cli.main import main\n"
        f"assert main(['index', {str(pictures)!r}, '-l', {str(tmp_path / 'lib')!r},"
        f" '--encoder', 'onnx:{folder}']) == 0\n"
        f"assert main(['search', 'a dog', '-l', {str(tmp_path / 'lib')!r}]) == 0\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_export_by_command(checkpoint: Path, tmp_path: Path, run: Run) -> None:
    target = tmp_path / "made"
    facts = run("model", "export", checkpoint, "-o", target)
    assert facts["apart"] < 1e-5
    assert facts["int8_cosine"] is None
    assert facts["encoder"] == f"onnx:{target}"
    assert OnnxEncoder(target).dim == 16
    error = run("model", "export", checkpoint, "-o", target, code=1)["error"]
    assert error["code"] == "folder_taken"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_an_export_that_gives_other_vectors_is_thrown_away(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxEncoder, "encode_texts", lambda self, texts: np.ones((len(texts), 16)))
    with pytest.raises(ModelError) as raised:
        export(str(checkpoint), tmp_path / "made")
    assert raised.value.code == "other_vectors"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(1500, 1100), (300, 2000)])
def test_indexing_sees_every_pixel_of_a_jpeg(
    size: tuple[int, int], checkpoint: Path, made: Path, tmp_path: Path
) -> None:
    """The stored vectors are those that transformers makes of the whole file."""
    file = tmp_path / "noise.jpg"
    noise(3, *size).save(file, quality=90)
    encoders = (OnnxEncoder(made, device="cpu"), HfEncoder(checkpoint, device="cpu"))
    for number, encoder in enumerate(encoders):
        from PIL import Image

        rows = encoder.encode_prepared([encoder.prepare(Image.open(file).convert("RGB"))])[0]
        with relook.Library(tmp_path / f"lib{number}", encoder=encoder) as library:
            library.add(file)
            stored = library.files.vectors.rows(np.arange(5)).astype(np.float32)
        assert np.abs(stored - rows).max() < 1e-3  # as float16
        reduced = type(encoder)(encoder.model, device="cpu", decode="reduced")
        seen = decode(file.read_bytes(), reduced.input_px).image
        assert max(seen.size) < max(size)
    with pytest.raises(InputError, match="'half'"):
        OnnxEncoder(made, decode="half")


def test_weights_of_a_large_export_become_one_file(made: Path, tmp_path: Path) -> None:
    """The exporter writes a file for each weight where a graph would have over 2 GB."""
    import onnx

    (tmp_path / "raw").mkdir()
    raw, target = tmp_path / "raw" / "text_model.onnx", tmp_path / "text_model.onnx"
    graph = onnx.load(made / "onnx" / "text_model.onnx")
    onnx.save_model(
        graph, raw, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0
    )
    assert len(list(raw.parent.iterdir())) > 2
    onnx_export._move_graph(raw, target)
    there = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert there == ["text_model.onnx", "text_model.onnx_data"]
    onnx.checker.check_model(str(target))


def test_weights_in_a_towers_folder_belong_to_it() -> None:
    """Immich's large models have a file for each weight, under any name."""
    names = [
        "config.json", "visual/model.onnx", "visual/preprocess_cfg.json", "visual/fp16/model.armnn",
        "visual/onnx__MatMul_123", "textual/model.onnx", "textual/tokenizer.json",
        "textual/tokenizer_config.json", "textual/vocab.json", "textual/positional_embedding",
        "README.md",
    ]  # fmt: skip
    layout = layout_of(names, "m", "", "again")
    assert set(names) - set(layout.files) == {
        "visual/fp16/model.armnn", "textual/vocab.json", "README.md",
    }  # fmt: skip
