"""A library made by a checkpoint: the command line from the first index to the second page."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import relook
from relook.app.models import check_captioner
from relook.captioners.base import About
from relook.captioners.hf_captioner import HfCaptioner
from relook.cli.main import main
from relook.core.errors import AnswerError, InputError, MissingExtraError, ModelError, RelookError
from relook.core.settings import CaptionerSettings, EncoderSettings, PromptSettings
from relook.core.types import Box
from relook.encoders.hf import HfEncoder
from relook.testing import ColourCaptioner, ColourEncoder, solid
from relook.testing.checkpoints import tiny_clip, tiny_llava

Run = Callable[..., dict]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("made") / "clip")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs of scikit-image."""
    import skimage

    folder = tmp_path_factory.mktemp("photos")
    for file in (Path(skimage.__file__).parent / "data").glob("*.[pj][np]g"):
        shutil.copy(file, folder)
    return folder


def test_a_new_process_searches_without_a_flag(
    made: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The library says which encoder it needs; the first page is that of a scan by hand."""
    library = tmp_path / "lib"
    chosen = ["--encoder", f"hf:{made}", "--device", "cpu"]
    assert main(["index", str(photos), "-l", str(library), *chosen]) == 0
    told = capsys.readouterr().err
    assert "note: 5 forward passes a picture (--tiles grid; none 1, pyramid 14), on cpu" in told
    command = [sys.executable, "-m", "relook", "search", "a cat", "-l", library, "-n", "5"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--no-fold", "--json"], capture_output=True, text=True, env=env, check=True
    )
    hits = json.loads(done.stdout)["hits"]
    encoder = HfEncoder(made)
    with relook.Library(library) as opened:
        rows = opened.files.vectors.rows(np.arange(len(opened.files.vectors)))
        scores = rows.astype(np.float32) @ encoder.encode_texts(["a cat"])[0]  # [n]
        scores = np.where(np.arange(len(scores)) % 5 == 0, scores, scores * encoder.tile_weight)
        best = np.sort(scores.reshape(-1, 5).max(axis=1))[::-1][:5]
    assert [hit["score"] for hit in hits] == pytest.approx(best.tolist(), abs=2e-3)


def test_look_and_refine(made: Path, photos: Path, tmp_path: Path, run: Run) -> None:
    library = tmp_path / "lib"
    told = run("index", photos, "-l", library, "--encoder", f"hf:{made}", "--tiles", "none")
    assert told["n_added"] == len(list(photos.iterdir()))
    assert run("info", "-l", library)["n_tiles"] == told["n_added"]
    first = run("look", "a cat", "-l", library, "-n", 4)
    second = run("refine", first["session_id"], "-l", library, "--relevant", 1, "--irrelevant", 2)
    shown = {hit["image_id"] for hit in first["hits"]}
    assert len(second["hits"]) == 4
    assert not shown & {hit["image_id"] for hit in second["hits"]}
    again = run("index", "-l", library)
    assert (again["n_unchanged"], again["n_added"]) == (told["n_added"], 0)


def test_a_moved_model_is_found_again_where_it_is_named(
    made: Path, tmp_path: Path, run: Run
) -> None:
    model, moved, library = tmp_path / "model", tmp_path / "moved", tmp_path / "lib"
    shutil.copytree(made, model)
    (tmp_path / "pictures").mkdir()
    solid("red").save(tmp_path / "pictures" / "red.png")
    run("index", tmp_path / "pictures", "-l", library, "--encoder", f"hf:{model}")
    model.rename(moved)
    error = run("search", "red", "-l", library, code=1)["error"]
    assert error["code"] == "model_missing"
    assert "relook index --encoder hf:FOLDER" in error["hint"]
    run("index", "-l", library, "--encoder", f"hf:{moved}")
    assert len(run("search", "red", "-l", library)["hits"]) == 1
    assert run("info", "-l", library)["encoder"] == f"hf:{moved}?tiles=grid"


def test_another_model_or_tiling_is_refused(
    made: Path, pictures: Path, tmp_path: Path, run: Run
) -> None:
    library = tmp_path / "lib"
    run("index", pictures, "-l", library, "--encoder", f"hf:{made}")
    other = tiny_clip(tmp_path / "other", seed=1)
    wide = tiny_clip(tmp_path / "wide", dim=24)
    for model in (f"hf:{other}", f"hf:{wide}", "builtin"):
        error = run("index", "-l", library, "--encoder", model, code=1)["error"]
        assert error["code"] == "other_encoder"
    error = run("index", "-l", library, "--tiles", "none", code=1)["error"]
    assert error["code"] == "other_tiles"


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("hf:org/none", "model_missing"),
        ("hf:/none/at/all", "model_missing"),
        ("hfx:org/none", "unknown_encoder"),
        ("hf:org/none?tile=grid", "bad_model"),
        ("two words", "bad_model"),
    ],
)
def test_a_model_that_cannot_be_used_leaves_no_library(
    model: str, code: str, pictures: Path, tmp_path: Path, run: Run
) -> None:
    error = run("index", pictures, "-l", tmp_path / "lib", "--encoder", model, code=1)["error"]
    assert error["code"] == code
    assert not (tmp_path / "lib").exists()


def test_weights_that_are_missing_leave_no_library(
    made: Path, pictures: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    model = Path(shutil.copytree(made, tmp_path / "model"))
    weights = load_file(model / "model.safetensors")
    weights.popitem()
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with (
        relook.Library(tmp_path / "lib", encoder=EncoderSettings(f"hf:{model}")) as library,
        pytest.raises(ModelError, match="random numbers"),
    ):
        library.add(pictures)
    assert not (tmp_path / "lib").exists()


def test_an_encoder_object_is_remembered_too(made: Path, pictures: Path, tmp_path: Path) -> None:
    with relook.Library(tmp_path / "lib", encoder=HfEncoder(made, tiles="none")) as library:
        library.add(pictures)
        first = [hit.path for hit in library.search("green")]
    with relook.Library(tmp_path / "lib") as library:
        assert [hit.path for hit in library.search("green")] == first


class Asked(ColourCaptioner):
    """Keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.abouts: list[object] = []

    def _named(self, image: object, limit: int, about: object) -> object:
        self.abouts.append(about)
        return super()._named(image, limit, about)  # type: ignore[arg-type]


def test_a_captioner_hears_of_the_query_the_mark_and_the_instruction(
    pictures: Path, tmp_path: Path
) -> None:
    asked = Asked()
    with relook.Library(tmp_path / "lib", encoder=ColourEncoder(), captioner=asked) as library:
        library.add(pictures)
        session = library.look("green", instruction="  name the colour ")
        one = session.judge(session.page[0], False, box=Box(0.6, 0.6, 1, 1))
        assert one.caption == "green"
        again = library.session(session.session_id)
        again.judge(again.page[1], True, box=Box(0, 0, 1, 1))
    told = [(a.query, a.instruction, a.relevant) for a in asked.abouts]  # type: ignore[attr-defined]
    assert told == [("green", "name the colour", False), ("green", "name the colour", True)]


def test_a_checkpoint_captions_a_box(pictures: Path, tmp_path: Path) -> None:
    model = tiny_llava(tmp_path / "llava")
    words = CaptionerSettings(f"hf:{model}", device="cpu")
    with relook.Library(
        tmp_path / "lib", encoder=ColourEncoder(), captioner=words, prompts=PromptSettings("query")
    ) as library:
        library.add(pictures)
        session = library.look("red")
        caption = session.judge(session.page[0], True, box=Box(0, 0, 1, 1)).caption
    assert caption is not None
    assert 1 <= len(caption.split()) <= 4


@pytest.mark.parametrize(
    "prompt", ["USER: <image>\nWhat is this?\nASSISTANT:", "What is <image> or </s> <pad>?"]
)
def test_marks_of_the_model_in_a_question_are_words_left_out(prompt: str, tmp_path: Path) -> None:
    """A prompt of VisualReF names the picture, which the turn names already."""
    captioner = HfCaptioner(str(tiny_llava(tmp_path / "llava")), prompt=prompt, device="cpu")
    (found,) = captioner.caption([solid("red")], 1, About(query="<image>"))
    assert not isinstance(found, AnswerError)
    assert found[0].text


def test_quantised_captioners_need_cuda(tmp_path: Path) -> None:
    model = tiny_llava(tmp_path / "llava")
    for dtype in ("int8", "int4"):
        with pytest.raises(InputError, match="needs a CUDA device"):
            HfCaptioner(str(model), device="cpu", dtype=dtype)  # before any work


def test_a_family_that_takes_films_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)  # not installed, wherever this runs
    model = tiny_llava(tmp_path / "llava")
    (model / "video_preprocessor_config.json").write_text("{}")
    with pytest.raises(MissingExtraError, match="torchvision"):
        HfCaptioner(str(model))  # before any work
    words = CaptionerSettings(f"hf:{model}")
    with pytest.raises(MissingExtraError) as caught:
        check_captioner(words, PromptSettings())
    assert caught.value.hint.endswith("do without this captioner: --captioner builtin")


def test_an_encoder_is_no_captioner(made: Path) -> None:
    with pytest.raises(RelookError, match="no model that writes about pictures"):
        HfCaptioner(str(made)).load()


def test_fetch_says_why_it_cannot(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    error = run("model", "fetch", "org/none", code=1)["error"]
    assert error["code"] == "model_missing"
    assert "HF_HUB_OFFLINE" in error["hint"]
