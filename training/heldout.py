"""Feedback measured, and its constants chosen, on pictures that no head was trained on.

    python training/heldout.py --data DATA --out WORK --arm auto --arm auto:strength=4,caution=10

Flickr8k's train split is cut into thirds. For each, a committee of two members is trained on
everything else that the cache holds; the third is played in galleries of 1,000, with the train
concepts as queries and the captions of the pictures beside the gallery as phrasings. The members
stand side by side, are projected and have their hubs taken down as in the files that ship; revision
2, the third part of those, has seen all train pictures and is left out. So nothing that is measured
here was trained on, and the dev split is not looked at either: what is chosen here can be reported
there.

Each arm is played with right marks, with a tenth of them wrong, and with relevant marks only. The
galleries are kept in WORK, so that the next arms take minutes. Needs relook, and what `cache.py`
wrote to WORK; `cache.py --sets flickr8k` is enough for the short form of half an hour, with
`--plain` for a shorter one: one member, that learns from pictures as they are and captions.
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
from bank import Bank
from export import EVERY, Sample, fit_projection
from networks import Networks
from pictures import read_concepts, read_split
from torch import Tensor
from towers import WINDOWS, Committee
from train import Recipe, Trainer, recipe_of

from relook.bench.arms import compare
from relook.bench.simulate import Gallery, Protocol, Task
from relook.core.vectors import unit
from relook.feedback.directions import covariance
from relook.feedback.judged import Evidence
from relook.feedback.strategies import Strategy, strategy

FOLDS, MEMBERS, GALLERY, PHRASINGS = 3, 2, 1000, 1800
PLAIN = Recipe(epochs=8, n_tiled=96, n_classes=0, n_mosaics=0, named=0.0)
FEWEST, MOST = 4, 70  # relevant pictures of a query, as in the dev concepts
TILE_WEIGHT = 0.95
WAYS = {
    "right marks": Protocol(),
    "a tenth wrong": Protocol(noise=0.1),
    "relevant only": Protocol(positives_only=True),
}


class HeldOut:
    """A committee that has not seen one third of the train pictures.

    Args:
        bank: everything.
        held: the pictures left out.
        fold: which third it is; another one has other seeds.
    """

    def __init__(self, bank: Bank, held: np.ndarray, fold: int):
        self.bank = bank
        rest = bank.without(held)
        recipes = [recipe_of(kind) for kind in range(MEMBERS)] if len(bank.mosaics) else [PLAIN]
        members = [
            Trainer(rest, recipe, MEMBERS * fold + kind).run()
            for kind, recipe in enumerate(recipes)
        ]
        self.committee = Committee(members, Networks().classifier, 0.0)
        self.committee.eval().requires_grad_(False)
        rows = np.flatnonzero(rest.weight > 0)[::EVERY]
        of_rest = torch.from_numpy(~np.isin(bank.owner, held))
        read = bank.captions[of_rest][::EVERY].float()
        fit_projection(self.committee, Sample(self._seen(rows), read))

    def _seen(self, rows: np.ndarray) -> Tensor:
        seen, _ = self.bank.views[0].get(rows, slice(None))
        return seen.view(len(rows), len(WINDOWS), -1)

    @torch.no_grad()
    def words(self, read: Tensor) -> np.ndarray:
        """[n, N_READ] -> unit [n, d]."""
        return self.committee.read(read.float()).numpy()

    @torch.no_grad()
    def tiles(self, rows: np.ndarray) -> np.ndarray:
        """The pictures' tiles, unit [r, t, d]."""
        return self.committee.see(self._seen(rows)).numpy()


def galleries(data: Path, out: Path) -> Iterator[tuple[Gallery, list[Task]]]:
    """Each third in galleries, with the queries that they can answer."""
    files = read_split(data, "train").files  # Flickr8k is the cache's first set
    concepts = read_concepts(data, "train", files)
    read = np.load(out / "concepts.read.npy")
    order = np.random.default_rng(11).permutation(len(files))
    bank = None
    for fold in range(FOLDS):
        held = np.sort(order[fold::FOLDS])
        halves = [held[part::2][:GALLERY] for part in range(2)]
        path = out / f"heldout{fold}.npz"
        if not path.exists():
            bank = bank or Bank(out)
            model = HeldOut(bank, held, fold)
            parts = {"queries": model.words(torch.from_numpy(read))}
            for at, own in enumerate(halves):
                captions = bank.captions[torch.from_numpy(np.isin(bank.owner, own))]
                parts |= {f"captions{at}": model.words(captions), f"tiles{at}": model.tiles(own)}
            np.savez(path, **parts)
            print(f"fold {fold} trained", file=sys.stderr, flush=True)
        with np.load(path) as kept:
            for at, own in enumerate(halves):
                gallery = _gallery(kept[f"tiles{at}"], kept[f"captions{1 - at}"])
                yield gallery, _tasks(concepts, kept["queries"], own)


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


def arm_of(text: str) -> Strategy:
    """A strategy by name, with numbers of its options: `auto:strength=4,caution=10`."""
    name, _, told = text.partition(":")
    row = strategy(name)
    numbers = {
        key: float(value) for key, _, value in (o.partition("=") for o in told.split(",") if o)
    }
    return replace(row, options=replace(row.options, **numbers))


def main() -> None:
    """Plays every gallery with every arm, in every way of marking."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="what cache.py filled")
    parser.add_argument("--arm", action="append", default=[], help="NAME or NAME:OPTION=NUMBER,...")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    arms = {text: arm_of(text) for text in args.arm or ["auto", "rocchio"]}
    everything = list(galleries(args.data, args.out))
    total = sum(len(tasks) for _, tasks in everything)
    for way, protocol in WAYS.items():
        played = [(len(tasks), compare(some, tasks, arms, protocol)) for some, tasks in everything]
        for name in arms:
            means = {
                key: round(sum(n * asdict(r[name])[key] for n, r in played) / total, 4)
                for key in ("found_none", "found", "ap_none", "ap", "harmed", "helped")
            }
            told = {"marks": way, "arm": name, "n_queries": total, **means}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
