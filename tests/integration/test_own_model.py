"""Libraries of `builtin:FOLDER`, the kind of model that training/train.py --quick writes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import relook
from relook.core.errors import ModelError
from relook.encoders.checkpoint import find
from relook.encoders.onnx import OnnxEncoder
from relook.encoders.spec import ModelSpec
from relook.testing.checkpoints import tiny_builtin

Run = Callable[..., dict]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_builtin(tmp_path / "own")


def test_a_library_lives_with_a_model_of_a_folder(
    folder: Path, pictures: Path, tmp_path: Path, run: Run
) -> None:
    library = tmp_path / "lib"
    assert run("index", pictures, "-l", library, "--encoder", folder)["n_added"] == 3
    info = run("info", "-l", library)
    assert (info["encoder"], info["dim"]) == (f"builtin:{folder}", 16)
    assert "upgrade" not in info
    hits = run("search", "a red ball", "-l", library, "--no-fold")["hits"]
    assert len(hits) == 3
    moved = folder.rename(tmp_path / "moved")
    error = run("search", "red", "-l", library, code=1)["error"]
    assert (error["code"], error["message"]) == ("model_missing", f"there is no folder {folder}")
    assert run("info", "-l", library)["encoder"] == f"builtin:{folder}"
    error = run("index", "-l", library, "--encoder", "builtin", code=1)["error"]
    assert error["code"] == "other_encoder"
    run("index", "-l", library, "--encoder", f"builtin:{moved}")
    again = run("search", "a red ball", "-l", library, "--no-fold")["hits"]
    assert [hit["score"] for hit in again] == [hit["score"] for hit in hits]


def test_a_model_that_was_trained_again_is_offered(
    folder: Path, pictures: Path, tmp_path: Path, run: Run
) -> None:
    library = tmp_path / "lib"
    run("index", pictures, "-l", library, "--encoder", f"builtin:{folder}")
    shutil.rmtree(folder)
    tiny_builtin(folder, seed=1)
    assert run("info", "-l", library)["upgrade"]["after"].startswith("relook-tiny 1 ")
    assert run("search", "red", "-l", library, code=1)["error"]["code"] == "other_encoder"
    assert run("upgrade", "-l", library)["n_encoded"] == 3
    assert len(run("search", "red", "-l", library)["hits"]) == 3


def test_marks_work_without_what_training_adds_to_the_shipped_model(
    folder: Path, pictures: Path, tmp_path: Path
) -> None:
    with relook.Library(tmp_path / "lib", encoder=f"builtin:{folder}") as library:
        library.add(pictures)
        session = library.look("red", limit=2)
        first = session.page.hits[0].image_id
        session.judge(first, relevant=True)
        assert first not in [hit.image_id for hit in session.again().hits]
        assert all(hit.fit is None for hit in library.search("red").hits)


def test_a_damaged_folder_leaves_no_library(
    folder: Path, pictures: Path, tmp_path: Path, run: Run
) -> None:
    (folder / "text.onnx").write_bytes(b"")
    error = run("index", pictures, "-l", tmp_path / "lib", "--encoder", folder, code=1)["error"]
    assert error["code"] == "model_changed"
    assert error["message"].startswith(f"text.onnx of the model in {folder}")
    assert not (tmp_path / "lib").exists()


def test_other_kinds_say_how_to_name_it(folder: Path) -> None:
    assert str(ModelSpec.parse(str(folder))) == f"builtin:{folder}"
    with pytest.raises(ModelError) as raised:
        OnnxEncoder(folder)
    assert raised.value.hint.endswith(f"write builtin:{folder}")
    with pytest.raises(ModelError) as raised:
        _ = find(str(folder)).config
    assert raised.value.hint == f"write builtin:{folder}"


@pytest.mark.parametrize(
    ("named", "message", "hint"),
    [
        ("mine", "no encoder is called 'mine'", "install the package that brings it, or choose"),
        ("onnx:{gone}", "there is no folder {gone}", "name its new place: relook index --encoder"),
        ("builtin", "made by relook-tiny 0 ", "relook upgrade --library"),
    ],
)
def test_doctor_says_that_a_librarys_encoder_cannot_be_used_and_what_to_do(
    folder: Path, pictures: Path, tmp_path: Path, run: Run, named: str, message: str, hint: str
) -> None:
    """In a note: nothing is damaged, and there is nothing to repair."""
    library, gone = tmp_path / "lib", tmp_path / "gone"
    run("index", pictures, "-l", library, "--encoder", folder)
    assert run("doctor", "--check", "-l", library)["notes"] == []
    manifest = library / "manifest.json"
    values = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**values, "encoder": named.format(gone=gone)}))
    report = run("doctor", "--check", "-l", library)
    assert report["sound"]
    [note] = report["notes"]
    assert note["code"] == "no_encoder"
    assert message.format(gone=gone) in note["message"]
    assert hint in note["repair"]
    [_, check] = run("doctor", "-l", library)["checks"]
    assert check["ok"]
    assert note["message"] in check["told"]
    [note] = run("doctor", "--repair", "-l", library)["after"]["notes"]
    assert note["code"] == "no_encoder"
    run("index", "-l", library, "--encoder", folder)
    assert run("doctor", "--check", "-l", library)["notes"] == []
    assert len(run("search", "red", "-l", library)["hits"]) > 0
