"""Models of ONNX files keep the encoders' contract, and give the numbers of transformers."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx_parts as parts
import pytest
from PIL import Image

from relook.core.errors import ModelError
from relook.core.vectors import Floats
from relook.encoders.hf import HfEncoder
from relook.encoders.onnx import OnnxEncoder
from relook.encoders.onnx_export import TOLERANCE, export
from relook.encoders.pixels import Pixels
from relook.testing import check_encoder, noise, solid

PICTURES = [
    noise(1, 64, 48), noise(2, 333, 777), noise(3, 900, 31), noise(4, 32, 32), solid("red"),
    noise(5, 47, 101),
]  # fmt: skip
TEXTS = ["a red ball", "A Red BALL", "naïve café, 2 cups", "word " * 100, "?", "", " two  spaces "]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("checkpoints")
    return {name: make(place / name) for name, make in parts.FAMILIES.items()}


@pytest.fixture(scope="module")
def exported(
    checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Each family as `relook model export --int8` writes it."""
    place = tmp_path_factory.mktemp("exported")
    for name, checkpoint in checkpoints.items():
        made = export(str(checkpoint), place / name, int8=True)
        assert made.apart < TOLERANCE
        assert made.int8_cosine is not None
        assert 0.95 < made.int8_cosine < 1
    return {name: place / name for name in checkpoints}


def encoder_of(folder: Path, **options: str) -> OnnxEncoder:
    return OnnxEncoder(folder, tiles="none", device="cpu", **options)


def vectors(encoder: HfEncoder | OnnxEncoder, pictures: list[Image.Image]) -> Floats:
    """Rows of whole pictures, [n, d]."""
    prepared = [encoder.prepare(picture) for picture in pictures]
    return np.stack([rows[0] for rows in encoder.encode_prepared(prepared)])


def assert_same(encoder: OnnxEncoder, checkpoint: Path, tolerance: float = TOLERANCE) -> None:
    """Pictures and texts have the vectors that the checkpoint gives."""
    theirs = HfEncoder(checkpoint, tiles="none", device="cpu", dtype="float32")
    apart = np.abs(vectors(encoder, PICTURES) - vectors(theirs, PICTURES)).max()
    assert apart < tolerance
    assert np.abs(encoder.encode_texts(TEXTS) - theirs.encode_texts(TEXTS)).max() < tolerance
    for text in [*TEXTS, "x" * 200]:
        assert encoder.n_tokens_cut(text) == theirs.n_tokens_cut(text)


@pytest.mark.parametrize("variant", ["", "int8"])
@pytest.mark.parametrize("family", parts.FAMILIES)
def test_an_export_keeps_the_contract(family: str, variant: str, exported: dict[str, Path]) -> None:
    other = "" if variant else "int8"
    check_encoder(
        lambda: encoder_of(exported[family], variant=variant),
        lambda: encoder_of(exported[family], variant=other),
    )


@pytest.mark.parametrize("family", parts.FAMILIES)
def test_an_export_has_the_vectors_of_its_checkpoint(
    family: str, checkpoints: dict[str, Path], exported: dict[str, Path]
) -> None:
    assert_same(encoder_of(exported[family]), checkpoints[family])


@pytest.mark.parametrize("family", parts.FAMILIES)
def test_pixels_and_tokens_are_those_of_transformers(
    family: str, checkpoints: dict[str, Path], exported: dict[str, Path]
) -> None:
    """Number by number, against its own processors used as its documentation says."""
    from transformers import AutoImageProcessor, AutoTokenizer

    encoder = encoder_of(exported[family])
    processor = AutoImageProcessor.from_pretrained(checkpoints[family], use_fast=False)
    for picture in PICTURES:
        theirs = processor(picture, return_tensors="np")["pixel_values"]
        ours = encoder.files.pixels.normalised(encoder.prepare(picture))
        assert np.abs(ours - theirs).max() < 1e-5
    tokenizer = AutoTokenizer.from_pretrained(checkpoints[family])
    texts = TEXTS if family == "clip" else [text.lower() for text in TEXTS]
    theirs = tokenizer(
        texts, padding="max_length", truncation=True, return_tensors="np",
        max_length=77 if family == "clip" else 64,
    )  # fmt: skip
    ids, mask = encoder._words.encode(TEXTS)
    assert np.array_equal(ids, theirs["input_ids"])
    if "attention_mask" in theirs:
        assert np.array_equal(mask, theirs["attention_mask"])


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_immichs_layout_keeps_the_contract(
    family: str, checkpoints: dict[str, Path], exported: dict[str, Path], tmp_path: Path
) -> None:
    clean = "canonicalize" if family == "siglip" else ""
    folder = parts.as_immich(checkpoints[family], exported[family], tmp_path / "model", clean)
    check_encoder(lambda: encoder_of(folder))
    encoder, pictures = encoder_of(folder), PICTURES
    if family == "clip":  # OpenCLIP rounds the place of a crop otherwise than transformers does
        pictures = [picture for picture in PICTURES if _crops_alike(picture)]
    theirs = HfEncoder(checkpoints[family], tiles="none", device="cpu", dtype="float32")
    apart = np.abs(vectors(encoder, pictures) - vectors(theirs, pictures)).max()
    assert apart < TOLERANCE
    assert np.abs(encoder.encode_texts(TEXTS) - theirs.encode_texts(TEXTS)).max() < TOLERANCE


def _crops_alike(picture: Image.Image) -> bool:
    longest = int(32 * max(picture.size) / min(picture.size))
    return round((longest - 32) / 2) == (longest - 32) // 2


def test_canonical_texts_are_those_of_openclip(
    checkpoints: dict[str, Path], exported: dict[str, Path], tmp_path: Path
) -> None:
    """Underscores become spaces, punctuation goes, as in `open_clip.tokenizer`."""
    folder = parts.as_immich(
        checkpoints["siglip2"], exported["siglip2"], tmp_path / "model", "canonicalize"
    )
    encoder = encoder_of(folder)
    theirs = HfEncoder(checkpoints["siglip2"], tiles="none", device="cpu", dtype="float32")
    ours = encoder.encode_texts(["A_red,  (Ball)!\n"])
    assert np.abs(ours - theirs.encode_texts(["a red ball"])).max() < TOLERANCE


@pytest.mark.parametrize(("opset", "batch"), [(14, 0), (17, 3), (18, 1), (20, 0)])
@pytest.mark.parametrize("family", parts.FAMILIES)
def test_any_opset_and_shape_gives_the_same(
    family: str,
    opset: int,
    batch: int,
    checkpoints: dict[str, Path],
    exported: dict[str, Path],
    tmp_path: Path,
) -> None:
    folder = parts.as_transformers_js(
        checkpoints[family], exported[family], tmp_path / "model", opset, batch
    )
    assert_same(encoder_of(folder), checkpoints[family])


@pytest.mark.parametrize("variant", ["fp16", "uint8", "quantized", "bnb4"])
def test_variants_keep_the_contract_and_stay_near(
    variant: str, checkpoints: dict[str, Path], exported: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(exported["clip"], tmp_path / "model")
    for name in ("vision_model", "text_model"):
        graph = folder / "onnx" / f"{name}.onnx"
        _as_variant(graph, graph.with_name(f"{name}_{variant}.onnx"), variant)
    # In half precision a text may change with its batch only as far as float32 rounds it.
    check_encoder(lambda: encoder_of(folder, variant=variant), tolerance=2e-3)
    ours, full = encoder_of(folder, variant=variant), encoder_of(folder)
    assert ours.fingerprint.digest != full.fingerprint.digest
    cosines = (vectors(ours, PICTURES) * vectors(full, PICTURES)).sum(axis=1)
    assert cosines.min() > 0.97
    assert f"variant={variant}" in ours.spec


def _as_variant(source: Path, target: Path, variant: str) -> None:
    import onnx

    if variant == "fp16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(onnx.load(source)), target)
    elif variant == "bnb4":
        from onnxruntime.quantization.matmul_bnb4_quantizer import MatMulBnb4Quantizer

        quantizer = MatMulBnb4Quantizer(onnx.load(source), quant_type=1, block_size=16)
        quantizer.process()
        quantizer.model.save_model_to_file(str(target), False)
    else:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(source, target, weight_type=QuantType.QUInt8)


@pytest.mark.parametrize("size", [(64, 48), (47, 101), (900, 31), (33, 32), (32, 32), (35, 32)])
def test_openclips_pixels_are_those_of_its_transform(size: tuple[int, int]) -> None:
    """Against torchvision's Resize and CenterCrop, written out."""
    config = {"size": 32, "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    pixels, picture = Pixels.read_open_clip(config), noise(7, *size)
    short, long = min(size), max(size)
    longer = int(32 * long / short)
    wide, high = (32, longer) if size[0] <= size[1] else (longer, 32)
    if (wide, high) != size:
        picture = picture.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = round((wide - 32) / 2.0), round((high - 32) / 2.0)
    theirs = np.asarray(picture.crop((left, top, left + 32, top + 32)), np.float32) / 255
    theirs = (theirs - np.array(config["mean"])) / np.array(config["std"])
    ours = pixels.normalised(pixels.fit(noise(7, *size))[None])[0]
    assert np.abs(ours - theirs.transpose(2, 0, 1)).max() < 1e-5


@pytest.mark.parametrize("home", ["", "onnx"])
@pytest.mark.parametrize("family", parts.FAMILIES)
def test_one_graph_of_both_towers_is_read(
    family: str,
    home: str,
    checkpoints: dict[str, Path],
    exported: dict[str, Path],
    tmp_path: Path,
) -> None:
    """As optimum writes it, and with everything below `onnx` as the hub's export bot does."""
    folder = parts.as_whole(checkpoints[family], exported[family], tmp_path / "model", home)
    assert_same(encoder_of(folder), checkpoints[family])
    if not home:
        check_encoder(lambda: encoder_of(folder))


def test_one_graph_is_loaded_once(
    checkpoints: dict[str, Path], exported: dict[str, Path], tmp_path: Path
) -> None:
    folder = parts.as_whole(checkpoints["clip"], exported["clip"], tmp_path / "model")
    encoder = encoder_of(folder)
    assert encoder._text_tower._graph is encoder._image_tower._graph
    shutil.copytree(exported["clip"] / "onnx", folder / "onnx")  # towers of their own cost less
    assert not encoder_of(folder).files.layout.is_whole


@pytest.mark.parametrize("text", ["text", "textual"])
@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_openclips_layout_keeps_the_contract(
    family: str, text: str, checkpoints: dict[str, Path], exported: dict[str, Path], tmp_path: Path
) -> None:
    folder = parts.as_open_clip(checkpoints[family], exported[family], tmp_path / "model", text)
    check_encoder(lambda: encoder_of(folder))
    immich = parts.as_immich(checkpoints[family], exported[family], tmp_path / "immich")
    ours, theirs = encoder_of(folder), encoder_of(immich)
    assert {f"{text}.onnx.data", "visual.onnx.data"} <= set(ours.files.layout.files)
    assert np.abs(vectors(ours, PICTURES) - vectors(theirs, PICTURES)).max() < 1e-5
    assert np.abs(ours.encode_texts(TEXTS) - theirs.encode_texts(TEXTS)).max() < 1e-5


def test_openclips_words_are_filled_up_as_it_does(
    checkpoints: dict[str, Path], exported: dict[str, Path], tmp_path: Path
) -> None:
    """A tower that looks behind the end of a text (MobileCLIP's) was trained with zeros there."""
    folder = parts.as_open_clip(checkpoints["clip"], exported["clip"], tmp_path / "model")

    def last_id() -> int:
        ids, _ = encoder_of(folder)._words.encode(["a dog"])
        return int(ids[0, -1])

    ending = last_id()
    assert ending != 0  # what the tokenizer's own files say
    card = folder / "open_clip_config.json"
    parts.change(card, lambda c: c["model_cfg"]["text_cfg"].update(no_causal_mask=True))
    assert last_id() == 0
    parts.write_json(folder / "model_config.json", {"pad_id": 7})
    assert last_id() == 7
    parts.write_json(folder / "model_config.json", {"pad_id": 10**6})
    with pytest.raises(ModelError, match="1000000"):
        last_id()


def test_a_repository_of_several_sizes(
    checkpoints: dict[str, Path], exported: dict[str, Path], tmp_path: Path
) -> None:
    made = {"s0": exported["clip"], "s2": exported["clip"]}
    folder = parts.as_sizes(made, tmp_path / "model")
    assert_same(encoder_of(folder, size="s2"), checkpoints["clip"])
    assert "size=s2" in encoder_of(folder, size="s2").spec
    assert "onnx/s0/vision_model.onnx" not in encoder_of(folder, size="s2").files.layout.files
    for size, told in (("", "several sizes"), ("s3", "no size 's3'")):
        with pytest.raises(ModelError, match=told) as raised:
            encoder_of(folder, size=size)
        assert raised.value.hint == f"there are: s0, s2; write onnx:{folder}?size=s0"
    with pytest.raises(ModelError, match="no sizes to choose from"):
        encoder_of(exported["clip"], size="s2")


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        ("pooler_output", "pooler_output"),
        ("image_features", "text_features"),
        ("image_embeddings", "text_embeddings"),
        ("output", "output"),
        ("unnormalized", "unnormalized"),
    ],
)
def test_outputs_of_any_public_name(
    pictures: str,
    words: str,
    checkpoints: dict[str, Path],
    exported: dict[str, Path],
    tmp_path: Path,
) -> None:
    """Vectors of any length; beside them what nobody asked for."""
    folder = Path(shutil.copytree(exported["siglip"], tmp_path / "model"))
    for tower, name in (("vision", pictures), ("text", words)):
        graph = folder / "onnx" / f"{tower}_model.onnx"
        parts.rename_output(graph, name, times=7.5)
        parts.add_output(graph, "last_hidden_state", 3)
        if name not in ("output", "unnormalized"):
            parts.add_output(graph, "attention_of_something", 2)
    assert_same(encoder_of(folder), checkpoints["siglip"])


def test_a_configuration_that_says_nothing_of_the_length(
    checkpoints: dict[str, Path], exported: dict[str, Path], tmp_path: Path
) -> None:
    """`{"model_type": "clip"}` is all that some repositories have: the graph says the rest."""
    folder = Path(shutil.copytree(exported["clip"], tmp_path / "model"))
    parts.write_json(folder / "config.json", {"model_type": "clip"})
    assert encoder_of(folder).dim == 16
    assert_same(encoder_of(folder), checkpoints["clip"])


@pytest.mark.parametrize(
    "edit",
    [
        {"resample": 2},
        {"resample": 1, "do_rescale": False},
        {"do_normalize": False},
        {"rescale_factor": 0.5},
        {"size": 40, "crop_size": 32},
        {"size": {"height": 32, "width": 32}, "do_center_crop": False, "crop_size": None},
        {"size": {"shortest_edge": 48}, "resample": 3},
    ],
)
def test_other_pixels_are_those_of_transformers(
    edit: dict, exported: dict[str, Path], tmp_path: Path
) -> None:
    from transformers import CLIPImageProcessor

    folder = Path(shutil.copytree(exported["clip"], tmp_path / "model"))
    file = folder / "preprocessor_config.json"
    parts.change(file, lambda config: config.update(edit))
    theirs = CLIPImageProcessor.from_pretrained(folder, use_fast=False)
    encoder = encoder_of(folder)
    for picture in PICTURES:
        expected = theirs(picture, return_tensors="np")["pixel_values"]
        ours = encoder.files.pixels.normalised(encoder.prepare(picture))
        assert np.abs(ours - expected).max() < 1e-4, picture.size


def test_openclips_pixels_in_transformers_place(exported: dict[str, Path], tmp_path: Path) -> None:
    """Jina's models write OpenCLIP's keys into their preprocessor_config.json."""
    folder = Path(shutil.copytree(exported["clip"], tmp_path / "model"))
    config = {
        "size": 32, "mode": "RGB", "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6],
        "interpolation": "bilinear", "fill_color": 0, "resize_mode": "squash",
        "image_processor_type": "JinaCLIPImageProcessor",
    }  # fmt: skip
    parts.write_json(folder / "preprocessor_config.json", config)
    pixels = encoder_of(folder).files.pixels
    assert pixels == Pixels.read_open_clip(config)
    assert (pixels.shortest_px, pixels.resample) == (0, Image.Resampling.BILINEAR)


def test_a_tokenizer_without_padding_of_its_own(
    checkpoints: dict[str, Path], exported: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(exported["siglip"], tmp_path / "model"))
    parts.change(folder / "tokenizer.json", lambda t: t.update(padding=None, truncation=None))
    assert_same(encoder_of(folder), checkpoints["siglip"])
    parts.change(folder / "tokenizer_config.json", lambda c: c.pop("pad_token"))
    with pytest.raises(ModelError, match="names a pad_token"):
        encoder_of(folder)


def test_numpy_scales_as_torch_does() -> None:
    import torch

    pixels = Pixels(0, 8, 8, 3, 1 / 255, (0.48, 0.45, 0.4), (0.26, 0.25, 0.27))
    some = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    theirs = pixels.normalise(torch.from_numpy(some), torch.float32).numpy()
    assert np.array_equal(pixels.normalised(some), theirs)


def test_words_are_encoded_from_several_threads(exported: dict[str, Path]) -> None:
    encoder = encoder_of(exported["clip"])
    first = encoder.encode_texts(["a dog"])

    def work(number: int) -> float:
        assert encoder.n_tokens_cut("x" * number) == max(number - 75, 0)
        return float(np.abs(encoder.encode_texts(["a dog"]) - first).max())

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(work, range(64, 128))) < 1e-5
