"""Feedback measured, and its constants chosen, on pictures that no head was trained on.

    python training/heldout.py --data DATA --out WORK --strategy auto --strategy rocchio

Flickr8k's train split is cut into thirds. For each, a committee of two members is trained on
everything else; the third is played in galleries of 1,000, with the train concepts as queries and
the captions of the pictures beside the gallery as phrasings. So nothing that is measured here was
trained on, and the dev split is not looked at either: what is chosen here can be reported there.

An hour on two quiet cores. Needs relook, and what `cache.py` wrote to WORK.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import faiss
import numpy as np
import torch
from bank import Bank
from cache import read_words
from pictures import read_concepts, read_split
from towers import WINDOWS, Member
from train import Recipe, Trainer
from words import Words, load_tokenizer

from relook.bench.arms import compare
from relook.bench.simulate import Gallery, Protocol, Task
from relook.core.vectors import unit
from relook.feedback.directions import covariance
from relook.feedback.judged import Evidence
from relook.feedback.strategies import strategy

FOLDS, MEMBERS, GALLERY, PHRASINGS = 3, 2, 1000, 2000
FEWEST, MOST = 4, 70  # relevant pictures of a query, as in the dev concepts
TILE_WEIGHT = 0.95


@torch.no_grad()
def vectors_of_words(members: list[Member], read: torch.Tensor) -> np.ndarray:
    """Vectors of the whole committee: [n, N_READ] -> [n, 2 x 384] unit rows."""
    parts = [member.words(read.float()) for member in members]
    return (torch.cat(parts, -1) / len(parts) ** 0.5).numpy()


@torch.no_grad()
def vectors_of_tiles(members: list[Member], bank: Bank, rows: np.ndarray) -> np.ndarray:
    """Vectors of the whole committee: the rows' tiles, [r, t, 2 x 384]."""
    seen, named = bank.views[0].get(rows, slice(None))
    shape = len(rows), len(WINDOWS), -1
    seen, named = seen.view(shape), named.to_dense().view(shape)
    vectors = torch.cat([member.see(seen, named) for member in members], -1)
    return (vectors / len(members) ** 0.5).numpy()


def galleries(bank: Bank, data: Path) -> Iterator[tuple[Gallery, list[Task]]]:
    """Each third in galleries, with the queries that they can answer."""
    files = read_split(data, "train").files  # Flickr8k is the cache's first set
    concepts = read_concepts(data, "train", files)
    words, tokenizer = Words(), load_tokenizer()
    read = torch.from_numpy(read_words(words, tokenizer, [query for query, _ in concepts]))
    order = np.random.default_rng(11).permutation(len(files))
    for fold in range(FOLDS):
        held = np.sort(order[fold::FOLDS])
        rest = bank.without(held)
        members = [Trainer(rest, Recipe(), MEMBERS * fold + seed).run() for seed in range(MEMBERS)]
        print(f"fold {fold} trained", file=sys.stderr, flush=True)
        queries = vectors_of_words(members, read)
        halves = [held[part::2][:GALLERY] for part in range(2)]
        for own, other in (halves, halves[::-1]):
            beside = torch.from_numpy(np.isin(bank.owner, other))
            captions = vectors_of_words(members, bank.captions[beside])
            tiles = vectors_of_tiles(members, bank, own)
            yield _gallery(tiles, captions), _tasks(concepts, queries, own)


def _gallery(tiles: np.ndarray, captions: np.ndarray) -> Gallery:
    n_numbers = captions.shape[1]
    clusters = faiss.Kmeans(n_numbers, PHRASINGS, niter=6, seed=1, min_points_per_centroid=1)
    clusters.train(captions)
    chosen = np.random.default_rng(7).permutation(len(tiles))[:200]
    flat = tiles.reshape(-1, tiles.shape[-1])
    template = Evidence(
        np.zeros(tiles.shape[-1], np.float32),
        image_mean=tiles[:, 0].mean(0),
        text_mean=captions.mean(0),
        tile_weight=TILE_WEIGHT,
        background=np.ascontiguousarray(tiles[chosen]),
        covariance=covariance(flat[:5000]),
        phrasings=unit(clusters.centroids),
    )
    return Gallery(np.ascontiguousarray(tiles), template)


def _tasks(
    concepts: list[tuple[str, list[int]]], queries: np.ndarray, own: np.ndarray
) -> list[Task]:
    place = {int(picture): at for at, picture in enumerate(own)}
    made = []
    for (name, relevant), query in zip(concepts, queries, strict=True):
        here = np.array([place[at] for at in relevant if at in place], np.int64)
        if FEWEST <= len(here) <= MOST:
            made.append(Task(name, query, here))
    return made


def main() -> None:
    """Plays every gallery with every strategy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="what cache.py filled")
    parser.add_argument("--strategy", action="append", default=[])
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--positives-only", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(2)
    arms = {name: strategy(name) for name in args.strategy or ["auto"]}
    protocol = Protocol(noise=args.noise, positives_only=args.positives_only)
    played = [
        (len(tasks), compare(gallery, tasks, arms, protocol))
        for gallery, tasks in galleries(Bank(args.out), args.data)
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
