"""Stage three: a committee of heads over the exported towers, and the files that ship.

    python training/committee.py --data DIR --base BASE --target src/relook/encoders/builtin_model

`BASE` holds the four files that `export.py` wrote. Several pairs of heads, differing in their
seed, are trained on what its two towers make of the train split, with a pinch of class pictures
and short queries. The shipped vector is the base's own beside the members', projected to 384
numbers by the directions in which pictures and captions vary most, and scaled to length one.

About five minutes on two quiet cores.
"""

import argparse
import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from compose import compose_image, compose_text, inner_outputs
from export import digest
from heads import Features, train_member
from joint import Joint, joint_projection
from pictures import class_files, class_query, read_concepts, read_pictures, read_split

N_MEMBERS = 2
BASE_WEIGHT = 0.9
TILE_WEIGHT = 0.95


@dataclass
class Seen:
    """What the base's towers make of the data: pooled features, tiles and words."""

    features: Features
    tiles: torch.Tensor  # [n, t, d] the base's vectors of the train pictures
    words: torch.Tensor  # [m, d] the base's vectors of the train captions


def look(base: Path, data: Path) -> Seen:
    """Runs the base's towers over the train split and the class pictures."""
    split = read_split(data, "train")
    see, read = inner_outputs(base)
    pixels = read_pictures([data / "flickr8k" / "images" / name for name in split.files])
    pooled, tiles = see(pixels)
    flipped, _ = see(np.ascontiguousarray(pixels[:, :, ::-1]))
    classes = class_files(data)
    several = []
    for centre in (False, True):
        some = read_pictures(classes, centre)
        several += [see(some)[0], see(np.ascontiguousarray(some[:, :, ::-1]))[0]]
    captions, words = read(split.captions)
    concepts = read_concepts(data, "train", split.files)
    names = [class_query(path) for path in classes]
    phrased = [names, [f"a photo of a {name}" for name in names]]
    features = Features(
        pictures=torch.from_numpy(np.stack([pooled, flipped])),
        captions=torch.from_numpy(captions),
        owner=torch.from_numpy(split.owner).long(),
        classes=torch.from_numpy(np.stack(several)),
        names=torch.from_numpy(np.stack([read(lines)[0] for lines in phrased])),
        concepts=torch.from_numpy(read([query for query, _ in concepts])[0]),
        relevant=[files for _, files in concepts],
    )
    return Seen(features, torch.from_numpy(tiles), torch.from_numpy(words))


def write_card(base: Path, target: Path, joint: Joint, seen: Seen, tile_weight: float) -> None:
    """Writes `model.json`: the base's, with what has changed."""
    card = json.loads((base / "model.json").read_text())
    with torch.no_grad():
        pictures = joint.see(seen.features.pictures[0], seen.tiles)[:, 0]
        words = joint.read(seen.features.captions, seen.words)
    card["dim"] = pictures.shape[1]
    card["revision"] = "2"
    card["tile_weight"] = tile_weight
    card["means"] = {
        name: [round(float(v), 6) for v in vectors.mean(0)]
        for name, vectors in (("image", pictures), ("text", words))
    }
    card["sha256"] = {name: digest(target / name) for name in sorted(card["sha256"])}
    (target / "model.json").write_text(json.dumps(card, indent=1) + "\n")


def main() -> None:
    """Trains the members and writes the four files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--members", type=int, default=N_MEMBERS)
    parser.add_argument("--base-weight", type=float, default=BASE_WEIGHT)
    parser.add_argument("--tile-weight", type=float, default=TILE_WEIGHT)
    parser.add_argument("--held", type=int, default=0, help="classes kept out of training")
    args = parser.parse_args()
    torch.set_num_threads(2)
    began = time.monotonic()
    seen = look(args.base, args.data)
    print(f"towers run, {time.monotonic() - began:.0f} s", file=sys.stderr)
    members = []
    for seed in range(args.members):
        members.append(train_member(seen.features, seed, args.held))
        print(f"member {seed} trained, {time.monotonic() - began:.0f} s", file=sys.stderr)
    joint = Joint(members, args.base_weight)
    joint.projection.copy_(joint_projection(joint, seen.features, seen.tiles, seen.words))
    args.target.mkdir(parents=True, exist_ok=True)
    compose_image(args.base / "image.onnx", joint, args.target / "image.onnx")
    compose_text(args.base / "text.onnx", joint, args.target / "text.onnx")
    if args.base.resolve() != args.target.resolve():
        shutil.copyfile(args.base / "tokenizer.json", args.target / "tokenizer.json")
    write_card(args.base, args.target, joint, seen, args.tile_weight)


if __name__ == "__main__":
    main()
