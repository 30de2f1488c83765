"""Feedback measured, and its constants chosen, on pictures that no head was trained on.

    python training/heldout.py --data DATA --base BASE --strategy auto --strategy rocchio

The train split is cut into thirds. For each, a committee of two heads is trained on the other
two; the third is played in galleries of 1,000, with the train concepts as queries and the
captions of the pictures beside the gallery as phrasings. So nothing that is measured here was
trained on, and the dev split is not looked at either: what is chosen here can be reported there.

About fifteen minutes on two quiet cores, most of it simulated people. Needs relook.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import faiss
import numpy as np
import torch
from committee import look
from heads import Features, train_member
from pictures import read_concepts, read_split

from relook.bench.arms import compare
from relook.bench.simulate import Gallery, Protocol, Task
from relook.core.vectors import unit
from relook.feedback.directions import covariance
from relook.feedback.evidence import Evidence
from relook.feedback.strategies import strategy

FOLDS, MEMBERS, GALLERY, PHRASINGS = 3, 2, 1000, 2000
FEWEST, MOST = 4, 70  # relevant pictures of a query, as in the dev concepts
TILE_WEIGHT = 0.95


def without(features: Features, held: np.ndarray) -> Features:
    """The features with nothing of the pictures that are kept out."""
    out = set(held.tolist())
    kept = torch.tensor([int(owner) not in out for owner in features.owner])
    relevant = [[at for at in row if at not in out] for row in features.relevant]
    return replace(
        features,
        captions=features.captions[kept],
        owner=features.owner[kept],
        relevant=relevant,
    )


@torch.no_grad()
def joined(members: list, side: str, features: torch.Tensor) -> np.ndarray:
    """Vectors of the whole committee: [..., p] -> [..., 2 x 384] unit rows."""
    parts = [getattr(member, side)(features) for member in members]
    return (torch.cat(parts, -1) / len(parts) ** 0.5).numpy()


def galleries(features: Features, names: list[str]) -> Iterator[tuple[Gallery, list[Task]]]:
    """Each third in galleries, with the queries that they can answer."""
    n = features.pictures.shape[1]
    order = np.random.default_rng(11).permutation(n)
    for fold in range(FOLDS):
        held = np.sort(order[fold::FOLDS])
        rest = without(features, held)
        members = [train_member(rest, MEMBERS * fold + seed, 0) for seed in range(MEMBERS)]
        print(f"fold {fold} trained", file=sys.stderr, flush=True)
        queries = joined(members, "words", features.concepts)
        halves = [held[part::2][:GALLERY] for part in range(2)]
        for own, other in (halves, halves[::-1]):
            beside = torch.from_numpy(np.isin(features.owner.numpy(), other))
            said = joined(members, "words", features.captions[beside])
            tiles = joined(members, "pictures", features.pictures[0][own])
            yield _gallery(tiles, said), _tasks(features, names, queries, own)


def _gallery(tiles: np.ndarray, said: np.ndarray) -> Gallery:
    clusters = faiss.Kmeans(said.shape[1], PHRASINGS, niter=6, seed=1, min_points_per_centroid=1)
    clusters.train(said)
    chosen = np.random.default_rng(7).permutation(len(tiles))[:200]
    flat = tiles.reshape(-1, tiles.shape[-1])
    template = Evidence(
        np.zeros(tiles.shape[-1], np.float32),
        image_mean=tiles[:, 0].mean(0),
        text_mean=said.mean(0),
        tile_weight=TILE_WEIGHT,
        background=np.ascontiguousarray(tiles[chosen]),
        covariance=covariance(flat[:5000]),
        phrasings=unit(clusters.centroids),
    )
    return Gallery(np.ascontiguousarray(tiles), template)


def _tasks(
    features: Features, names: list[str], queries: np.ndarray, own: np.ndarray
) -> list[Task]:
    place = {int(picture): at for at, picture in enumerate(own)}
    made = []
    for name, query, relevant in zip(names, queries, features.relevant, strict=True):
        here = np.array([place[at] for at in relevant if at in place], np.int64)
        if FEWEST <= len(here) <= MOST:
            made.append(Task(name, query, here))
    return made


def main() -> None:
    """Plays every gallery with every strategy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--strategy", action="append", default=[])
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--positives-only", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(2)
    features = look(args.base, args.data).features
    files = read_split(args.data, "train").files
    names = [query for query, _ in read_concepts(args.data, "train", files)]
    arms = {name: strategy(name) for name in args.strategy or ["auto"]}
    protocol = Protocol(noise=args.noise, positives_only=args.positives_only)
    played = [
        (len(tasks), compare(gallery, tasks, arms, protocol))
        for gallery, tasks in galleries(features, names)
    ]
    total = sum(n for n, _ in played)
    for name in arms:
        means = {
            key: round(sum(n * asdict(r[name])[key] for n, r in played) / total, 4)
            for key in ("found_none", "found", "ap_none", "ap", "harmed", "helped")
        }
        print(json.dumps({"strategy": name, "n_queries": total, **means}))


if __name__ == "__main__":
    main()
