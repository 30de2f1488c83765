"""Every family of checkpoints keeps the encoders' contract, and gives transformers' numbers."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relook.core.vectors import Floats, unit
from relook.encoders.devices import TOLERANCES
from relook.encoders.hf import HfEncoder
from relook.encoders.st import StEncoder
from relook.testing import check_encoder, noise, solid
from relook.testing.checkpoints import tiny_clip, tiny_siglip, tiny_siglip2, tiny_st

FAMILIES: dict[str, Callable[..., Path]] = {
    "clip": tiny_clip,
    "siglip": tiny_siglip,
    "siglip2": tiny_siglip2,
}
PICTURES = [
    noise(1, 64, 48), noise(2, 333, 777), noise(3, 900, 31), noise(4, 32, 32), solid("red"),
]  # fmt: skip
TEXTS = ["a red ball", "A Red BALL", "naïve café, 2 cups", "word " * 100]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("checkpoints")
    return {name: make(place / name) for name, make in FAMILIES.items()}


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_keeps_the_contract_in_each_precision(
    family: str, dtype: str, checkpoints: dict[str, Path]
) -> None:
    check_encoder(
        lambda: HfEncoder(checkpoints[family], device="cpu", dtype=dtype),
        tolerance=TOLERANCES[dtype],
    )


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_words_have_one_vector_in_every_precision(
    dtype: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """Pictures run in the precision asked for, and stay near; words stay as they are."""
    folders = {**checkpoints, "st": tiny_st(tmp_path)}
    for family, folder in folders.items():
        make = StEncoder if family == "st" else HfEncoder
        full = make(folder, tiles="none", device="cpu", dtype="float32")
        other = make(folder, tiles="none", device="cpu", dtype=dtype)
        assert np.array_equal(other.encode_texts(TEXTS), full.encode_texts(TEXTS))
        apart = max(np.abs(_vector(other, p) - _vector(full, p)).max() for p in PICTURES)
        assert bool(apart > 1e-5) == (dtype != "float32"), family
        assert apart < TOLERANCES[dtype], family


def test_other_weights_are_another_encoder(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    one, other = HfEncoder(checkpoints["clip"]), HfEncoder(tiny_clip(tmp_path / "b", seed=1))
    assert one.fingerprint.digest != other.fingerprint.digest


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_those_of_transformers(family: str, checkpoints: dict[str, Path]) -> None:
    """Against its own processor and model, used as its documentation says."""
    import torch
    from transformers import AutoModel, AutoProcessor

    folder = checkpoints[family]
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    encoder = HfEncoder(folder, tiles="none", device="cpu", dtype="float32")
    padding, texts = (True, TEXTS) if family == "clip" else ("max_length", _lower(TEXTS))
    words = processor.tokenizer(
        texts, padding=padding, truncation=True, max_length=77 if family == "clip" else 64,
        return_tensors="pt",
    )  # fmt: skip
    with torch.inference_mode():
        for picture in PICTURES:
            pixels = processor.image_processor(picture, return_tensors="pt")
            theirs = model.get_image_features(**pixels).pooler_output.numpy()
            assert np.abs(unit(theirs) - _vector(encoder, picture)).max() < 1e-4
        theirs = model.get_text_features(**words).pooler_output.numpy()
    assert np.abs(unit(theirs) - encoder.encode_texts(TEXTS)).max() < 1e-4


def _lower(texts: list[str]) -> list[str]:
    return [text.lower() for text in texts]


def _vector(encoder: HfEncoder, picture: Image.Image) -> Floats:
    return encoder.encode_prepared([encoder.prepare(picture)])[0][0]


def test_long_texts_are_cut_where_the_tower_ends(checkpoints: dict[str, Path]) -> None:
    clip, siglip = HfEncoder(checkpoints["clip"]), HfEncoder(checkpoints["siglip"])
    assert clip.n_tokens_cut("x" * 75) == 0  # with the marks of begin and end, 77
    assert clip.n_tokens_cut("x" * 80) == 5
    cut = clip.encode_texts(["x" * 90, "x" * 74 + "x" * 300])
    assert np.abs(cut[0] - cut[1]).max() < 1e-6
    assert siglip.n_tokens_cut("dog " * 100) > 0
    assert siglip.n_tokens_cut("dog " * 10) == 0


def test_siglip_2_reads_lower_case_although_its_tokenizer_keeps_case(
    checkpoints: dict[str, Path],
) -> None:
    encoder = HfEncoder(checkpoints["siglip2"])
    tokens = encoder._tokenizer(["Dog", "dog"])["input_ids"]
    assert tokens[0] != tokens[1]
    upper, lower = encoder.encode_texts(["A Dog", "a dog"])
    assert np.array_equal(upper, lower)


def test_tiles_are_crops(checkpoints: dict[str, Path]) -> None:
    """A tile's vector is that of the region as a picture of its own."""
    encoder = HfEncoder(checkpoints["clip"], tiles="pyramid", device="cpu", dtype="float32")
    picture = noise(5, 140, 140)
    rows = encoder.encode_prepared([encoder.prepare(picture)])[0]
    boxes = encoder.tiles_for(*picture.size)
    assert len(boxes) == len(rows) == 14
    for at in (1, 4, 5, 13):
        box = boxes[at]
        edges = (
            int(box.x0 * 140), int(box.y0 * 140), round(box.x1 * 140), round(box.y1 * 140),
        )  # fmt: skip
        region = encoder.encode_prepared([encoder.prepare(picture.crop(edges))])[0][0]
        assert np.abs(region - rows[at]).max() < 1e-5


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_sentence_transformers_model_keeps_the_contract(dtype: str, tmp_path: Path) -> None:
    folder = tiny_st(tmp_path)
    check_encoder(
        lambda: StEncoder(folder, tiles="none", device="cpu", dtype=dtype),
        tolerance=TOLERANCES[dtype],
    )


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_layers_behind_a_tower_take_what_it_gives(dtype: str, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense

    whole = SentenceTransformer(str(tiny_st(tmp_path)), device="cpu")
    longer = SentenceTransformer(modules=[*whole, Dense(16, 24)], device="cpu")
    longer.save(str(tmp_path / "longer"))
    encoder = StEncoder(tmp_path / "longer", tiles="none", device="cpu", dtype=dtype)
    assert _vector(encoder, PICTURES[0]).shape == encoder.encode_texts(["a"])[0].shape == (24,)


def test_a_sentence_transformers_model_has_the_vectors_of_its_tower(tmp_path: Path) -> None:
    theirs = StEncoder(tiny_st(tmp_path), tiles="none", device="cpu", dtype="float32")
    ours = HfEncoder(tmp_path / "clip", tiles="none", device="cpu", dtype="float32")
    for picture in PICTURES:
        assert np.abs(_vector(ours, picture) - _vector(theirs, picture)).max() < 1e-4
    assert np.abs(ours.encode_texts(TEXTS) - theirs.encode_texts(TEXTS)).max() < 1e-4


def test_words_are_encoded_from_several_threads(checkpoints: dict[str, Path]) -> None:
    encoder = HfEncoder(checkpoints["clip"])
    one = encoder.encode_texts(["a dog"])

    def work(number: int) -> float:
        assert encoder.n_tokens_cut("x" * number) == max(number - 75, 0)
        return float(np.abs(encoder.encode_texts(["a dog"]) - one).max())

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(work, range(64, 128))) < 1e-5
