"""Each shipped configuration indexes, serves and captions on a machine without CUDA."""

import importlib.util
import json
import logging
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch

from relook.app.configured import config_of, shipped
from relook.cli.config_flags import CaptionFlags, open_captioned
from relook.cli.main import main
from relook.core.errors import InputError
from relook.core.types import Box
from relook.encoders.vision_language import reachable_precision, tell_once
from relook.testing import noise
from relook.testing.checkpoints import tiny_clip, tiny_llava, tiny_siglip2

COMMIT = "c" * 40
MODELS: dict[str, Callable[[Path], Path]] = {
    "openai/clip-vit-large-patch14": tiny_clip,
    "google/siglip2-base-patch16-224": tiny_siglip2,
    "llava-hf/llava-1.5-7b-hf": tiny_llava,
    "HuggingFaceTB/SmolVLM-500M-Instruct": tiny_llava,
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hub's cache as `relook model fetch` leaves it, with tiny weights."""
    cache = tmp_path_factory.mktemp("hub")
    for model, make in MODELS.items():
        home = cache / f"models--{model.replace('/', '--')}"
        (home / "refs").mkdir(parents=True)
        (home / "refs" / "main").write_text(COMMIT)
        make(home / "snapshots" / COMMIT)
    return cache


@pytest.fixture
def machine(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with those models, without CUDA, and without settings of anybody's."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path / "user"))
    for name in ("RELOOK_LIBRARY", "RELOOK_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def unzipped(folder: Path, n: int = 2) -> None:
    """Retail-786k in small, as its archive unzips: split, entity, pictures."""
    for split, entity in (("train", "12"), ("test", "34"), ("test", "5")):
        place = folder / split / entity
        place.mkdir(parents=True)
        for at in range(n):
            noise(100 * int(entity) + at, 64, 48).save(place / f"{entity}_{at}.jpg")


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    """What is told once a process was not told before."""
    tell_once.cache_clear()


@pytest.mark.parametrize("name", shipped())
@pytest.mark.usefixtures("machine")
def test_a_shipped_configuration_starts_without_cuda(
    name: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    unzipped(Path("data/retail-786k_256"))
    unzipped(Path("data/coco"))
    own = config_of(name).given("library.pictures")
    paths = () if own else ("data/coco",)
    assert main(["index", *paths, "--config", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_added"] == 6
    with caplog.at_level(logging.WARNING):
        library = open_captioned(None, config_of(name), CaptionFlags())
        with library:
            session = library.look("a red box")
            caption = session.judge(session.page[0], True, box=Box(0, 0, 1, 1)).caption
    assert caption
    eight_bits = config_of(name).given("captioner.dtype") == "int8-or-auto"
    told = [record.getMessage() for record in caplog.records if "int8" in record.getMessage()]
    # Once, though the captioner is opened twice: before any work, and at the first box.
    assert ["needs a CUDA device" in each and "it goes on" in each for each in told] == (
        [True] if eight_bits else []
    )


@pytest.mark.usefixtures("machine")
def test_retail_786k_as_the_seed_unzips_it_is_indexed_with_its_labels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unzipped(Path("data/retail-786k_256"))
    command = ["index", "--config", "retail-786k-clip-large"]
    assert main(command) == 0
    assert "wrote the labels of 6 pictures" in capsys.readouterr().err
    assert main(["search", "a box", "--config", "retail-786k-clip-large", "--where", "entity=5",
                 "--json"]) == 0  # fmt: skip
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert {Path(hit["path"]).name for hit in hits} == {"5_0.jpg", "5_1.jpg"}
    # One split alone, as the seed's own configuration names it.
    assert main([*command, "data/retail-786k_256/test", "--library", "test.relook", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_added"] == 4


@pytest.mark.parametrize(
    ("cuda", "bits", "precision", "told"),
    [
        (True, True, "int8", ""),
        (True, False, "auto", "int8 needs the package 'bitsandbytes'"),
        (False, True, "auto", "int8 needs a CUDA device; this would run on cpu"),
        (False, False, "auto", "int8 needs a CUDA device; this would run on cpu"),
    ],
)
def test_int8_or_auto_takes_8_bits_where_they_can_be_had_and_says_so_where_not(
    cuda: bool, bits: bool, precision: str, told: str,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(cuda))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    known = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *more: (object() if bits else None)
        if name == "bitsandbytes" else known(name, *more),
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        assert reachable_precision("auto", "int8-or-auto") == precision
    assert [record.getMessage() for record in caplog.records] == (
        [f"{told}; it goes on in the precision that is fast here"] if told else []
    )
    assert reachable_precision("auto", "float16") == "float16"
    if not cuda:
        with pytest.raises(InputError, match="cuda:1"):
            reachable_precision("cuda:1", "int8-or-auto")
